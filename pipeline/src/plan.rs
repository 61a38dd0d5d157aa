//! The plan: which object goes to which shard, decided before any object is read.
//!
//! Ids are sorted, each split is cut into shards of fixed size, and the plan's hash covers the
//! config, the ids and their splits, so that every machine that computes it agrees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jepa3d_datasets::{Budget, Dataset};
use jepa3d_render::ViewsConfig;
use jepa3d_schemas::{ConfigError, Table};

use crate::config::PrepareConfig;
use crate::error::{Error, Result};
use crate::fingerprint::hash_texts;

/// One shard to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardTask {
    /// Number of the task, as `--task` takes it.
    pub number: usize,
    /// Path of the shard below the output folder.
    pub file: String,
    /// Split of its objects.
    pub split: String,
    /// Indices into the dataset, ascending.
    pub objects: Vec<usize>,
}

impl ShardTask {
    /// Path of the shard of its views below the output folder.
    pub fn views_file(&self) -> String {
        Table::Views.file_beside(&self.file)
    }
}

/// A task, and which of its two shards are to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardJob<'a> {
    pub task: &'a ShardTask,
    pub points: bool,
    pub views: bool,
}

/// Folder of the points shards inside a prepared dataset.
pub(crate) const POINTS_FOLDER: &str = Table::Points.folder();
/// Folder of the views shards.
pub(crate) const VIEWS_FOLDER: &str = Table::Views.folder();

/// All shards of a prepared dataset.
pub struct PreparePlan {
    /// The config they are made by.
    pub config: PrepareConfig,
    /// Where the objects come from.
    pub dataset: Box<dyn Dataset>,
    /// Folder of the raw data; absent if there are none.
    pub(crate) data: Option<PathBuf>,
    /// The shards, by split name, then number.
    pub tasks: Vec<ShardTask>,
    /// Hash of config, ids and splits; views have no part in it.
    pub hash: String,
    /// Hash of this plan, the `[views]` table and the renderer's version; absent without views.
    pub views_hash: Option<String>,
    /// Hash of ids and splits alone: equal for equal splits under any config.
    pub split_hash: String,
}

impl PreparePlan {
    /// What reading one object may take.
    pub(crate) fn budget(&self) -> Budget {
        Budget::from_mb(self.config.run.max_object_mb)
    }

    /// Opens the dataset at `data` and divides its objects into tasks.
    ///
    /// # Errors
    /// Fails if the dataset cannot be opened, has no objects, or lists an id twice.
    pub fn new(config: PrepareConfig, data: &Path) -> Result<Self> {
        let dataset = config.dataset.open(data)?;
        if dataset.is_empty() {
            return Err(Error::NoObjects { path: data.to_owned(), dataset: dataset.name().to_owned() });
        }
        check_ids(dataset.as_ref())?;
        let objects = choose_objects(dataset.len(), config.run.limit);
        let mut splits: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for &i in &objects {
            splits.entry(dataset.split(i)).or_default().push(i);
        }
        let tasks = cut_tasks(&splits, config.shards.rows);
        let split_hash = split_hash(dataset.as_ref(), &objects);
        let hash = plan_hash(&config, dataset.as_ref(), &split_hash);
        let views_hash = config.views.as_ref().map(|views| views_hash(&hash, views));
        let data = (!config.dataset.is_generated()).then(|| data.to_owned());
        Ok(Self { config, data, tasks, hash, views_hash, split_hash, dataset })
    }

    /// Number of objects.
    pub fn objects(&self) -> usize {
        self.tasks.iter().map(|t| t.objects.len()).sum()
    }
}

fn check_ids(dataset: &dyn Dataset) -> Result<()> {
    for i in 1..dataset.len() {
        if dataset.id(i - 1) >= dataset.id(i) {
            let found = format!("{:?} before {:?}", dataset.id(i - 1), dataset.id(i));
            return Err(ConfigError::setting("dataset", "unique ids in ascending order", found).into());
        }
    }
    Ok(())
}

/// All indices, or `limit` of them evenly spread, so that a trial run sees every class.
fn choose_objects(len: usize, limit: usize) -> Vec<usize> {
    if limit == 0 || limit >= len {
        return (0..len).collect();
    }
    (0..limit).map(|i| (i as u128 * len as u128 / limit as u128) as usize).collect()
}

fn cut_tasks(splits: &BTreeMap<&str, Vec<usize>>, rows: usize) -> Vec<ShardTask> {
    let mut tasks = Vec::new();
    for (split, objects) in splits {
        let count = objects.len().div_ceil(rows);
        for (i, chunk) in objects.chunks(rows).enumerate() {
            tasks.push(ShardTask {
                number: tasks.len(),
                file: format!("{POINTS_FOLDER}/{split}-{i:05}-of-{count:05}.parquet"),
                split: (*split).to_owned(),
                objects: chunk.to_vec(),
            });
        }
    }
    tasks
}

fn split_hash(dataset: &dyn Dataset, objects: &[usize]) -> String {
    let parts: Vec<&str> = objects.iter().flat_map(|&i| [dataset.id(i), dataset.split(i)]).collect();
    hash_texts(&parts)
}

fn plan_hash(config: &PrepareConfig, dataset: &dyn Dataset, split_hash: &str) -> String {
    let config = config.points_only();
    let version = jepa3d_schemas::SCHEMA_VERSION.to_string();
    let classes = dataset.classes().join("\n");
    hash_texts(&[&version, &config.to_toml(), &classes, split_hash])
}

fn views_hash(points_plan: &str, views: &ViewsConfig) -> String {
    let config = serde_json::to_string(views).expect("a config serialises");
    hash_texts(&[points_plan, &jepa3d_render::RENDER_VERSION.to_string(), &config])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_cover_every_object_once_in_order() {
        let splits = BTreeMap::from([("train", (0..10).collect()), ("test", vec![10, 11, 12, 13])]);
        let tasks = cut_tasks(&splits, 4);
        let files: Vec<_> = tasks.iter().map(|t| t.file.as_str()).collect();
        assert_eq!(
            files,
            [
                "points/test-00000-of-00001.parquet",
                "points/train-00000-of-00003.parquet",
                "points/train-00001-of-00003.parquet",
                "points/train-00002-of-00003.parquet"
            ]
        );
        let mut all: Vec<_> = tasks.iter().flat_map(|t| t.objects.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..14).collect::<Vec<_>>());
        assert!(tasks.iter().enumerate().all(|(i, t)| t.number == i && t.objects.len() <= 4));
    }

    #[test]
    fn a_limit_is_spread_evenly() {
        assert_eq!(choose_objects(10, 4), [0, 2, 5, 7]);
        assert_eq!(choose_objects(3, 0), [0, 1, 2]);
        assert_eq!(choose_objects(3, 9), [0, 1, 2]);
    }
}
