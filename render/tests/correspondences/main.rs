//! Correspondences against brute-force oracles, on synthetic and real data.

mod cloud;
mod mesh;
mod photos;
mod support;
