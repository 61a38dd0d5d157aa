//! The few kinds of chart that jepa3d draws, as PNG bytes: bars, histograms, curves over steps.
//!
//! A chart is a plain struct with a `draw` that returns the file:
//!
//! ```
//! use jepa3d_charts::{Bar, BarChart, COLORS, ChartLabels, LegendEntry};
//!
//! let labels = ChartLabels {
//!     title: "objects per class".to_owned(),
//!     subtitle: "150 objects, 2 classes".to_owned(),
//!     x: "objects",
//!     y: "",
//! };
//! let bar = |name: &str, value| Bar { name: name.to_owned(), values: vec![value], note: value.to_string() };
//! let chart = BarChart {
//!     labels,
//!     legend: vec![LegendEntry { name: "train".to_owned(), color: COLORS[0] }],
//!     bars: vec![bar("chair", 100.0), bar("table", 50.0)],
//!     stacked: true,
//! };
//! assert!(chart.draw()?.starts_with(b"\x89PNG"));
//! # Ok::<(), jepa3d_charts::Error>(())
//! ```

mod bars;
mod curves;
mod error;
mod frame;
mod histogram;
mod legend;
mod smooth;
mod text;

pub use bars::{Bar, BarChart};
pub use curves::{Curve, CurvePanel, CurveSheet, ReferenceValue, ValueSpan};
pub use error::{Error, Result};
pub use frame::ChartLabels;
pub use histogram::{Histogram, HistogramAxis, HistogramSeries, ValueMark};
pub use legend::{COLORS, GREY, LegendEntry};
pub use smooth::smoothing_window;
