//! What a column may hold: the words in which a table's columns are defined, and how each is written and read.
//!
//! `Option` around a word: the column may be null. A new word needs one impl here and nothing elsewhere.

use std::borrow::Cow;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::{
    Array, BinaryArray, BooleanArray, Float64Array, Int32Array, StringArray, UInt16Array, UInt32Array,
};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use parquet::data_type::{BoolType, DoubleType, FloatType, Int32Type};
use parquet::errors::ParquetError;

use crate::column::{ColumnCells, ColumnStorage, DecodedRows, ListColumn};
use crate::list_chunk::{ListCells, ListElement};
use crate::row_group_source::RowGroupSource;

/// What a column holds.
pub trait ColumnType {
    /// Arrow type of a value; of an element, for a list.
    const VALUE: DataType;
    /// Whether a row is a list of values.
    const IS_LIST: bool = false;
    /// Whether a row may be null.
    const IS_NULLABLE: bool = false;
    /// How it is stored.
    const STORAGE: ColumnStorage = ColumnStorage::Plain;
    /// One row, to be written.
    type Cell<'a>;
    /// The rows of a row group, read.
    type Rows: DecodedRows;

    /// Lays cells out as a column.
    fn lay_out<'a>(cells: impl Iterator<Item = Self::Cell<'a>>) -> ColumnCells<'a>;

    /// Reads column number `column` of a row group.
    ///
    /// # Errors
    /// Fails if the bytes do not decode.
    fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError>;
}

/// The rows of a row group as they are read: a `Vec` of values, or a [`ListColumn`].
pub type ColumnRows<C> = <C as ColumnType>::Rows;

/// Text.
pub struct Utf8(Infallible);

/// Text that tells rows apart.
pub struct Utf8Key(Infallible);

/// Text of few distinct values.
pub struct Utf8Repeated(Infallible);

/// A PNG or JPEG file.
pub struct ImageFile(Infallible);

/// One u32 a pixel, stored as little-endian bytes.
pub struct PixelIndices(Infallible);

/// A list of numbers, of any length.
pub struct ListOf<T>(PhantomData<T>);

/// A list of always `N` numbers.
pub struct ArrayOf<T, const N: usize>(PhantomData<T>);

fn flat(array: impl Array + 'static) -> ColumnCells<'static> {
    ColumnCells::Flat(Arc::new(array))
}

macro_rules! text {
    ($($word:ty: $storage:ident;)*) => {$(
        impl ColumnType for $word {
            const VALUE: DataType = DataType::Utf8;
            const STORAGE: ColumnStorage = ColumnStorage::$storage;
            type Cell<'a> = &'a str;
            type Rows = Vec<String>;

            fn lay_out<'a>(cells: impl Iterator<Item = &'a str>) -> ColumnCells<'a> {
                flat(StringArray::from_iter_values(cells))
            }

            fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
                Ok(source.text(column)?.into_iter().flatten().collect())
            }
        }
    )*};
}

text! {
    Utf8: Plain;
    Utf8Key: WithStatistics;
    Utf8Repeated: Dictionary;
}

impl ColumnType for Option<Utf8Repeated> {
    const VALUE: DataType = DataType::Utf8;
    const IS_NULLABLE: bool = true;
    const STORAGE: ColumnStorage = ColumnStorage::Dictionary;
    type Cell<'a> = Option<&'a str>;
    type Rows = Vec<Option<String>>;

    fn lay_out<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> ColumnCells<'a> {
        flat(cells.collect::<StringArray>())
    }

    fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
        source.text(column)
    }
}

macro_rules! number {
    ($($native:ty: $value:ident, $array:ty, $physical:ty, $convert:expr;)*) => {$(
        impl ColumnType for $native {
            const VALUE: DataType = DataType::$value;
            type Cell<'a> = $native;
            type Rows = Vec<$native>;

            fn lay_out<'a>(cells: impl Iterator<Item = $native>) -> ColumnCells<'a> {
                flat(<$array>::from(cells.collect::<Vec<_>>()))
            }

            fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
                Ok(source.scalars::<$physical>(column)?.into_iter().flatten().map($convert).collect())
            }
        }
    )*};
}

number! {
    u16: UInt16, UInt16Array, Int32Type, |x| x as u16;
    u32: UInt32, UInt32Array, Int32Type, |x| x as u32;
    f64: Float64, Float64Array, DoubleType, |x| x;
    bool: Boolean, BooleanArray, BoolType, |x| x;
}

impl ColumnType for Option<i32> {
    const VALUE: DataType = DataType::Int32;
    const IS_NULLABLE: bool = true;
    type Cell<'a> = Self;
    type Rows = Vec<Self>;

    fn lay_out<'a>(cells: impl Iterator<Item = Self>) -> ColumnCells<'a> {
        flat(cells.collect::<Int32Array>())
    }

    fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
        source.scalars::<Int32Type>(column)
    }
}

impl ColumnType for ImageFile {
    const VALUE: DataType = DataType::Binary;
    const STORAGE: ColumnStorage = ColumnStorage::Uncompressed;
    type Cell<'a> = &'a [u8];
    type Rows = Vec<Vec<u8>>;

    fn lay_out<'a>(cells: impl Iterator<Item = &'a [u8]>) -> ColumnCells<'a> {
        flat(BinaryArray::from_iter_values(cells))
    }

    fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
        Ok(source.bytes(column)?.into_iter().flatten().collect())
    }
}

