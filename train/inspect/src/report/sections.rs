//! What a report is made of: tables, curves, confusion matrices, scatter plots, pictures and text, as plain data.
//!
//! Numbers are kept with nine significant digits, so that they are the same after a way through JSON; what is not finite
//! is kept as none.

use serde::{Deserialize, Serialize};

/// Samples that a scatter plot shows at most.
pub const MAX_SCATTER_POINTS: usize = 2_000;

/// A part of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ReportSection {
    /// Rows and columns.
    Table(ReportTable),
    /// Lines over an axis.
    Curves(ReportCurves),
    /// Which class was taken for which.
    Confusion(ReportConfusion),
    /// Samples in a plane.
    Scatter(ReportScatter),
    /// Rows of pictures.
    Images(ReportImages),
    /// Paragraphs.
    Text(ReportText),
}

impl ReportSection {
    /// The heading.
    pub fn caption(&self) -> &str {
        match self {
            Self::Table(section) => &section.caption,
            Self::Curves(section) => &section.caption,
            Self::Confusion(section) => &section.caption,
            Self::Scatter(section) => &section.caption,
            Self::Images(section) => &section.caption,
            Self::Text(section) => &section.caption,
        }
    }

    /// The same section with another heading.
    pub(crate) fn renamed(mut self, caption: String) -> Self {
        let own = match &mut self {
            Self::Table(section) => &mut section.caption,
            Self::Curves(section) => &mut section.caption,
            Self::Confusion(section) => &mut section.caption,
            Self::Scatter(section) => &mut section.caption,
            Self::Images(section) => &mut section.caption,
            Self::Text(section) => &mut section.caption,
        };
        *own = caption;
        self
    }
}

/// A table; the first cell of a row is its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportTable {
    /// Heading.
    pub caption: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Rows, each with as many cells as the header.
    pub rows: Vec<Vec<ReportCell>>,
    /// What stands below; may be empty.
    pub note: String,
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportCell {
    /// What is shown.
    pub text: String,
    /// The number behind it, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Its standard deviation, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
}

impl ReportCell {
    /// A cell of words.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A number, shown with this many decimals.
    pub fn number(value: f64, decimals: usize) -> Self {
        Self { text: format!("{value:.decimals$}"), value: keep(value), deviation: None }
    }

    /// Mean and standard deviation, shown with this many decimals.
    pub fn spread(mean: f64, deviation: f64, decimals: usize) -> Self {
        let text = format!("{mean:.decimals$} \u{b1} {deviation:.decimals$}");
        Self { text, value: keep(mean), deviation: keep(deviation) }
    }
}

/// Lines over an axis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportCurves {
    /// Heading.
    pub caption: String,
    /// What the horizontal axis is.
    pub x: String,
    /// What the vertical axis is.
    pub y: String,
    /// Whether the horizontal axis is logarithmic; only where all its values are positive.
    #[serde(default)]
    pub has_log_x: bool,
    /// The lines.
    pub series: Vec<ReportSeries>,
    /// What stands below; may be empty.
    #[serde(default)]
    pub note: String,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportSeries {
    /// What it shows.
    pub name: String,
    /// Its points, in order.
    pub points: Vec<CurvePoint>,
}

/// A point of a line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Place on the horizontal axis.
    pub x: f64,
    /// The value; none where it is not finite, and the line has a gap.
    pub y: Option<f64>,
    /// Its standard deviation, drawn as a band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
}

impl CurvePoint {
    /// A value at a finite place.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x: keep(x).unwrap_or(0.0), y: keep(y), deviation: None }
    }

    /// Mean and standard deviation at a finite place.
    pub fn spread(x: f64, mean: f64, deviation: f64) -> Self {
        Self { deviation: keep(deviation), ..Self::new(x, mean) }
    }
}

/// Which class was taken for which.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportConfusion {
    /// Heading.
    pub caption: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Samples `[true class][predicted class]`.
    pub counts: Vec<Vec<u64>>,
    /// What stands below; may be empty.
    #[serde(default)]
    pub note: String,
}

impl ReportConfusion {
    /// Counts pairs of a true and a predicted class; a number that is no class is left out.
    ///
    /// # Shapes
    /// `truth`, `predicted` `[n]`.
    pub fn count(
        caption: impl Into<String>,
        classes: &[String],
        truth: &[usize],
        predicted: &[usize],
    ) -> Self {
        let mut counts = vec![vec![0; classes.len()]; classes.len()];
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            if let Some(count) = counts.get_mut(truth).and_then(|row: &mut Vec<u64>| row.get_mut(predicted)) {
                *count += 1;
            }
        }
        Self { caption: caption.into(), classes: classes.to_vec(), counts, note: String::new() }
    }
}

/// Samples in a plane, coloured by class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportScatter {
    /// Heading.
    pub caption: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The samples, at most [`MAX_SCATTER_POINTS`].
    pub points: Vec<ScatterPoint>,
    /// What stands below; may be empty.
    #[serde(default)]
    pub note: String,
}

/// A sample in a plane.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScatterPoint {
    /// To the right.
    pub x: f64,
    /// Up.
    pub y: f64,
    /// Number of its class.
    pub class: usize,
}

impl ScatterPoint {
    /// A sample of a class; none if its place is not finite.
    pub fn new(x: f64, y: f64, class: usize) -> Option<Self> {
        Some(Self { x: keep(x)?, y: keep(y)?, class })
    }
}

/// Rows of pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportImages {
    /// Heading.
    pub caption: String,
    /// The rows.
    pub rows: Vec<ImageRow>,
    /// What stands below; may be empty.
    #[serde(default)]
    pub note: String,
}

/// Pictures side by side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageRow {
    /// What they have in common; may be empty.
    pub title: String,
    /// The pictures.
    pub images: Vec<ReportImage>,
    /// What colours of the pictures mean; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legend: Vec<LegendColor>,
}

/// A colour of a picture, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegendColor {
    /// What has it.
    pub name: String,
    /// sRGB.
    pub color: [u8; 3],
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportImage {
    /// A PNG file in base64.
    pub png: String,
    /// What it shows.
    pub caption: String,
    /// Whether it is right.
    #[serde(default)]
    pub mark: ImageMark,
}

impl ReportImage {
    /// A picture of the bytes of a PNG file.
    pub fn new(png: &[u8], caption: impl Into<String>, mark: ImageMark) -> Self {
        use base64::Engine;
        let png = base64::engine::general_purpose::STANDARD.encode(png);
        Self { png, caption: caption.into(), mark }
    }
}

/// What is said of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageMark {
    /// Nothing.
    #[default]
    Plain,
    /// It is what was asked.
    Query,
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
}

/// Paragraphs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportText {
    /// Heading.
    pub caption: String,
    /// Paragraphs, an empty line between two.
    pub text: String,
}

/// A number as a report keeps it: nine significant digits, which JSON returns exactly; none if it is not finite.
fn keep(value: f64) -> Option<f64> {
    if !value.is_finite() {
        return None;
    }
    format!("{value:.8e}").parse().ok()
}
