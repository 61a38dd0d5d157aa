//! Which tasks of a plan a job of a scheduler does: those of a number, or of the index that the scheduler gives the job.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};
use jepa3d_pipeline::PlanPart;

/// Where schedulers say which job of an array this is, counted from 0 unless told otherwise.
const INDICES: [(&str, &str); 3] = [
    ("JOB_COMPLETION_INDEX", "Kubernetes"),
    ("SLURM_ARRAY_TASK_ID", "Slurm"),
    ("AWS_BATCH_JOB_ARRAY_INDEX", "AWS Batch"),
];

/// A number that is given, or the scheduler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobIndex {
    Given(usize),
    Auto,
}

/// `K/N`: the K-th of N shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskShare {
    index: JobIndex,
    count: usize,
}

impl FromStr for JobIndex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Given).map_err(|_| "expected a whole number or auto".to_owned()),
        }
    }
}

impl FromStr for TaskShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected K/N or auto/N, the K-th of N shares, K below N".to_owned();
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let (index, count) = (index.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
        match index {
            JobIndex::Given(given) if given >= count => Err(wrong()),
            _ if count == 0 => Err(wrong()),
            _ => Ok(Self { index, count }),
        }
    }
}

impl fmt::Display for TaskShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            JobIndex::Given(given) => write!(f, "{given}/{}", self.count),
            JobIndex::Auto => write!(f, "auto/{}", self.count),
        }
    }
}

impl JobIndex {
    /// The task of this job, of a plan with `tasks`.
    ///
    /// # Errors
    /// Fails if the scheduler gives no index, or one that the plan has no task for.
    pub(super) fn choose(self, tasks: usize) -> anyhow::Result<PlanPart> {
        let Self::Given(given) = self else {
            let Scheduled { name, index } = scheduled("--task I")?;
            if index >= tasks {
                bail!(
                    "--task auto: {name}={index}: expected a number below {tasks}, the tasks of the plan; give the array the \
                     indices 0 to {}, or share the plan among any number N of jobs by --tasks auto/N",
                    tasks.saturating_sub(1)
                );
            }
            return Ok(PlanPart::Task(index));
        };
        Ok(PlanPart::Task(given))
    }
}

impl TaskShare {
    /// The tasks of this job.
    ///
    /// # Errors
    /// Fails if the scheduler gives no index, or one beyond the shares.
    pub(super) fn choose(self) -> anyhow::Result<PlanPart> {
        let first = match self.index {
            JobIndex::Given(given) => given,
            JobIndex::Auto => {
                let Scheduled { name, index } = scheduled("--tasks K/N")?;
                if index >= self.count {
                    let count = self.count;
                    bail!(
                        "--tasks {self}: {name}={index}: expected a number below {count}; give the array the indices 0 to {}",
                        count - 1
                    );
                }
                index
            }
        };
        Ok(PlanPart::Share { first, step: self.count })
    }
}

/// What a scheduler says of a job.
#[derive(Debug, PartialEq, Eq)]
struct Scheduled {
    name: &'static str,
    index: usize,
}

/// The scheduler's index in the environment; `instead` says what to type without one.
fn scheduled(instead: &str) -> anyhow::Result<Scheduled> {
    read_index(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()), instead)
}

fn read_index(read: impl Fn(&str) -> Option<String>, instead: &str) -> anyhow::Result<Scheduled> {
    let set: Vec<_> = INDICES.into_iter().filter_map(|(name, _)| Some((name, read(name)?))).collect();
    match &set[..] {
        [(name, value)] => {
            let index = value.trim().parse().ok();
            let index = index.with_context(|| format!("{name}={value}: expected a whole number"))?;
            Ok(Scheduled { name, index })
        }
        [] => {
            let known = INDICES.map(|(name, scheduler)| format!("{name} ({scheduler})")).join(", ");
            bail!(
                "auto: expected the index of an array job in one of {known}; found none; outside a scheduler use {instead}"
            )
        }
        several => {
            let found: Vec<String> = several.iter().map(|(name, value)| format!("{name}={value}")).collect();
            bail!(
                "auto: expected one scheduler's index, found {}; unset all but one, or use {instead}",
                found.join(" and ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Scheduled, String> {
        let find =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        read_index(find, "--task I").map_err(|error| error.to_string())
    }

    #[test]
    fn every_scheduler_is_understood_and_doubt_is_an_error() {
        for (name, _) in INDICES {
            assert_eq!(read(&[(name, "7")]), Ok(Scheduled { name, index: 7 }));
        }
        let none = read(&[]).unwrap_err();
        assert!(INDICES.iter().all(|(name, _)| none.contains(name)) && none.contains("--task I"), "{none}");
        let two = read(&[("SLURM_ARRAY_TASK_ID", "1"), ("JOB_COMPLETION_INDEX", "2")]).unwrap_err();
        assert!(two.contains("found JOB_COMPLETION_INDEX=2 and SLURM_ARRAY_TASK_ID=1"), "{two}");
        for value in ["", "-1", "x", "1.5"] {
            let odd = read(&[("SLURM_ARRAY_TASK_ID", value)]).unwrap_err();
            assert_eq!(odd, format!("SLURM_ARRAY_TASK_ID={value}: expected a whole number"));
        }
    }

    #[test]
    fn shares_are_written_as_a_fraction() {
        let share = |text: &str| text.parse::<TaskShare>();
        assert_eq!(share("3/8"), Ok(TaskShare { index: JobIndex::Given(3), count: 8 }));
        assert_eq!(share("auto/8").unwrap().to_string(), "auto/8");
        for text in ["8/8", "0/0", "auto/0", "3", "3/", "/8", "a/8", "3/8/9", "-1/8"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert!("seven".parse::<JobIndex>().is_err());
    }
}
