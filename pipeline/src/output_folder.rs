//! The output folder: whose it is, whether anything is left to do, and the lock while it is done.
//!
//! `OUT/.jepa3d/` holds the state of an unfinished dataset: a lock, the hashes of the plans of
//! points and views, and one record a finished shard.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use jepa3d_schemas::{CATALOG_FILE, MANIFEST_FILE, Manifest, remove_temporaries, write_atomically};

use crate::error::{Error, Result};
use crate::plan::{POINTS_FOLDER, Plan, VIEWS_FOLDER};
use crate::record::{QUARANTINE_FILE, is_in_place, remove_unless_gone};
use crate::reopen::{reopen, reopen_views};
use crate::run::{Part, Request};

const STATE_FOLDER: &str = ".jepa3d";
const PLAN_FILE: &str = "plan.txt";
const VIEWS_PLAN_FILE: &str = "views.txt";
const CONFIG_FILE: &str = "config.toml";

/// The output folder, locked for this process.
pub(crate) struct OutputFolder {
    pub(crate) state: PathBuf,
    /// The manifest, if there is nothing left to do.
    pub(crate) complete: Option<Manifest>,
    /// Whether all points are there, with the manifest that says so.
    pub(crate) has_points: bool,
    /// Held until the folder is closed; the system releases it when the process dies.
    _lock: Option<File>,
}

impl OutputFolder {
    /// Opens `out` for the request, and takes apart what has to be made again.
    pub(crate) fn open(plan: &Plan, out: &Path, request: Request) -> Result<Self> {
        let state = out.join(STATE_FOLDER);
        check_request(plan, out, &state, request)?;
        if let Some(folder) = Self::complete(plan, out, &state)? {
            clear_temporaries(out)?;
            return Ok(folder);
        }
        let folders = [Some(POINTS_FOLDER), plan.views_hash.as_ref().map(|_| VIEWS_FOLDER)];
        for folder in folders.into_iter().flatten().map(|name| out.join(name)).chain([state.clone()]) {
            std::fs::create_dir_all(&folder).map_err(|e| jepa3d_schemas::Error::io(&folder, e))?;
        }
        let lock = lock(&state, out, request.part)?;
        if let Some(folder) = Self::complete(plan, out, &state)? {
            // Another process finished the dataset before the lock was ours.
            return Ok(folder);
        }
        write_atomically(&state.join(PLAN_FILE), plan.hash.as_bytes())?;
        write_atomically(&out.join(CONFIG_FILE), plan.config.to_toml().as_bytes())?;
        if let Some(hash) = &plan.views_hash {
            write_atomically(&state.join(VIEWS_PLAN_FILE), hash.as_bytes())?;
        }
        let has_points = complete_points(out)?.is_some();
        let is_alone = !matches!(request.part, Part::Task(_));
        if has_points {
            reopen_views(plan, out, &state, is_alone)?
        } else {
            reopen(plan, out, &state)?
        }
        if is_alone {
            clear_temporaries(out)?;
        }
        Ok(Self { state, complete: None, has_points, _lock: Some(lock) })
    }

    /// The folder if nothing is left to do; what a process left that died after the manifest is removed.
    fn complete(plan: &Plan, out: &Path, state: &Path) -> Result<Option<Self>> {
        let Some(manifest) = complete(plan, out)? else { return Ok(None) };
        // The state of views that another config has begun is kept for it.
        if plan.views_hash.is_some() || !has_unfinished_views(out) {
            remove_state(state)?;
        }
        let state = state.to_owned();
        Ok(Some(Self { state, complete: Some(manifest), has_points: true, _lock: None }))
    }
}

/// Refuses what cannot be done to this folder.
fn check_request(plan: &Plan, out: &Path, state: &Path, request: Request) -> Result<()> {
    check_owner(plan, out, state)?;
    if request.only_views && plan.views_hash.is_none() {
        return Err(Error::NoViews);
    }
    if complete_points(out)?.is_some() {
        return Ok(());
    }
    if request.only_views {
        return Err(Error::NoPoints { path: out.to_owned() });
    }
    match Manifest::find(out)? {
        Some(manifest) if manifest.views.is_some() && plan.views_hash.is_none() => {
            let file = lost_file(out, &manifest).unwrap_or_default();
            Err(Error::LostBesideViews { path: out.to_owned(), file })
        }
        _ => Ok(()),
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
    let fixed = fixed.into_iter().filter(|file| out.join(file).exists());
    fixed.chain(files_in(out, POINTS_FOLDER)).chain(files_in(out, VIEWS_FOLDER)).min()
}

/// Files of a folder of shards, as the manifest names them.
pub(crate) fn files_in(out: &Path, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(out.join(folder)).into_iter().flatten().flatten();
    entries.map(|e| format!("{folder}/{}", e.file_name().to_string_lossy())).collect()
}

/// The manifest, if catalog, quarantine and every points shard it lists (with its size) are in place.
pub(crate) fn complete_points(out: &Path) -> Result<Option<Manifest>> {
    let Some(manifest) = Manifest::find(out)? else { return Ok(None) };
    Ok(lost_file(out, &manifest).is_none().then_some(manifest))
}

fn lost_file(out: &Path, manifest: &Manifest) -> Option<String> {
    let tables = [CATALOG_FILE, QUARANTINE_FILE];
    let lost_table = tables.iter().find(|file| !out.join(file).is_file()).map(|file| (*file).to_owned());
    let lost_shard = || manifest.shards.iter().find(|s| !is_in_place(out, s)).map(|s| s.file.clone());
    lost_table.or_else(lost_shard)
}

/// The manifest, if the points are in place, and the views of the plan too.
fn complete(plan: &Plan, out: &Path) -> Result<Option<Manifest>> {
    let manifest = complete_points(out)?;
    let Some(hash) = &plan.views_hash else { return Ok(manifest) };
    Ok(manifest.filter(|manifest| {
        let views = manifest.views.as_ref().filter(|views| views.plan == *hash);
        views.is_some_and(|views| views.shards.iter().all(|shard| is_in_place(out, shard)))
    }))
}

/// Whether views are being made here, or were when a process died.
pub(crate) fn has_unfinished_views(out: &Path) -> bool {
    out.join(STATE_FOLDER).join(VIEWS_PLAN_FILE).exists()
}

/// Removes what dead processes left half-written.
fn clear_temporaries(out: &Path) -> Result<()> {
    let folders = [out.to_owned(), out.join(POINTS_FOLDER), out.join(VIEWS_FOLDER), out.join(STATE_FOLDER)];
    folders.iter().try_for_each(|folder| Ok(remove_temporaries(folder)?))
}

/// Removes the state of a dataset that is complete.
pub(crate) fn remove_state(state: &Path) -> Result<()> {
    match std::fs::remove_dir_all(state) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(jepa3d_schemas::Error::io(state, e).into()),
        _ => Ok(()),
    }
}

/// Takes the manifest away: the dataset is then not complete.
pub(crate) fn remove_manifest(out: &Path) -> Result<()> {
    remove_unless_gone(&out.join(MANIFEST_FILE))
}
