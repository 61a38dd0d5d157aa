//! A plain-text table: first column left, the others right, two spaces between.

/// Rows of cells under a header.
pub(super) struct AlignedTable {
    rows: Vec<Vec<String>>,
}

impl AlignedTable {
    /// A table with these column titles.
    pub(super) fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self { rows: vec![header.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row; missing cells are blank.
    pub(super) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines, indented by two spaces, without blanks at their ends.
    pub(super) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line += &if i == 0 { format!("  {cell:<width$}") } else { format!("  {cell:>width$}") };
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}
