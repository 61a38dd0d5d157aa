//! Reads shards row group by row group, only the columns asked for, into flat ready vectors.
//!
//! Lists are decoded by the typed column reader straight into one vector a column, which
//! `benches/columns.rs` measures at 1.5 to 2.5 times the speed of the Arrow record reader.

use parquet::data_type::{DoubleType, FloatType, Int32Type};
use parquet::errors::ParquetError;

use crate::columns::{Table, column_names};
use crate::sample::Sample;
use crate::shard_file::{ListColumn, Rows, Source, TableReader};

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
    pub boxes: Option<ListColumn<f32>>,
    pub box_labels: Option<ListColumn<i16>>,
    pub norm_center: Option<ListColumn<f64>>,
    pub norm_scale: Option<Vec<f64>>,
    pub source: Option<Vec<String>>,
    pub source_hash: Option<Vec<String>>,
}

/// The columns that make a cloud ([`RowGroup::cloud`]).
pub const CLOUD_COLUMNS: [&str; 10] = [
    "sample_id",
    "points",
    "normals",
    "colors",
    "intensity",
    "point_labels",
    "norm_center",
    "norm_scale",
    "source",
    "source_hash",
];

/// An open `points` shard.
pub type ShardReader = TableReader<RowGroup>;

impl Rows for RowGroup {
    const TABLE: Table = Table::Points;

    fn decode(source: &Source<'_>, wanted: &dyn Fn(&str) -> bool) -> Result<Self, ParquetError> {
        let mut out = Self { rows: source.rows, ..Self::default() };
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
                "boxes" => out.boxes = Some(source.list::<FloatType>(i)?),
                "box_labels" => {
                    out.box_labels = Some(source.list::<Int32Type>(i)?.convert(|x| x as i16));
                }
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
        Some(Sample {
            dataset: self.dataset.as_ref()?[row].clone(),
            category: self.category.as_ref()?[row].clone(),
            label: self.label.as_ref()?[row],
            subset: take(&self.subset, row),
            center_indices: take(&self.center_indices, row)?,
            patch_indices: take(&self.patch_indices, row)?,
            patch_counts: take(&self.patch_counts, row),
            centers: take(&self.centers, row),
            boxes: take(&self.boxes, row),
            box_labels: take(&self.box_labels, row),
            ..self.cloud(row)?
        })
    }

    /// The cloud in a row with its frame and source, without names, groupings and boxes; `None` if
    /// a column of it that cannot be null ([`CLOUD_COLUMNS`]) was not read.
    pub fn cloud(&self, row: usize) -> Option<Sample> {
        Some(Sample {
            sample_id: self.sample_id.as_ref()?[row].clone(),
            points: take(&self.points, row)?,
            normals: take(&self.normals, row),
            colors: take(&self.colors, row),
            intensity: take(&self.intensity, row),
            point_labels: take(&self.point_labels, row),
            norm_center: self.norm_center.as_ref()?.row(row)?.try_into().ok()?,
            norm_scale: self.norm_scale.as_ref()?[row],
            source: self.source.as_ref()?[row].clone(),
            source_hash: self.source_hash.as_ref()?[row].clone(),
            ..Sample::default()
        })
    }
}

fn take<T: Clone>(column: &Option<ListColumn<T>>, row: usize) -> Option<Vec<T>> {
    column.as_ref()?.row(row).map(<[T]>::to_vec)
}
