//! A matrix in a slice: which element stands where.

/// A matrix in a slice: element `(r, c)` is `values[r * row_step + c * column_step]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_step: usize,
    pub(crate) column_step: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Row-major `values` with `columns` columns.
    pub fn new(values: &'a [T], columns: usize) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        Self { values, rows, columns, row_step: columns, column_step: 1 }
    }

    /// Rows that begin `row_step` elements apart, of which only the first `columns` belong to the matrix.
    pub fn with_row_step(values: &'a [T], rows: usize, columns: usize, row_step: usize) -> Self {
        Self { values, rows, columns, row_step, column_step: 1 }
    }

    /// Exchanges rows and columns; no number moves.
    pub fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }

    /// The `count` columns from `start` on.
    ///
    /// # Panics
    /// If the matrix has fewer, or is transposed.
    pub fn columns(self, start: usize, count: usize) -> Self {
        assert!(self.column_step == 1 && start + count <= self.columns, "columns of a matrix");
        Self { values: &self.values[start.min(self.values.len())..], columns: count, ..self }
    }

    /// The `count` rows from `start` on.
    pub(crate) fn rows(self, start: usize, count: usize) -> Self {
        Self { values: &self.values[start * self.row_step..], rows: count, ..self }
    }

    /// Index of the last element.
    pub(crate) fn last(&self) -> usize {
        (self.rows.max(1) - 1) * self.row_step + (self.columns.max(1) - 1) * self.column_step
    }
}
