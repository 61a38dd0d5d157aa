//! Reads shards row group by row group, only the columns asked for, into flat ready vectors.
//!
//! Lists are decoded by the typed column reader straight into one vector a column, which
//! `benches/columns.rs` measures at 1.5 to 2.5 times the speed of the Arrow record reader.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::arrow::parquet_to_arrow_schema;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArrayType, DataType, DoubleType, FloatType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use crate::columns::{SCHEMA_VERSION, column_names, points_schema};
use crate::error::{Error, Result};
use crate::sample::Sample;

/// Key of the schema version in a shard's footer.
pub const SCHEMA_VERSION_KEY: &str = "jepa3d.schema_version";

/// A list column of one row group: all values back to back.
#[derive(Clone, Debug, PartialEq)]
pub struct ListColumn<T> {
    /// Values of all rows.
    pub values: Vec<T>,
    /// End of each row in `values`.
    pub ends: Vec<usize>,
    /// Whether each row is present (not null).
    pub valid: Vec<bool>,
}

impl<T> ListColumn<T> {
    /// The values of a row, `None` if it is null.
    pub fn row(&self, row: usize) -> Option<&[T]> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        self.valid[row].then(|| &self.values[start..self.ends[row]])
    }

    fn convert<U>(self, f: impl Fn(T) -> U) -> ListColumn<U> {
        let values = self.values.into_iter().map(f).collect();
        ListColumn { values, ends: self.ends, valid: self.valid }
    }
}

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
pub struct ShardReader {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    metadata: BTreeMap<String, String>,
}

impl ShardReader {
    /// Opens a shard and checks its schema version and columns.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is not Parquet, has another schema version, or lacks a
    /// column or holds one of another type; the error names file, column, expected and found.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let reader = SerializedFileReader::new(file).map_err(|e| Error::parquet(path, e))?;
        let pairs = reader.metadata().file_metadata().key_value_metadata();
        let metadata: BTreeMap<String, String> = pairs
            .into_iter()
            .flatten()
            .filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?)))
            .collect();
        let shard = Self { path: path.to_owned(), reader, metadata };
        shard.check_contract()?;
        Ok(shard)
    }

    fn check_contract(&self) -> Result<()> {
        let version = self.metadata.get(SCHEMA_VERSION_KEY).map_or("none", String::as_str);
        if version != SCHEMA_VERSION.to_string() {
            return Err(Error::contract(&self.path, SCHEMA_VERSION_KEY, SCHEMA_VERSION, version));
        }
        let file = self.reader.metadata().file_metadata();
        let found = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
            .map_err(|e| Error::parquet(&self.path, e))?;
        for (i, field) in points_schema().fields().iter().enumerate() {
            let here = found.fields().get(i);
            if here != Some(field) {
                let found = here.map_or("nothing".to_owned(), |f| format!("{} {}", f.name(), f.data_type()));
                let expected = format!("{} {}", field.name(), field.data_type());
                return Err(Error::contract(&self.path, format!("column {i}"), expected, found));
            }
        }
        Ok(())
    }

    /// The key-value pairs of the footer.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Number of row groups.
    pub fn row_groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.reader.metadata().file_metadata().num_rows() as usize
    }

    /// Compressed and uncompressed bytes of each column, in file order.
    pub fn column_bytes(&self) -> Vec<(&'static str, u64, u64)> {
        let mut sums: Vec<_> = column_names().map(|(name, _)| (name, 0, 0)).collect();
        for group in self.reader.metadata().row_groups() {
            for (sum, column) in sums.iter_mut().zip(group.columns()) {
                sum.1 += column.compressed_size() as u64;
                sum.2 += column.uncompressed_size() as u64;
            }
        }
        sums
    }

    /// Reads the named columns of one row group; an empty list means all of them.
    ///
    /// # Errors
    /// Fails if the row group does not exist, a name is no column, or the bytes do not decode.
    pub fn read_row_group(&self, index: usize, columns: &[&str]) -> Result<RowGroup> {
        if index >= self.row_groups() {
            let expected = format!("below {}", self.row_groups());
            return Err(Error::contract(&self.path, "row group", expected, index));
        }
        if let Some(unknown) = columns.iter().find(|&&c| column_names().all(|(name, _)| name != c)) {
            return Err(Error::contract(&self.path, "column", "a column of the contract", unknown));
        }
        let wanted = |name: &str| columns.is_empty() || columns.contains(&name);
        self.decode(index, &wanted).map_err(|e| Error::parquet(&self.path, e))
    }

    fn decode(&self, index: usize, wanted: &dyn Fn(&str) -> bool) -> Result<RowGroup, ParquetError> {
        let reader = self.reader.get_row_group(index)?;
        let source = Source { rows: reader.metadata().num_rows() as usize, reader };
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

/// The column decoders of one row group.
struct Source<'a> {
    rows: usize,
    reader: Box<dyn RowGroupReader + 'a>,
}

