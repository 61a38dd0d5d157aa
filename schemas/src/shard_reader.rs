//! Reads shards of any table row group by row group, only the columns asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::column::arrow_schema;
use crate::error::{Error, Result};
use crate::footer::{SCHEMA_VERSION, SCHEMA_VERSION_KEY};
use crate::footer_sizes::check_footer_of;
use crate::guarded::decode_guarded;
use crate::points::Sample;
use crate::regular_file::open_regular;
use crate::row_group_source::RowGroupSource;
use crate::table_row::{TableRow, WantedColumns};
use crate::teachers::TeacherRow;
use crate::views::View;

/// An open shard of a table whose rows are `R`.
///
/// [`TableReader::read_row_group`] gives the columns asked for as flat vectors, and the row group makes rows of them.
///
/// ```
/// use jepa3d_schemas::{
///     RowGroupEncoder, Sample, ShardReader, ShardWriter, WriteOptions, version_footer,
/// };
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("train-00000-of-00001.parquet");
/// # let chair = Sample { sample_id: "chair".into(), points: vec![0.5, 0.0, 1.0], ..Sample::default() };
/// # let options = WriteOptions::default();
/// # let mut writer = ShardWriter::create(&path, options, version_footer())?;
/// # writer.append(RowGroupEncoder::new(options).encode(&[chair.clone()])?)?;
/// # writer.finish()?;
/// let shard = ShardReader::open(&path)?;
/// for index in 0..shard.row_groups() {
///     let group = shard.read_row_group(index, &["sample_id", "points"])?;
///     assert_eq!(group.sample_id, Some(vec!["chair".to_owned()]));
///     assert_eq!(group.points.as_ref().and_then(|points| points.row(0)), Some(&[0.5, 0.0, 1.0][..]));
///     assert_eq!(group.normals, None, "not asked for");
/// }
/// let whole = shard.read_row_group(0, &[])?;
/// assert_eq!(whole.sample(0), Some(chair));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TableReader<R> {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    reader: SerializedFileReader<File>,
    rows: PhantomData<fn() -> R>,
}

/// An open `points` shard.
pub type ShardReader = TableReader<Sample>;

/// An open `views` shard.
pub type ViewReader = TableReader<View>;

/// An open `teachers` shard.
pub type TeacherReader = TableReader<TeacherRow>;

