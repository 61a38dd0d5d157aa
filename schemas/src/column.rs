//! A column: how it is defined, its cells on the way into a shard, its values read back from one.
//!
//! Bulk arrays are `List` columns with non-null elements, so that pyarrow, polars, DuckDB and
//! Hugging Face datasets show numbers and clouds may differ in size. `benches/columns.rs` holds
//! the measurement behind the choice.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::list_chunk::ListCells;

/// A column of a table.
pub struct ColumnDefinition {
    /// Its name in the file.
    pub name: &'static str,
    /// Arrow type of a value; of an element, for a list.
    pub(crate) value: DataType,
    pub(crate) is_list: bool,
    pub(crate) is_nullable: bool,
    pub(crate) storage: ColumnStorage,
    /// In the letters of the README; empty for a single value.
    pub(crate) shape: &'static str,
    /// What the README says of it.
    pub(crate) meaning: &'static str,
}

/// How a column is stored, beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnStorage {
    /// Compressed.
    Plain,
    /// Compressed, with least and greatest value of a row group: lets a foreign reader skip those without what it looks for.
    WithStatistics,
    /// As references to the distinct values.
    Dictionary,
    /// As it is, for it is compressed already.
    Uncompressed,
}

/// The Arrow schema of a table with these columns.
pub(crate) fn arrow_schema(columns: &[ColumnDefinition]) -> SchemaRef {
    let fields = columns.iter().map(|column| {
        let value = column.value.clone();
        let data_type = if column.is_list { DataType::List(element_field(value)) } else { value };
        Field::new(column.name, data_type, column.is_nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What Arrow calls an element of our lists.
pub(crate) fn element_field(value: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", value, false))
}

/// One column of rows that are to be encoded.
pub enum ColumnCells<'a> {
    /// Text, files and single numbers: an Arrow array.
    Flat(ArrayRef),
    /// Lists where they lie.
    Lists(Box<dyn ListCells + 'a>),
}

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

/// A column as it was decoded: a damaged file may claim other rows than it holds.
pub trait DecodedRows {
    /// Whether there are `count` rows, each with all of its values.
    fn has_rows(&self, count: usize) -> bool;
}

impl<T> DecodedRows for Vec<T> {
    fn has_rows(&self, count: usize) -> bool {
        self.len() == count
    }
}

impl<T> DecodedRows for ListColumn<T> {
    fn has_rows(&self, count: usize) -> bool {
        let is_whole = self.ends.last().map_or(0, |&end| end) == self.values.len();
        is_whole && self.ends.is_sorted() && self.ends.len() == count && self.valid.len() == count
    }
}

/// A copy of the value in a row, `None` if the column was not read.
pub(crate) fn copy_value<T: Clone>(column: &Option<Vec<T>>, row: usize) -> Option<T> {
    column.as_ref()?.get(row).cloned()
}

/// A copy of the list in a row, `None` if it is null or the column was not read.
pub(crate) fn copy_list<T: Clone>(column: &Option<ListColumn<T>>, row: usize) -> Option<Vec<T>> {
    column.as_ref()?.row(row).map(<[T]>::to_vec)
}
