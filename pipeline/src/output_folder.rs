//! The output folder: its paths, whose it is, what of it is complete, and the lock while it is written.
//!
//! `OUT/.jepa3d/` holds the state of an unfinished dataset: a lock, the hashes of the plans of
//! points and views, and one record a finished shard. In an object store there is no lock: who begins first writes the plan, and
//! whoever does the same task writes the same bytes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jepa3d_schemas::{
    CATALOG_FILE, FolderLock, MANIFEST_FILE, Manifest, ShardEntry, check_hashed_toml, create_folder,
    file_length, hashed_toml, is_remote, list_folder, read_regular, remove_file, remove_folder,
    remove_temporaries, write_atomically, write_unless_there,
};

use crate::error::{Error, Result};
use crate::plan::{POINTS_FOLDER, PreparePlan, VIEWS_FOLDER};
use crate::quarantine::QUARANTINE_FILE;

/// Folder of the state of an unfinished dataset.
pub(crate) const STATE_FOLDER: &str = ".jepa3d";
const PLAN_FILE: &str = "plan.txt";
const VIEWS_PLAN_FILE: &str = "views.txt";
/// File name of the resolved config inside a prepared dataset.
pub(crate) const CONFIG_FILE: &str = "config.toml";

/// Where a dataset is prepared.
pub(crate) struct OutputFolder {
    /// The folder of the dataset.
    pub(crate) out: PathBuf,
    /// The folder of its state, inside.
    pub(crate) state: PathBuf,
    /// Files and hashes of the shards that this process has written, or compared with their hash.
    whole: Mutex<BTreeSet<(String, String)>>,
}

impl OutputFolder {
    /// The folder at `out`, which need not exist.
    pub(crate) fn new(out: &Path) -> Self {
        Self { out: out.to_owned(), state: out.join(STATE_FOLDER), whole: Mutex::default() }
    }

    /// Refuses a folder that another plan, or something else, has filled.
    ///
    /// # Errors
    /// Fails if it has a plan that is not this one, files where ours would stand, or a manifest
    /// that cannot be read.
    pub(crate) fn check_owner(&self, plan: &PreparePlan) -> Result<()> {
        let mut owner = self.find_owner()?;
        let foreign = if owner.is_none() { self.foreign_file()? } else { None };
        if foreign.is_some() {
            // Another process may have begun between the two looks; its plan comes before any of these files.
            owner = self.find_owner()?;
        }
        match (owner, foreign) {
            (Some((path, found)), _) if found != plan.hash => {
                Err(Error::OtherPlan { path, expected: plan.hash.clone(), found })
            }
            (None, Some(file)) => Err(Error::Foreign { path: self.out.clone(), file }),
            _ => Ok(()),
        }
    }

    /// Whose the folder is by its manifest, else by its plan, and the file that says so.
    fn find_owner(&self) -> Result<Option<(PathBuf, String)>> {
        Ok(match Manifest::find(&self.out)? {
            Some(manifest) => Some((self.out.clone(), manifest.plan)),
            None => self.read_plan()?.map(|found| (self.state.join(PLAN_FILE), found)),
        })
    }

