//! npy and npz (NumPy): arrays of points, as Point-BERT packages ShapeNet, plain or with named fields.
//!
//! The header is parsed here and the data is bounded by the file, so a false shape cannot
//! allocate. Values are widened to f64; C and Fortran order, both byte orders.

mod header;
#[cfg(test)]
pub(crate) mod tests;

use jepa3d_schemas::{PointCloud, Warning};

use self::header::{NpyField, NpyHeader};
use super::colors::ColorType;
use super::column_names::{ColumnRole, ColumnSpec, NamedColumns};
use super::columns::Columns;
use super::parsed::Parsed;
use super::scalars::ScalarType;
use crate::budget::Budget;
use crate::error::ParseError;

/// Reads the points of an npy file: `[N,3]` is x,y,z and `[N,6]` is x,y,z with normals or colours.
///
/// # Errors
/// Fails as `parse_within` does, with the default budget.
pub fn parse(bytes: &[u8]) -> Result<Parsed<PointCloud>, ParseError> {
    parse_within(bytes, &ColumnSpec::default(), &Budget::default())
}

/// Reads the points of an npy file `[N,C]`, its columns named by `spec`, or `[N]` of named fields.
///
/// # Errors
/// Fails as [`NpyArray::read`] does, or if the array has not two axes (leading axes of length 1 aside), the
/// columns are not as named, x, y or z is missing, no finite point is left, or the budget does not suffice.
pub(crate) fn parse_within(
    bytes: &[u8],
    spec: &ColumnSpec,
    budget: &Budget,
) -> Result<Parsed<PointCloud>, ParseError> {
    let NpyPoints { columns, color_type, warnings } = NpyArray::read(bytes)?.points(spec, budget)?;
    let mut parsed = columns.into_cloud(color_type)?;
    parsed.warnings.splice(0..0, warnings);
    Ok(parsed)
}

/// The columns of an array of points.
pub(super) struct NpyPoints {
    pub(super) columns: Columns,
    pub(super) color_type: ColorType,
    pub(super) warnings: Vec<Warning>,
}

/// An array whose data is as long as its shape says.
pub(super) struct NpyArray<'a> {
    header: NpyHeader,
    data: &'a [u8],
}

/// One column of numbers: where they start in the data, and how far apart they are.
struct NpyColumn {
    name: Option<String>,
    scalar: Option<ScalarType>,
    offset: usize,
    stride: usize,
}

