//! Horizontal bars from top to bottom, with a note at the end of each.

use kuva::plot::bar::BarPlot;
use kuva::render::layout::ComputedLayout;
use kuva::render::plots::Plot;
use kuva::render::render::{TextAnchor, render_multiple};

use crate::error::Result;
use crate::frame::{ChartLabels, finish, lay_out};
use crate::legend::LegendEntry;
use crate::text::{escape, place_text};

/// Part of a category's room that its bars fill.
const BAR_WIDTH: f64 = 0.75;

/// From so many categories on, names and notes are small.
const MANY_BARS: usize = 27;

/// The bars of one category.
#[derive(Clone, Debug)]
pub struct Bar {
    /// The category.
    pub name: String,
    /// One value a series of the legend.
    pub values: Vec<f64>,
    /// What stands at the end.
    pub note: String,
}

/// Bars of categories.
#[derive(Clone, Debug)]
pub struct BarChart {
    /// Texts around the chart.
    pub labels: ChartLabels,
    /// Names and colours of the series.
    pub legend: Vec<LegendEntry>,
    /// The categories, from top to bottom.
    pub bars: Vec<Bar>,
    /// Whether the values of a category stand behind each other, else below each other.
    pub stacked: bool,
}

impl BarChart {
    /// The chart as a PNG of 900 x 600 pixels.
    ///
    /// # Errors
    /// Fails if the plot library does.
    pub fn draw(&self) -> Result<Vec<u8>> {
        let plots = vec![Plot::Bar(self.plot())];
        // Room for the notes.
        let longest = 1.2 * self.bars.iter().map(|bar| self.length(bar)).fold(0.0, f64::max);
        let size = if self.bars.len() < MANY_BARS { 13 } else { 9 };
        let layout = lay_out(&plots, &self.labels);
        let layout = layout.with_tick_size(size).with_x_axis_min(0.0).with_x_axis_max(longest);
        let axes = ComputedLayout::from_layout(&layout);
        let mut scene = render_multiple(plots, layout);
        for (i, bar) in self.bars.iter().rev().enumerate() {
            // At the end of the stack, or of the first of the bars below each other.
            let (end, shift) = match bar.values.first() {
                Some(&first) if !self.stacked => {
                    (first, 0.5 * BAR_WIDTH * (1.0 - 1.0 / bar.values.len() as f64))
                }
                _ => (self.length(bar), 0.0),
            };
            let (x, y) = (axes.map_x(end) + 6.0, axes.map_y(i as f64 + 1.0 + shift));
            scene.add(place_text(&bar.note, x, y + 0.35 * f64::from(size), TextAnchor::Start, size));
        }
        finish(scene, &self.labels, &self.legend)
    }

    /// kuva draws upwards: the first category lowest, and the first of its values.
    fn plot(&self) -> BarPlot {
        let mut plot = BarPlot::new().with_horizontal(true).with_width(BAR_WIDTH);
        plot.stacked = self.stacked;
        for bar in self.bars.iter().rev() {
            let colors = self.legend.iter().map(|entry| entry.color);
            let mut values: Vec<(f64, &str)> = bar.values.iter().copied().zip(colors).collect();
            if !self.stacked {
                values.reverse();
            }
            plot = plot.with_group(escape(&bar.name), values);
        }
        plot
    }

    fn length(&self, bar: &Bar) -> f64 {
        let values = bar.values.iter().copied();
        if self.stacked { values.sum() } else { values.fold(0.0, f64::max) }
    }
}
