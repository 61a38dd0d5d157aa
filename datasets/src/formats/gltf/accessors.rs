//! Accessors of glTF, read with bounds: strided rows, sparse replacements, normalized integers.

use super::buffers::Buffers;
use super::document::{Accessor, Sparse, SparsePart};
use crate::error::ParseError;

/// Most rows of an accessor without data, which are all zero.
const MAX_ZERO_ROWS: u64 = 1 << 24;

/// The type of the numbers of an accessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Component {
    I8,
    U8,
    I16,
    U16,
    U32,
    F32,
}

impl Component {
    fn of_code(code: u32) -> Option<Self> {
        Some(match code {
            5120 => Self::I8,
            5121 => Self::U8,
            5122 => Self::I16,
            5123 => Self::U16,
            5125 => Self::U32,
            5126 => Self::F32,
            _ => return None,
        })
    }

    /// Bytes of a number.
    fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::U32 | Self::F32 => 4,
        }
    }

    fn read(self, bytes: &[u8]) -> f64 {
        match (self, bytes) {
            (Self::I8, [a]) => f64::from(*a as i8),
            (Self::U8, [a]) => f64::from(*a),
            (Self::I16, [a, b]) => f64::from(i16::from_le_bytes([*a, *b])),
            (Self::U16, [a, b]) => f64::from(u16::from_le_bytes([*a, *b])),
            (Self::U32, [a, b, c, d]) => f64::from(u32::from_le_bytes([*a, *b, *c, *d])),
            (_, [a, b, c, d]) => f64::from(f32::from_le_bytes([*a, *b, *c, *d])),
            _ => f64::NAN,
        }
    }

    /// The integer that stands for one; `None` for types that are never normalized.
    fn one(self) -> Option<f64> {
        match self {
            Self::I8 => Some(127.0),
            Self::U8 => Some(255.0),
            Self::I16 => Some(32767.0),
            Self::U16 => Some(65535.0),
            Self::U32 | Self::F32 => None,
        }
    }
}

/// The numbers of an accessor, row after row.
pub(super) struct AccessorRows {
    width: usize,
    pub(super) values: Vec<f64>,
}

impl AccessorRows {
    /// The first `N` numbers of each row; `None` if rows are narrower.
    pub(super) fn rows<const N: usize>(&self) -> Option<Vec<[f64; N]>> {
        self.values.chunks_exact(self.width).map(|row| row.first_chunk().copied()).collect()
    }
}

/// Where rows lie.
#[derive(Clone, Copy)]
struct RowPlace {
    view: usize,
    /// Of the first row, within the view.
    byte_offset: u64,
    /// Bytes from row to row.
    stride: usize,
}

/// How the rows of an accessor lie in a buffer view.
#[derive(Clone, Copy)]
struct RowLayout {
    component: Component,
    width: usize,
    count: usize,
}

impl RowLayout {
    /// Bytes of a row.
    fn size(self) -> usize {
        self.width * self.component.size()
    }
}

