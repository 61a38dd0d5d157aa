//! Reads Python pickles as data: nothing that stands in one is ever called.
//!
//! A pickle is a program for a stack machine that may name any Python function. Here the few calls
//! that make up a tensor are known by name and understood; every other object (hyper-parameters of
//! omegaconf, Lightning's callbacks, optimisers) becomes an opaque value. Protocols 0 to 5.
//!
//! Guarantees for hostile bytes: no panic, no recursion, time and memory in proportion to the
//! length of the pickle (values live in one arena and are shared, not copied).

mod bytes;
mod calls;
mod machine;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use bytes::Fault;
pub(crate) use machine::unpickle;
#[cfg(test)]
pub(crate) use value::StorageName;
pub(crate) use value::{Id, Pickled, TensorView, Value};
