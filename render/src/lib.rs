//! Multi-view images of meshes and clouds on plain CPU cores, with exact 2D-3D correspondences.

mod cells;
mod clip;
mod config;
mod correspond;
mod describe;
mod error;
mod facet;
mod frame;
mod palette;
mod png_file;
mod project;
mod rasterize;
mod rig;
mod scene;
mod shade;
mod texture;
mod views;
mod visible;

pub use config::{ColorBy, Placement, RigConfig, ViewsConfig};
pub use correspond::correspond_frustum;
pub use describe::RENDER_VERSION;
pub use error::{Error, Result};
pub use frame::{Frame, NO_ID};
pub use palette::{label_color, ramp_color};
pub use rasterize::{RasterScratch, rasterize};
pub use rig::{Sphere, cameras};
pub use views::{Rendered, Scratch, Subject, render_views};
pub use visible::{STOP, Surface, VisibilityScratch, correspond_mesh};
