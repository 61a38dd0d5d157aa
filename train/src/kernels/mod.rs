//! Dense kernels: the one place of the crate where `unsafe` may stand, each use with its reason.

pub(crate) mod products;
