//! Reads prepared datasets: training, evaluation and inspection.
//!
//! Inspection: [`Selection`] picks samples of a prepared dataset, [`contact_sheet`] draws them
//! into one picture, [`save_recording`], [`serve_recording`] and [`spawn_viewer`] show them in the
//! rerun viewer.
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

mod convert;
mod error;
mod inspect;
mod metrics;

pub use convert::{
    Changes, Conversion, ElementType, PointJepaSizes, StateDict, TensorData, Wrapper, convert,
    read_safetensors, read_torch, write_safetensors, write_torch,
};
pub use error::{Error, Result};
pub use inspect::{
    Query, Selection, Served, Sheet, Specimen, contact_sheet, save_recording, serve_recording, spawn_viewer,
};
pub use metrics::{Logged, METRICS_FILE, MetricsWriter, Scalars, plot_curves, read_metrics};
