//! Multi-view images of meshes and clouds on plain CPU cores, with exact 2D-3D correspondences.
//!
//! [`render_views`] is the one way in: it takes an object and the sample that was made of it, and returns the
//! rows of a views table: images, depth maps, cameras, and which stored points each of them shows. Nothing
//! depends on threads, vector width or what was rendered before.
//!
//! A mesh goes through `mesh_scene` (moved to the cloud's frame), `rasterize` (depth and ids), `shade` (colours)
//! and `visible` (which points no triangle hides); a cloud through `splat_fit`, `splat` and `splat_shade`; photos
//! through `photo` and `correspond_photo`. The README says what each of them measures.

mod cell_grid;
mod clip;
mod config;
mod correspond_photo;
mod dense;
mod describe;
mod error;
mod facet;
mod frame_buffer;
mod mesh_scene;
mod neighbors;
mod palette;
mod photo;
mod photo_views;
mod png_file;
mod point_cells;
mod project;
mod rasterize;
mod rig;
mod sample_grid;
mod screen;
mod shade;
mod splat;
mod splat_fit;
mod splat_shade;
mod subject;
mod texture;
mod triangle_mesh;
mod triangle_setup;
mod views;
mod visible;

pub use config::{ColorBy, Placement, RigConfig, ViewsConfig};
pub use describe::RENDER_VERSION;
pub use error::Error;
pub use subject::{Rendered, Subject, ViewScratch};
pub use views::{DrawnPicture, draw_pictures, place_around, render_views};

/// The stages of a view one by one, for this crate's own tests and benches; no other crate uses them.
#[doc(hidden)]
pub mod stages {
    pub use crate::correspond_photo::{StoredCloud, correspond_photo, correspond_photo_frustum};
    pub use crate::dense::nearest_points;
    pub use crate::frame_buffer::{FrameBuffer, NO_ID};
    pub use crate::rasterize::{RasterScratch, rasterize};
    pub use crate::rig::{NamedCamera, Sphere, place_cameras};
    pub use crate::sample_grid::SampleGrid;
    pub use crate::splat::correspond_splats;
    pub use crate::splat_fit::Splats;
    pub use crate::triangle_mesh::TriangleMesh;
    pub use crate::visible::{VisibilityScratch, correspond_mesh};
}
