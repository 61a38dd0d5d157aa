//! Reports of commands: one file that a program reads, and one page that people read without a network.
//!
//! A [`Report`] is plain data; `report.json` is all of it, and `report.html` is a function of it: one page without a
//! script, with its pictures, charts and styles inside, for a phone as for a desk, light or dark as the reader's system is.

mod chart_axes;
mod compare;
mod confusion_part;
mod curves_part;
mod document;
mod escape;
mod files;
mod page;
mod scatter_part;
mod sections;

#[cfg(test)]
mod report_tests;

pub use compare::compare_reports;
pub use document::{Provenance, Report, ReportFact};
pub use files::{REPORT_JSON, REPORT_PAGE, read_report, write_page, write_report};
pub use sections::{
    CurvePoint, ImageMark, ImageRow, LegendColor, MAX_SCATTER_POINTS, ReportCell, ReportConfusion,
    ReportCurves, ReportImage, ReportImages, ReportScatter, ReportSection, ReportSeries, ReportTable,
    ReportText, ScatterPoint,
};
