//! The pretraining models, one file a paper.

mod coordinates;
mod point_jepa;
mod targets;

pub(crate) use point_jepa::{PointJepa, StepInput, StepOutput};
