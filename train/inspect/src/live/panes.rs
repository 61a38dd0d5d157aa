//! Which panes the viewer opens for a recording that grows: the newest clouds on the left, curves on the right.

use crate::blueprint::follow;
use crate::rerun::blueprint::{
    Blueprint, ContainerLike, Grid, Horizontal, Spatial2DView, Spatial3DView, Tabs, TextDocumentView,
    TimeSeriesView,
};
use crate::run_paths::STEP;

/// Panes of curves: title, what is drawn. Those of one title are tabs, because they do not share an axis.
const CURVES: [(&str, &[&str]); 7] = [
    ("loss", &["/metrics/loss/**"]),
    ("std", &["/metrics/std/**"]),
    ("optimiser", &["/metrics/optimiser/lr", "/metrics/optimiser/grad_norm", "/metrics/optimiser/tau"]),
    ("probe", &["/metrics/probe/**"]),
    ("position", &["/metrics/position/**"]),
    ("rank", &["/metrics/rank/**"]),
    ("speed", &["/metrics/speed/samples_per_s", "/metrics/speed/step_ms", "/metrics/speed/data_ms"]),
];

/// What the clouds of a step have.
#[derive(Default, PartialEq)]
pub(super) struct LivePanes {
    pub clouds: usize,
    pub has_patches: bool,
    pub has_errors: bool,
    pub has_views: bool,
    /// Labels of points.
    pub has_labels: bool,
}

/// The panes for what there is.
pub(super) fn blueprint(shown: &LivePanes) -> Blueprint {
    let spaces = |paths: &[&str]| -> Vec<ContainerLike> {
        (1..=shown.clouds).flat_map(|slot| paths.iter().map(move |path| space(path, slot))).collect()
    };
    let tabs = [
        (shown.has_patches, "masks: context blue", spaces(&["masks"])),
        (shown.has_errors, "errors of predictions", spaces(&["errors"])),
        (shown.has_views, "views: colour = place", (1..=shown.clouds).flat_map(view).collect()),
        (shown.has_labels, "labels", (1..=shown.clouds).flat_map(labels).collect()),
    ];
    let left = tabs.into_iter().filter(|(is_shown, _, _)| *is_shown).map(|(_, title, views)| {
        let columns = (views.len() as f64).sqrt().ceil() as u32;
        Grid::new(views).with_name(title).with_grid_columns(columns).into()
    });
    let left = Tabs::new(left.collect::<Vec<ContainerLike>>());
    let text = |name: &str| -> ContainerLike { TextDocumentView::new(name).with_origin(name).into() };
    let right = Tabs::new([curves(), text("clouds"), text("run")]);
    follow(Horizontal::new([left.into(), right.into()]).with_column_shares([1.3, 1.0]).into(), STEP)
}

/// What stands at a path about the cloud of a place.
fn space(what: &str, slot: usize) -> ContainerLike {
    let (top, below) = what.split_once('/').unwrap_or((what, ""));
    let path = if below.is_empty() { format!("/{top}/{slot}") } else { format!("/{top}/{slot}/{below}") };
    let contents = [format!("+ {path}/**")];
    let title = if below.is_empty() { format!("cloud {slot}") } else { format!("cloud {slot}: {below}") };
    Spatial3DView::new(title).with_origin(path).with_contents(contents).into()
}

/// The view of a cloud, and the points that it shows.
fn view(slot: usize) -> [ContainerLike; 2] {
    let path = format!("/views/{slot}/image");
    let contents = [format!("+ {path}/**")];
    let image = Spatial2DView::new(format!("view of cloud {slot}")).with_origin(path).with_contents(contents);
    [image.into(), space("views/points", slot)]
}

/// The truth, what was predicted, and where they differ.
fn labels(slot: usize) -> [ContainerLike; 3] {
    ["labels/truth", "labels/predicted", "labels/wrong"].map(|path| space(path, slot))
}

fn curves() -> ContainerLike {
    let view = |title: &str, path: &str| -> ContainerLike {
        TimeSeriesView::new(title).with_contents([format!("+ {path}")]).into()
    };
    let panes = CURVES.into_iter().map(|(title, paths)| match paths {
        [path] => view(title, path),
        paths => {
            let tabs = paths.iter().map(|path| view(path.rsplit('/').next().unwrap_or(path), path));
            Tabs::new(tabs).with_name(title).into()
        }
    });
    Grid::new(panes).with_name("curves").with_grid_columns(2).into()
}
