//! The prepare config: TOML with every default documented, `--set key=value` on top.

use jepa3d_datasets::{Budget, DatasetConfig};
use jepa3d_render::ViewsConfig;
use jepa3d_schemas::{
    ConfigError, ConfigText, GroupsEntry, ShapeLetters, VoxelEdge, WriteOptions, read_config,
};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::normalize::CloudFrame;

/// Everything that decides the bytes of a prepared dataset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrepareConfig {
    /// Seed and tolerance of the run.
    pub run: PrepareRunConfig,
    /// Which dataset, and how to read it.
    pub dataset: DatasetConfig,
    /// The stored cloud.
    pub cloud: CloudConfig,
    /// The groupings.
    pub groups: GroupsConfig,
    /// The files.
    pub shards: ShardsConfig,
    /// The views, absent without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<ViewsConfig>,
}

/// `[run]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrepareRunConfig {
    /// Seed of every random draw. Default 0.
    pub seed: u64,
    /// Prepare only this many objects, evenly spread over the sorted ids; 0 = all. Default 0.
    pub limit: usize,
    /// More quarantined objects than this make the exit code 1. Default 0.
    pub max_failures: usize,
    /// MiB that the decoded files of one object may take; one that needs more is quarantined. Default 2048.
    #[serde(skip_serializing_if = "is_default_limit")]
    pub max_object_mb: u64,
}

impl Default for PrepareRunConfig {
    fn default() -> Self {
        Self { seed: 0, limit: 0, max_failures: 0, max_object_mb: Budget::DEFAULT_MB }
    }
}

/// Leaves the default out of what is hashed, so that plans of before there was a limit keep their hashes.
fn is_default_limit(mb: &u64) -> bool {
    *mb == Budget::DEFAULT_MB
}

/// What happens to a cloud with fewer than `groups.points` points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TooFew {
    /// It is quarantined.
    #[default]
    Reject,
    /// Its points are repeated in index order until there are `groups.points`.
    Repeat,
}

/// `[cloud]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudConfig {
    /// Stored points `S`: sampled from a mesh; a cloud with more is subsampled without
    /// replacement, one with fewer is stored whole. Default 8192.
    pub points: usize,
    /// What happens below `groups.points`: `reject` or `repeat`. Default `reject`.
    pub too_few: TooFew,
    /// CloudFrame of the stored coordinates: `unit-sphere`, `centered` or `source`. Default `unit-sphere`.
    pub frame: CloudFrame,
    /// Store normals where the source has them. Default true.
    pub normals: bool,
    /// Store colours where the source has them. Default true.
    pub colors: bool,
}

impl Default for CloudConfig {
    fn default() -> Self {
        Self {
            points: 8192,
            too_few: TooFew::Reject,
            frame: CloudFrame::UnitSphere,
            normals: true,
            colors: true,
        }
    }
}

/// How points become tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupKind {
    /// FPS centers, each with its `K` nearest points.
    #[default]
    Patch,
    /// Occupied cells of a grid.
    Voxel,
}

/// `[groups]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupsConfig {
    /// `patch` (FPS + kNN) or `voxel` (grid cells). Default `patch`.
    pub kind: GroupKind,
    /// Points `N` of a grouping, drawn from the stored cloud by FPS. Default 1024.
    pub points: usize,
    /// Centers `G` of a grouping. Default 64.
    pub centers: usize,
    /// Points `K` of a patch. Default 32.
    pub neighbors: usize,
    /// Independent groupings `R` a sample; 0 is the canonical one. Default 4.
    pub groupings: usize,
    /// Cell edge of voxel blocks in stored units, 0 = chosen per cloud. Default 0.
    pub voxel_edge: f64,
}

impl Default for GroupsConfig {
    fn default() -> Self {
        Self {
            kind: GroupKind::Patch,
            points: 1024,
            centers: 64,
            neighbors: 32,
            groupings: 4,
            voxel_edge: 0.0,
        }
    }
}

impl GroupsConfig {
    /// What the manifest says of the groups.
    pub(crate) fn entry(&self) -> GroupsEntry {
        let cell_edge =
            if self.voxel_edge > 0.0 { VoxelEdge::Fixed(self.voxel_edge) } else { VoxelEdge::Auto };
        match self.kind {
            GroupKind::Patch => GroupsEntry::Patches,
            GroupKind::Voxel => GroupsEntry::VoxelBlocks { cell_edge },
        }
    }
}

/// `[shards]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShardsConfig {
    /// Objects of a shard, the unit of resuming and of `--task`. Default 512.
    pub rows: usize,
    /// Objects of a row group, the unit of shuffling. Default 128.
    pub row_group: usize,
    /// zstd level, 1 to 22. Default 1.
    pub zstd_level: i32,
}

impl Default for ShardsConfig {
    fn default() -> Self {
        Self { rows: 512, row_group: 128, zstd_level: 1 }
    }
}

impl ShardsConfig {
    pub(crate) fn write_options(&self) -> WriteOptions {
        WriteOptions { zstd_level: self.zstd_level }
    }
}

/// What the kinds are that may be left out.
fn name_default_kinds(table: &mut toml::Table, has_text: bool) {
    if let (false, Some(toml::Value::Table(dataset))) = (has_text, table.get_mut("dataset")) {
        // Without a text it is the synthetic set whose keys are overridden, unless they name another.
        dataset.entry("kind").or_insert_with(|| "synthetic".into());
    }
    if let Some(toml::Value::Table(rig)) = table.get_mut("views").and_then(|views| views.get_mut("rig")) {
        // The same for the default rig.
        rig.entry("kind").or_insert_with(|| "fibonacci".into());
    }
}

