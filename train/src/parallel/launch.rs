//! How a process finds out whether others were launched with it, and joins them.

use super::collectives::Processes;
use crate::error::{Error, Result};

/// What launchers tell every process: how many there are.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"];
/// What `srun` tells, and by what it shows that it has set MPI up too.
const SLURM_SIZE: &str = "SLURM_STEP_NUM_TASKS";
const SLURM_SIGNS: [&str; 3] = ["PMIX_RANK", "PMI_RANK", "PMI_FD"];

/// What a launcher says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Launch {
    /// The variable that says it.
    told_by: &'static str,
    processes: usize,
}

impl Launch {
    /// Reads an environment.
    fn read(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let size = |name: &'static str| {
            let processes = variable(name)?.parse().ok()?;
            Some(Self { told_by: name, processes })
        };
        let by_slurm = || {
            let has_sign = SLURM_SIGNS.iter().any(|sign| variable(sign).is_some());
            has_sign.then(|| size(SLURM_SIZE)).flatten()
        };
        SIZES.into_iter().find_map(size).or_else(by_slurm)
    }
}

impl Processes {
    /// All processes that were launched together by `mpirun` or `srun`; this one alone if none were.
    ///
    /// # Errors
    /// Fails if several were and this build has no MPI, or MPI does not start.
    pub fn join() -> Result<Self> {
        match Launch::read(|name| std::env::var(name).ok()) {
            Some(launch) => Self::join_launched(&launch),
            None => Ok(Self::alone()),
        }
    }

    #[cfg(feature = "mpi")]
    fn join_launched(_: &Launch) -> Result<Self> {
        Ok(Self::new(super::mpi_ranks::MpiRanks::start()?))
    }

    #[cfg(not(feature = "mpi"))]
    fn join_launched(launch: &Launch) -> Result<Self> {
        refuse_several(launch)?;
        Ok(Self::alone())
    }
}

/// Each of several processes would train alone, into one folder.
#[cfg_attr(feature = "mpi", allow(dead_code))]
fn refuse_several(launch: &Launch) -> Result<()> {
    let Launch { told_by, processes } = launch;
    match processes {
        0 | 1 => Ok(()),
        _ => Err(Error::Together {
            reason: format!(
                "{told_by}: expected one process, found {processes} that were launched together: this build has no MPI \
                 (cargo build --release --features mpi)"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Option<Launch> {
        Launch::read(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_launcher_is_known_by_what_it_tells() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("OMPI_COMM_WORLD_SIZE", "4")]).unwrap().processes, 4);
        assert_eq!(read(&[("PMI_SIZE", "2"), ("SLURM_STEP_NUM_TASKS", "9")]).unwrap().told_by, "PMI_SIZE");
        assert_eq!(read(&[("SLURM_STEP_NUM_TASKS", "4")]), None, "tasks that MPI does not join");
        assert_eq!(read(&[("SLURM_STEP_NUM_TASKS", "4"), ("PMIX_RANK", "0")]).unwrap().processes, 4);
    }

    #[test]
    fn several_processes_are_refused_without_mpi() {
        let error = refuse_several(&read(&[("OMPI_COMM_WORLD_SIZE", "4")]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("OMPI_COMM_WORLD_SIZE") && error.contains("found 4"), "{error}");
        refuse_several(&read(&[("OMPI_COMM_WORLD_SIZE", "1")]).unwrap()).unwrap();
    }
}
