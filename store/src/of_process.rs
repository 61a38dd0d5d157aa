//! What belongs to one process: its threads and connections stay behind in a fork, which makes its own.

use std::sync::OnceLock;

/// A value of the process that made it, and the values of its forks. No lock is held while it is read: who forks while another
/// thread reads leaves none locked for ever.
#[derive(Debug)]
pub(crate) struct OfProcess<T> {
    process: u32,
    value: T,
    forked: OnceLock<Box<OfProcess<T>>>,
}

impl<T> OfProcess<T> {
    /// The value of this process.
    pub(crate) fn new(value: T) -> Self {
        Self { process: std::process::id(), value, forked: OnceLock::new() }
    }

    /// The value of this process; a fork makes it once from that of the process that was forked, which stays as it was.
    pub(crate) fn get(&self, renew: impl Fn(&T) -> T) -> &T {
        let (mut held, process) = (self, std::process::id());
        while held.process != process {
            held = held.forked.get_or_init(|| Box::new(Self::new(renew(&held.value))));
        }
        &held.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_makes_its_value_once_and_others_keep_theirs() {
        let own = OfProcess::new(1);
        assert_eq!(own.get(|_| panic!("not a fork")), &1);
        // As a fork sees it: 0 is no process.
        let forked = OfProcess { process: 0, value: 1, forked: OnceLock::new() };
        assert_eq!(forked.get(|value| value + 1), &2);
        assert_eq!(forked.get(|_| panic!("twice")), &2);
        assert_eq!(forked.value, 1);
    }
}
