//! What all commands ask about a frozen encoder: what it is, how it is given clouds, and its random twin.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::ensure;
use jepa3d_loader::{PreparedDataset, learned_from};
use jepa3d_schemas::UpAxis;
use jepa3d_train::{
    FeatureConfig, FrozenEncoder, InputOptions, OverTurns, Pooling, PretrainConfig, is_shipped, shipped_names,
};

use super::tell;
use crate::presets::{self, Verb};

/// What an encoder is and how it is given clouds.
#[derive(clap::Args)]
pub(crate) struct EncoderArgs {
    /// An encoder that this program carries, in place of a run: jepa3d-s. It groups clouds by itself (--regroup --repeat-points)
    #[arg(long, value_name = "NAME", conflicts_with = "preset")]
    model: Option<PathBuf>,
    /// What an encoder is whose checkpoint does not say it (one that `convert` made): a preset or a .toml file.
    #[arg(long, value_name = "NAME")]
    preset: Option<PathBuf>,
    /// How tokens become one vector. Default: as the encoder's config says (features.pooling)
    #[arg(long, value_enum)]
    pool: Option<Pool>,
    /// Encode every cloud so many times, turned about the vertical by equal angles: the mean, and what --over-turns says.
    /// Default: features.turns of the encoder's config
    #[arg(long, value_name = "N")]
    turns: Option<usize>,
    /// What of the turns follows their mean. Default: features.over_turns of the encoder's config
    #[arg(long, value_enum)]
    over_turns: Option<FromTurns>,
    /// With --regroup: leave out points that stand so many times as far from their nearest as these do from theirs; 0: none.
    /// Default: features.outliers of the encoder's config
    #[arg(long, value_name = "RATIO")]
    outliers: Option<f64>,
    /// Group the stored clouds as the encoder learned, whatever groups the set holds; without it, other groups are refused.
    #[arg(long)]
    regroup: bool,
    /// With --regroup: repeat the points of clouds that have fewer than the encoder has patches, or a patch has points; without
    /// it such a cloud is an error that names it. Clouds of fewer points than N are taken whole either way.
    #[arg(long, requires = "regroup")]
    repeat_points: bool,
    /// The axis that was up where the encoder learned, if its checkpoint does not say; clouds are turned to it.
    #[arg(long, value_enum, value_name = "AXIS")]
    up_axis: Option<UpAxisName>,
    /// The prepared set whose training split gives random weights their batch-norm statistics: the one that the encoder
    /// learned from. Default: the one of --data.
    #[arg(long, value_name = "DIR")]
    calibrate_on: Option<PathBuf>,
}

/// What of the turns follows their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FromTurns {
    /// The magnitudes of the first two harmonics.
    Harmonics,
    /// The same of every fourth number.
    FewHarmonics,
    /// The maximum, then the minimum.
    Extremes,
}

impl From<FromTurns> for OverTurns {
    fn from(asked: FromTurns) -> Self {
        match asked {
            FromTurns::Harmonics => Self::Harmonics,
            FromTurns::FewHarmonics => Self::FewHarmonics,
            FromTurns::Extremes => Self::Extremes,
        }
    }
}

/// How tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Pool {
    /// Maximum, then mean over tokens: 2 D numbers.
    MaxMean,
    /// Mean over tokens: D numbers.
    Mean,
    /// Mean, then standard deviation over tokens: 2 D numbers.
    MeanStd,
    /// What the encoder's whole head answers for these two of the whole cloud: 2 D numbers.
    Whole,
}

/// Axes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum UpAxisName {
    X,
    Y,
    Z,
}

impl From<UpAxisName> for UpAxis {
    fn from(axis: UpAxisName) -> Self {
        match axis {
            UpAxisName::X => Self::X,
            UpAxisName::Y => Self::Y,
            UpAxisName::Z => Self::Z,
        }
    }
}

impl From<Pool> for Pooling {
    fn from(pool: Pool) -> Self {
        match pool {
            Pool::MaxMean => Self::MaxMean,
            Pool::Mean => Self::Mean,
            Pool::MeanStd => Self::MeanStd,
            Pool::Whole => Self::Whole,
        }
    }
}

