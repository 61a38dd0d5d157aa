//! Multi-view images of meshes and clouds on plain CPU cores, with exact 2D-3D correspondences.

mod cells;
mod clip;
mod config;
mod correspond;
mod correspond_photo;
mod error;
mod facet;
mod frame;
mod neighbors;
mod palette;
mod photo;
mod photo_views;
mod png_file;
mod project;
mod rasterize;
mod rig;
mod scene;
mod shade;
mod splat;
mod splat_shade;
mod texture;
mod views;
mod visible;

pub use config::{ColorBy, Placement, RigConfig, ViewsConfig};
pub use correspond::correspond_frustum;
pub use correspond_photo::{ABSOLUTE, RELATIVE, Stored, correspond_photo, correspond_photo_frustum};
pub use error::{Error, Result};
pub use frame::{Frame, NO_ID};
pub use palette::{label_color, ramp_color};
pub use photo::read_photo;
pub use rasterize::{RasterScratch, rasterize};
pub use rig::{Sphere, cameras};
pub use splat::{Splats, correspond_splats};
pub use views::{Rendered, Scratch, Subject, render_views};
pub use visible::{STOP, Surface, VisibilityScratch, correspond_mesh};
