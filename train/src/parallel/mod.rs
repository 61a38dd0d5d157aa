//! Training in parts: how threads and processes divide a batch among themselves, and where they meet.
//!
//! A batch is cut into as many parts as the config says. Every part passes the model in a thread of its own, of this process or
//! another; what couples samples is handed in by every part, and all get it back in the order of the parts. So numbers do not
//! depend on how many processes there are.

mod collectives;
mod device_sum;
mod launch;
mod meeting;
#[cfg(feature = "mpi")]
mod mpi_ranks;
mod part_group;
#[cfg(feature = "mpi")]
mod rank_watch;
#[cfg(test)]
pub(crate) mod thread_ranks_tests;

pub use collectives::Processes;
pub(crate) use device_sum::DeviceSum;
pub(crate) use part_group::{OwnPart, PartGroup};
