//! Colours of series, and the line of names beside them.

use kuva::render::render::{Primitive, Scene, TextAnchor};

use crate::text::{TEXT_SIZE, estimate_width, place_text};

/// Colours of the series of a chart, distinct also for colour-blind readers (Paul Tol, "bright").
pub const COLORS: [&str; 6] = ["#4477aa", "#ee6677", "#228833", "#aa3377", "#66ccee", "#ccbb44"];

/// Colour of what is not a series of its own.
pub const GREY: &str = "#999999";

/// Pixels between an entry and the next.
const GAP: f64 = 18.0;

/// A series in a legend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegendEntry {
    /// What it is called.
    pub name: String,
    /// `#rrggbb`.
    pub color: &'static str,
}

/// What stands before a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swatch {
    /// For areas.
    Square,
    /// For curves.
    Stroke,
}

impl Swatch {
    /// Pixels from the left end of an entry to its name.
    fn indent(self) -> f64 {
        match self {
            Self::Square => 18.0,
            Self::Stroke => 23.0,
        }
    }

    fn place(self, color: &str, x: f64, baseline: f64) -> Primitive {
        match self {
            Self::Square => Primitive::Rect {
                x,
                y: baseline - 11.0,
                width: 12.0,
                height: 12.0,
                fill: color.into(),
                stroke: None,
                stroke_width: None,
                opacity: None,
            },
            Self::Stroke => Primitive::Line {
                x1: x,
                y1: baseline - 4.5,
                x2: x + 18.0,
                y2: baseline - 4.5,
                stroke: color.into(),
                stroke_width: 2.5,
                stroke_dasharray: None,
            },
        }
    }
}

/// Pixels that a legend takes.
pub(crate) fn legend_width(entries: &[LegendEntry], swatch: Swatch) -> f64 {
    entries.iter().map(|entry| swatch.indent() + estimate_width(&entry.name) + GAP).sum()
}

/// Adds the names of series as one line that begins at a pixel; returns where the next would begin.
pub(crate) fn add_legend(
    scene: &mut Scene,
    entries: &[LegendEntry],
    swatch: Swatch,
    mut x: f64,
    baseline: f64,
) -> f64 {
    for entry in entries {
        scene.add(swatch.place(entry.color, x, baseline));
        scene.add(place_text(&entry.name, x + swatch.indent(), baseline, TextAnchor::Start, TEXT_SIZE));
        x += swatch.indent() + estimate_width(&entry.name) + GAP;
    }
    x
}
