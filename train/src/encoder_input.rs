//! How a frozen encoder is given the clouds of a set: in the groups that it learned from, and standing as those did.

use jepa3d_loader::{EvalConfig, FreshStart, PatchesFrom, PointSubset, PreparedDataset};
use jepa3d_schemas::UpAxis;

use crate::checkpoint::RunState;
use crate::config::{DataConfig, GroupLetters};
use crate::error::{Error, Result};

/// What of a set's clouds is changed for an encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputOptions {
    /// Stored clouds are grouped as the encoder learned, whatever groups are stored.
    pub regroup: bool,
    /// With `regroup`, the points of clouds that have fewer than the encoder has patches, or a patch has points, are repeated.
    pub repeats: bool,
    /// The axis that is up in the clouds that the encoder learned from, where the checkpoint does not say, or to overrule it.
    pub up_axis: Option<UpAxis>,
}

/// What an encoder learned from, as far as anyone says.
#[derive(Clone, Debug, Default)]
pub(crate) struct LearnedInput {
    /// `None` where clouds were cropped, or nobody says.
    grouping: Option<GroupLetters>,
    up_axis: Option<UpAxis>,
}

/// How clouds are read for an encoder, and what there is to say about it.
#[derive(Clone, Debug)]
pub(crate) struct FittedInput {
    pub eval: EvalConfig,
    pub notes: Vec<String>,
}

impl LearnedInput {
    /// What a checkpoint says, or else its config.
    ///
    /// # Errors
    /// Fails if the state says groups that cannot be read.
    pub(crate) fn read(state: Option<&RunState>, data: &DataConfig) -> Result<Self> {
        let said = state.and_then(|state| state.grouping.as_ref());
        let grouping = match said.map(|text| text.parse::<GroupLetters>()).transpose()? {
            // It saw the first of the patches that were stored.
            Some(stored) if stored.is_patches() => {
                Some(GroupLetters::patches(stored.points, data.groups, data.group_size))
            }
            None => data.fresh_grouping(),
            blocks => blocks,
        };
        Ok(Self { grouping, up_axis: state.and_then(|state| state.up_axis) })
    }

    /// The groups that it learned from; `None` where clouds were cropped, or nobody says.
    pub(crate) fn grouping(&self) -> Option<&GroupLetters> {
        self.grouping.as_ref()
    }

    /// The axis that was up, if the checkpoint says.
    pub(crate) fn up_axis(&self) -> Option<UpAxis> {
        self.up_axis
    }

    /// How the clouds of `dataset` are read for the encoder, without the points that `outliers` times the usual spacing tells
    /// (0: with all).
    ///
    /// # Errors
    /// Fails if the set holds other groups than the encoder learned from and is not to be regrouped, or cannot be: the
    /// encoder learned from crops or voxel blocks.
    pub(crate) fn fit(
        &self,
        data: &DataConfig,
        dataset: &PreparedDataset,
        options: InputOptions,
        outliers: f64,
    ) -> Result<FittedInput> {
        let mut eval = data.eval_config(dataset);
        let mut notes = Vec::new();
        if options.regroup {
            let points = self.find_points(data, dataset)?;
            let regroup = Some(FreshStart { points, seed: None, repeats: options.repeats, outliers });
            eval = EvalConfig { batch: 64, regroup, ..eval };
        } else {
            notes.extend(self.check_groups(data, dataset)?);
            let folder = dataset.folder().display();
            notes.extend((outliers > 0.0).then(|| {
                format!("note: {folder}: points that stand alone stay in stored groups (--regroup leaves them out)")
            }));
        }
        eval.up_axis = options.up_axis.or(data.up_axis).or(self.up_axis);
        notes.extend(describe_turn(eval.up_axis, dataset).map(|turn| format!("note: {turn}")));
        Ok(FittedInput { eval, notes })
    }

    /// `N` of the encoder's own grouping.
    fn find_points(&self, data: &DataConfig, dataset: &PreparedDataset) -> Result<usize> {
        let is_cropped = is_cropped(data);
        match &self.grouping {
            Some(learned) if learned.is_patches() => Ok(learned.points),
            None if !is_cropped => Ok(data.points),
            other => Err(Error::Groups {
                folder: dataset.folder().to_owned(),
                learned: other.as_ref().map_or("crops of clouds".to_owned(), GroupLetters::to_string),
                stored: GroupLetters::read_stored(dataset).to_string(),
                hint: "--regroup makes patches of whole clouds: prepare the set with the encoder's groups",
            }),
        }
    }

    /// Refuses stored groups that are not the encoder's; says so if nobody knows what those are.
    fn check_groups(&self, data: &DataConfig, dataset: &PreparedDataset) -> Result<Option<String>> {
        let stored = GroupLetters::read_stored(dataset);
        let Some(learned) = &self.grouping else {
            return Ok((!is_cropped(data)).then(|| {
                let own = GroupLetters::patches(data.points, data.groups, data.group_size);
                format!(
                    "note: the checkpoint does not say what groups it learned from: it is given those of the set, {stored} \
                     (--regroup: {own})"
                )
            }));
        };
        if learned.are_in(&stored) {
            return Ok(None);
        }
        let hint = match learned.is_patches() {
            true => "--regroup makes the encoder's own of the stored clouds",
            false => "prepare the set with the encoder's groups",
        };
        let (learned, stored) = (learned.to_string(), stored.to_string());
        Err(Error::Groups { folder: dataset.folder().to_owned(), learned, stored, hint })
    }
}

fn is_cropped(data: &DataConfig) -> bool {
    data.patches_from == PatchesFrom::Online && data.subset == PointSubset::Crop
}

/// What there is to say of the clouds of a dataset where `up` is to be up, if they do not stand so.
pub(crate) fn describe_turn(up: Option<UpAxis>, dataset: &PreparedDataset) -> Option<String> {
    let up = up.filter(|&up| up != dataset.up_axis())?;
    let [stored, up] = [dataset.up_axis(), up].map(|axis| ['x', 'y', 'z'][axis.index()]);
    let folder = dataset.folder().display();
    Some(format!("{folder}: {stored} is up in these clouds: they are turned by a quarter, to {up} up"))
}
