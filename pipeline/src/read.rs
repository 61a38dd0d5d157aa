//! Reads objects, and tells what concerns one of them from what the machine is at fault for.
//!
//! A file that is broken becomes a quarantine row, which no rerun tries again. A disk that does not answer, or a machine
//! that has run out of file handles, must not: reading is tried a few times, and then the run ends where it stands.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use jepa3d_schemas::Object;

use crate::error::{Error, Rejected, Result};
use crate::plan::PreparePlan;

/// Waits before the second try and those after it.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(250), Duration::from_millis(1000)];

/// Tries until what comes back is no error of the machine, a few times; `reason` tells those.
///
/// # Errors
/// Fails with [`Error::Machine`] if the last try is one too.
pub(crate) fn try_again<T>(
    mut attempt: impl FnMut() -> T,
    reason: impl Fn(&T) -> Option<String>,
) -> Result<T> {
    for pause in PAUSES {
        let outcome = attempt();
        let Some(reason) = reason(&outcome) else { return Ok(outcome) };
        tracing::warn!("{reason}: trying again in {} ms", pause.as_millis());
        std::thread::sleep(pause);
    }
    let outcome = attempt();
    match reason(&outcome) {
        None => Ok(outcome),
        Some(reason) => Err(Error::Machine { reason, tries: PAUSES.len() + 1 }),
    }
}

/// What became of reading an object: one that cannot be read is rejected, a reader that panics among them.
pub(crate) type ReadObject = std::result::Result<Object, Rejected>;

/// Reads object `index`.
///
/// # Errors
/// Fails if the machine does, or if the raw data are not there any more.
pub(crate) fn read_object(plan: &PreparePlan, index: usize) -> Result<ReadObject> {
    let attempt = || catch_unwind(AssertUnwindSafe(|| plan.dataset.get_within(index, &plan.budget())));
    let read = try_again(attempt, |read| match read {
        Ok(Err(error)) if error.is_of_machine() => Some(error.to_string()),
        _ => None,
    })?;
    match read {
        Ok(Ok(object)) => Ok(Ok(object)),
        Ok(Err(error)) => {
            plan.data.as_deref().map_or(Ok(()), check_data)?;
            Ok(Err(Rejected::new("read", error.to_string())))
        }
        Err(panic) => Ok(Err(Rejected::from_panic("reader", panic.as_ref()))),
    }
}

/// Checks that the raw data are still there: of a disk that was taken away, every file would be missing.
fn check_data(folder: &Path) -> Result<()> {
    let found = match std::fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Ok(()),
        Ok(false) => "an empty folder".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Error::DataGone { path: folder.to_owned(), found })
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
