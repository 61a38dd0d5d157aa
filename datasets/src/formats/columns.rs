//! Point attributes as columns of numbers, and the cloud that they make.

use jepa3d_schemas::{PointCloud, Warning, WarningKind};

use super::colors::{ColorType, ScaledColors, bytes_from_colors, bytes_from_harmonics};
use super::column_names::ColumnRole;
use super::normals::ROUNDED;
use super::parsed::Parsed;
use crate::budget::Budget;
use crate::error::ParseError;
use crate::finite::warn_of_dropped;

use ColumnRole::{B, G, HarmonicB, HarmonicG, HarmonicR, Intensity, Label, Nx, Ny, Nz, R, X, Y, Z};

/// Columns by role, all of one length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    columns: Vec<(ColumnRole, Vec<f64>)>,
    /// Whether the columns called normals are so only by their place: 4 to 6 of six without names.
    unnamed: bool,
}

impl Columns {
    /// Charges `count` columns of `rows` rows each, and the cloud made of them.
    ///
    /// # Errors
    /// Fails if the budget does not suffice.
    pub(crate) fn charge(budget: &Budget, count: usize, rows: usize) -> Result<(), ParseError> {
        budget.charge_values(
            (count as u64).saturating_mul(rows as u64),
            2 * size_of::<f64>(),
            "columns of points",
        )
    }

    /// Adds a column; a second one of the same role is not kept.
    pub(crate) fn push(&mut self, role: ColumnRole, values: Vec<f64>) {
        if self.get(role).is_none() {
            self.columns.push((role, values));
        }
    }

    /// Says that columns 4 to 6 of six have no name, so that their values tell normals from colours.
    pub(crate) fn set_unnamed(&mut self) {
        self.unnamed = true;
    }

