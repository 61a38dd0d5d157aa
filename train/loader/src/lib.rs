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
mod dataset;
mod epoch_order;
mod error;
mod loader;
mod masking;
mod picture;
mod resample;
mod teacher_cache;

pub use augment::{Augment, PatchesFrom, Per, Subset, upright};
pub use batch::{Batch, ViewPart, gather};
pub use dataset::{PreparedDataset, RowGroupAt, cell_edge};
pub use epoch_order::{EpochOrder, RowAt, Schedule, ShuffleQuality, resident_rows, shuffle_quality};
pub use error::{Error, Result};
pub use loader::{EvalConfig, Loader, LoaderConfig, Regrouper, ViewConfig, crop, for_each_in_order};
pub use masking::{MaskKind, MaskingConfig, Masks, Places, Sequence, draw_masks, greedy_order};
pub use picture::{PICTURE_SIZE, Picture, background};
pub use resample::{Axis, Bicubic, resample};
pub use teacher_cache::{CachedView, TeacherCache, check_teacher_name};
