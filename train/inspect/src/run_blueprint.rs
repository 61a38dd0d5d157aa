//! Which panes the viewer opens for a run: clouds with their masks on the left, curves on the right.

use rerun::blueprint::{
    Blueprint, ContainerLike, Grid, Horizontal, Spatial3DView, Tabs, TextDocumentView, TimeSeriesView,
};

use super::blueprint::paused;
use super::run::RunView;
use super::run_paths::{STEP, cloud_path, metric_path, pane, scalar_names};
use crate::rerun;

/// The panes of curves, and whether their scalars share an axis.
const PANES: [(&str, bool); 8] = [
    ("loss", true),
    ("std", true),
    ("optimiser", false),
    ("probe", true),
    ("position", true),
    ("rank", true),
    ("speed", false),
    ("other", false),
];

/// The panes for this run; without clouds, curves alone.
pub(super) fn blueprint(run: &RunView) -> Blueprint {
    let right = Tabs::new([curves(run), TextDocumentView::new("run").with_origin("run").into()]);
    let root: ContainerLike = if run.clouds.is_empty() {
        right.into()
    } else {
        let mut left = vec![clouds(run, "masks", "masks: context blue")];
        if run.checkpoint.is_some() {
            left.push(clouds(run, "errors", "errors of predictions"));
        }
        Horizontal::new([Tabs::new(left).into(), right.into()]).with_column_shares([1.3, 1.0]).into()
    };
    paused(root, STEP)
}

fn clouds(run: &RunView, what: &str, title: &str) -> ContainerLike {
    let views = run.clouds.iter().map(|cloud| {
        let path = cloud_path(what, &cloud.id, &[]);
        let view = Spatial3DView::new(cloud.id.as_str()).with_origin(path.clone());
        view.with_contents([format!("+ {path}/**")]).into()
    });
    let columns = (run.clouds.len() as f64).sqrt().ceil() as u32;
    Grid::new(views).with_name(title).with_grid_columns(columns).into()
}

fn curves(run: &RunView) -> ContainerLike {
    let all = scalar_names(run);
    let panes = PANES.into_iter().filter_map(|(title, is_shared)| {
        let names: Vec<&str> = all.iter().copied().filter(|name| pane(name) == title).collect();
        let view = |title: &str, names: &[&str]| -> ContainerLike {
            let contents = names.iter().map(|name| format!("+ {}", metric_path(name)));
            TimeSeriesView::new(title).with_contents(contents).into()
        };
        match names.as_slice() {
            [] => None,
            names if is_shared => Some(view(title, names)),
            names => {
                let tabs = names.iter().map(|name| view(name, &[*name]));
                Some(Tabs::new(tabs).with_name(title).into())
            }
        }
    });
    Grid::new(panes).with_name("curves").with_grid_columns(2).into()
}