impl EncoderArgs {
    /// The runs that are named, and then the encoder that this program carries.
    pub(crate) fn list_runs(&self, named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
        if let Some(model) = &self.model {
            let names = shipped_names().join(", ");
            ensure!(is_shipped(model), "--model: expected {names}, found {}", model.display());
        }
        Ok(named.iter().chain(&self.model).cloned().collect())
    }

    /// The config that `--preset` names.
    pub(crate) fn preset(&self) -> anyhow::Result<Option<Box<PretrainConfig>>> {
        Ok(self.preset.as_deref().map(read_preset).transpose()?.map(Box::new))
    }

    /// How features are made: as `config` says, but for what was asked for.
    fn choose_features(&self, config: &FeatureConfig) -> FeatureConfig {
        FeatureConfig {
            pooling: self.pool.map_or(config.pooling, Pooling::from),
            turns: self.turns.unwrap_or(config.turns),
            over_turns: self.over_turns.map_or(config.over_turns, OverTurns::from),
            outliers: self.outliers.unwrap_or(config.outliers),
        }
    }

    /// Opens a run or checkpoint for `dataset`; says what of its clouds is changed for the encoder.
    pub(crate) fn open(
        &self,
        run: &Path,
        dataset: &PreparedDataset,
        device: &str,
    ) -> anyhow::Result<FrozenEncoder> {
        self.open_with(run, dataset, device, self.regroup)
    }

    /// As [`EncoderArgs::open`], with groups made afresh whether that is asked for or not.
    pub(crate) fn open_regrouping(
        &self,
        run: &Path,
        dataset: &PreparedDataset,
        device: &str,
    ) -> anyhow::Result<FrozenEncoder> {
        self.open_with(run, dataset, device, true)
    }

    fn open_with(
        &self,
        run: &Path,
        dataset: &PreparedDataset,
        device: &str,
        regroup: bool,
    ) -> anyhow::Result<FrozenEncoder> {
        let preset = self.preset.as_deref().map(read_preset).transpose()?;
        // What a build carries is for any set: it never needs the groups that are stored there.
        let is_carried = is_shipped(run);
        let (regroup, repeats) = (regroup || is_carried, self.repeat_points || is_carried);
        let options = InputOptions { regroup, repeats, up_axis: self.up_axis.map(UpAxis::from) };
        let encoder = FrozenEncoder::open(run, preset.as_ref(), device)?.with_input(options);
        let features = self.choose_features(encoder.feature_config());
        let encoder = encoder.with_features(features)?;
        encoder.describe_input(dataset)?.into_iter().for_each(tell);
        Ok(encoder)
    }

    /// Random weights of the same architecture, with batch-norm statistics of the split `split` of `dataset`, or of the
    /// encoder's own split of the set that `--calibrate-on` names.
    pub(crate) fn randomize(
        &self,
        encoder: &FrozenEncoder,
        dataset: &Arc<PreparedDataset>,
        split: &str,
    ) -> anyhow::Result<FrozenEncoder> {
        if let Some(folder) = &self.calibrate_on {
            let own = Arc::new(PreparedDataset::open(folder)?);
            return Ok(encoder.randomize(&own, std::slice::from_ref(&encoder.config().data.split))?);
        }
        if encoder.fingerprint().is_some_and(|learned| !learned_from(learned, dataset.fingerprint())) {
            tell(format_args!(
                "note: random weights take their batch-norm statistics from {}, those of the encoder are of the set that it \
                 learned from (--calibrate-on DIR)",
                dataset.folder().display()
            ));
        }
        let has_split = dataset.splits().iter().any(|(name, _)| *name == split);
        let splits = if has_split { vec![split.to_owned()] } else { Vec::new() };
        Ok(encoder.randomize(dataset, &splits)?)
    }
}

/// The config that `--preset` names.
pub(crate) fn read_preset(preset: &Path) -> anyhow::Result<PretrainConfig> {
    Ok(PretrainConfig::parse(&presets::resolve(Verb::Pretrain, preset)?, &[])?)
}