    /// The plan of an unfinished dataset, `None` if none was begun.
    fn read_plan(&self) -> Result<Option<String>> {
        let path = self.state.join(PLAN_FILE);
        match read_regular(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).escape_debug().to_string())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(jepa3d_schemas::Error::io(&path, e).into()),
        }
    }

    /// A file in a folder without a plan that a preparation would overwrite or mix with its own: none
    /// of these is written before the plan is.
    fn foreign_file(&self) -> Result<Option<String>> {
        let mut found = files_in(&self.out, POINTS_FOLDER)?;
        found.extend(files_in(&self.out, VIEWS_FOLDER)?);
        for file in [CONFIG_FILE, CATALOG_FILE, QUARANTINE_FILE] {
            if self.find_length(file)?.is_some() {
                found.push(file.to_owned());
            }
        }
        Ok(found.into_iter().min())
    }

    /// Bytes of a file, `None` if it is not there; a disk that does not tell counts as that, a store that does not is an error.
    fn find_length(&self, file: &str) -> Result<Option<u64>> {
        let path = self.out.join(file);
        match file_length(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if is_remote(&path) && e.kind() != std::io::ErrorKind::NotFound => {
                Err(jepa3d_schemas::Error::io(&path, e).into())
            }
            Err(_) => Ok(None),
        }
    }

    /// Creates the folders of the plan's shards and of the state.
    pub(crate) fn create(&self, plan: &PreparePlan) -> Result<()> {
        let shards = [Some(POINTS_FOLDER), plan.views_hash.as_ref().map(|_| VIEWS_FOLDER)];
        let shards = shards.into_iter().flatten().map(|name| self.out.join(name));
        for folder in shards.chain([self.state.clone()]) {
            create_folder(&folder)?;
        }
        Ok(())
    }

    /// Locks the folder as long as the lock lives, and no longer than the process; one in an object store has no lock.
    ///
    /// # Errors
    /// Fails if another process holds a lock that cannot be `shared` with it.
    pub(crate) fn lock(&self, shared: bool) -> Result<Option<FolderLock>> {
        if is_remote(&self.out) {
            return Ok(None);
        }
        let path = self.state.join("lock");
        let lock =
            if shared { FolderLock::share(&self.out, &path) } else { FolderLock::take(&self.out, &path) };
        Ok(Some(lock?))
    }

    /// Writes down whose the folder is.
    pub(crate) fn claim(&self, plan: &PreparePlan) -> Result<()> {
        let path = self.state.join(PLAN_FILE);
        if !write_unless_there(&path, plan.hash.as_bytes())? {
            // Where there is no lock, another process may have begun since the last look.
            let found = self.read_plan()?.unwrap_or_default();
            if found != plan.hash {
                return Err(Error::OtherPlan { path, expected: plan.hash.clone(), found });
            }
        }
        self.write_config(plan)?;
        if let Some(hash) = &plan.views_hash {
            write_atomically(&self.state.join(VIEWS_PLAN_FILE), hash.as_bytes())?;
        }
        Ok(())
    }

    /// Writes the resolved config, with the hash of its bytes.
    fn write_config(&self, plan: &PreparePlan) -> Result<()> {
        let text = hashed_toml(&plan.config.to_toml());
        Ok(write_atomically(&self.out.join(CONFIG_FILE), text.as_bytes())?)
    }

    /// Writes the config of a complete dataset again if it is lost or damaged.
    pub(crate) fn repair_config(&self, plan: &PreparePlan) -> Result<()> {
        let path = self.out.join(CONFIG_FILE);
        let is_sound = read_regular(&path).is_ok_and(|bytes| check_hashed_toml(&path, &bytes).is_ok());
        if is_sound { Ok(()) } else { self.write_config(plan) }
    }

    /// The manifest, if the points are in place, and the views of the plan too.
    pub(crate) fn find_complete(&self, plan: &PreparePlan) -> Result<Option<Manifest>> {
        let manifest = self.find_complete_points()?;
        let Some(hash) = &plan.views_hash else { return Ok(manifest) };
        let Some(manifest) = manifest else { return Ok(None) };
        let Some(views) = manifest.views.as_ref().filter(|views| views.plan == *hash) else {
            return Ok(None);
        };
        for shard in &views.shards {
            if !self.is_in_place(shard)? {
                return Ok(None);
            }
        }
        Ok(Some(manifest))
    }

    /// The manifest, if catalog, quarantine and every points shard it lists (with its size) are in place.
    pub(crate) fn find_complete_points(&self) -> Result<Option<Manifest>> {
        let Some(manifest) = Manifest::find(&self.out)? else { return Ok(None) };
        Ok(self.find_lost(&manifest)?.is_none().then_some(manifest))
    }

    /// A file without which the points of `manifest` are not complete.
    pub(crate) fn find_lost(&self, manifest: &Manifest) -> Result<Option<String>> {
        for file in [CATALOG_FILE, QUARANTINE_FILE] {
            if self.find_length(file)?.is_none() {
                return Ok(Some(file.to_owned()));
            }
        }
        for shard in &manifest.shards {
            if !self.is_in_place(shard)? {
                return Ok(Some(shard.file.clone()));
            }
        }
        Ok(None)
    }

    /// Whether the file of a shard is there with its size.
    pub(crate) fn is_in_place(&self, shard: &ShardEntry) -> Result<bool> {
        Ok(self.find_length(&shard.file)? == Some(shard.bytes))
    }

    /// Whether the file of a shard is there and the one that was written; its bytes are hashed once a process, unless the store
    /// that they are in states the hash that they came with.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub(crate) fn is_whole(&self, shard: &ShardEntry) -> Result<bool> {
        let key = (shard.file.clone(), shard.hash.clone());
        let stated = shard.is_stated(&self.out);
        let stated = if is_remote(&self.out) { stated? } else { stated.unwrap_or(Some(false)) };
        if stated == Some(false) {
            return Ok(false);
        }
        if stated == Some(true) || self.lock_whole().contains(&key) {
            return Ok(true);
        }
        match shard.check_file(&self.out) {
            Ok(_) => {
                self.lock_whole().insert(key);
                Ok(true)
            }
            Err(error @ jepa3d_schemas::Error::Contract { .. }) => {
                tracing::warn!("{error}: it is made again");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that this process wrote the file of a shard.
    pub(crate) fn mark_whole(&self, shard: &ShardEntry) {
        self.lock_whole().insert((shard.file.clone(), shard.hash.clone()));
    }

    fn lock_whole(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        // A set is whole whoever panicked beside it.
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether views are being made here, or were when a process died.
    pub(crate) fn has_unfinished_views(&self) -> bool {
        file_length(&self.state.join(VIEWS_PLAN_FILE)).is_ok()
    }

    /// Removes what dead processes left half-written.
    pub(crate) fn clear_temporaries(&self) -> Result<()> {
        let shards = [POINTS_FOLDER, VIEWS_FOLDER].map(|name| self.out.join(name));
        let mut folders = shards.iter().chain([&self.out, &self.state]);
        folders.try_for_each(|folder| Ok(remove_temporaries(folder)?))
    }

    /// Removes the state of a dataset that is complete.
    pub(crate) fn remove_state(&self) -> Result<()> {
        Ok(remove_folder(&self.state)?)
    }

    /// Takes the manifest away: the dataset is then not complete.
    pub(crate) fn remove_manifest(&self) -> Result<()> {
        remove_unless_gone(&self.out.join(MANIFEST_FILE))
    }
}

/// Removes a file; another process may have been faster.
pub(crate) fn remove_unless_gone(path: &Path) -> Result<()> {
    Ok(remove_file(path)?)
}

/// Files of a folder of shards, as the manifest names them; none if a disk does not list them.
///
/// # Errors
/// Fails if an object store does not list them.
pub(crate) fn files_in(out: &Path, folder: &str) -> Result<Vec<String>> {
    let path = out.join(folder);
    let entries = match list_folder(&path) {
        Err(e) if is_remote(&path) => return Err(jepa3d_schemas::Error::io(&path, e).into()),
        entries => entries.unwrap_or_default(),
    };
    Ok(entries.into_iter().map(|entry| format!("{folder}/{}", entry.name)).collect())
}
