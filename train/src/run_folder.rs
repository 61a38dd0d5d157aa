//! The folder of a run: what a run may be started in, and whether it may be continued.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jepa3d_schemas::{FolderLock, UpAxis, remove_temporaries};

use crate::checkpoint::{BEST_FILE, Checkpoint, LAST_FILE, RunState, read};
use crate::config::PretrainConfig;
use crate::error::{Error, Result};

/// What a process that writes a run folder holds.
const LOCK_FILE: &str = ".lock";

/// Settings that may differ when a run is continued: they change no parameter.
const FREE: [&str; 13] = [
    "run.max_steps",
    "run.stop_after",
    "run.checkpoint_every",
    "run.checkpoint_seconds",
    "run.keep",
    "monitor.print_every",
    "monitor.abort_on_collapse",
    "data.threads",
    "data.prefetch",
    "monitor.patience",
    "length.print_every",
    "votes.looks",
    "votes.seed",
];

/// A run folder that this process alone may write, or one that another does.
pub(crate) struct RunFolder {
    pub path: PathBuf,
    _lock: Option<FolderLock>,
}

impl RunFolder {
    /// Opens a folder for a new run, or one to continue.
    ///
    /// # Errors
    /// Fails if it holds a run and `resume` is not asked for, or another process writes there.
    pub(crate) fn open(path: &Path, resume: bool) -> Result<Self> {
        let last = path.join(LAST_FILE);
        let refuse_other = || {
            let reason =
                format!("holds a run ({LAST_FILE}): --resume continues it, another --out starts a new one");
            Error::RunFolder { path: path.to_owned(), reason }
        };
        if last.exists() && !resume {
            return Err(refuse_other());
        }
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
        let lock = FolderLock::take(path, &path.join(LOCK_FILE))?;
        if last.exists() && !resume {
            return Err(refuse_other()); // begun by another process meanwhile
        }
        remove_temporaries(path)?;
        Ok(Self { path: path.to_owned(), _lock: Some(lock) })
    }

    /// A folder that another process of the same run has opened; nothing is written there.
    pub(crate) fn follow(path: &Path) -> Self {
        Self { path: path.to_owned(), _lock: None }
    }

    /// The checkpoint to continue from, if there is one.
    ///
    /// # Errors
    /// Fails if it cannot be used.
    pub(crate) fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let last = self.last();
        last.exists().then(|| read(&last)).transpose()
    }

    pub(crate) fn last(&self) -> PathBuf {
        self.path.join(LAST_FILE)
    }

    pub(crate) fn best(&self) -> PathBuf {
        self.path.join(BEST_FILE)
    }

    /// The checkpoint of a step, where several are kept.
    pub(crate) fn numbered(&self, step: u64) -> PathBuf {
        self.path.join(format!("step-{step:08}.safetensors"))
    }
}

/// Removes all but the newest `keep` numbered checkpoints of a run folder.
pub(crate) fn prune_checkpoints(folder: &Path, keep: usize) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut numbered: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            name.starts_with("step-") && name.ends_with(".safetensors")
        })
        .collect();
    numbered.sort();
    let old = numbered.len().saturating_sub(keep);
    for path in &numbered[..old] {
        std::fs::remove_file(path).map_err(|e| Error::io(path, e))?;
    }
    Ok(())
}

/// What a run learns from.
pub(crate) struct RunOrigin {
    /// Of the dataset, or of all of them with their weights.
    pub fingerprint: String,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// What the teacher's cache was made from.
    pub teacher: Option<String>,
    /// The groups, in words; none where clouds are cropped.
    pub grouping: Option<String>,
    /// The axis that is up in the clouds as they are learned from.
    pub up_axis: UpAxis,
}

/// Checks that a checkpoint belongs to this config and dataset.
///
/// # Errors
/// Fails with the settings that differ, or both fingerprints.
pub(crate) fn check_resume(
    path: &Path,
    state: &RunState,
    config: &PretrainConfig,
    from: &RunOrigin,
) -> Result<()> {
    let wrong =
        |expected: String, found: String| Error::Checkpoint { path: path.to_owned(), expected, found };
    let RunOrigin { fingerprint, steps_per_epoch, .. } = from;
    if state.fingerprint != *fingerprint || state.steps_per_epoch != *steps_per_epoch {
        return Err(wrong(
            format!("the dataset it was trained on, fingerprint {}", state.fingerprint),
            format!("{fingerprint} ({steps_per_epoch} steps an epoch, then {})", state.steps_per_epoch),
        ));
    }
    if state.teacher != from.teacher {
        let named = |teacher: &Option<String>| teacher.clone().unwrap_or_else(|| "none".to_owned());
        let expected = format!("the teacher's cache it learned from, {}", named(&state.teacher));
        return Err(wrong(expected, named(&from.teacher)));
    }
    let differences = find_differences(&state.config, &config.to_toml());
    if differences.is_empty() {
        return Ok(());
    }
    Err(wrong("the config it was started with".to_owned(), differences.join(", ")))
}

/// The config as a checkpoint keeps it: without what changes no parameter, so that the bytes of a checkpoint do not
/// tell in how many pieces or with how many threads it was made.
pub(crate) fn config_to_record(config: &PretrainConfig) -> String {
    record_without_free(&config.to_toml())
}

/// The config `toml` of any run as a checkpoint keeps it.
pub(crate) fn record_without_free(toml: &str) -> String {
    let mut table: toml::Table = toml.parse().expect("a config is a table");
    for key in FREE {
        let (section, name) = key.split_once('.').expect("keys are dotted");
        if let Some(toml::Value::Table(section)) = table.get_mut(section) {
            section.remove(name);
        }
    }
    toml::to_string_pretty(&table).expect("a table serialises")
}

/// The settings in which `now` differs from `before` and that change a parameter, as `key new instead of old`.
pub fn config_differences(before: &PretrainConfig, now: &PretrainConfig) -> Vec<String> {
    find_differences(&before.to_toml(), &now.to_toml())
}

/// The settings that differ and change a parameter, as `key new instead of old`.
pub(crate) fn find_differences(before: &str, now: &str) -> Vec<String> {
    let [before, now] = [before, now].map(|text| {
        let table: toml::Table = text.parse().unwrap_or_default();
        let mut flat = BTreeMap::new();
        flatten("", &toml::Value::Table(table), &mut flat);
        flat
    });
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    keys.into_iter()
        .filter(|key| !FREE.contains(&key.as_str()) && before.get(*key) != now.get(*key))
        .map(|key| {
            let show = |value: Option<&String>| value.map_or("none".to_owned(), String::clone);
            format!("{key} {} instead of {}", show(now.get(key)), show(before.get(key)))
        })
        .collect()
}

fn flatten(prefix: &str, value: &toml::Value, out: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, out);
            }
        }
        other => {
            out.insert(prefix.to_owned(), other.to_string());
        }
    }
}
