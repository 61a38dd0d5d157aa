//! The shards of one split of a prepared dataset, row group by row group, and as an Arrow stream.

use std::path::Path;

use jepa3d_loader::PreparedDataset;
use jepa3d_schemas::{ShardEntry, ShardReader, Table, ViewReader, is_remote, stream_shards};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};

use crate::columns::{take_points, take_views};
use crate::errors::{fail, raise, refuse};
use crate::remote_sets::serve_stores;

/// The shards of a table that hold a split.
#[pyclass(frozen)]
pub(crate) struct Shards {
    dataset: PreparedDataset,
    table: Table,
    shards: Vec<ShardEntry>,
    columns: Vec<String>,
    /// Shard, row group and rows of each.
    #[pyo3(get)]
    row_groups: Vec<(usize, usize, usize)>,
}

#[pymethods]
impl Shards {
    /// Opens the prepared dataset in `folder`: of `table` (points, views) the split, or all splits; the named columns, or all.
    #[new]
    #[pyo3(signature = (folder, table, split=None, columns=Vec::new()))]
    fn open(
        py: Python<'_>,
        folder: &str,
        table: &str,
        split: Option<&str>,
        columns: Vec<String>,
    ) -> PyResult<Self> {
        py.detach(|| {
            serve_stores(folder)?;
            let dataset = PreparedDataset::open(Path::new(folder)).map_err(raise)?;
            let table = match table {
                "points" => Table::Points,
                "views" => Table::Views,
                other => return Err(refuse(format!("table: expected points or views, found {other:?}"))),
            };
            let known: Vec<&str> = table.column_names().collect();
            if let Some(unknown) = columns.iter().find(|name| !known.contains(&name.as_str())) {
                let known = known.join(", ");
                return Err(refuse(format!("columns: expected some of {known}; found {unknown:?}")));
            }
            let splits: Vec<&str> = split.into_iter().collect();
            dataset.row_groups(&splits).map_err(raise)?;
            let manifest = dataset.manifest();
            let of_views = manifest.views.as_ref().map(|views| &views.shards);
            let entries = match table {
                Table::Views => of_views.ok_or_else(|| {
                    refuse(format!("{folder}: expected views, found none (prepare --only views adds them)"))
                })?,
                _ => &manifest.shards,
            };
            let is_wanted = |entry: &&ShardEntry| split.is_none_or(|split| entry.split == split);
            let shards: Vec<ShardEntry> = entries.iter().filter(is_wanted).cloned().collect();
            let mut opened = Self { dataset, table, shards, columns, row_groups: Vec::new() };
            opened.row_groups = opened.list_row_groups()?;
            Ok(opened)
        })
    }

    /// The manifest, JSON.
    fn manifest(&self) -> PyResult<String> {
        serde_json::to_string(self.dataset.manifest()).map_err(fail)
    }

    /// The columns of a row group, each decoded whole.
    fn read<'py>(&self, py: Python<'py>, shard: usize, group: usize) -> PyResult<Bound<'py, PyDict>> {
        let Some(entry) = self.shards.get(shard) else {
            return Err(refuse(format!(
                "shard: expected a number below {}, found {shard}",
                self.shards.len()
            )));
        };
        let path = self.dataset.folder().join(&entry.file);
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        match self.table {
            Table::Views => {
                let read = || ViewReader::open(&path)?.read_row_group(group, &columns);
                take_views(py, py.detach(read).map_err(fail)?)
            }
            _ => {
                let read = || ShardReader::open(&path)?.read_row_group(group, &columns);
                take_points(py, py.detach(read).map_err(fail)?)
            }
        }
    }

    /// All rows as an Arrow C stream in a capsule.
    fn arrow_stream<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let shards: Vec<&ShardEntry> = self.shards.iter().collect();
        let stream =
            stream_shards(self.dataset.folder(), &shards, self.table, &self.columns).map_err(fail)?;
        PyCapsule::new(py, stream, Some(c"arrow_array_stream".to_owned()))
    }
}

impl Shards {
    fn list_row_groups(&self) -> PyResult<Vec<(usize, usize, usize)>> {
        let mut groups = Vec::new();
        for (shard, entry) in self.shards.iter().enumerate() {
            let path = self.dataset.folder().join(&entry.file);
            let rows: Vec<usize> = match self.table {
                Table::Points if !entry.row_groups.is_empty() && is_remote(&path) => entry.row_groups.clone(),
                Table::Views => {
                    let reader = ViewReader::open(&path).map_err(fail)?;
                    (0..reader.row_groups()).map(|at| reader.rows_of(at)).collect()
                }
                _ => {
                    let reader = ShardReader::open(&path).map_err(fail)?;
                    (0..reader.row_groups()).map(|at| reader.rows_of(at)).collect()
                }
            };
            groups.extend(rows.into_iter().enumerate().map(|(at, rows)| (shard, at, rows)));
        }
        Ok(groups)
    }
}
