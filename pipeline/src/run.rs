//! Prepares a whole dataset, one task of it, or merges finished tasks; every call continues
//! where the last one, however it ended, left off.
//!
//! `OUT/.jepa3d/` holds the state of an unfinished dataset: a lock, the plan's hash and one
//! record a finished task. `finalize` merges the records into `catalog.parquet`,
//! `quarantine.jsonl` and, last, `manifest.json`, then removes the state.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use jepa3d_schemas::{
    CATALOG_FILE, CatalogWriter, Manifest, Metadata, SCHEMA_VERSION, SCHEMA_VERSION_KEY, SplitCounts,
    is_temporary, write_atomically,
};

use crate::error::{Error, Result};
use crate::execute::{Progress, execute};
use crate::plan::{Plan, Task};
use crate::record::{Fingerprint, QUARANTINE_FILE, TaskRecord, quarantine_lines};
use crate::reopen::reopen;

/// Folder of the shards inside a prepared dataset.
pub(crate) const SHARD_FOLDER: &str = "points";
const STATE_FOLDER: &str = ".jepa3d";
const PLAN_FILE: &str = "plan.txt";
const CONFIG_FILE: &str = "config.toml";

/// Which part of the plan to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All tasks that are not done, then the manifest.
    Whole,
    /// One task, no manifest.
    Task(usize),
    /// The manifest, from the records of all tasks.
    Finalize,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The manifest, absent after a single task.
    pub manifest: Option<Manifest>,
    /// Tasks done by this call.
    pub tasks_done: usize,
    /// Tasks that were done before.
    pub tasks_skipped: usize,
    /// Objects tried and quarantined by this call.
    pub progress: Progress,
}

/// Does `part` of the plan below the folder `out`.
///
/// Shards, records and the manifest appear under their final names only when they are whole. A
/// dataset that is complete already is left as it is.
///
/// # Errors
/// Fails if `out` belongs to another plan, another process is writing there, or the disk fails;
/// finished shards stay, and the same call continues with the rest.
pub fn run(
    plan: &Plan,
    out: &Path,
    part: Part,
    threads: usize,
    report: &mut dyn FnMut(Progress),
) -> Result<Report> {
    let folder = OutputFolder::open(plan, out, part)?;
    let mut result = Report {
        manifest: None,
        tasks_done: 0,
        tasks_skipped: plan.tasks.len(),
        progress: Progress::default(),
    };
    if let Some(manifest) = folder.complete {
        result.manifest = Some(manifest);
        return Ok(result);
    }
    let pending = pending(plan, out, &folder.state, part)?;
    result.tasks_done = pending.len();
    let concerned = if matches!(part, Part::Task(_)) { 1 } else { plan.tasks.len() };
    result.tasks_skipped = if part == Part::Finalize { 0 } else { concerned - pending.len() };
    execute(plan, &pending, (out, &folder.state), threads.max(1), &mut |progress| {
        result.progress = progress;
        report(progress);
    })?;
    if !matches!(part, Part::Task(_)) {
        result.manifest = Some(finalize(plan, out, &folder.state)?);
    }
    Ok(result)
}

/// The tasks that `part` still has to do.
fn pending<'a>(plan: &'a Plan, out: &Path, state: &Path, part: Part) -> Result<Vec<&'a Task>> {
    let is_open = |task: &&Task| TaskRecord::read(state, out, task.number, &plan.hash).is_none();
    match part {
        Part::Finalize => Ok(Vec::new()),
        Part::Whole => Ok(plan.tasks.iter().filter(is_open).collect()),
        Part::Task(number) => match plan.tasks.get(number) {
            Some(task) => Ok(Some(task).into_iter().filter(is_open).collect()),
            None => Err(Error::NoSuchTask { task: number, total: plan.tasks.len() }),
        },
    }
}

/// The output folder, locked for this process.
struct OutputFolder {
    state: PathBuf,
    /// The manifest, if there is nothing left to do.
    complete: Option<Manifest>,
    /// Held until the folder is closed; the system releases it when the process dies.
    _lock: Option<File>,
}

impl OutputFolder {
    fn open(plan: &Plan, out: &Path, part: Part) -> Result<Self> {
        let state = out.join(STATE_FOLDER);
        check_owner(plan, out, &state)?;
        if let Some(manifest) = complete(out)? {
            // The last process may have died between the manifest and the clean-up.
            clear_temporaries(out)?;
            remove_state(&state)?;
            return Ok(Self { state, complete: Some(manifest), _lock: None });
        }
        for folder in [&out.join(SHARD_FOLDER), &state] {
            std::fs::create_dir_all(folder).map_err(|e| jepa3d_schemas::Error::io(folder, e))?;
        }
        let lock = lock(&state, out, part)?;
        if let Some(manifest) = complete(out)? {
            // Another process finished the dataset before the lock was ours.
            remove_state(&state)?;
            return Ok(Self { state, complete: Some(manifest), _lock: None });
        }
        write_atomically(&state.join(PLAN_FILE), plan.hash.as_bytes())?;
        write_atomically(&out.join(CONFIG_FILE), plan.config.to_toml().as_bytes())?;
        reopen(plan, out, &state)?;
        if !matches!(part, Part::Task(_)) {
            clear_temporaries(out)?;
        }
        Ok(Self { state, complete: None, _lock: Some(lock) })
    }
}

/// Tasks share the folder; a whole run and a merge want it alone.
fn lock(state: &Path, out: &Path, part: Part) -> Result<File> {
    let path = state.join("lock");
    let wrong = |e| jepa3d_schemas::Error::io(&path, e);
    let file = File::options().create(true).append(true).open(&path).map_err(wrong)?;
    let locked = if matches!(part, Part::Task(_)) { file.try_lock_shared() } else { file.try_lock() };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path: out.to_owned() }),
        Err(TryLockError::Error(e)) => Err(wrong(e).into()),
    }
}

