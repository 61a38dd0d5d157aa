//! Correspondences against brute-force oracles, on synthetic and real data.

#![allow(clippy::unwrap_used, reason = "tests")]

mod cloud;
mod mesh;
mod photos;
mod support;
