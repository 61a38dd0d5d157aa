//! Teachers: frozen image encoders whose embeddings of the stored views are the targets of `cross-jepa`.
//!
//! Every view is embedded once ([`cache_teacher`]), into a sidecar beside the views; training reads that
//! (`TeacherCache` of the loader) and never an image. Contract and file format: `README.md` beside this file and
//! `schemas/README.md`.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use jepa3d_loader::PreparedDataset;
//! use jepa3d_teachers::{Teacher, VitConfig, cache_teacher};
//!
//! let dataset = PreparedDataset::open(Path::new("out/shapenet"))?;
//! let teacher = Teacher::vit(Path::new("dinov2_small.safetensors"), VitConfig::default())?;
//! let report = cache_teacher(&dataset, &teacher, "dinov2", &mut |at| println!("{} of {}", at.done, at.total))?;
//! println!("{} views, {} numbers each", report.views, report.width);
//! # Ok::<(), jepa3d_teachers::Error>(())
//! ```

mod cache;
mod embedding;
mod error;
mod hog;
mod pose;
mod projection;
mod teacher;
#[cfg(test)]
mod tests;
mod vit;
mod vit_weights;

pub use cache::{CacheProgress, CacheReport, cache_teacher};
pub use error::{Error, Result};
pub use teacher::Teacher;
pub use vit::{MeanStd, PosResample, TokenPool, VitConfig};
