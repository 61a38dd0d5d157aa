//! Which panes the viewer opens: clouds in 3D on the left, images, depth and facts on the right.

use rerun::blueprint::components::{PanelState, PlayState};
use rerun::blueprint::{
    Blueprint, BlueprintPanel, ContainerLike, Grid, Horizontal, SelectionPanel, Spatial2DView, Spatial3DView,
    Tabs, TextDocumentView, TimePanel, Vertical,
};

use super::entities::{TIMELINE, camera_path};
use crate::rerun;

/// Images a page.
const PAGE: usize = 6;

/// The panes for recordings with these cameras, in this order; without any, clouds and facts.
pub(super) fn blueprint(cameras: &[&str]) -> Blueprint {
    let root: ContainerLike = if cameras.is_empty() {
        Horizontal::new([clouds(), texts()]).with_column_shares([3.0, 1.0]).into()
    } else {
        let left = Vertical::new([correspondences(cameras), clouds()]).with_row_shares([1.8, 1.0]);
        let right = Vertical::new([images(cameras), texts()]).with_row_shares([3.0, 1.0]);
        Horizontal::new([left.into(), right.into()]).with_column_shares([1.2, 1.0]).into()
    };
    paused(root, TIMELINE)
}

/// Panes with folded panels around them. Paused: one sees the first step of the timeline, not the last to arrive.
pub(super) fn paused(root: ContainerLike, timeline: &str) -> Blueprint {
    fold(root, timeline, PlayState::Paused)
}

/// The same for what still grows: one sees the newest.
pub(super) fn follow(root: ContainerLike, timeline: &str) -> Blueprint {
    fold(root, timeline, PlayState::Following)
}

fn fold(root: ContainerLike, timeline: &str, state: PlayState) -> Blueprint {
    let small = PanelState::Collapsed;
    let time = TimePanel::new().with_state(small).with_timeline(timeline).with_play_state(state);
    Blueprint::new(root)
        .with_auto_views(false)
        .with_auto_layout(false)
        .with_blueprint_panel(BlueprintPanel::from_state(small))
        .with_selection_panel(SelectionPanel::from_state(small))
        .with_time_panel(time)
}

/// Points that are seen, in colours of their place, amid the cameras and their images.
fn correspondences(cameras: &[&str]) -> ContainerLike {
    let mut contents = vec![
        "+ /correspondences/**".to_owned(),
        "+ /cloud/unseen".into(),
        "+ /cloud/boxes".into(),
        "+ /cameras/**".into(),
    ];
    for name in cameras {
        // A depth image would be one more cloud, and dots over an image twice the same points.
        contents.push(format!("- {}", camera_path(name, &["depth"])));
        contents.push(format!("- {}", camera_path(name, &["correspondences"])));
    }
    Spatial3DView::new("correspondences: colour = place").with_contents(contents).into()
}

fn clouds() -> ContainerLike {
    let cloud =
        Spatial3DView::new("cloud").with_contents(["+ /cloud/points", "+ /cloud/boxes", "+ /cloud/extent"]);
    let patches =
        Spatial3DView::new("patches and centers").with_contents(["+ /cloud/patches", "+ /cloud/centers"]);
    Horizontal::new([cloud.into(), patches.into()]).into()
}

/// Pages of images with correspondences, then pages of depth.
fn images(cameras: &[&str]) -> ContainerLike {
    let pages = |what: &'static str, below: &'static [&'static str]| {
        cameras.chunks(PAGE).enumerate().map(move |(page, names)| {
            let views = names.iter().map(|name| image(name, below));
            let title = format!("{what} {} to {}", page * PAGE + 1, page * PAGE + names.len());
            Grid::new(views).with_name(title).with_grid_columns(2).into()
        })
    };
    let tabs = pages("views", &["image", "correspondences"]).chain(pages("depth", &["depth"]));
    Tabs::new(tabs).into()
}

fn image(name: &str, below: &[&str]) -> ContainerLike {
    let contents = below.iter().map(|part| format!("+ {}", camera_path(name, &[part])));
    Spatial2DView::new(name).with_origin(camera_path(name, &[])).with_contents(contents).into()
}

fn texts() -> ContainerLike {
    let text = |name: &str| TextDocumentView::new(name).with_origin(name).into();
    Tabs::new([text("facts"), text("config")]).into()
}
