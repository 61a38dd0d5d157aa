//! Several prepared datasets as one: which, how much of each an epoch shows, and whether they go together.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use jepa3d_grouping::CellEdge;
use jepa3d_schemas::ShapeLetters;

use crate::dataset::PreparedDataset;
use crate::error::{Error, Result, out_of_range};
use crate::patch_source::PatchesFrom;
use crate::picture::background;

/// The folder of a prepared dataset and how much of it an epoch shows. As text `DIR` or `DIR:WEIGHT`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataShare {
    /// The folder.
    pub folder: PathBuf,
    /// Samples that an epoch shows, as a share of those that there are.
    pub weight: f64,
}

impl From<&Path> for DataShare {
    fn from(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), weight: 1.0 }
    }
}

impl FromStr for DataShare {
    type Err = Error;

    /// A number behind the last colon is the weight, unless there is a folder of the whole name.
    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse::<f64>().ok();
        match text.rsplit_once(':').and_then(|(folder, weight)| Some((folder, number(weight)?))) {
            Some((folder, weight)) if !Path::new(text).is_dir() => {
                check_weight(text, weight)?;
                Ok(Self { folder: folder.into(), weight })
            }
            _ => Ok(Path::new(text).into()),
        }
    }
}

fn check_weight(name: &str, weight: f64) -> Result<()> {
    match weight > 0.0 && weight <= 1e6 {
        true => Ok(()),
        false => {
            let expected = format!("a weight above 0 and at most 1000000 of {name}");
            Err(out_of_range("--data", expected, weight))
        }
    }
}

/// A dataset of a mix.
#[derive(Clone, Debug)]
pub struct MixPart {
    /// The dataset.
    pub dataset: Arc<PreparedDataset>,
    /// Samples that an epoch shows, as a share of those that there are: below 1 others in the next epoch until all were
    /// shown, above 1 some of them again, changed otherwise.
    pub weight: f64,
}

/// Datasets that a run learns from, in an order that belongs to it; at least one.
#[derive(Clone, Debug)]
pub struct DatasetMix {
    parts: Vec<MixPart>,
}

impl From<&Arc<PreparedDataset>> for DatasetMix {
    fn from(dataset: &Arc<PreparedDataset>) -> Self {
        Self { parts: vec![MixPart { dataset: Arc::clone(dataset), weight: 1.0 }] }
    }
}

impl DatasetMix {
    /// Opens the datasets in some folders.
    ///
    /// # Errors
    /// Fails if there are none, one is not complete or there twice, or a weight is none.
    pub fn open(shares: &[DataShare]) -> Result<Self> {
        let mut parts: Vec<MixPart> = Vec::new();
        for DataShare { folder, weight } in shares {
            check_weight(&folder.display().to_string(), *weight)?;
            let dataset = Arc::new(PreparedDataset::open(folder)?);
            let is_same = |part: &&MixPart| part.dataset.fingerprint() == dataset.fingerprint();
            if let Some(twin) = parts.iter().find(is_same) {
                let found = format!("that of {} again", twin.dataset.folder().display());
                return Err(clash(&dataset, "every dataset once (a weight of 2 shows it twice)", found));
            }
            parts.push(MixPart { dataset, weight: *weight });
        }
        match parts.is_empty() {
            true => Err(out_of_range("--data", "at least one prepared dataset", "none")),
            false => Ok(Self { parts }),
        }
    }

    /// The datasets with their weights.
    pub fn parts(&self) -> &[MixPart] {
        &self.parts
    }

    /// The first dataset: that of samples where there is one alone.
    pub fn first(&self) -> &Arc<PreparedDataset> {
        &self.parts[0].dataset
    }

    /// The first dataset that has classes; the first if none has.
    pub fn labelled(&self) -> &Arc<PreparedDataset> {
        let has_classes = |part: &&MixPart| !part.dataset.classes().is_empty();
        &self.parts.iter().find(has_classes).unwrap_or(&self.parts[0]).dataset
    }

    /// Whether there is more than one dataset.
    pub fn is_mixed(&self) -> bool {
        self.parts.len() > 1
    }

    /// What the samples of an epoch are made from: the fingerprint of a dataset, or those of all with their weights.
    pub fn fingerprint(&self) -> String {
        let name = |part: &MixPart| match part.weight == 1.0 {
            true => part.dataset.fingerprint().to_owned(),
            false => format!("{}:{}", part.dataset.fingerprint(), part.weight),
        };
        self.parts.iter().map(name).collect::<Vec<_>>().join(AND)
    }

    /// Checks that the datasets can be shown to one model.
    ///
    /// # Errors
    /// Fails if one has another axis up, blocks of another kind, with `shard` other letters R, N, G or K, or with views
    /// another background than the first; the error names its folder.
    pub(crate) fn check(&self, patches_from: PatchesFrom, has_views: bool) -> Result<()> {
        let first = self.first();
        for MixPart { dataset, .. } in &self.parts[1..] {
            let differ = |what: &str, [own, others]: [String; 2]| match own == others {
                true => Ok(()),
                false => {
                    let expected = format!("{what} {others} as in {}", first.folder().display());
                    Err(clash(dataset, expected, own))
                }
            };
            let both = [dataset, first];
            differ("the up axis", both.map(|set| ["x", "y", "z"][set.up_axis().index()].to_owned()))?;
            differ("groups:", both.map(|set| describe_groups(set.cell_edge())))?;
            if patches_from == PatchesFrom::Shard {
                differ("stored groupings", both.map(|set| describe_groupings(set.shape())))?;
            }
            if has_views {
                differ(
                    "views on the background",
                    both.map(|set| format!("{:?}", background(set.manifest()))),
                )?;
            }
        }
        Ok(())
    }
}

/// Between the fingerprints of a mix.
const AND: &str = " + ";

/// Whether a fingerprint is one of those that [`DatasetMix::fingerprint`] gave.
pub fn learned_from(mix: &str, fingerprint: &str) -> bool {
    mix.split(AND).any(|part| part.split(':').next() == Some(fingerprint))
}

fn describe_groups(edge: Option<CellEdge>) -> String {
    match edge {
        None => "patches".to_owned(),
        Some(CellEdge::Auto) => "voxel blocks".to_owned(),
        Some(CellEdge::Fixed(edge)) => format!("voxel blocks of edge {edge}"),
    }
}

fn describe_groupings(ShapeLetters { R, N, G, K, .. }: ShapeLetters) -> String {
    format!("R {R}, N {N}, G {G}, K {K}")
}

fn clash(dataset: &PreparedDataset, expected: impl Into<String>, found: String) -> Error {
    Error::Mix { folder: dataset.folder().to_owned(), expected: expected.into(), found }
}
