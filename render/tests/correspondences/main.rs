//! Correspondences against brute-force oracles, on synthetic and real data.

mod mesh;
mod support;