impl<'a> NpyArray<'a> {
    /// Reads the header of an npy file.
    ///
    /// # Errors
    /// Fails if the magic or header is malformed, the values are no real numbers, or the data is not
    /// exactly as long as the shape says.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (header, data) = NpyHeader::read(bytes)?;
        let element = header.element_bytes();
        let bytes_needed = header.shape.iter().try_fold(element, |product, &n| product.checked_mul(n));
        if bytes_needed != Some(data.len()) {
            let expected = format!("data of shape {:?} ({element} bytes a value)", header.shape);
            return Err(ParseError::file(expected, format!("{} bytes", data.len())));
        }
        Ok(Self { header, data })
    }

    /// Length of each axis, without leading ones where more than `axes` are left.
    fn axes(&self, axes: usize) -> &[usize] {
        let shape = &self.header.shape;
        let leading = shape.iter().take(shape.len().saturating_sub(axes)).take_while(|&&n| n == 1).count();
        &shape[leading..]
    }

    /// Length of each axis.
    pub(super) fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// The columns of points.
    ///
    /// # Errors
    /// Fails as [`parse_within`] says of the array.
    pub(super) fn points(&self, spec: &ColumnSpec, budget: &Budget) -> Result<NpyPoints, ParseError> {
        let (rows, columns) = self.columns(spec)?;
        let mut warnings = Vec::new();
        let roles = if self.header.is_structured && spec.is_default() {
            let names: Vec<Option<&str>> =
                columns.iter().map(|c| c.name.as_deref().filter(|_| c.scalar.is_some())).collect();
            let named = NamedColumns::from_names(&names);
            named.require_position(&columns.iter().map(|c| c.name.as_deref()).collect::<Vec<_>>())?;
            warnings = named.warnings;
            named.roles
        } else {
            spec.roles(columns.len())?
        };
        Columns::charge(budget, roles.iter().flatten().count(), rows)?;
        let color_type =
            columns.first().and_then(|c| c.scalar).map_or(ColorType::Float, ScalarType::color_type);
        let mut points = NpyPoints { columns: Columns::default(), color_type, warnings };
        for (column, role) in columns.iter().zip(&roles) {
            let Some(role) = *role else { continue };
            let scalar = column.scalar.ok_or_else(|| {
                let name = column.name.clone().unwrap_or_default();
                ParseError::file(format!("numbers in field {name:?}"), "another type")
            })?;
            if role == ColumnRole::R {
                points.color_type = scalar.color_type();
            }
            points.columns.push(role, self.read_column(column, scalar, rows));
        }
        if !self.header.is_structured && spec.is_default() && columns.len() == 6 {
            points.columns.set_unnamed();
        }
        Ok(points)
    }

    /// Adds the columns of an array `[rows]` or `[rows,roles]` beside the points; says what its colours would be.
    /// `None` if it has another shape or is no plain array of numbers.
    ///
    /// # Errors
    /// Fails if the budget does not suffice.
    pub(super) fn push_attribute(
        &self,
        columns: &mut Columns,
        roles: &[ColumnRole],
        budget: &Budget,
    ) -> Result<Option<ColorType>, ParseError> {
        let rows = columns.rows();
        let fits = match *self.axes(2) {
            [n] => n == rows && roles.len() == 1,
            // Colours may have an alpha.
            [n, width] => n == rows && (width == roles.len() || (roles.len() == 3 && width == 4)),
            _ => false,
        };
        let plain = self.header.fields.first().and_then(|f| f.scalar);
        let plain = plain.filter(|_| fits && !self.header.is_structured);
        let Some(scalar) = plain else { return Ok(None) };
        Columns::charge(budget, roles.len(), rows)?;
        let width = if let [_, width] = *self.axes(2) { width } else { 1 };
        for (i, role) in roles.iter().enumerate() {
            let column = self.plain_column(i, rows, width, scalar);
            columns.push(*role, self.read_column(&column, scalar, rows));
        }
        Ok(Some(scalar.color_type()))
    }

    fn read_column(&self, column: &NpyColumn, scalar: ScalarType, rows: usize) -> Vec<f64> {
        scalar.read_strided(self.data.get(column.offset..).unwrap_or_default(), column.stride, rows)
    }

    fn plain_column(&self, column: usize, rows: usize, width: usize, scalar: ScalarType) -> NpyColumn {
        let (offset, stride) = if self.header.fortran {
            (column * rows * scalar.size, scalar.size)
        } else {
            (column * scalar.size, width * scalar.size)
        };
        NpyColumn { name: None, scalar: Some(scalar), offset, stride }
    }

    /// Number of rows, and the columns.
    ///
    /// # Errors
    /// Fails if the array is not one of points.
    fn columns(&self, spec: &ColumnSpec) -> Result<(usize, Vec<NpyColumn>), ParseError> {
        let wrong = || ParseError::file("an array [N,C] of points", format!("shape {:?}", self.header.shape));
        if self.header.is_structured {
            let &[rows] = self.axes(1) else { return Err(wrong()) };
            return Ok((rows, self.field_columns()));
        }
        let (&[rows, width], Some(scalar)) = (self.axes(2), self.header.fields[0].scalar) else {
            return Err(wrong());
        };
        if width == 0 {
            return Err(wrong());
        }
        // Before as many columns are listed as the header claims.
        spec.roles(width)?;
        Ok((rows, (0..width).map(|i| self.plain_column(i, rows, width, scalar)).collect()))
    }

    /// The columns of named fields; a field of three numbers is a point, a normal or a colour by its name.
    fn field_columns(&self) -> Vec<NpyColumn> {
        let stride = self.header.element_bytes();
        let mut columns = Vec::new();
        let mut offset = 0;
        for field in &self.header.fields {
            let names = column_names(field);
            let size = field.scalar.map_or(field.bytes(), |scalar| scalar.size);
            for (i, name) in names.into_iter().enumerate() {
                let scalar = field.scalar;
                columns.push(NpyColumn { name: Some(name), scalar, offset: offset + i * size, stride });
            }
            offset += field.bytes();
        }
        columns
    }
}

/// Names of the numbers of a field, by which they are read.
fn column_names(field: &NpyField) -> Vec<String> {
    let lower = field.name.to_ascii_lowercase();
    let parts: &[&str] = match (lower.as_str(), field.count) {
        (_, 1) => return vec![field.name.clone()],
        ("xyz" | "points" | "point" | "pos" | "position" | "positions" | "coord" | "coords", 3) => {
            &["x", "y", "z"]
        }
        ("normal" | "normals" | "nxyz", 3) => &["nx", "ny", "nz"],
        ("rgb" | "rgba" | "color" | "colors", 3 | 4) => &["r", "g", "b"],
        _ => return vec![format!("{} x {}", field.count, field.name)],
    };
    parts.iter().map(|&part| part.to_owned()).collect()
}
