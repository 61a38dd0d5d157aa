//! Reads prepared sets as training needs them: batches in an order known beforehand, augmentation, masks, patches.
//!
//! A [`PreparedDataset`] is opened once; a [`Loader`] streams its batches from threads of its own, each a function of
//! (seed, epoch, sample) alone; [`draw_masks`] says what of a batch is context and what is target. No tensors here.
//!
//! ```no_run
//! # fn main() -> jepa3d_loader::Result<()> {
//! use std::sync::Arc;
//! use jepa3d_loader::{Loader, LoaderConfig, PreparedDataset};
//! let dataset = Arc::new(PreparedDataset::open("out/synthetic".as_ref())?);
//! let mut loader = Loader::start(&dataset, LoaderConfig { batch: 32, ..LoaderConfig::default() }, 0)?;
//! let batch = loader.next()?;
//! assert_eq!(batch.patches.len(), 32 * 64 * 32 * 3);
//! # Ok(())
//! # }
//! ```

mod augment;
mod batch;
mod batch_cut;
mod batch_points;
mod batch_positions;
mod config;
mod corruption;
mod dataset;
mod drawn_views;
mod epoch_order;
mod error;
mod loader;
mod masking;
mod mix;
mod mixed_order;
mod patch_source;
mod patches;
mod picture;
mod resample;
mod sample_key;
mod selection;
mod sensor;
mod shuffle_quality;
mod teacher_cache;
mod turned;

pub use augment::{Augment, Per};
pub use batch::{Batch, BatchViews, SeenPatches};
pub use batch_points::{BatchPoints, PointScope};
pub use config::{EvalConfig, FreshStart, LoaderConfig, ViewConfig};
pub use corruption::{Corruption, CorruptionKind, SEVERITIES};
pub use dataset::{PreparedDataset, RowGroupAt};
pub use drawn_views::DrawnViews;
pub use epoch_order::{EpochOrder, RowAt};
pub use error::{Error, Result};
pub use loader::{Loader, for_each_in_order};
pub use masking::{BatchKey, MaskKind, MaskingConfig, Masks, PatchPlaces, Sequence, draw_masks};
pub use mix::{DataShare, DatasetMix, MixPart, learned_from};
pub use patch_source::{PatchesFrom, PointSubset};
pub use patches::{CloudGrouper, FreshGrouping, GroupingSize, GroupingStart, PatchMaker, SamplePatches};
pub use picture::{PICTURE_SIZE, Picture, background};
pub use resample::{Axis, Bicubic, resample};
pub use selection::{ListedSample, SampleSelection};
pub use sensor::Sensor;
pub use shuffle_quality::{ShuffleQuality, resident_rows, shuffle_quality};
pub use teacher_cache::{CachedView, TeacherCache, check_teacher_name};