impl Buffers<'_> {
    /// The numbers of an accessor; integers marked normalized become 0..1 (or -1..1).
    ///
    /// # Errors
    /// Fails if it is not there, of an unknown type, or larger than its data.
    pub(super) fn accessor(&self, index: usize) -> Result<AccessorRows, ParseError> {
        let accessor = self.accessor_entry(index)?;
        self.read_accessor(index, accessor, accessor.normalized)
    }

    /// The numbers of an accessor of shares (colours, weights): integers count as normalized, marked or not.
    ///
    /// # Errors
    /// Fails as [`Buffers::accessor`] does.
    pub(super) fn shares(&self, index: usize) -> Result<AccessorRows, ParseError> {
        self.read_accessor(index, self.accessor_entry(index)?, true)
    }

    fn accessor_entry(&self, index: usize) -> Result<&Accessor, ParseError> {
        let found = || format!("{} accessors", self.document.accessors.len());
        self.document
            .accessors
            .get(index)
            .ok_or_else(|| ParseError::file(format!("accessor {index}"), found()))
    }

    fn read_accessor(
        &self,
        index: usize,
        accessor: &Accessor,
        is_normalized: bool,
    ) -> Result<AccessorRows, ParseError> {
        let layout = layout_of(index, accessor)?;
        let mut values = match accessor.buffer_view {
            Some(view) => self.strided_rows(index, view, accessor.byte_offset, layout)?,
            None => self.zeros(index, layout)?,
        };
        if let Some(sparse) = &accessor.sparse {
            self.replace_rows(index, sparse, layout, &mut values)?;
        }
        if let Some(one) = layout.component.one().filter(|_| is_normalized) {
            values.iter_mut().for_each(|value| *value = (*value / one).max(-1.0));
        }
        Ok(AccessorRows { width: layout.width, values })
    }

    /// The rows of an accessor without data.
    fn zeros(&self, index: usize, layout: RowLayout) -> Result<Vec<f64>, ParseError> {
        let count = layout.count as u64;
        if count > MAX_ZERO_ROWS {
            let expected = format!("at most {MAX_ZERO_ROWS} rows without data");
            return Err(ParseError::file(expected, format!("{count} in accessor {index}")));
        }
        self.budget.charge_values(count, 8 * layout.width, &format!("accessor {index} without data"))?;
        Ok(vec![0.0; layout.count * layout.width])
    }

    /// The rows of an accessor in a buffer view, one each stride of the view.
    fn strided_rows(
        &self,
        index: usize,
        view: usize,
        byte_offset: u64,
        layout: RowLayout,
    ) -> Result<Vec<f64>, ParseError> {
        let out = || ParseError::file(format!("accessor {index} inside its buffer view"), "one that is not");
        let stride = self.document.buffer_views.get(view).and_then(|view| view.byte_stride);
        let stride = stride.map_or(Ok(layout.size()), usize::try_from).map_err(|_| out())?;
        let place = RowPlace { view, byte_offset, stride };
        self.rows_in_view(place, layout, out)
    }

    /// The rows at a place; `out` is the error of those that are not wholly inside their view.
    fn rows_in_view(
        &self,
        place: RowPlace,
        layout: RowLayout,
        out: impl Fn() -> ParseError,
    ) -> Result<Vec<f64>, ParseError> {
        let RowPlace { view, byte_offset, stride } = place;
        let (size, count) = (layout.size(), layout.count);
        let offset = usize::try_from(byte_offset).map_err(|_| out())?;
        let data = self.view(view)?.get(offset..).ok_or_else(&out)?;
        let last = count.saturating_sub(1).checked_mul(stride);
        let needed = if count == 0 { Some(0) } else { last.and_then(|start| start.checked_add(size)) };
        if stride < size || needed.is_none_or(|needed| needed > data.len()) {
            return Err(out());
        }
        let mut values = Vec::with_capacity(count * layout.width);
        let component = layout.component;
        for row in data.chunks(stride).take(count) {
            values.extend(row[..size].chunks_exact(component.size()).map(|b| component.read(b)));
        }
        Ok(values)
    }

    /// Puts sparse rows in the place of others.
    fn replace_rows(
        &self,
        index: usize,
        sparse: &Sparse,
        layout: RowLayout,
        values: &mut [f64],
    ) -> Result<(), ParseError> {
        let count = usize::try_from(sparse.count).unwrap_or(usize::MAX);
        let code = sparse.indices.component_type;
        let component = code.and_then(Component::of_code);
        let component =
            component.ok_or_else(|| unknown_type(index, "sparse indices", &format!("{code:?}")))?;
        let out = || {
            let expected = format!("sparse rows of accessor {index} inside their view");
            ParseError::file(expected, "some that are not")
        };
        // Such rows lie one after the other, whatever the view's stride.
        let packed = |part: &SparsePart, layout: RowLayout| {
            let SparsePart { buffer_view: view, byte_offset, .. } = *part;
            self.rows_in_view(RowPlace { view, byte_offset, stride: layout.size() }, layout, out)
        };
        let rows = packed(&sparse.indices, RowLayout { component, width: 1, count })?;
        let replacements = packed(&sparse.values, RowLayout { count, ..layout })?;
        let width = layout.width;
        for (row, replacement) in rows.into_iter().zip(replacements.chunks_exact(width)) {
            let slot = values.chunks_exact_mut(width).nth(row as usize).filter(|_| row >= 0.0);
            let slot = slot.ok_or_else(|| {
                ParseError::file(
                    format!("sparse rows below {}", layout.count),
                    format!("{row} in accessor {index}"),
                )
            })?;
            slot.copy_from_slice(replacement);
        }
        Ok(())
    }
}

/// The layout that an accessor states.
fn layout_of(index: usize, accessor: &Accessor) -> Result<RowLayout, ParseError> {
    let width = match accessor.kind.as_str() {
        "SCALAR" => 1,
        "VEC2" => 2,
        "VEC3" => 3,
        "VEC4" => 4,
        "MAT4" => 16,
        other => return Err(unknown_type(index, "an accessor", other)),
    };
    let component = Component::of_code(accessor.component_type);
    let component = component.ok_or_else(|| {
        unknown_type(index, "an accessor", &format!("component {}", accessor.component_type))
    })?;
    let count = usize::try_from(accessor.count).unwrap_or(usize::MAX);
    Ok(RowLayout { component, width, count })
}

fn unknown_type(index: usize, what: &str, found: &str) -> ParseError {
    ParseError::file(format!("a known type of {what}"), format!("{found:?} in accessor {index}"))
}
