//! Looks into prepared datasets and runs: samples, or what a run hides from its encoder, as one picture or as a
//! rerun recording.
//!
//! A point has the same colour wherever it is drawn, in 3D and in every image that shows it, so
//! that an eye sees at once whether correspondences match.

mod canvas;
mod cloud;
#[cfg_attr(not(feature = "rerun"), allow(dead_code, reason = "recordings show more than sheets"))]
mod colors;
#[cfg_attr(not(feature = "rerun"), allow(dead_code, reason = "recordings show more than sheets"))]
mod facts;
mod groups;
mod layout;
mod masked;
mod run;
mod run_sheet;
mod select;
mod sheet;

#[cfg(feature = "rerun")]
mod blueprint;
#[cfg(feature = "rerun")]
mod entities;
#[cfg(feature = "rerun")]
mod recording;
#[cfg(feature = "rerun")]
mod run_blueprint;
#[cfg(feature = "rerun")]
mod run_entities;
#[cfg(feature = "rerun")]
mod viewer_page;

#[cfg(not(feature = "rerun"))]
#[path = "recording_off.rs"]
mod recording;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
#[cfg(feature = "rerun")]
mod recording_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;

pub use recording::{Served, save_recording, serve_recording, spawn_viewer};
pub use run::{RunQuery, RunView, Shown};
pub use run_sheet::mask_sheet;
pub use select::{Query, Selection, Specimen};
pub use sheet::{Sheet, contact_sheet};
