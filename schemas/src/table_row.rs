//! A table by the type of its rows, and `table!`, in which its columns are defined, each in one place.

use parquet::errors::ParquetError;

use crate::column::{ColumnCells, ColumnDefinition, DecodedRows};
use crate::column_type::{ColumnRows, ColumnType};
use crate::error::Result;
use crate::row_group_source::RowGroupSource;

/// A row of a table of the contract; `table!` implements it.
pub trait TableRow: Sized {
    /// The columns of a row group, read.
    type Group;

    /// The columns, in file order.
    #[doc(hidden)]
    const COLUMNS: &'static [ColumnDefinition];

    /// Checks that the arrays of every row agree with each other.
    ///
    /// # Errors
    /// Fails if those of one do not; the error names row and column.
    #[doc(hidden)]
    fn check(rows: &[Self]) -> Result<()>;

    /// Lays rows out in columns.
    #[doc(hidden)]
    fn lay_out(rows: &[Self]) -> Vec<ColumnCells<'_>>;

    /// Decodes the columns that are wanted.
    ///
    /// # Errors
    /// Fails if the bytes do not decode.
    #[doc(hidden)]
    fn decode(columns: &mut WantedColumns<'_>) -> Result<Self::Group, ParquetError>;

    /// Whether a column was read.
    #[doc(hidden)]
    fn was_read(group: &Self::Group, column: &str) -> bool;
}

/// The columns of a row group, taken in file order; those not asked for are passed over.
pub struct WantedColumns<'a> {
    source: RowGroupSource<'a>,
    is_wanted: &'a dyn Fn(&str) -> bool,
    next: usize,
}

impl<'a> WantedColumns<'a> {
    pub(crate) fn new(source: RowGroupSource<'a>, is_wanted: &'a dyn Fn(&str) -> bool) -> Self {
        Self { source, is_wanted, next: 0 }
    }

    pub(crate) fn rows(&self) -> usize {
        self.source.rows
    }

    pub(crate) fn take<C: ColumnType>(&mut self, name: &str) -> Result<Option<ColumnRows<C>>, ParquetError> {
        let column = self.next;
        self.next += 1;
        if !(self.is_wanted)(name) {
            return Ok(None);
        }
        let rows = C::decode(&self.source, column)?;
        if !rows.has_rows(self.source.rows) {
            let expected = format!("column {name}: expected {} whole rows, found others", self.source.rows);
            return Err(ParquetError::General(expected));
        }
        Ok(Some(rows))
    }
}

/// Defines the columns of a table, in file order, one entry each: its meaning, its name, what it holds
/// ([`crate::column_type`]), its shape in the letters of the README, and its cell in a row.
///
/// An entry becomes a column of the file (written and checked when a shard is opened), a field of the row group read
/// back, and a line of the README, which a test compares. A field of the row without an entry is found by the
/// compiler, where the row is made from a row group.
macro_rules! table {
    (
        $(#[doc = $group_doc:literal])+
        $group:ident of $row:ident, checked by $check:ident;
        $(
            $(#[doc = $doc:literal])+
            $name:ident: $held:ty, $shape:literal, $cell:expr;
        )+
    ) => {
        $(#[doc = $group_doc])+
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $group {
            /// Number of rows.
            pub rows: usize,
            $(
                $(#[doc = $doc])+
                pub $name: Option<$crate::column_type::ColumnRows<$held>>,
            )+
        }

        impl $crate::table_row::TableRow for $row {
            type Group = $group;

            const COLUMNS: &'static [$crate::column::ColumnDefinition] = &[$(
                $crate::column::ColumnDefinition {
                    name: stringify!($name),
                    value: <$held as $crate::column_type::ColumnType>::VALUE,
                    is_list: <$held as $crate::column_type::ColumnType>::IS_LIST,
                    is_nullable: <$held as $crate::column_type::ColumnType>::IS_NULLABLE,
                    storage: <$held as $crate::column_type::ColumnType>::STORAGE,
                    shape: $shape,
                    meaning: concat!($($doc),+),
                },
            )+];

            fn check(rows: &[Self]) -> $crate::error::Result<()> {
                $check(rows)
            }

            fn lay_out(rows: &[Self]) -> Vec<$crate::column::ColumnCells<'_>> {
                vec![$({
                    let cell: fn(&Self) -> <$held as $crate::column_type::ColumnType>::Cell<'_> = $cell;
                    <$held as $crate::column_type::ColumnType>::lay_out(rows.iter().map(cell))
                },)+]
            }

            fn decode(
                columns: &mut $crate::table_row::WantedColumns<'_>,
            ) -> Result<$group, parquet::errors::ParquetError> {
                // In file order, as the fields of a literal are evaluated.
                Ok($group {
                    rows: columns.rows(),
                    $($name: columns.take::<$held>(stringify!($name))?,)+
                })
            }

            fn was_read(group: &$group, column: &str) -> bool {
                match column {
                    $(stringify!($name) => group.$name.is_some(),)+
                    _ => false,
                }
            }
        }
    };
}

pub(crate) use table;
