//! An open shard of any table: its footer, its contract, and the decoders of its columns.

use std::collections::BTreeMap;
use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use parquet::arrow::parquet_to_arrow_schema;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArrayType, DataType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use crate::columns::{SCHEMA_VERSION, Table};
use crate::error::{Error, Result};
use crate::list_page::{Streamed, decode_pages};

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

    pub(crate) fn convert<U>(self, f: impl Fn(T) -> U) -> ListColumn<U> {
        let values = self.values.into_iter().map(f).collect();
        ListColumn { values, ends: self.ends, valid: self.valid }
    }
}

/// The columns of a row group of one table.
pub trait Rows: Sized {
    /// The table.
    const TABLE: Table;

    /// Decodes the columns that are wanted.
    ///
    /// # Errors
    /// Fails if the bytes do not decode.
    #[doc(hidden)]
    fn decode(source: &Source<'_>, wanted: &dyn Fn(&str) -> bool) -> Result<Self, ParquetError>;
}

/// An open shard whose row groups decode to `R`.
pub struct TableReader<R> {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    reader: SerializedFileReader<File>,
    rows: PhantomData<R>,
}

impl<R: Rows> TableReader<R> {
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
        let found = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
            .map_err(|e| Error::parquet(&self.path, e))?;
        for (i, field) in R::TABLE.schema().fields().iter().enumerate() {
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
        self.reader.metadata().row_group(index).num_rows() as usize
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.reader.metadata().file_metadata().num_rows() as usize
    }

    /// Compressed and uncompressed bytes of each column, in file order.
    pub fn column_bytes(&self) -> Vec<(&'static str, u64, u64)> {
        let mut sums: Vec<_> = R::TABLE.columns().into_iter().map(|(name, _)| (name, 0, 0)).collect();
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
    pub fn read_row_group(&self, index: usize, columns: &[&str]) -> Result<R> {
        if index >= self.row_groups() {
            let expected = format!("below {}", self.row_groups());
            return Err(Error::contract(&self.path, "row group", expected, index));
        }
        let names = R::TABLE.columns();
        if let Some(unknown) = columns.iter().find(|&&c| names.iter().all(|(name, _)| *name != c)) {
            return Err(Error::contract(&self.path, "column", "a column of the contract", unknown));
        }
        let wanted = |name: &str| columns.is_empty() || columns.contains(&name);
        self.decode(index, &wanted).map_err(|e| Error::parquet(&self.path, e))
    }

    fn decode(&self, index: usize, wanted: &dyn Fn(&str) -> bool) -> Result<R, ParquetError> {
        let reader = self.reader.get_row_group(index)?;
        R::decode(&Source { rows: reader.metadata().num_rows() as usize, reader }, wanted)
    }
}

/// The column decoders of one row group.
pub struct Source<'a> {
    pub(crate) rows: usize,
    reader: Box<dyn RowGroupReader + 'a>,
}

impl Source<'_> {
    pub(crate) fn list<T: DataType>(&self, column: usize) -> Result<ListColumn<T::T>, ParquetError>
    where
        T::T: Streamed,
    {
        let chunk = self.reader.metadata().column(column);
        let most = chunk.column_descr().max_def_level() as u8;
        // Both are the file's own claims: the smaller one is believed.
        let bytes = chunk.uncompressed_size().max(0) as usize;
        let bound = (chunk.num_values().max(0) as usize).min(bytes / <T::T as Streamed>::BYTES);
        let mut pages = self.reader.get_column_page_reader(column)?;
        // What does not decode here is told apart from what is of another form by the general reader.
        match decode_pages::<T::T>(&mut *pages, most, bound) {
            Ok(Some(list)) if list.ends.len() == self.rows => Ok(list),
            _ => self.general_list::<T>(column),
        }
    }

    /// A list column of any Parquet form.
    fn general_list<T: DataType>(&self, column: usize) -> Result<ListColumn<T::T>, ParquetError> {
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

    pub(crate) fn indices(&self, column: usize) -> Result<ListColumn<u32>, ParquetError> {
        Ok(self.list::<Int32Type>(column)?.convert(|x| x as u32))
    }

    pub(crate) fn scalars<T: DataType>(&self, column: usize) -> Result<Vec<Option<T::T>>, ParquetError> {
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

    pub(crate) fn nullable_text(&self, column: usize) -> Result<Vec<Option<String>>, ParquetError> {
        let rows = self.scalars::<ByteArrayType>(column)?;
        let text = |bytes: parquet::data_type::ByteArray| bytes.as_utf8().map(str::to_owned);
        rows.into_iter().map(|row| row.map(text).transpose()).collect()
    }

    pub(crate) fn text(&self, column: usize) -> Result<Vec<String>, ParquetError> {
        Ok(self.nullable_text(column)?.into_iter().flatten().collect())
    }

    pub(crate) fn bytes(&self, column: usize) -> Result<Vec<Option<Vec<u8>>>, ParquetError> {
        let rows = self.scalars::<ByteArrayType>(column)?;
        Ok(rows.into_iter().map(|row| row.map(|bytes| bytes.data().to_vec())).collect())
    }

    pub(crate) fn numbers<T: DataType>(&self, column: usize) -> Result<Vec<T::T>, ParquetError> {
        Ok(self.scalars::<T>(column)?.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use parquet::data_type::FloatType;
    use parquet::file::reader::FileReader;

    use super::*;
    use crate::row_group::{RowGroupEncoder, WriteOptions};
    use crate::sample::Sample;
    use crate::seed::Draws;
    use crate::shard_reader::RowGroup;
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
            let encoder = RowGroupEncoder::new(Table::Points, WriteOptions::default());
            let metadata = vec![(SCHEMA_VERSION_KEY.to_owned(), SCHEMA_VERSION.to_string())];
            let mut out =
                ShardWriter::create(&path, Table::Points, WriteOptions::default(), metadata).unwrap();
            out.append(encoder.encode(&samples).unwrap()).unwrap();
            out.finish().unwrap();
            let shard = TableReader::<RowGroup>::open(&path).unwrap();
            let source = Source { rows: samples.len(), reader: shard.reader.get_row_group(0).unwrap() };
            for name in ["points", "normals", "colors", "patch_indices", "norm_center"] {
                let column =
                    Table::Points.columns().into_iter().position(|(other, _)| other == name).unwrap();
                let most = source.reader.metadata().column(column).column_descr().max_def_level() as u8;
                let mut pages = source.reader.get_column_page_reader(column).unwrap();
                let same = match name {
                    "points" | "normals" => {
                        let found = decode_pages::<f32>(&mut *pages, most, 0).unwrap();
                        found.expect("our own pages") == source.general_list::<FloatType>(column).unwrap()
                    }
                    "norm_center" => {
                        let found = decode_pages::<f64>(&mut *pages, most, 0).unwrap();
                        let general = source.general_list::<parquet::data_type::DoubleType>(column);
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
