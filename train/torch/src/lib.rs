//! Official PyTorch checkpoints to ours, and back, without Python.
//!
//! `.ckpt` (Lightning), `.pth` and `.pt` to `.safetensors` and the reverse: pretraining, classification and part segmentation. Nothing in a checkpoint
//! is ever run; what comes back is loaded by the official class with `strict=True`.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use jepa3d_torch::convert;
//!
//! let done = convert(Path::new("point-jepa.ckpt"), Path::new("point-jepa.safetensors"))?;
//! println!("{} tensors, width {}", done.tensors, done.sizes.width);
//! for warning in &done.changes.warnings {
//!     println!("warning: {warning}");
//! }
//! # Ok::<(), jepa3d_torch::Error>(())
//! ```

#[cfg(test)]
mod bad_input_tests;
mod convert;
mod error;
mod heads;
mod names;
mod official;
mod pickle;
mod safetensors_file;
mod state;
mod storages;
mod tensors;
#[cfg(test)]
mod tests;
mod torch_read;
mod torch_write;

pub use convert::{Conversion, convert};
pub use error::{Error, Result};
pub use heads::CheckpointHead;
pub use names::Changes;
pub use official::PointJepaSizes;