impl Source<'_> {
    fn list<T: DataType>(&self, column: usize) -> Result<ListColumn<T::T>, ParquetError> {
        let chunk = self.reader.metadata().column(column);
        let largest_def = chunk.column_descr().max_def_level();
        let count = chunk.num_values() as usize;
        let mut reader = get_typed_column_reader::<T>(self.reader.get_column_reader(column)?);
        let (mut values, mut def, mut rep) = (Vec::new(), Vec::new(), Vec::new());
        // The count is the file's own claim: reserve no more than its bytes could hold twice over.
        let bound = (chunk.uncompressed_size().max(0) as usize).saturating_mul(2);
        values.reserve(count.min(bound));
        let (read, _, _) = reader.read_records(self.rows, Some(&mut def), Some(&mut rep), &mut values)?;
        if read != self.rows {
            return Err(ParquetError::General(format!("expected {} rows, found {read}", self.rows)));
        }
        let (mut ends, mut valid) = (Vec::with_capacity(read), Vec::with_capacity(read));
        let mut seen = 0;
        for (&d, &r) in def.iter().zip(&rep) {
            if r == 0 {
                ends.push(seen);
                // Depth of an empty list: one below that of an element; of a null list: two below.
                valid.push(d + 1 >= largest_def);
            }
            seen += usize::from(d == largest_def);
        }
        if !ends.is_empty() {
            ends.remove(0);
            ends.push(seen);
        }
        Ok(ListColumn { values, ends, valid })
    }

    fn indices(&self, column: usize) -> Result<ListColumn<u32>, ParquetError> {
        Ok(self.list::<Int32Type>(column)?.convert(|x| x as u32))
    }

    fn scalars<T: DataType>(&self, column: usize) -> Result<Vec<Option<T::T>>, ParquetError> {
        let is_nullable = self.reader.metadata().column(column).column_descr().max_def_level() > 0;
        let mut reader = get_typed_column_reader::<T>(self.reader.get_column_reader(column)?);
        let (mut values, mut def) = (Vec::new(), Vec::new());
        let (read, _, _) = reader.read_records(self.rows, Some(&mut def), None, &mut values)?;
        if read != self.rows {
            return Err(ParquetError::General(format!("expected {} rows, found {read}", self.rows)));
        }
        let mut values = values.into_iter();
        Ok((0..read).map(|i| if is_nullable && def[i] == 0 { None } else { values.next() }).collect())
    }

    fn nullable_text(&self, column: usize) -> Result<Vec<Option<String>>, ParquetError> {
        let rows = self.scalars::<ByteArrayType>(column)?;
        let text = |bytes: parquet::data_type::ByteArray| bytes.as_utf8().map(str::to_owned);
        rows.into_iter().map(|row| row.map(text).transpose()).collect()
    }

    fn text(&self, column: usize) -> Result<Vec<String>, ParquetError> {
        Ok(self.nullable_text(column)?.into_iter().flatten().collect())
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