    /// The values of a role.
    pub(crate) fn get(&self, role: ColumnRole) -> Option<&[f64]> {
        self.columns.iter().find(|(r, _)| *r == role).map(|(_, values)| values.as_slice())
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    /// Rows of three columns, `None` if one is missing.
    pub(crate) fn three(&self, roles: [ColumnRole; 3]) -> Option<Vec<[f64; 3]>> {
        let [a, b, c] = roles.map(|role| self.get(role));
        let (a, b, c) = (a?, b?, c?);
        Some(a.iter().zip(b).zip(c).map(|((&a, &b), &c)| [a, b, c]).collect())
    }

    /// The normals, as stored; empty if there are none.
    pub(crate) fn normals(&self) -> Option<Vec<[f32; 3]>> {
        let rows = self.three([Nx, Ny, Nz])?;
        Some(rows.into_iter().map(|n| n.map(|v| v as f32)).collect())
    }

    /// The colours that columns of numbers or of a splat's harmonics make, `None` if there are no such columns.
    pub(crate) fn colors(&self, of: ColorType) -> Option<ScaledColors> {
        let numbers = self.three([R, G, B]).map(|rows| bytes_from_colors(&rows, of));
        numbers
            .or_else(|| self.three([HarmonicR, HarmonicG, HarmonicB]).map(|rows| bytes_from_harmonics(&rows)))
    }

    /// The cloud; rows with a position that is not finite are dropped first, with a warning that counts them.
    ///
    /// Colours, intensities and labels that cannot be stored as such are left out with a warning each.
    ///
    /// # Errors
    /// Fails if x, y or z is missing or no finite row is left.
    pub(crate) fn into_cloud(mut self, of: ColorType) -> Result<Parsed<PointCloud>, ParseError> {
        let missing = || ParseError::file("columns x, y and z", "not all of them");
        let mut positions = self.three([X, Y, Z]).ok_or_else(missing)?;
        let rows = positions.len();
        self.drop_non_finite(&mut positions);
        if positions.is_empty() {
            return Err(ParseError::file(
                "at least one finite point",
                if rows == 0 { "no points".to_owned() } else { format!("{rows} rows, none finite") },
            ));
        }
        let mut warnings = Vec::from_iter(warn_of_dropped(rows - positions.len(), rows));
        warnings.extend(self.tell_unnamed(of));
        let colors = self.colors(of).and_then(|scaled| {
            warnings.extend(scaled.warning);
            scaled.colors
        });
        let intensity = keep_known(self.get(Intensity).map(finite_intensity), &mut warnings);
        let point_labels = keep_known(self.get(Label).map(whole_labels), &mut warnings);
        let cloud = PointCloud { positions, normals: self.normals(), colors, intensity, point_labels };
        Ok(Parsed { geometry: cloud, warnings })
    }

    /// Drops the rows whose position is not finite, from `positions` and all columns.
    fn drop_non_finite(&mut self, positions: &mut Vec<[f64; 3]>) {
        // Nearly always there is none: told by one pass without a list of those to keep.
        if positions.as_flattened().iter().fold(true, |finite, x| finite & x.is_finite()) {
            return;
        }
        let kept: Vec<bool> = positions.iter().map(|p| p.iter().all(|x| x.is_finite())).collect();
        let mut keep = kept.iter();
        positions.retain(|_| keep.next().copied().unwrap_or(true));
        for (_, values) in &mut self.columns {
            let mut keep = kept.iter();
            values.retain(|_| keep.next().copied().unwrap_or(true));
        }
    }

    /// Decides what columns 4 to 6 without names are: normals if more than half have length one, else colours, else nothing.
    fn tell_unnamed(&mut self, of: ColorType) -> Option<Warning> {
        if !self.unnamed {
            return None;
        }
        let rows = self.three([Nx, Ny, Nz])?;
        let guessed = |text: &str| Some(Warning::new(WarningKind::ColumnsGuessed, text));
        let is_unit =
            |row: &&[f64; 3]| (row.iter().map(|x| x * x).sum::<f64>().sqrt() - 1.0).abs() <= ROUNDED;
        if 2 * rows.iter().filter(is_unit).count() > rows.len() {
            let negative = rows.iter().flatten().any(|&x| x < 0.0);
            let text = "six columns without names: 4 to 6 were read as normals, though none is negative";
            return if negative { None } else { guessed(text) };
        }
        let has_values = rows.iter().flatten().any(|&x| x != 0.0 && x.is_finite());
        if has_values && bytes_from_colors(&rows, of).colors.is_some() {
            for (role, _) in &mut self.columns {
                *role = match *role {
                    Nx => R,
                    Ny => G,
                    Nz => B,
                    other => other,
                };
            }
            return guessed("six columns without names: 4 to 6 are no unit normals and were read as colours");
        }
        self.columns.retain(|(role, _)| !matches!(role, Nx | Ny | Nz));
        let text =
            "six columns without names: 4 to 6 are neither unit normals nor colours; they are not read";
        Some(Warning::new(WarningKind::ColumnsIgnored, text))
    }
}

/// Values, or a warning where they cannot be told.
fn keep_known<T>(values: Option<Result<Vec<T>, Warning>>, warnings: &mut Vec<Warning>) -> Option<Vec<T>> {
    values?.map_err(|warning| warnings.push(warning)).ok()
}

/// Labels of numbers.
///
/// # Errors
/// Gives a warning if one is no whole number of 16 bits.
fn whole_labels(values: &[f64]) -> Result<Vec<i16>, Warning> {
    let labels: Option<Vec<i16>> = values.iter().map(|&value| whole_label(value)).collect();
    labels.ok_or_else(|| {
        let mut odd = values.iter().filter(|value| whole_label(**value).is_none());
        let first = odd.next().copied().unwrap_or_default();
        let text = format!(
            "{} of {} labels are no whole numbers from -32768 to 32767, the first {first}; none are kept",
            odd.count() + 1,
            values.len()
        );
        Warning::new(WarningKind::LabelsUnknown, text)
    })
}

/// A label of 16 bits, if the number is one.
fn whole_label(value: f64) -> Option<i16> {
    let label = value as i16;
    (f64::from(label) == value).then_some(label)
}

/// Intensities of numbers.
///
/// # Errors
/// Gives a warning if one is not finite.
fn finite_intensity(values: &[f64]) -> Result<Vec<f32>, Warning> {
    let odd = values.iter().filter(|value| !(**value as f32).is_finite()).count();
    if odd == 0 {
        return Ok(values.iter().map(|&value| value as f32).collect());
    }
    let text = format!("{odd} of {} intensities are not finite; none are kept", values.len());
    Err(Warning::new(WarningKind::IntensityUnknown, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cloud of some rows `x y z` and three more columns without names.
    fn six(rows: &[[f64; 6]]) -> Parsed<PointCloud> {
        let mut columns = Columns::default();
        for (i, role) in [X, Y, Z, Nx, Ny, Nz].into_iter().enumerate() {
            columns.push(role, rows.iter().map(|row| row[i]).collect());
        }
        columns.set_unnamed();
        columns.into_cloud(ColorType::Text).unwrap()
    }

    fn kinds(parsed: &Parsed<PointCloud>) -> Vec<WarningKind> {
        parsed.warnings.iter().map(|w| w.kind).collect()
    }

    #[test]
    fn six_columns_without_names_are_what_their_values_can_be() {
        let normals = six(&[[0.0, 0.0, 0.0, 0.6, -0.8, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]);
        assert_eq!(normals.geometry.normals, Some(vec![[0.6, -0.8, 0.0], [0.0, 0.0, 1.0]]));
        assert_eq!(kinds(&normals), []);
        let bytes = six(&[[0.0, 0.0, 0.0, 200.0, 100.0, 50.0], [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]);
        assert_eq!(bytes.geometry.colors, Some(vec![[200, 100, 50], [0, 0, 1]]));
        assert_eq!(
            (bytes.geometry.normals.is_none(), kinds(&bytes)),
            (true, vec![WarningKind::ColumnsGuessed])
        );
        let unit = six(&[[0.0, 0.0, 0.0, 0.2, 0.4, 0.6], [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]]);
        assert_eq!(unit.geometry.colors, Some(vec![[51, 102, 153], [255; 3]]));
        assert_eq!(kinds(&unit), [WarningKind::ColumnsGuessed]);
        let positive = six(&[[0.0, 0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]]);
        assert_eq!(
            (positive.geometry.normals.is_some(), kinds(&positive)),
            (true, vec![WarningKind::ColumnsGuessed])
        );
        for other in [[0.0, 0.0, 0.0], [7.5, -3.0, 0.0], [f64::NAN; 3]] {
            let [a, b, c] = other;
            let neither = six(&[[0.0, 0.0, 0.0, a, b, c], [1.0, 0.0, 0.0, a, b, c]]);
            assert_eq!((&neither.geometry.normals, &neither.geometry.colors), (&None, &None), "{other:?}");
            assert_eq!(kinds(&neither), [WarningKind::ColumnsIgnored]);
        }
    }

    #[test]
    fn rows_are_dropped_before_their_attributes_are_judged() {
        let mut columns = Columns::default();
        for role in [X, Y, Z] {
            columns.push(role, vec![1.0, f64::NAN, 2.0]);
        }
        columns.push(Label, vec![1.0, f64::NAN, -1.0]);
        columns.push(Intensity, vec![0.5, f64::INFINITY, 0.25]);
        for role in [R, G, B] {
            columns.push(role, vec![1.0, f64::NAN, 2.0]);
        }
        let Parsed { geometry, warnings } = columns.into_cloud(ColorType::Byte).unwrap();
        assert_eq!(warnings, ["1 of 3 points are not finite and were dropped"]);
        assert_eq!(geometry.positions, [[1.0; 3], [2.0; 3]]);
        assert_eq!(geometry.point_labels, Some(vec![1, -1]));
        assert_eq!(geometry.intensity, Some(vec![0.5, 0.25]));
        assert_eq!(geometry.colors, Some(vec![[1; 3], [2; 3]]));
    }

    #[test]
    fn labels_are_whole_numbers_of_16_bits_or_unknown() {
        assert_eq!(whole_labels(&[1.0, -1.0, -32768.0]), Ok(vec![1, -1, -32768]));
        for odd in [1.5, f64::NAN, 65535.0, 19_660_810.0] {
            let text = format!(
                "1 of 2 labels are no whole numbers from -32768 to 32767, the first {odd}; none are kept"
            );
            assert_eq!(whole_labels(&[1.0, odd]).unwrap_err(), text.as_str());
        }
        assert!(finite_intensity(&[1.0, f64::NAN]).is_err() && finite_intensity(&[1e300]).is_err());
    }
}
