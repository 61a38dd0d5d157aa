//! Stands in for `writer.rs` when the crate is built without the feature `rerun`.

use jepa3d_train::{Scalars, TrainedSamples};

use super::message::LiveFacts;
use super::target::LiveTarget;
use crate::error::{Error, Result};

/// A recording in the making; without the feature there is none.
pub(super) enum LiveWriter {}

impl LiveWriter {
    pub(super) fn open(_: &LiveTarget, _: LiveFacts) -> Result<Self> {
        Err(Error::Recording("expected a build with the feature `rerun`, found one without".to_owned()))
    }

    pub(super) fn place(&self) -> &str {
        match *self {}
    }

    pub(super) fn gather(&mut self, _: Scalars) -> Result<(), String> {
        match *self {}
    }

    pub(super) fn samples(&mut self, _: &TrainedSamples) -> Result<(), String> {
        match *self {}
    }

    pub(super) fn flush(&mut self) -> Result<(), String> {
        match *self {}
    }

    pub(super) fn finish(self) -> Result<(), String> {
        match self {}
    }
}
