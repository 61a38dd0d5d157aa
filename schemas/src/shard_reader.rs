//! Reads shards row group by row group, only the columns asked for, into flat ready vectors.
//!
//! Lists are decoded by the typed column reader straight into one vector a column, which
//! `benches/columns.rs` measures at 1.5 to 2.5 times the speed of the Arrow record reader.

use std::collections::BTreeMap;
use std::path::Path;

use parquet::data_type::{DoubleType, FloatType, Int32Type};
use parquet::errors::ParquetError;

use crate::columns::{Table, column_names};
use crate::error::{Error, Result};
use crate::sample::Sample;
use crate::shard_file::{ListColumn, ShardFile};

/// The columns of one row group; those not asked for stay `None`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the columns documented at Sample and in the README")]
pub struct RowGroup {
    pub rows: usize,
    pub sample_id: Option<Vec<String>>,
    pub dataset: Option<Vec<String>>,
    pub category: Option<Vec<Option<String>>>,
    pub label: Option<Vec<Option<i32>>>,
    pub points: Option<ListColumn<f32>>,
    pub normals: Option<ListColumn<f32>>,
    pub colors: Option<ListColumn<u8>>,
    pub intensity: Option<ListColumn<f32>>,
    pub point_labels: Option<ListColumn<i16>>,
    pub subset: Option<ListColumn<u32>>,
    pub center_indices: Option<ListColumn<u32>>,
    pub patch_indices: Option<ListColumn<u32>>,
    pub patch_counts: Option<ListColumn<u16>>,
    pub centers: Option<ListColumn<f32>>,
    pub norm_center: Option<ListColumn<f64>>,
    pub norm_scale: Option<Vec<f64>>,
    pub source: Option<Vec<String>>,
    pub source_hash: Option<Vec<String>>,
}

/// An open `points` shard.
pub struct ShardReader(ShardFile);

impl ShardReader {
    /// Opens a shard and checks its schema version and columns.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is not Parquet, has another schema version, or lacks a
    /// column or holds one of another type; the error names file, column, expected and found.
    pub fn open(path: &Path) -> Result<Self> {
        ShardFile::open(path, Table::Points).map(Self)
    }

    /// The key-value pairs of the footer.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.0.metadata
    }

    /// Number of row groups.
    pub fn row_groups(&self) -> usize {
        self.0.row_groups()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.0.rows()
    }

    /// Compressed and uncompressed bytes of each column, in file order.
    pub fn column_bytes(&self) -> Vec<(&'static str, u64, u64)> {
        self.0.column_bytes()
    }

    /// Reads the named columns of one row group; an empty list means all of them.
    ///
    /// # Errors
    /// Fails if the row group does not exist, a name is no column, or the bytes do not decode.
    pub fn read_row_group(&self, index: usize, columns: &[&str]) -> Result<RowGroup> {
        self.0.check_request(index, columns)?;
        let wanted = |name: &str| columns.is_empty() || columns.contains(&name);
        self.decode(index, &wanted).map_err(|e| Error::parquet(&self.0.path, e))
    }

    fn decode(&self, index: usize, wanted: &dyn Fn(&str) -> bool) -> Result<RowGroup, ParquetError> {
        let source = self.0.source(index)?;
        let mut out = RowGroup { rows: source.rows, ..RowGroup::default() };
        for (i, (name, _)) in column_names().enumerate().filter(|(_, (name, _))| wanted(name)) {
            match name {
                "sample_id" => out.sample_id = Some(source.text(i)?),
                "dataset" => out.dataset = Some(source.text(i)?),
                "category" => out.category = Some(source.nullable_text(i)?),
                "label" => out.label = Some(source.scalars::<Int32Type>(i)?),
                "points" => out.points = Some(source.list::<FloatType>(i)?),
                "normals" => out.normals = Some(source.list::<FloatType>(i)?),
                "colors" => out.colors = Some(source.list::<Int32Type>(i)?.convert(|x| x as u8)),
                "intensity" => out.intensity = Some(source.list::<FloatType>(i)?),
                "point_labels" => {
                    out.point_labels = Some(source.list::<Int32Type>(i)?.convert(|x| x as i16));
                }
                "subset" => out.subset = Some(source.indices(i)?),
                "center_indices" => out.center_indices = Some(source.indices(i)?),
                "patch_indices" => out.patch_indices = Some(source.indices(i)?),
                "patch_counts" => {
                    out.patch_counts = Some(source.list::<Int32Type>(i)?.convert(|x| x as u16));
                }
                "centers" => out.centers = Some(source.list::<FloatType>(i)?),
                "norm_center" => out.norm_center = Some(source.list::<DoubleType>(i)?),
                "norm_scale" => {
                    let values = source.scalars::<DoubleType>(i)?;
                    out.norm_scale = Some(values.into_iter().flatten().collect());
                }
                "source" => out.source = Some(source.text(i)?),
                "source_hash" => out.source_hash = Some(source.text(i)?),
                _ => unreachable!("every column of the contract is matched above"),
            }
        }
        Ok(out)
    }
}

impl RowGroup {
    /// The sample in a row, if every column that cannot be null was read.
    pub fn sample(&self, row: usize) -> Option<Sample> {
        fn take<T: Clone>(column: &Option<ListColumn<T>>, row: usize) -> Option<Vec<T>> {
            column.as_ref()?.row(row).map(<[T]>::to_vec)
        }
        Some(Sample {
            sample_id: self.sample_id.as_ref()?[row].clone(),
            dataset: self.dataset.as_ref()?[row].clone(),
            category: self.category.as_ref()?[row].clone(),
            label: self.label.as_ref()?[row],
            points: take(&self.points, row)?,
            normals: take(&self.normals, row),
            colors: take(&self.colors, row),
            intensity: take(&self.intensity, row),
            point_labels: take(&self.point_labels, row),
            subset: take(&self.subset, row),
            center_indices: take(&self.center_indices, row)?,
            patch_indices: take(&self.patch_indices, row)?,
            patch_counts: take(&self.patch_counts, row),
            centers: take(&self.centers, row),
            norm_center: self.norm_center.as_ref()?.row(row)?.try_into().ok()?,
            norm_scale: self.norm_scale.as_ref()?[row],
            source: self.source.as_ref()?[row].clone(),
            source_hash: self.source_hash.as_ref()?[row].clone(),
        })
    }
}
