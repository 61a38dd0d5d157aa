//! Looks into prepared datasets and runs: samples, or what a run hides from its encoder, as one picture or as a
//! rerun recording.
//!
//! A point has the same colour wherever it is drawn, in 3D and in every image that shows it, so
//! that an eye sees at once whether correspondences match.
//!
//! [`Selection`] picks samples of a prepared set, [`contact_sheet`] draws them into one picture, [`save_recording`],
//! [`serve_recording`] and [`spawn_viewer`] show them in the rerun viewer. A [`RunView`] is the same for a run:
//! [`mask_sheet`] draws what it hides from its encoder, [`plot_curves`] its record. A [`Report`] is what a command found, as a
//! file for programs and a page for people.
//!
//! ```no_run
//! # fn main() -> jepa3d_inspect::Result<()> {
//! use jepa3d_inspect::{Query, Selection, contact_sheet};
//! let query = Query { limit: 4, ..Query::default() };
//! let selection = Selection::new("out/synthetic".as_ref(), &query)?;
//! contact_sheet(&selection)?.write("sheet.png".as_ref())?;
//! # Ok(())
//! # }
//! ```

mod canvas;
mod cloud;
#[cfg_attr(not(feature = "rerun"), allow(dead_code, reason = "recordings show more than sheets"))]
mod colors;
mod curves;
mod error;
#[cfg_attr(not(feature = "rerun"), allow(dead_code, reason = "recordings show more than sheets"))]
mod facts;
mod groups;
mod layout;
mod live;
mod masked;
mod panels;
mod report;
mod run;
mod run_sheet;
mod select;
mod sheet;
mod thumbnail;

#[cfg(feature = "rerun")]
mod blueprint;
#[cfg(feature = "rerun")]
mod entities;
#[cfg(feature = "rerun")]
mod recording;
#[cfg(feature = "rerun")]
mod rerun;
#[cfg(feature = "rerun")]
mod run_blueprint;
#[cfg(feature = "rerun")]
mod run_entities;
#[cfg(feature = "rerun")]
mod run_paths;
#[cfg(feature = "rerun")]
mod viewer_server;

#[cfg(not(feature = "rerun"))]
#[path = "recording_off.rs"]
mod recording;

#[cfg(test)]
mod curves_tests;
#[cfg(test)]
#[cfg(feature = "rerun")]
mod recording_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;

pub use curves::plot_curves;
pub use error::{Error, Result};
pub use live::{LeftOut, LiveEnd, LiveFacts, LiveRecording, LiveTarget};
pub use recording::{Served, save_recording, serve_recording, spawn_viewer};
pub use report::{
    CurvePoint, ImageMark, ImageRow, LegendColor, MAX_SCATTER_POINTS, Provenance, REPORT_JSON, REPORT_PAGE,
    Report, ReportCell, ReportConfusion, ReportCurves, ReportFact, ReportImage, ReportImages, ReportScatter,
    ReportSection, ReportSeries, ReportTable, ReportText, ScatterPoint, compare_reports, read_report,
    write_page, write_report,
};
pub use run::{RunQuery, RunView, Shown};
pub use run_sheet::mask_sheet;
pub use select::{Query, Selection, Specimen};
pub use sheet::{Sheet, contact_sheet};
pub use thumbnail::{PointColors, render_samples, render_thumbnail};