/// Refuses a folder that another plan, or something else, has filled.
fn check_owner(plan: &Plan, out: &Path, state: &Path) -> Result<()> {
    let found = match Manifest::find(out)? {
        Some(manifest) => Some(manifest.plan),
        None => std::fs::read_to_string(state.join(PLAN_FILE)).ok(),
    };
    match found {
        Some(found) if found != plan.hash => {
            Err(Error::OtherPlan { path: out.to_owned(), expected: plan.hash.clone(), found })
        }
        Some(_) => Ok(()),
        None => match foreign_file(out) {
            Some(file) => Err(Error::Foreign { path: out.to_owned(), file }),
            None => Ok(()),
        },
    }
}

/// A file in a folder without a plan that a preparation would overwrite or mix with its own: none
/// of these is written before the plan is.
fn foreign_file(out: &Path) -> Option<String> {
    let fixed = [CONFIG_FILE, CATALOG_FILE, QUARANTINE_FILE].map(str::to_owned);
    let shards = std::fs::read_dir(out.join(SHARD_FOLDER)).into_iter().flatten().flatten();
    let shards = shards.map(|e| format!("{SHARD_FOLDER}/{}", e.file_name().to_string_lossy()));
    fixed.into_iter().filter(|file| out.join(file).exists()).chain(shards).min()
}

/// The manifest, if catalog, quarantine and every shard it lists (with its size) are in place.
fn complete(out: &Path) -> Result<Option<Manifest>> {
    let Some(manifest) = Manifest::find(out)? else { return Ok(None) };
    let is_there = |file: &str, bytes: u64| std::fs::metadata(out.join(file)).is_ok_and(|m| m.len() == bytes);
    let has_tables = [CATALOG_FILE, QUARANTINE_FILE].iter().all(|file| out.join(file).is_file());
    let has_shards = manifest.shards.iter().all(|s| is_there(&s.file, s.bytes));
    Ok((has_tables && has_shards).then_some(manifest))
}

/// Removes what dead processes left half-written.
fn clear_temporaries(out: &Path) -> Result<()> {
    for folder in [out.to_owned(), out.join(SHARD_FOLDER), out.join(STATE_FOLDER)] {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.map_err(|e| jepa3d_schemas::Error::io(&folder, e))?.path();
            if path.file_name().is_some_and(|name| is_temporary(&name.to_string_lossy())) {
                std::fs::remove_file(&path).map_err(|e| jepa3d_schemas::Error::io(&path, e))?;
            }
        }
    }
    Ok(())
}

fn remove_state(state: &Path) -> Result<()> {
    match std::fs::remove_dir_all(state) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(jepa3d_schemas::Error::io(state, e).into()),
        _ => Ok(()),
    }
}

/// Merges the records of all tasks, one at a time; the manifest comes last.
fn finalize(plan: &Plan, out: &Path, state: &Path) -> Result<Manifest> {
    let mut catalog = CatalogWriter::create(&out.join(CATALOG_FILE))?;
    let mut fingerprint = Fingerprint::new(&plan.hash);
    let (mut quarantine, mut shards, mut missing) = (String::new(), Vec::new(), Vec::new());
    let mut splits: BTreeMap<String, SplitCounts> = BTreeMap::new();
    for task in &plan.tasks {
        let Some(record) = TaskRecord::read(state, out, task.number, &plan.hash) else {
            missing.push(task.number);
            continue;
        };
        let counts = splits.entry(record.shard.split.clone()).or_default();
        counts.written += record.shard.rows;
        counts.quarantined += record.quarantine.len();
        catalog.append(&record.catalog)?;
        fingerprint.add(&record.catalog);
        quarantine += &quarantine_lines(&record.quarantine);
        shards.push(record.shard);
    }
    if let Some(&first) = missing.first() {
        let (missing, total) = (missing.len(), plan.tasks.len());
        return Err(Error::Unfinished { path: out.to_owned(), missing, total, first });
    }
    catalog.finish()?;
    write_atomically(&out.join(QUARANTINE_FILE), quarantine.as_bytes())?;
    let manifest = Manifest { fingerprint: fingerprint.finish(), splits, shards, ..plan.empty_manifest() };
    manifest.write(out)?;
    remove_state(state)?;
    Ok(manifest)
}

impl Plan {
    /// The key-value pairs in the footer of every shard of this plan.
    pub(crate) fn shard_metadata(&self) -> Metadata {
        let shape = serde_json::to_string(&self.config.shape()).expect("letters serialise");
        let pairs = [
            (SCHEMA_VERSION_KEY, SCHEMA_VERSION.to_string()),
            ("jepa3d.tool_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("jepa3d.plan", self.hash.clone()),
            ("jepa3d.split_hash", self.split_hash.clone()),
            ("jepa3d.shape", shape),
            ("jepa3d.config", self.config.without_tolerance().to_toml()),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value)).to_vec()
    }

    fn empty_manifest(&self) -> Manifest {
        Manifest {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            fingerprint: String::new(),
            plan: self.hash.clone(),
            split_hash: self.split_hash.clone(),
            dataset: self.dataset.name().to_owned(),
            up_axis: self.dataset.up_axis(),
            config: serde_json::to_value(self.config.without_tolerance()).expect("a config serialises"),
            shape: self.config.shape(),
            classes: self.dataset.classes().to_vec(),
            box_classes: self.dataset.box_classes().to_vec(),
            splits: BTreeMap::new(),
            shards: Vec::new(),
        }
    }
}
