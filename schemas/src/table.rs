//! The tables of the contract by name: the folder of each, and which shards belong together.

use arrow_schema::DataType;

use crate::column::ColumnDefinition;
use crate::points::Sample;
use crate::table_row::TableRow;
use crate::teachers::TeacherRow;
use crate::views::View;

/// A table of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// One row a [`Sample`].
    Points,
    /// One row a [`View`].
    Views,
    /// One row a [`TeacherRow`]; every cache has a folder of its own in that of the table.
    Teachers,
}

impl Table {
    /// The folder of its shards inside a prepared dataset.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Points => "points",
            Self::Views => "views",
            Self::Teachers => "teachers",
        }
    }

    /// The shard of this table that belongs to `file`, a shard of another, by its name.
    pub fn file_beside(self, file: &str) -> String {
        let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
        format!("{}/{name}", self.folder())
    }

    /// Names of its columns, in file order.
    pub fn column_names(self) -> impl Iterator<Item = &'static str> {
        self.columns().iter().map(|column| column.name)
    }

    /// Its columns as a table in Markdown: name, type, shape, meaning.
    pub fn describe_columns(self) -> String {
        let lines = self.columns().iter().map(|column| describe(column) + "\n");
        format!("| column | type | shape | meaning |\n|---|---|---|---|\n{}", lines.collect::<String>())
    }

    pub(crate) fn columns(self) -> &'static [ColumnDefinition] {
        match self {
            Self::Points => Sample::COLUMNS,
            Self::Views => View::COLUMNS,
            Self::Teachers => TeacherRow::COLUMNS,
        }
    }
}

/// A definition as a line of a table in Markdown, as the README has it.
fn describe(column: &ColumnDefinition) -> String {
    let value = match column.value {
        DataType::Utf8 => "utf8",
        DataType::Binary => "binary",
        DataType::Boolean => "bool",
        DataType::Float32 => "f32",
        DataType::Float64 => "f64",
        DataType::Int16 => "i16",
        DataType::Int32 => "i32",
        DataType::UInt8 => "u8",
        DataType::UInt16 => "u16",
        DataType::UInt32 => "u32",
        ref other => &other.to_string(),
    };
    let (list, null) = (if column.is_list { "list " } else { "" }, if column.is_nullable { "?" } else { "" });
    let meaning = column.meaning.trim();
    let line = format!("| `{}` | {list}{value}{null} | {} | {meaning} |", column.name, column.shape);
    line.replace("|  |", "| |")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TABLES: [Table; 3] = [Table::Points, Table::Views, Table::Teachers];

    #[test]
    fn column_names_are_unique_within_a_table() {
        for table in TABLES {
            let names: BTreeSet<_> = table.column_names().collect();
            assert_eq!(names.len(), table.columns().len(), "{table:?}");
        }
    }

    #[test]
    fn the_readme_says_what_the_definitions_say() {
        let readme = include_str!("../README.md");
        for table in TABLES {
            let lines: Vec<_> = table.columns().iter().map(describe).collect();
            let lines = lines.join("\n");
            assert!(readme.contains(&lines), "the table of {} should be:\n{lines}\n", table.folder());
        }
    }
}
