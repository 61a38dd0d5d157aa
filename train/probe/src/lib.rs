//! What frozen features are worth: probes with linear SVMs, nearest neighbours and few labels, and collapse monitors.

mod cholesky;
mod error;
mod features;
mod few_labels;
mod knn;
mod newton;
mod position;
mod primal;
mod rank;
mod report;
mod smo;
mod svm;
mod table;

pub use error::{Error, Result};
pub use features::{FeatureSet, Standardisation, VALIDATION_SHARE, is_validation};
pub use few_labels::{FEW_LABELS_C, FewLabels};
pub use knn::nearest_neighbours;
pub use position::{MIN_CLOUDS, PatchVectors, PositionBasis, cloud_share, neighbour_share};
pub use rank::{RANK_SAMPLES, effective_rank, explained_share, fixed_subset};
pub use report::{Column, print_columns};
pub use svm::{Examples, LinearSvm, MOST_SAMPLES_OF_A_PAIR, Solver};
pub use table::{Choice, Evaluation, Extent, ProbeConfig, ProbeLine, ProbeTable, probe};

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod table_tests;
