//! Which samples of a split are loaded, where not all of them are: labelled ones, a part held out, an episode.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jepa3d_schemas::{ShardReader, fetch_ahead};

use crate::dataset::PreparedDataset;
use crate::epoch_order::RowAt;
use crate::error::{Result, require_column};

/// A sample of a split, without its cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSample {
    /// Its id.
    pub id: String,
    /// Index into the dataset's classes.
    pub label: Option<i32>,
    /// Where it stands within the split.
    pub at: RowAt,
}

/// Some samples of a split; clones share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleSelection(Arc<Vec<RowAt>>);

impl SampleSelection {
    /// The samples at some rows of a split; each counts once.
    pub fn new(rows: impl IntoIterator<Item = RowAt>) -> Self {
        let mut rows: Vec<RowAt> = rows.into_iter().collect();
        rows.sort_unstable();
        rows.dedup();
        Self(Arc::new(rows))
    }

    /// Those of the listed samples that have one of some ids.
    pub fn with_ids(listed: &[ListedSample], ids: &BTreeSet<String>) -> Self {
        Self::new(listed.iter().filter(|sample| ids.contains(&sample.id)).map(|sample| sample.at))
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the sample at a row is one of them.
    pub(crate) fn contains(&self, row: &RowAt) -> bool {
        self.0.binary_search(row).is_ok()
    }
}

impl PreparedDataset {
    /// The samples of a split in stored order: ids and labels alone are read.
    ///
    /// # Errors
    /// Fails if the split does not exist or is empty, or a shard is not the one that was prepared or does not decode.
    pub fn list_samples(&self, split: &str) -> Result<Vec<ListedSample>> {
        let mut samples = Vec::new();
        let groups = self.row_groups(&[split])?;
        let paths: Vec<_> = groups.iter().flat_map(|at| self.list_files(at.shard, false)).collect();
        let _ahead = fetch_ahead(&paths);
        for (group, at) in groups.into_iter().enumerate() {
            let path = self.shard_path(at.shard);
            self.check_shard(at.shard).map_err(crate::error::Error::Loading)?;
            let (ids, labels) = read_names(&path, at.index)?;
            samples.extend(ids.into_iter().zip(labels).enumerate().map(|(row, (id, label))| ListedSample {
                id,
                label,
                at: RowAt { group: group as u32, row: row as u32 },
            }));
        }
        Ok(samples)
    }
}

fn read_names(path: &Path, index: usize) -> Result<(Vec<String>, Vec<Option<i32>>)> {
    let group = ShardReader::open(path)?.read_row_group(index, &["sample_id", "label"])?;
    let ids = require_column(path, "sample_id", group.sample_id)?;
    Ok((ids, require_column(path, "label", group.label)?))
}

#[cfg(test)]
mod tests {
    use jepa3d_fixtures::grouped_set::{SHAPE, write};

    use super::*;
    use crate::config::{EvalConfig, LoaderConfig};
    use crate::error::Error;
    use crate::loader::{Loader, for_each_in_order};

    #[test]
    fn an_epoch_shows_the_selected_samples_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("train", 23), ("val", 5), ("train", 17)], 7);
        let dataset = Arc::new(PreparedDataset::open(folder.path()).unwrap());
        let all = dataset.list_samples("train").unwrap();
        assert_eq!(all.len(), 40);
        let chosen: Vec<&ListedSample> = all.iter().filter(|sample| sample.at.row % 3 == 1).collect();
        let selection = SampleSelection::new(chosen.iter().rev().map(|sample| sample.at));
        let want: BTreeSet<&str> = chosen.iter().map(|sample| sample.id.as_str()).collect();
        assert_eq!((selection.len(), selection.is_empty()), (want.len(), false));

        for buffer in [1, 1000] {
            let config = LoaderConfig {
                samples: Some(selection.clone()),
                batch: 2,
                groups: SHAPE.G,
                group_size: SHAPE.K,
                shuffle_buffer: buffer,
                ..LoaderConfig::default()
            };
            let mut loader = Loader::start(&dataset, config, 0).unwrap();
            assert_eq!((loader.samples(), loader.steps_per_epoch()), (want.len(), want.len() as u64 / 2));
            for _ in 0..2 {
                let batches: Vec<_> = (0..loader.steps_per_epoch()).map(|_| loader.next().unwrap()).collect();
                let ids = batches.iter().flat_map(|batch| &batch.sample_ids);
                let seen: BTreeSet<&str> = ids.map(String::as_str).collect();
                assert_eq!(seen.len(), want.len() / 2 * 2);
                assert!(seen.is_subset(&want), "{seen:?}");
            }
        }
        let mut seen = Vec::new();
        let config = EvalConfig {
            samples: Some(selection),
            batch: 4,
            groups: SHAPE.G,
            group_size: SHAPE.K,
            ..EvalConfig::default()
        };
        for_each_in_order::<Error>(&dataset, &["train"], &config, |batch| {
            seen.extend(batch.sample_ids.into_iter().zip(batch.labels));
            Ok(())
        })
        .unwrap();
        let want: Vec<_> = chosen.into_iter().map(|sample| (sample.id.clone(), sample.label)).collect();
        assert_eq!(seen, want, "in stored order");
    }
}