impl<R: TableRow> TableReader<R> {
    /// Opens a shard and checks its schema version and columns.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is not Parquet, has another schema version, or lacks a
    /// column or holds one of another type; the error names file, column, expected and found.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = open_regular(path).map_err(|e| Error::io(path, e))?;
        let reader = decode_guarded(path, || {
            check_footer_of(&mut file)?;
            SerializedFileReader::new(file)
        })?;
        let pairs = reader.metadata().file_metadata().key_value_metadata();
        let metadata: BTreeMap<String, String> = pairs
            .into_iter()
            .flatten()
            .filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?)))
            .collect();
        let shard = Self { path: path.to_owned(), metadata, reader, rows: PhantomData };
        shard.check_contract()?;
        Ok(shard)
    }

    fn check_contract(&self) -> Result<()> {
        let version = self.metadata.get(SCHEMA_VERSION_KEY).map_or("none", String::as_str);
        if version != SCHEMA_VERSION.to_string() {
            return Err(Error::contract(&self.path, SCHEMA_VERSION_KEY, SCHEMA_VERSION, version));
        }
        let file = self.reader.metadata().file_metadata();
        let found = decode_guarded(&self.path, || {
            parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
        })?;
        for (i, field) in arrow_schema(R::COLUMNS).fields().iter().enumerate() {
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

    /// Rows of row group `index`, which must exist.
    pub fn rows_of(&self, index: usize) -> usize {
        self.reader.metadata().row_group(index).num_rows().max(0) as usize
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.reader.metadata().file_metadata().num_rows().max(0) as usize
    }

    /// Compressed and uncompressed bytes of each column, in file order.
    pub fn column_bytes(&self) -> Vec<(&'static str, u64, u64)> {
        let mut sums: Vec<_> = R::COLUMNS.iter().map(|column| (column.name, 0, 0)).collect();
        for group in self.reader.metadata().row_groups() {
            for (sum, column) in sums.iter_mut().zip(group.columns()) {
                sum.1 += column.compressed_size().max(0) as u64;
                sum.2 += column.uncompressed_size().max(0) as u64;
            }
        }
        sums
    }

    /// Reads the named columns of one row group; an empty list means all of them.
    ///
    /// # Errors
    /// Fails if the row group does not exist, a name is no column, or the bytes do not decode.
    pub fn read_row_group(&self, index: usize, columns: &[&str]) -> Result<R::Group> {
        if index >= self.row_groups() {
            let expected = format!("below {}", self.row_groups());
            return Err(Error::contract(&self.path, "row group", expected, index));
        }
        if let Some(unknown) = columns.iter().find(|&&c| R::COLUMNS.iter().all(|column| column.name != c)) {
            return Err(Error::contract(&self.path, "column", "a column of the contract", unknown));
        }
        let is_wanted = |name: &str| columns.is_empty() || columns.contains(&name);
        decode_guarded(&self.path, || self.decode(index, &is_wanted))
    }

    fn decode(&self, index: usize, is_wanted: &dyn Fn(&str) -> bool) -> Result<R::Group, ParquetError> {
        let source = RowGroupSource::new(self.reader.get_row_group(index)?);
        R::decode(&mut WantedColumns::new(source, is_wanted))
    }
}

#[cfg(test)]
mod tests {
    use parquet::data_type::{DoubleType, FloatType, Int32Type};

    use super::*;
    use crate::footer::version_footer;
    use crate::list_page::decode_pages;
    use crate::row_group_encoder::{RowGroupEncoder, WriteOptions};
    use crate::seed::Draws;
    use crate::shard_writer::ShardWriter;

    /// Rows of seeded lengths, some null, some empty, long ones over several pages.
    fn samples(seed: u64) -> Vec<Sample> {
        let mut draws = Draws::new(seed, "x", "lists");
        let rows = 1 + draws.index(40);
        (0..rows)
            .map(|i| {
                let count = [0, 1, 2, 300, 60_000][draws.index(5)] + draws.index(3);
                let points: Vec<f32> = (0..3 * count).map(|_| draws.range(-1.0, 1.0) as f32).collect();
                let normals = draws.chance(0.5).then(|| points.clone());
                let indices: Vec<u32> = (0..count).map(|_| draws.index(count) as u32).collect();
                Sample {
                    sample_id: format!("{i:02}"),
                    points,
                    normals,
                    patch_indices: indices,
                    ..Sample::default()
                }
            })
            .collect()
    }

    #[test]
    fn pages_read_by_runs_hold_what_the_general_reader_finds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.parquet");
        for seed in 0..30 {
            let samples = samples(seed);
            let encoder = RowGroupEncoder::new(WriteOptions::default());
            let mut out = ShardWriter::create(&path, WriteOptions::default(), version_footer()).unwrap();
            out.append(encoder.encode(&samples).unwrap()).unwrap();
            out.finish().unwrap();
            let shard = ShardReader::open(&path).unwrap();
            let group = shard.reader.get_row_group(0).unwrap();
            let source = RowGroupSource::new(shard.reader.get_row_group(0).unwrap());
            for name in ["points", "normals", "colors", "patch_indices", "norm_center"] {
                let column = Sample::COLUMNS.iter().position(|column| column.name == name).unwrap();
                let most = group.metadata().column(column).column_descr().max_def_level() as u8;
                let mut pages = group.get_column_page_reader(column).unwrap();
                let same = match name {
                    "points" | "normals" => {
                        let found = decode_pages::<f32>(&mut *pages, most, 0).unwrap();
                        found.expect("our own pages") == source.general_list::<FloatType>(column).unwrap()
                    }
                    "norm_center" => {
                        let found = decode_pages::<f64>(&mut *pages, most, 0).unwrap();
                        let general = source.general_list::<DoubleType>(column);
                        found.expect("our own pages") == general.unwrap()
                    }
                    _ => {
                        let found = decode_pages::<i32>(&mut *pages, most, 0).unwrap();
                        found.expect("our own pages") == source.general_list::<Int32Type>(column).unwrap()
                    }
                };
                assert!(same, "seed {seed}, column {name}");
            }
        }
    }
}
