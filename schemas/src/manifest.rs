//! The manifest of a prepared dataset: its presence means that the dataset is complete.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic_file::write_atomically;
use crate::error::{Error, Result};
use crate::footer::SCHEMA_VERSION;
use crate::object::UpAxis;
use crate::point_classes::PointClasses;
use crate::regular_file::read_regular;
use crate::self_hash::{hashed_json, parse_hashed_json};
use crate::shard_entry::{ShardEntry, check_names, expect_shards};
use crate::table::Table;

/// File name of the manifest inside a prepared dataset.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The letters of a prepared dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case, reason = "the letters of the project's vocabulary")]
pub struct ShapeLetters {
    /// Stored points of a sample, at most.
    pub S: usize,
    /// Groupings of a sample.
    pub R: usize,
    /// Points of a grouping.
    pub N: usize,
    /// Groups (centers) of a grouping.
    pub G: usize,
    /// Points of a patch.
    pub K: usize,
    /// Views of a sample, 0 without views.
    pub V: usize,
    /// Image height in pixels, 0 without views.
    pub H: usize,
    /// Image width in pixels, 0 without views.
    pub W: usize,
}

/// Counts of a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCounts {
    /// Objects that became samples.
    pub written: usize,
    /// Objects that could not be prepared.
    pub quarantined: usize,
}

/// How the points of a prepared dataset are grouped; the letters are `R`, `N`, `G` and `K` of [`Manifest::shape`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GroupsEntry {
    /// Patches: centers by farthest point sampling, each with its `K` nearest points.
    Patches,
    /// Voxel blocks: occupied cells of a grid.
    VoxelBlocks {
        /// Edge of a cell.
        cell_edge: VoxelEdge,
    },
}

/// Edge of the cells of voxel blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoxelEdge {
    /// Chosen for each cloud.
    Auto,
    /// The same for all clouds, in units of `points`.
    Fixed(f64),
}

/// What a prepared dataset is, how it was made, and the hash of every shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the on-disk contract.
    pub schema_version: u32,
    /// Version of the tool that wrote it.
    pub tool_version: String,
    /// Hash of plan and source hashes: equal fingerprints mean equal samples.
    pub fingerprint: String,
    /// Hash of config and sorted ids: known before any object is read.
    pub plan: String,
    /// Hash of the assignment of ids to splits.
    pub split_hash: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Axis that points up in the clouds.
    pub up_axis: UpAxis,
    /// How the points are grouped.
    pub groups: GroupsEntry,
    /// The resolved config, in the words of the crate that wrote it; what others need to know has a field of its own.
    pub config: serde_json::Value,
    /// The letters.
    pub shape: ShapeLetters,
    /// Class names; a label is an index into this list.
    pub classes: Vec<String>,
    /// Class names of annotated boxes; a box label is an index into this list.
    #[serde(default)]
    pub box_classes: Vec<String>,
    /// What point labels mean, where the clouds have any and the reader of the dataset knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_classes: Option<PointClasses>,
    /// Counts by split.
    pub splits: BTreeMap<String, SplitCounts>,
    /// What the reader of the dataset says of it as a whole, such as which files it left out, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Hash of the lines of the quarantine that do not concern views; none stated by older versions.
    #[serde(default)]
    pub quarantine_hash: Option<String>,
    /// The shards, in order.
    pub shards: Vec<ShardEntry>,
    /// The views, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<ViewsEntry>,
}

/// The views of a prepared dataset; their letters are `V`, `H` and `W` of [`Manifest::shape`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewsEntry {
    /// Hash of the plan of the points, the views' config and the renderer's version.
    pub plan: String,
    /// Hash of `plan` and the fingerprint of the points: equal ones mean equal views.
    pub fingerprint: String,
    /// Red, green and blue behind the objects of rendered images.
    pub background: [u8; 3],
    /// The resolved `[views]` table, in the words of the crate that wrote it.
    pub config: serde_json::Value,
    /// Lines of the quarantine whose stage is `views`.
    pub failures: usize,
    /// Hash of these lines; none stated by older versions.
    #[serde(default)]
    pub quarantine_hash: Option<String>,
    /// The shards, in the order of those of the points; rows are views.
    pub shards: Vec<ShardEntry>,
}

impl ViewsEntry {
    /// Views in all shards.
    pub fn rows(&self) -> usize {
        self.shards.iter().map(|shard| shard.rows).sum()
    }
}

