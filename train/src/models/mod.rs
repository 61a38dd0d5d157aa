//! The pretraining models, one file a paper.

mod coordinates;
mod point_jepa;
mod targets;

#[cfg(test)]
mod golden_tests;

pub(crate) use point_jepa::{PointJepa, StepInput, StepOutput};