impl ColumnType for Option<ImageFile> {
    const VALUE: DataType = DataType::Binary;
    const IS_NULLABLE: bool = true;
    const STORAGE: ColumnStorage = ColumnStorage::Uncompressed;
    type Cell<'a> = Option<&'a [u8]>;
    type Rows = Vec<Option<Vec<u8>>>;

    fn lay_out<'a>(cells: impl Iterator<Item = Option<&'a [u8]>>) -> ColumnCells<'a> {
        flat(cells.collect::<BinaryArray>())
    }

    fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
        source.bytes(column)
    }
}

impl ColumnType for Option<PixelIndices> {
    const VALUE: DataType = DataType::Binary;
    const IS_NULLABLE: bool = true;
    type Cell<'a> = Option<&'a [u32]>;
    type Rows = Vec<Option<Vec<u32>>>;

    fn lay_out<'a>(cells: impl Iterator<Item = Option<&'a [u32]>>) -> ColumnCells<'a> {
        let bytes = |indices: &[u32]| indices.iter().flat_map(|i| i.to_le_bytes()).collect::<Vec<u8>>();
        flat(cells.map(|indices| indices.map(bytes)).collect::<BinaryArray>())
    }

    fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
        let indices = |bytes: Vec<u8>| {
            bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
        };
        Ok(source.bytes(column)?.into_iter().map(|row| row.map(indices)).collect())
    }
}

/// A number that lists hold.
pub trait ListNumber: ListElement + 'static {
    /// Its Arrow type.
    const VALUE: DataType;

    /// Reads a column of lists of it.
    ///
    /// # Errors
    /// Fails if the bytes do not decode.
    fn decode_lists(source: &RowGroupSource<'_>, column: usize) -> Result<ListColumn<Self>, ParquetError>;
}

macro_rules! list_number {
    ($($native:ty: $value:ident, |$source:ident, $column:ident| $lists:expr;)*) => {$(
        impl ListNumber for $native {
            const VALUE: DataType = DataType::$value;

            fn decode_lists(
                $source: &RowGroupSource<'_>,
                $column: usize,
            ) -> Result<ListColumn<Self>, ParquetError> {
                $lists
            }
        }
    )*};
}

list_number! {
    f32: Float32, |source, column| source.list::<FloatType>(column);
    f64: Float64, |source, column| source.list::<DoubleType>(column);
    u32: UInt32, |source, column| Ok(take_unsigned(source.list::<Int32Type>(column)?));
    u16: UInt16, |source, column| Ok(source.list::<Int32Type>(column)?.convert(|x| x as u16));
    i16: Int16, |source, column| Ok(source.list::<Int32Type>(column)?.convert(|x| x as i16));
    u8: UInt8, |source, column| Ok(source.list::<Int32Type>(column)?.convert(|x| x as u8));
}

/// The bits of Parquet's numbers as they are meant: those of indices, most of a shard, are not passed over once more.
fn take_unsigned(lists: ListColumn<i32>) -> ListColumn<u32> {
    let ListColumn { values, ends, valid } = lists;
    let values = Buffer::from_vec(values).into_vec().unwrap_or_else(|shared| shared.typed_data().to_vec());
    ListColumn { values, ends, valid }
}

/// The cells of a list column; `None` is a null list.
fn lists<'a, T: ListNumber>(cells: impl Iterator<Item = Option<Cow<'a, [T]>>>) -> ColumnCells<'a> {
    let cells: Box<dyn ListCells + 'a> = Box::new(cells.collect::<Vec<_>>());
    ColumnCells::Lists(cells)
}

impl<T: ListNumber> ColumnType for ListOf<T> {
    const VALUE: DataType = T::VALUE;
    const IS_LIST: bool = true;
    type Cell<'a> = &'a [T];
    type Rows = ListColumn<T>;

    fn lay_out<'a>(cells: impl Iterator<Item = &'a [T]>) -> ColumnCells<'a> {
        lists(cells.map(|cell| Some(Cow::Borrowed(cell))))
    }

    fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
        T::decode_lists(source, column)
    }
}

impl<T: ListNumber> ColumnType for Option<ListOf<T>> {
    const VALUE: DataType = T::VALUE;
    const IS_LIST: bool = true;
    const IS_NULLABLE: bool = true;
    type Cell<'a> = Option<&'a [T]>;
    type Rows = ListColumn<T>;

    fn lay_out<'a>(cells: impl Iterator<Item = Option<&'a [T]>>) -> ColumnCells<'a> {
        lists(cells.map(|cell| cell.map(Cow::Borrowed)))
    }

    fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
        T::decode_lists(source, column)
    }
}

impl<T: ListNumber, const N: usize> ColumnType for ArrayOf<T, N> {
    const VALUE: DataType = T::VALUE;
    const IS_LIST: bool = true;
    type Cell<'a> = [T; N];
    type Rows = ListColumn<T>;

    fn lay_out<'a>(cells: impl Iterator<Item = [T; N]>) -> ColumnCells<'a> {
        lists(cells.map(|cell| Some(Cow::Owned(cell.to_vec()))))
    }

    fn decode(source: &RowGroupSource<'_>, column: usize) -> Result<Self::Rows, ParquetError> {
        T::decode_lists(source, column)
    }
}
