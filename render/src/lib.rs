//! Multi-view images of meshes and clouds on plain CPU cores, with exact 2D-3D correspondences.

mod check;
mod config;
mod error;
mod frame;
mod views;

pub use check::RENDER_VERSION;
pub use config::{ColorBy, Placement, RigConfig, ViewsConfig};
pub use error::{Error, Result};
pub use frame::{Frame, NO_ID};
pub use views::{Rendered, Scratch, Subject, render_views};
