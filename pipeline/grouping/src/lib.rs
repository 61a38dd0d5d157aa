//! stub
#![deny(unsafe_code)]
mod fps;
mod grouper;
mod index;
mod kernels;
mod patches;
pub use grouper::Grouper;