impl PrepareConfig {
    /// The config of a text (the defaults, without one) with `key=value` overrides.
    ///
    /// # Errors
    /// Fails if the text cannot be parsed, a key is unknown, or a value is out of range.
    pub fn load(text: Option<&ConfigText>, overrides: &[String]) -> Result<Self> {
        let config: Self = read_config(text, overrides, &|mut table| {
            name_default_kinds(&mut table, text.is_some());
            toml::Value::Table(table).try_into()
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// Fails if one is out of range; the error names key, expected and found.
    pub fn check(&self) -> Result<()> {
        let (c, g, s) = (&self.cloud, &self.groups, &self.shards);
        let ranges = [
            ("cloud.points", c.points, 1, 1 << 24),
            ("groups.points", g.points, 1, c.points),
            ("groups.centers", g.centers, 1, g.points),
            ("groups.neighbors", g.neighbors, 1, g.points.min(u16::MAX as usize)),
            ("groups.groupings", g.groupings, 1, 1024),
            ("shards.rows", s.rows, 1, 1 << 20),
            ("shards.row_group", s.row_group, 1, 1 << 16),
            ("shards.zstd_level", s.zstd_level.max(0) as usize, 1, 22),
        ];
        for (key, found, low, high) in ranges {
            if !(low..=high).contains(&found) {
                let expected = format!("{low} to {high}");
                return Err(ConfigError::setting(key, expected, found).into());
            }
        }
        if !(g.voxel_edge.is_finite() && g.voxel_edge >= 0.0) {
            return Err(ConfigError::setting("groups.voxel_edge", "0 or a length", g.voxel_edge).into());
        }
        Ok(self.views.as_ref().map_or(Ok(()), ViewsConfig::check)?)
    }

    /// The letters of the dataset this config makes; those of photos are known when they are read.
    pub fn shape(&self) -> ShapeLetters {
        let mut shape = self.points_shape();
        if let Some((views, count)) = self.views.as_ref().and_then(|views| Some((views, views.rig.views()?)))
        {
            (shape.V, shape.H, shape.W) = (count, views.size as usize, views.size as usize);
        }
        shape
    }

    /// The letters of the points alone.
    pub(crate) fn points_shape(&self) -> ShapeLetters {
        ShapeLetters {
            S: self.cloud.points,
            R: self.groups.groupings,
            N: self.groups.points,
            G: self.groups.centers,
            K: self.groups.neighbors,
            ..ShapeLetters::default()
        }
    }

    /// What decides the bytes of the points, and stands in their plan, shards and manifest: the
    /// config without views, and without what decides the exit code only.
    pub(crate) fn points_only(&self) -> Self {
        Self { run: PrepareRunConfig { max_failures: 0, ..self.run.clone() }, views: None, ..self.clone() }
    }

    /// The resolved config as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a config serialises")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn overrides_win_and_are_typed() {
        let sets = ["groups.centers=16", "cloud.frame=source", "run.seed=7", "shards.zstd_level = 3"];
        let config = PrepareConfig::load(None, &sets.map(str::to_owned)).unwrap();
        assert_eq!((config.groups.centers, config.run.seed, config.shards.zstd_level), (16, 7, 3));
        assert_eq!(config.cloud.frame, CloudFrame::Source);
        let config = PrepareConfig::load(None, &["dataset.count=7".to_owned()]).unwrap();
        let synthetic = jepa3d_datasets::SyntheticConfig { count: 7, ..Default::default() };
        assert_eq!(config.dataset, DatasetConfig::Synthetic(synthetic));
    }

    #[test]
    fn wrong_settings_name_the_key() {
        let error = |set: &str| PrepareConfig::load(None, &[set.to_owned()]).unwrap_err().to_string();
        assert_eq!(error("groups.centers=0"), "config: groups.centers: expected 1 to 1024, found 0");
        assert_eq!(error("groups.points=9000"), "config: groups.points: expected 1 to 8192, found 9000");
        assert!(error("groups.centres=3").contains("unknown field `centres`"));
        assert_eq!(error("seed"), "config: --set: expected key=value, found \"seed\"");
    }

    #[test]
    fn presets_with_views_prepare_the_same_points() {
        let preset = |name: String| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/prepare").join(name);
            PrepareConfig::load(Some(&ConfigText::read(&path).unwrap()), &[]).unwrap()
        };
        for name in ["synthetic", "shapenet", "modelnet", "nuscenes", "folder"] {
            let (without, with) = (preset(format!("{name}.toml")), preset(format!("{name}-views.toml")));
            assert!(without.views.is_none() && with.views.is_some(), "{name}");
            assert_eq!(with.points_only(), without.points_only(), "{name}");
            let again: PrepareConfig = toml::from_str(&with.to_toml()).unwrap();
            assert_eq!(again, with, "{name}");
        }
    }

    #[test]
    fn letters_of_views_are_those_of_the_rig() {
        let letters = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
            let shape = PrepareConfig::load(None, &sets).unwrap().shape();
            (shape.V, shape.H, shape.W)
        };
        assert_eq!(letters(&[]), (0, 0, 0));
        assert_eq!(letters(&["views={}"]), (12, 224, 224));
        assert_eq!(letters(&["views.rig.views=5", "views.size=96"]), (5, 96, 96));
        let orbit = "views.rig={kind=\"orbit\", elevations=[0.0, 30.0], azimuths=4}";
        assert_eq!(letters(&[orbit]), (8, 224, 224));
        assert_eq!(letters(&["views.rig.kind=photos"]), (0, 0, 0));
    }

    #[test]
    fn a_resolved_config_reads_back() {
        let config = PrepareConfig::load(None, &["groups.kind=voxel".to_owned()]).unwrap();
        let again: PrepareConfig = toml::from_str(&config.to_toml()).unwrap();
        assert_eq!(config, again);
    }
}
