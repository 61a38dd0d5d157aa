//! The files of a prepared dataset against those that its manifests name, and its config against its hash.

use std::collections::BTreeSet;
use std::path::Path;

use jepa3d_schemas::{
    CATALOG_FILE, FolderEntry, MANIFEST_FILE, Manifest, TEACHER_FILE, Table, TeacherManifest,
    check_hashed_toml, list_folder, read_regular,
};

use super::DatasetProblem;
use crate::card::{CARD_FILE, names_fingerprint};
use crate::config::PrepareConfig;
use crate::output_folder::{CONFIG_FILE, OutputFolder, STATE_FOLDER};
use crate::plan::{POINTS_FOLDER, VIEWS_FOLDER};
use crate::quarantine::QUARANTINE_FILE;

/// What a folder holds besides what its manifests name.
pub(super) struct SetListing<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    /// Files among the shards, which readers that take a whole folder would mix in.
    pub problems: Vec<DatasetProblem>,
    /// Files and folders that do no harm, but that nobody vouches for.
    pub notes: Vec<String>,
}

impl<'a> SetListing<'a> {
    /// Looks at every file of the dataset in `folder`.
    pub(super) fn check(folder: &'a Path, manifest: &'a Manifest, config: &PrepareConfig) -> Self {
        let mut listing = Self { folder, manifest, problems: Vec::new(), notes: Vec::new() };
        listing.check_config(config);
        listing.check_tables();
        let teachers = Table::Teachers.folder();
        for cache in listing.list(teachers) {
            match cache.is_folder {
                true => listing.check_cache(&cache.name),
                false => {
                    listing
                        .notes
                        .push(format!("{teachers}/{}: named by no manifest, not checked", cache.name));
                }
            }
        }
        listing.note_card();
        listing.note_others();
        listing
    }

    /// What is in a folder of the dataset; that it cannot be listed, as by plain HTTP, is a note, once.
    fn list(&mut self, name: &str) -> Vec<FolderEntry> {
        list_folder(&self.folder.join(name)).unwrap_or_else(|error| {
            let note = format!("files that no manifest names were not looked for: {error}");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
            Vec::new()
        })
    }

    fn report(&mut self, file: &str, what: impl Into<String>) {
        self.problems.push(DatasetProblem { file: file.to_owned(), sample: None, what: what.into() });
    }

    /// The resolved config carries its own hash, and says what the manifest says.
    fn check_config(&mut self, config: &PrepareConfig) {
        let path = self.folder.join(CONFIG_FILE);
        let bytes = match read_regular(&path) {
            Ok(bytes) => bytes,
            Err(error) => return self.report(CONFIG_FILE, format!("cannot read: {error}")),
        };
        match check_hashed_toml(&path, &bytes) {
            Err(error) => self.report(CONFIG_FILE, error.to_string()),
            Ok(false) if self.manifest.quarantine_hash.is_some() => {
                self.report(CONFIG_FILE, "self_hash: expected the hash of the file at its end, found none");
            }
            Ok(_) => match toml::from_str::<PrepareConfig>(&String::from_utf8_lossy(&bytes)) {
                Err(error) => self.report(CONFIG_FILE, format!("expected a config, found {error}")),
                Ok(found) if found.points_only() != config.points_only() => {
                    self.report(CONFIG_FILE, "expected the config of the manifest, found another");
                }
                Ok(_) => {}
            },
        }
    }

    fn check_tables(&mut self) {
        let shards = self.manifest.shards.iter().map(|shard| shard.file.as_str());
        self.check_folder(POINTS_FOLDER, shards.collect());
        // Views that are being made belong to no manifest yet.
        if self.manifest.views.is_some() || !OutputFolder::new(self.folder).has_unfinished_views() {
            let views = self.manifest.views.iter().flat_map(|views| &views.shards);
            self.check_folder(VIEWS_FOLDER, views.map(|shard| shard.file.as_str()).collect());
        }
    }

    /// Files of a folder of shards that are not `listed`.
    fn check_folder(&mut self, name: &str, listed: BTreeSet<&str>) {
        let found = self.list(name).into_iter().map(|entry| format!("{name}/{}", entry.name));
        for file in found.filter(|file| !listed.contains(file.as_str())).collect::<Vec<_>>() {
            self.report(&file, "expected the shards of the manifest alone, found this file");
        }
    }

    /// The files of a cache; one that is not complete is a note, and one that cannot be read a problem elsewhere.
    fn check_cache(&mut self, name: &str) {
        let folder = format!("{}/{name}", Table::Teachers.folder());
        match TeacherManifest::find(self.folder, name) {
            Ok(Some(cache)) => {
                let own = format!("{folder}/{TEACHER_FILE}");
                let shards = cache.shards.iter().map(|shard| shard.file.as_str());
                self.check_folder(&folder, shards.chain([own.as_str()]).collect());
            }
            Ok(None) => self.notes.push(format!("{folder}: an unfinished cache: no {TEACHER_FILE}")),
            Err(_) => {}
        }
    }

    /// People may change the card, but one of another dataset misleads them.
    fn note_card(&mut self) {
        if names_fingerprint(self.folder, self.manifest) == Some(false) {
            let fingerprint = &self.manifest.fingerprint;
            self.notes.push(format!("{CARD_FILE}: expected the fingerprint {fingerprint} in it, found none"));
        }
    }

    fn note_others(&mut self) {
        let known = [
            MANIFEST_FILE,
            CATALOG_FILE,
            QUARANTINE_FILE,
            CONFIG_FILE,
            CARD_FILE,
            POINTS_FOLDER,
            VIEWS_FOLDER,
            Table::Teachers.folder(),
        ];
        let names = self.list("").into_iter().map(|entry| entry.name);
        for name in names.filter(|name| !known.contains(&name.as_str())).collect::<Vec<_>>() {
            self.notes.push(match name.as_str() {
                STATE_FOLDER => format!("{name}: the state of an unfinished preparation"),
                _ => format!("{name}: named by no manifest, not checked"),
            });
        }
    }
}
