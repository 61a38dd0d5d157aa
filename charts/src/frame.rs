//! What charts of one pair of axes share: size, margins, title, legend, and the PNG.

use std::sync::Arc;

use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, TextAnchor};
use kuva::{RasterBackend, TickFormat};

use crate::error::{Error, Result};
use crate::legend::{LegendEntry, Swatch, add_legend, legend_width};
use crate::text::{TEXT_SIZE, escape, format_tick, place_text};

/// Pixels of a chart.
pub(crate) const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 600.0;

/// Pixels above and below the axes.
pub(crate) const TOP: f64 = 108.0;
const BOTTOM: f64 = 62.0;

/// Texts around a chart.
#[derive(Clone, Debug)]
pub struct ChartLabels {
    /// What the chart shows, and of what.
    pub title: String,
    /// Counts, and what is left out.
    pub subtitle: String,
    /// Quantity and unit of the x axis.
    pub x: &'static str,
    /// Quantity of the y axis, above it.
    pub y: &'static str,
}

/// Axes around `plots`, with room for what [`finish`] adds.
pub(crate) fn lay_out(plots: &[Plot], labels: &ChartLabels) -> Layout {
    let mut layout = Layout::auto_from_plots(plots)
        .with_width(WIDTH)
        .with_height(HEIGHT)
        .with_force_margins_y(TOP, BOTTOM)
        .with_title(escape(&labels.title))
        .with_subtitle(escape(&labels.subtitle))
        .with_x_label(labels.x)
        .with_title_size(20)
        .with_subtitle_size(14)
        .with_label_size(15)
        .with_tick_size(13)
        .with_tick_format(TickFormat::Custom(Arc::new(format_tick)));
    layout.show_legend = false;
    layout.theme.grid_color = "#e4e4e4".to_owned();
    layout
}

/// Adds y label and, for more than one series, a centred legend above the axes.
pub(crate) fn finish(mut scene: Scene, labels: &ChartLabels, legend: &[LegendEntry]) -> Result<Vec<u8>> {
    if legend.len() > 1 {
        let start = 0.5 * (WIDTH - legend_width(legend, Swatch::Square));
        add_legend(&mut scene, legend, Swatch::Square, start.max(8.0), TOP - 26.0);
    }
    scene.add(place_text(labels.y, 14.0, TOP - 14.0, TextAnchor::Start, TEXT_SIZE));
    encode_png(&scene)
}

/// The scene as a PNG file.
pub(crate) fn encode_png(scene: &Scene) -> Result<Vec<u8>> {
    RasterBackend::new().with_scale(1.0).render_scene(scene).map_err(|reason| Error::Picture { reason })
}
