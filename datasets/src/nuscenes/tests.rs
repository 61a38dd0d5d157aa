//! Tests of the reader as a whole: goldens on a real keyframe, and a made-up drive.

mod drive;
mod golden;
mod labels;
mod reading;
