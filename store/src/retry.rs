//! Asking again, with growing pauses, where that may help.
//!
//! The store's client asks again after answers like 500 and broken connections, as long as the settings allow. What is asked again
//! here is what it cannot know: a body that ended early or is not the one that was prepared.

use std::time::{Duration, Instant};

use crate::error::Result;

/// Waits before the second try and those after it.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_millis(2000)];

/// Does something until it works, fails for good, or `patience` is over; it is told how often it was tried, from 1.
///
/// # Errors
/// Fails as the last try did.
pub(crate) fn try_again<T>(
    what: &str,
    patience: Duration,
    mut attempt: impl FnMut(usize) -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    for (before, pause) in PAUSES.iter().enumerate() {
        match attempt(before + 1) {
            Err(error) if error.is_passing() && start.elapsed() < patience => {
                tracing::debug!("{what}: {error}: trying again in {} ms", pause.as_millis());
                std::thread::sleep(*pause);
            }
            outcome => return outcome,
        }
    }
    attempt(PAUSES.len() + 1)
}
