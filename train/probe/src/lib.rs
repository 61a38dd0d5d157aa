//! What frozen features are worth: probes with linear SVMs, nearest neighbours and few labels, and collapse monitors.
//!
//! - [`probe`] measures a [`FeatureSet`] as a [`ProbeConfig`] says; [`print_columns`] puts tables side by side.
//! - [`few_shot()`] measures it on the n-way k-shot episodes of an [`EpisodeList`].
//! - [`PointConfusion`] and [`PartScores`] judge labels of single points, of scenes and of parts of objects.
//! - [`retrieve`] ranks a gallery for every query, by cosine; [`principal_plane()`] and [`neighbor_plane()`] lay features into planes
//!   to look at.
//! - [`CleanClassifiers`] are fitted on clean features and judge corrupted ones; [`CorruptionErrors`] sums that up.
//! - [`effective_rank`], [`PositionBasis::share`], [`cloud_share`] and [`explained_share`] tell whether an encoder collapses.
//!
//! Everything is a pure function of the features and their ids: no run seed, the same bits on any number of threads.
//!
//! ```
//! use jepa3d_probe::{Evaluation, Extent, FeatureSet, ProbeConfig, probe};
//!
//! // Two classes of two-dimensional features, told apart by their first number.
//! let mut features = FeatureSet { width: 2, ..FeatureSet::default() };
//! for i in 0..60 {
//!     features.ids.push(format!("sample-{i}"));
//!     features.labels.push(Some(i % 2));
//!     features.splits.push(if i < 40 { "train" } else { "test" }.to_owned());
//!     features.values.extend([(i % 2) as f32, (i * 7 % 5) as f32]);
//! }
//! let evaluation = Evaluation::Split("test".to_owned());
//! let config = ProbeConfig { evaluation, extent: Extent::Light, ..ProbeConfig::default() };
//! let table = probe(&features, &config)?;
//! assert_eq!(table.value("kNN-20"), Some(100.0));
//! assert_eq!(table.value("20 labels a class"), Some(100.0));
//! # Ok::<(), jepa3d_probe::Error>(())
//! ```

mod cholesky;
mod config;
mod confusion;
mod draw_episodes;
mod episodes;
mod error;
mod examples;
mod features;
mod few_labels;
mod few_shot;
mod knn;
mod neighbor_plane;
mod newton;
mod one_vs_one;
mod one_vs_rest;
mod part_iou;
mod parts;
mod point_confusion;
mod position;
mod primal;
mod principal_plane;
mod rank;
mod report;
mod retrieval;
mod robustness;
mod robustness_report;
mod smo;
mod statistics;
mod svm;
mod table;
mod tsne;

pub use config::{Evaluation, Extent, ProbeConfig};
pub use confusion::Confusion;
pub use draw_episodes::EpisodeConfig;
pub use episodes::{Episode, EpisodeClass, EpisodeList};
pub use error::{Error, Result};
pub use examples::Examples;
pub use features::{FeatureSet, is_validation};
pub use few_shot::{
    FewShotColumn, FewShotLine, describe_few_shot, few_shot, print_few_shot, sum_up_episodes,
};
pub use neighbor_plane::{NeighborPlane, neighbor_plane};
pub use part_iou::{PartScores, ShapeIou, best_part, shape_iou};
pub use parts::Choice;
pub use point_confusion::{PointConfusion, PointScores};
pub use position::{MIN_CLOUDS, PatchVectors, PositionBasis, PositionedRows, cloud_share};
pub use principal_plane::{PrincipalPlane, principal_plane};
pub use rank::{effective_rank, fixed_subset};
pub use report::{ProbeColumn, align_rows, describe_columns, print_columns};
pub use retrieval::{Retrieval, RetrievalScores, RetrievedQuery, retrieve};
pub use robustness::{
    CleanClassifiers, CorruptionErrors, Judge, JudgedAccuracy, RobustnessLine, RobustnessTable,
};
pub use robustness_report::{ERRORS_NOTE, RobustnessColumn, RobustnessRow, SeedSpread, print_robustness};
pub use statistics::{MeanDeviation, explained_share};
pub use svm::{LinearSvm, Solver};
pub use table::{ProbeLine, ProbeTable, probe};

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod retrieval_tests;
#[cfg(test)]
mod segmentation_tests;
#[cfg(test)]
mod table_tests;
