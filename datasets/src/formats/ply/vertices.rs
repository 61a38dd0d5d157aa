//! The element `vertex`: its columns by property name.

use jepa3d_schemas::{PointCloud, Warning, WarningKind};

use super::body::PlyBody;
use super::header::PlyElement;
use crate::budget::Budget;
use crate::error::{FilePlace, ParseError};
use crate::formats::colors::ColorType;
use crate::formats::column_names::{ColumnRole, NamedColumns};
use crate::formats::columns::Columns;
use crate::formats::parsed::Parsed;

/// The rows of the element.
pub(super) struct Vertices {
    pub(super) count: usize,
    pub(super) columns: Columns,
    pub(super) color_type: ColorType,
    /// Where the first vertex that is not finite stands.
    pub(super) first_bad: Option<FilePlace>,
    /// What of the properties is not read.
    pub(super) warnings: Vec<Warning>,
}

impl Vertices {
    /// Reads all rows.
    ///
    /// # Errors
    /// Fails (naming the line or byte) if x, y or z is missing, a row ends early or is no number, or the budget does
    /// not suffice.
    pub(super) fn read(
        element: &PlyElement,
        body: &mut PlyBody<'_>,
        budget: &Budget,
    ) -> Result<Self, ParseError> {
        let names: Vec<Option<&str>> =
            element.properties.iter().map(|p| p.list_count.is_none().then_some(p.name.as_str())).collect();
        let named = NamedColumns::from_names(&names);
        named.require_position(&names)?;
        let NamedColumns { roles, warnings } = named;
        Columns::charge(budget, roles.iter().flatten().count(), element.count)?;
        let mut values: Vec<Vec<f64>> =
            roles.iter().map(|r| Vec::with_capacity(if r.is_some() { element.count } else { 0 })).collect();
        let mut first_bad = None;
        for _ in 0..element.count {
            let place = body.begin_row(element)?;
            let mut finite = true;
            for (i, property) in element.properties.iter().enumerate() {
                let Some(role) = roles[i] else {
                    body.skip_property(property)?;
                    continue;
                };
                let value = body.read_scalar(property.kind)?;
                finite &= value.is_finite() || !matches!(role, ColumnRole::X | ColumnRole::Y | ColumnRole::Z);
                values[i].push(value);
            }
            body.end_row();
            if !finite {
                first_bad = first_bad.or(Some(place));
            }
        }
        let red = element.properties.iter().zip(&roles).find(|(_, role)| **role == Some(ColumnRole::R));
        let color_type = red.map_or(ColorType::Byte, |(property, _)| property.kind.color_type());
        let mut columns = Columns::default();
        for (role, values) in roles.into_iter().zip(values) {
            if let Some(role) = role {
                columns.push(role, values);
            }
        }
        Ok(Self { count: element.count, columns, color_type, first_bad, warnings })
    }

    /// The rows as a cloud.
    ///
    /// # Errors
    /// Fails if no row is finite.
    pub(super) fn into_cloud(self) -> Result<Parsed<PointCloud>, ParseError> {
        self.columns.into_cloud(self.color_type)
    }

    /// Says so if the vertices have labels or intensities, of which a surface has no place.
    pub(super) fn warn_of_labels(&self) -> Option<Warning> {
        let has = |role| self.columns.get(role).is_some();
        let what = match (has(ColumnRole::Label), has(ColumnRole::Intensity)) {
            (true, true) => "labels and intensities",
            (true, false) => "labels",
            (false, true) => "intensities",
            (false, false) => return None,
        };
        let text = format!("{what} of vertices are not kept: the file has faces, and points are drawn anew");
        Some(Warning::new(WarningKind::ColumnsIgnored, text))
    }
}
