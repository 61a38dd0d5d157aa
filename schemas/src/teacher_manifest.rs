//! What a cache of embeddings was made from, and the manifest that says that it is complete.
//!
//! `teachers/<name>/teacher.json` is written last. Every shard carries the same facts in its footer, so that what an
//! interrupted run left can be told from what another teacher made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic_file::write_atomically;
use crate::error::{Error, Result};
use crate::footer::{Metadata, SCHEMA_VERSION, SCHEMA_VERSION_KEY, TOOL_VERSION_KEY};
use crate::regular_file::read_regular;
use crate::self_hash::{hashed_json, parse_hashed_json};
use crate::shard_entry::{ShardEntry, check_names, expect_shards, is_plain_name};
use crate::table::Table;

/// File name of the manifest inside the folder of a cache.
pub const TEACHER_FILE: &str = "teacher.json";

/// The facts that decide every number of a cache; two caches of equal facts hold equal embeddings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherFacts {
    /// Kind of teacher: `hog`, `vit`.
    pub kind: String,
    /// Hash of its weights.
    pub weights: String,
    /// What is done to an image before the teacher sees it.
    pub preprocessing: String,
    /// How tokens become one vector.
    pub pooling: String,
    /// Numbers of an embedding, `D_t`.
    pub width: usize,
    /// Type and precision of the stored numbers.
    pub dtype: String,
    /// Fingerprint of the points ([`crate::Manifest::fingerprint`]).
    pub fingerprint: String,
    /// Plan of the views ([`crate::ViewsEntry::plan`]): other images have another.
    pub views_plan: String,
}

impl TeacherFacts {
    /// Footer keys and values, in a fixed order.
    pub fn pairs(&self) -> [(&'static str, String); 8] {
        [
            ("jepa3d.teacher", self.kind.clone()),
            ("jepa3d.teacher_weights", self.weights.clone()),
            ("jepa3d.teacher_preprocessing", self.preprocessing.clone()),
            ("jepa3d.teacher_pooling", self.pooling.clone()),
            ("jepa3d.teacher_width", self.width.to_string()),
            ("jepa3d.teacher_dtype", self.dtype.clone()),
            ("jepa3d.fingerprint", self.fingerprint.clone()),
            ("jepa3d.views_plan", self.views_plan.clone()),
        ]
    }

    /// The footer of a shard of this cache.
    pub fn footer(&self) -> Metadata {
        let own = [
            (SCHEMA_VERSION_KEY, SCHEMA_VERSION.to_string()),
            (TOOL_VERSION_KEY, env!("CARGO_PKG_VERSION").to_owned()),
        ];
        own.into_iter().chain(self.pairs()).map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Compares with the footer of the shard at `path`.
    ///
    /// # Errors
    /// Fails if a fact differs; the error names it with both values.
    pub fn check_footer(&self, path: &Path, footer: &BTreeMap<String, String>) -> Result<()> {
        for (key, expected) in self.pairs() {
            let found = footer.get(key).map_or("none", String::as_str);
            if found != expected {
                return Err(Error::contract(path, key, expected, found));
            }
        }
        Ok(())
    }

    /// Compares with the facts that the manifest at `path` states.
    ///
    /// # Errors
    /// Fails if a fact differs; the error names it with both values.
    pub fn check_same(&self, path: &Path, found: &Self) -> Result<()> {
        let footer = found.pairs().map(|(key, value)| (key.to_owned(), value));
        self.check_footer(path, &BTreeMap::from(footer))
    }
}

/// A complete cache of embeddings: one shard beside every shard of the views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherManifest {
    /// Version of the on-disk contract.
    pub schema_version: u32,
    /// Version of the tool that wrote it.
    pub tool_version: String,
    /// What it was made from.
    pub facts: TeacherFacts,
    /// Rows whose embedding is a target.
    pub valid: usize,
    /// The shards, in the order of those of the views; rows are views.
    pub shards: Vec<ShardEntry>,
}

impl TeacherManifest {
    /// The manifest of a cache that this tool has made.
    pub fn new(facts: TeacherFacts, valid: usize, shards: Vec<ShardEntry>) -> Self {
        let tool_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { schema_version: SCHEMA_VERSION, tool_version, facts, valid, shards }
    }

    /// Views in all shards.
    pub fn rows(&self) -> usize {
        self.shards.iter().map(|shard| shard.rows).sum()
    }

    /// The manifest's file of cache `name` in the prepared dataset `folder`.
    pub fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join(Table::Teachers.folder()).join(name).join(TEACHER_FILE)
    }

    /// Reads the manifest of cache `name` in the prepared dataset `folder`, `None` if there is none.
    ///
    /// # Errors
    /// Fails if there is one that cannot be read, does not parse, was damaged, is of another schema version, or names a
    /// shard that is no plain file of the cache; or if `name` is no plain name.
    pub fn find(folder: &Path, name: &str) -> Result<Option<Self>> {
        if !is_plain_name(name) {
            let place = folder.join(Table::Teachers.folder());
            return Err(Error::contract(&place, "name of a cache", "that of a folder", format!("{name:?}")));
        }
        let path = Self::path(folder, name);
        let bytes = match read_regular(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| Error::io(&path, e))?,
        };
        let (value, _) = parse_hashed_json(&path, &bytes)?;
        let manifest: Self = serde_json::from_value(value)
            .map_err(|e| Error::contract(&path, "manifest", "the documented keys", e))?;
        if manifest.schema_version != SCHEMA_VERSION {
            let found = manifest.schema_version;
            return Err(Error::contract(&path, "schema_version", SCHEMA_VERSION, found));
        }
        let cache = format!("{}/{name}", Table::Teachers.folder());
        check_names(folder, &path, "shards", &cache, &manifest.shards)?;
        expect_shards(folder, &manifest.shards);
        Ok(Some(manifest))
    }

    /// Writes the manifest of cache `name`, atomically, with the hash of its bytes.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        write_atomically(&Self::path(folder, name), hashed_json(self).as_bytes())
    }

    /// The shard of cache `name` that belongs to `file`, a shard of another table, below the dataset's folder.
    pub fn shard_beside(name: &str, file: &str) -> String {
        let shard = file.rsplit_once('/').map_or(file, |(_, shard)| shard);
        format!("{}/{name}/{shard}", Table::Teachers.folder())
    }
}
