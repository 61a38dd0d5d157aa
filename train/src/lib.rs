//! Reads prepared datasets: training, evaluation and inspection.
//!
//! Inspection: [`Selection`] picks samples of a prepared dataset, [`contact_sheet`] draws them
//! into one picture, [`save_recording`], [`serve_recording`] and [`spawn_viewer`] show them in the
//! rerun viewer. A [`RunView`] is the same for a run: [`mask_sheet`] draws what it hides from its encoder.
//!
//! ```no_run
//! # fn main() -> jepa3d_train::Result<()> {
//! use jepa3d_train::{Query, Selection, contact_sheet};
//! let query = Query { limit: 4, ..Query::default() };
//! let selection = Selection::new("out/synthetic".as_ref(), &query)?;
//! contact_sheet(&selection)?.write("sheet.png".as_ref())?;
//! # Ok(())
//! # }
//! ```

mod augment;
mod batch;
#[doc(hidden)]
pub mod bench;
mod checkpoint;
mod config;
mod convert;
#[cfg(all(test, feature = "cuda"))]
mod cuda_tests;
mod dataset;
mod device;
mod epoch_order;
mod error;
mod evaluate;
mod features;
mod frozen;
mod inspect;
mod kernels;
mod loader;
mod masking;
mod metrics;
mod models;
mod monitor;
mod nn;
mod online_probe;
mod optim;
mod run_folder;
mod schedule;
mod step_input;
mod teacher;
mod trainer;

pub use augment::{Augment, PatchesFrom, Per, Subset};
pub use batch::{Batch, ViewPart};
pub use checkpoint::{BEST_FILE, LAST_FILE, RunState};
pub use config::{
    CrossConfig, DataConfig, EmaConfig, EmaShape, HybridConfig, LossConfig, LossKind, MaskKind,
    MaskingConfig, Method, ModelConfig, MonitorConfig, Norm, OptimConfig, Positions, PredictorConfig,
    PretrainConfig, RunConfig, Sequence, TargetConfig, TargetKind, TargetTokenizer, TeacherConfig,
};
pub use convert::{
    Changes, Conversion, ElementType, PointJepaSizes, StateDict, TensorData, Wrapper, convert,
    read_safetensors, read_torch, write_safetensors, write_torch,
};
pub use dataset::{PreparedDataset, RowGroupAt};
pub use device::use_threads;
pub use epoch_order::{EpochOrder, RowAt, Schedule, ShuffleQuality, resident_rows, shuffle_quality};
pub use error::{Error, Result};
pub use evaluate::{
    Choice, Column, Evaluation, Examples, Extent, FEW_LABELS_C, FeatureSet, FewLabels, LinearSvm,
    MOST_SAMPLES_OF_A_PAIR, PatchVectors, PositionBasis, ProbeConfig, ProbeLine, ProbeTable, RANK_SAMPLES,
    Solver, Standardisation, VALIDATION_SHARE, cloud_share, effective_rank, explained_share, fixed_subset,
    is_validation, nearest_neighbours, neighbour_share, print_columns, probe,
};
pub use features::Pooling;
pub use frozen::FrozenEncoder;
pub use inspect::{
    Query, RunQuery, RunView, Selection, Served, Sheet, Shown, Specimen, contact_sheet, mask_sheet,
    save_recording, serve_recording, spawn_viewer,
};
pub use kernels::tokenizer::{BatchStats, Mode, TokenizerWeights, tokenize};
pub use kernels::tokenizer_composite::tokenize_composite;
pub use loader::{EvalConfig, Loader, LoaderConfig, for_each_in_order};
pub use metrics::{Logged, METRICS_FILE, MetricsWriter, Scalars, plot_curves, read_metrics};
pub use run_folder::CONFIG_FILE;
pub use teacher::{
    CacheProgress, CacheReport, CachedView, MeanStd, PosResample, Teacher, TeacherCache, TokenPool,
    VitConfig, cache_teacher,
};
pub use trainer::{Ended, Event, PretrainRequest, Trainer};
