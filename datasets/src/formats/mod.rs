//! File formats: one module each, paths and errors of the crate, no knowledge of datasets.

pub(crate) mod hdf5;