impl Manifest {
    /// Reads the manifest of the prepared dataset in `folder`.
    ///
    /// # Errors
    /// Fails if there is none (the dataset is not complete), it does not parse, its bytes are not those that were
    /// written, its schema version is not the one of this tool, an older tool wrote it that did not state all of its
    /// facts, or it names a shard that is no plain, regular file of its table's folder or
    /// point labels that contradict themselves.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST_FILE);
        let bytes = read_regular(&path).map_err(|e| Error::io(&path, e))?;
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|e| Error::contract(&path, "manifest", "JSON", e))?;
        let version = value.get("schema_version").cloned().unwrap_or_default();
        if version != SCHEMA_VERSION {
            return Err(Error::contract(&path, "schema_version", SCHEMA_VERSION, version));
        }
        let (value, is_hashed) = parse_hashed_json(&path, &bytes)?;
        check_facts(&path, &value)?;
        let manifest: Self = serde_json::from_value(value)
            .map_err(|e| Error::contract(&path, "manifest", "the documented keys", e))?;
        if manifest.quarantine_hash.is_some() && !is_hashed {
            return Err(Error::contract(&path, "self_hash", "the hash of the file", "none"));
        }
        manifest.check_shards(folder, &path)?;
        let fault = |classes: &PointClasses| classes.find_fault(manifest.classes.len());
        match manifest.point_classes.as_ref().and_then(fault) {
            None => Ok(manifest),
            Some(found) => Err(Error::contract(&path, "point_classes", "labels of points by class", found)),
        }
    }

    fn check_shards(&self, folder: &Path, path: &Path) -> Result<()> {
        check_names(folder, path, "shards", Table::Points.folder(), &self.shards)?;
        let views = self.views.as_ref().map_or(&[][..], |views| &views.shards);
        check_names(folder, path, "views.shards", Table::Views.folder(), views)?;
        expect_shards(folder, &self.shards);
        expect_shards(folder, views);
        Ok(())
    }

    /// A manifest without classes and shards, whose facts a test or an example replaces as it needs.
    #[doc(hidden)]
    pub fn example() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            fingerprint: "f1".into(),
            plan: "p1".into(),
            split_hash: "s1".into(),
            dataset: "example".into(),
            up_axis: UpAxis::Y,
            groups: GroupsEntry::Patches,
            config: serde_json::json!({}),
            shape: ShapeLetters::default(),
            classes: Vec::new(),
            box_classes: Vec::new(),
            point_classes: None,
            splits: BTreeMap::new(),
            notes: Vec::new(),
            quarantine_hash: None,
            shards: Vec::new(),
            views: None,
        }
    }

    /// Reads the manifest in `folder`, `None` if there is none.
    ///
    /// # Errors
    /// Fails if there is one that cannot be read (see [`Manifest::read`]).
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        match Self::read(folder) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the manifest into `folder`, atomically, with the hash of its bytes.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_atomically(&folder.join(MANIFEST_FILE), hashed_json(self).as_bytes())
    }

    /// The manifest of the same points without views.
    pub fn without_views(mut self) -> Self {
        (self.shape.V, self.shape.H, self.shape.W) = (0, 0, 0);
        self.views = None;
        self
    }

    /// Objects that became samples, over all splits.
    pub fn written(&self) -> usize {
        self.splits.values().map(|s| s.written).sum()
    }

    /// Lines of the quarantine: objects that could not be prepared, and views that could not be made.
    pub fn failures(&self) -> usize {
        self.quarantined() + self.views.as_ref().map_or(0, |views| views.failures)
    }

    /// Objects that could not be prepared, over all splits.
    pub fn quarantined(&self) -> usize {
        self.splits.values().map(|s| s.quarantined).sum()
    }
}

const PREPARED_BY_OLDER: &str =
    "an older version prepared this dataset: prepare it again with this one, into an empty folder";

/// Refuses a manifest from before the facts that training needs were stated: to guess them would be to train on
/// other groups or images than those prepared.
fn check_facts(path: &Path, manifest: &serde_json::Value) -> Result<()> {
    let views = manifest.get("views").filter(|views| !views.is_null());
    let is_there =
        |place: Option<&serde_json::Value>, key| place.is_none_or(|place| place.get(key).is_some());
    let facts = [
        ("groups", "how the points are grouped", is_there(Some(manifest), "groups")),
        ("views.background", "the colour behind rendered images", is_there(views, "background")),
    ];
    match facts.into_iter().find(|(_, _, is_there)| !is_there) {
        Some((key, expected, _)) => {
            Err(Error::contract(path, key, expected, format!("none; {PREPARED_BY_OLDER}")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_an_older_version_did_not_state_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MANIFEST_FILE);
        let views = ViewsEntry {
            plan: "v1".into(),
            fingerprint: "vf1".into(),
            background: [255, 128, 0],
            config: serde_json::Value::Null,
            failures: 0,
            quarantine_hash: None,
            shards: vec![],
        };
        let whole = Manifest { views: Some(views), ..Manifest::example() };
        whole.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), whole);
        let error_without = |pointer: &str, key: &str| {
            let mut value = serde_json::to_value(&whole).unwrap();
            value.pointer_mut(pointer).and_then(|place| place.as_object_mut()).unwrap().remove(key).unwrap();
            std::fs::write(&path, value.to_string()).unwrap();
            Manifest::read(folder.path()).unwrap_err().to_string()
        };
        let rest = format!("found none; {PREPARED_BY_OLDER}");
        assert_eq!(
            error_without("", "groups"),
            format!("{}: groups: expected how the points are grouped, {rest}", path.display())
        );
        assert_eq!(
            error_without("/views", "background"),
            format!(
                "{}: views.background: expected the colour behind rendered images, {rest}",
                path.display()
            )
        );
    }

    #[test]
    fn groups_are_written_in_words() {
        let text = |groups| serde_json::to_string(&groups).unwrap();
        assert_eq!(text(GroupsEntry::Patches), r#"{"kind":"patches"}"#);
        let blocks = |cell_edge| GroupsEntry::VoxelBlocks { cell_edge };
        assert_eq!(text(blocks(VoxelEdge::Auto)), r#"{"kind":"voxel_blocks","cell_edge":"auto"}"#);
        assert_eq!(
            text(blocks(VoxelEdge::Fixed(0.4))),
            r#"{"kind":"voxel_blocks","cell_edge":{"fixed":0.4}}"#
        );
    }
}
