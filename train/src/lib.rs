//! Pretrains encoders of point clouds: models, optimiser, trainer, monitors, and the record of a run.
//!
//! A [`Trainer`] takes a [`PretrainConfig`] and a prepared set, and leaves a run folder that any kill can interrupt; a
//! [`FrozenEncoder`] reads one and makes features.
//!
//! ```no_run
//! # fn main() -> jepa3d_train::Result<()> {
//! use std::sync::atomic::AtomicBool;
//! use jepa3d_train::{PretrainConfig, PretrainRequest, Trainer};
//! let config = PretrainConfig::load("configs/pretrain/3d-jepa-small.toml".as_ref(), &["run.epochs=4".into()])?;
//! let (data, out) = (vec!["out/synthetic".parse()?], "out/run".into());
//! let (device, emulates_bf16, shown) = ("cpu".into(), false, None);
//! let request = PretrainRequest { config, data, out, resume: true, device, emulates_bf16, shown };
//! let outcome = Trainer::new(request)?.run(&AtomicBool::new(false), &mut |event| println!("{event:?}"))?;
//! println!("{outcome:?}");
//! # Ok(())
//! # }
//! ```

#[doc(hidden)]
pub mod bench;
mod bench_views;
mod checkpoint;
mod checkpoint_file;
mod checkpoint_writer;
mod config;
#[cfg(all(test, feature = "cuda"))]
mod cuda_tests;
mod damaged_file;
mod device;
mod device_memory;
mod downstream;
mod encoder_input;
mod encoder_part;
mod error;
mod export;
mod features;
mod frozen;
#[cfg(test)]
mod frozen_tests;
mod loader_threads;
mod metrics;
mod models;
mod monitor;
mod newest_checkpoint;
mod nn;
mod optim;
mod parallel;
mod pooling;
mod precision;
mod request;
mod robustness;
mod run_config;
mod run_folder;
mod schedule;
mod seen_context;
mod shipped;
mod stages;
mod step_inputs;
mod step_record;
mod target_encoder;
mod trained_samples;
mod trainer;
mod turned_features;

pub use checkpoint::{BEST_FILE, LAST_FILE};
pub use checkpoint_file::NumberFormat;
pub use config::{
    CrossConfig, DataConfig, EmaConfig, EmaShape, FeatureConfig, HybridConfig, LossConfig, LossKind, Method,
    ModelConfig, MonitorConfig, OptimConfig, OverTurns, Pooling, PositionKind, PredictorConfig,
    PretrainConfig, ProductPrecision, TargetConfig, TargetKind, TargetNorm, TargetTokenizer, TeacherConfig,
    TrainRunConfig,
};
pub use device::use_threads;
pub use downstream::{
    DownstreamConfig, DownstreamFacts, DownstreamRequest, DownstreamRun, EncoderSource, EncoderWeights,
    EpisodeSamples, FinetuneResult, FinetuneScores, Finetuner, FrozenPart, HeadConfig, JudgedPoints,
    LabelBudget, LabelConfig, LengthConfig, SegmentConfig, SegmentExample, SegmentHead, SegmentLook,
    SegmentResult, SegmentRun, SegmentScores, TuningConfig, VoteConfig, VoteScores,
};
pub use encoder_input::InputOptions;
pub use error::{Error, Result};
pub use export::{EncoderExport, export_encoder, export_encoder_file};
pub use frozen::FrozenEncoder;
pub use loader_threads::choose_loader_threads;
pub use metrics::{Logged, METRICS_FILE, MetricsWriter, Scalars, read_metrics};
pub use parallel::Processes;
pub use request::{Event, PretrainRequest, RunOutcome};
pub use robustness::{PassesDone, RobustnessPlan, measure_robustness};
pub use run_config::read_run_config;
pub use run_folder::config_differences;
pub use shipped::{is_shipped, shipped_names};
pub use step_inputs::try_first_input;
pub use trained_samples::{SamplePlan, TrainedLabels, TrainedSamples, TrainedView};
pub use trainer::Trainer;
