//! Multi-view images of meshes and clouds on plain CPU cores, with exact 2D-3D correspondences.

mod cells;
mod config;
mod correspond;
mod error;
mod facet;
mod frame;
mod views;
mod visible;

pub use config::{ColorBy, Placement, RigConfig, ViewsConfig};
pub use correspond::correspond_frustum;
pub use error::{Error, Result};
pub use frame::{Frame, NO_ID};
pub use views::{Rendered, Scratch, Subject, render_views};
pub use visible::{STOP, Surface, VisibilityScratch, correspond_mesh};
