//! What processes that train together exchange, whatever carries it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;

/// How long others may take to hear of an error.
const FAREWELL: Duration = Duration::from_secs(3);

/// One process's way to all of them. All call the same functions in the same order, one at a time.
pub(crate) trait Collectives: Debug + Send + Sync {
    /// Number of this process, from 0.
    fn rank(&self) -> usize;

    /// Processes.
    fn world(&self) -> usize;

    /// What all processes hand in, one behind the other; each hands in equally many bytes.
    ///
    /// # Errors
    /// Fails if a process is lost or has ended with an error.
    fn gather(&self, own: &[u8]) -> Result<Vec<u8>>;

    /// Hands block `i` of `world` equal ones to process `i`; the blocks that all processes have for this one, in their order.
    ///
    /// # Errors
    /// As [`Collectives::gather`].
    fn exchange(&self, own: &[u8]) -> Result<Vec<u8>>;

    /// Tells the others that this process takes no further part: for a reason that ends the run for all, or because it is done.
    fn leave(&self, reason: Option<&str>);
}

/// A process that trains alone.
#[derive(Debug)]
struct OneProcess;

impl Collectives for OneProcess {
    fn rank(&self) -> usize {
        0
    }

    fn world(&self) -> usize {
        1
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        Ok(own.to_vec())
    }

    fn exchange(&self, own: &[u8]) -> Result<Vec<u8>> {
        Ok(own.to_vec())
    }

    fn leave(&self, _: Option<&str>) {}
}

/// The processes that train together, seen from one of them.
#[derive(Clone, Debug)]
pub struct Processes(Arc<dyn Collectives>);

impl Processes {
    /// This one alone.
    pub fn alone() -> Self {
        Self::new(OneProcess)
    }

    pub(super) fn new(collectives: impl Collectives + 'static) -> Self {
        Self(Arc::new(collectives))
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.0.rank()
    }

    /// How many there are.
    pub fn world(&self) -> usize {
        self.0.world()
    }

    /// Whether this one writes and tells.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Tells the others why this process ends, if they have not heard, and stays a little: a launcher ends all processes when the first
    /// ends, and all are to say why.
    pub fn give_up(&self, reason: &str) {
        self.0.leave(Some(reason));
        if self.world() > 1 {
            std::thread::sleep(FAREWELL);
        }
    }

    pub(super) fn collectives(&self) -> &dyn Collectives {
        &*self.0
    }
}
