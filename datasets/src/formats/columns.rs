//! Point attributes by column name: what a column means, and the cloud that named columns make.

use jepa3d_schemas::PointCloud;

use super::parsed::Parsed;
use crate::error::{FilePlace, ParseError};
use crate::finite::warn_of_dropped;

/// What a column of numbers means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ColumnRole {
    /// Position x.
    X,
    /// Position y.
    Y,
    /// Position z.
    Z,
    /// Normal x.
    Nx,
    /// Normal y.
    Ny,
    /// Normal z.
    Nz,
    /// Red, 0 to 255 or 0 to 1.
    R,
    /// Green.
    G,
    /// Blue.
    B,
    /// Return intensity.
    Intensity,
    /// Part or semantic label.
    Label,
}

impl ColumnRole {
    /// The meaning of a column name, without regard to case; `None` for names that mean nothing here.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "x" => Self::X,
            "y" => Self::Y,
            "z" => Self::Z,
            "nx" | "normal_x" => Self::Nx,
            "ny" | "normal_y" => Self::Ny,
            "nz" | "normal_z" => Self::Nz,
            "r" | "red" | "diffuse_red" => Self::R,
            "g" | "green" | "diffuse_green" => Self::G,
            "b" | "blue" | "diffuse_blue" => Self::B,
            "intensity" | "i" | "scalar_intensity" | "reflectance" => Self::Intensity,
            "label" | "part" | "class" | "scalar_label" | "classification" => Self::Label,
            _ => return None,
        })
    }
}

/// Names of the columns of a table without a header of its own.
///
/// Empty (the default) means: by the header line if there is one, else `x,y,z` for three
/// columns and `x,y,z,nx,ny,nz` for six; any other width must be named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSpec {
    /// One entry a column, `None` for a column to pass over.
    roles: Vec<Option<ColumnRole>>,
}

impl ColumnSpec {
    /// The columns `names`, where `_` passes a column over.
    ///
    /// # Errors
    /// Fails (with the offending name or the missing one) if a name is unknown, comes twice, or
    /// x, y or z is missing.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, String> {
        let mut roles = Vec::with_capacity(names.len());
        for name in names {
            let name = name.as_ref().trim();
            let role = ColumnRole::from_name(name);
            if role.is_none() && name != "_" {
                return Err(format!("unknown column {name:?}"));
            }
            if role.is_some() && roles.contains(&role) {
                return Err(format!("column {name:?} twice"));
            }
            roles.push(role);
        }
        for (role, name) in [(ColumnRole::X, "x"), (ColumnRole::Y, "y"), (ColumnRole::Z, "z")] {
            if !roles.is_empty() && !roles.contains(&Some(role)) {
                return Err(format!("no column {name:?}"));
            }
        }
        Ok(Self { roles })
    }

    /// The roles of the columns of a table that is `width` wide.
    ///
    /// # Errors
    /// Fails if that is not the number of names, or there are no names and it is neither 3 nor 6.
    pub(crate) fn roles(&self, width: usize) -> Result<Vec<Option<ColumnRole>>, ParseError> {
        use ColumnRole::{Nx, Ny, Nz, X, Y, Z};
        let all = [X, Y, Z, Nx, Ny, Nz].map(Some);
        match (self.roles.len(), width) {
            (0, 3) => Ok(all[..3].to_vec()),
            (0, 6) => Ok(all.to_vec()),
            (0, _) => Err(ParseError::file(
                "3 columns (x,y,z), 6 columns (x,y,z,nx,ny,nz), a header line or a list of column names",
                format!("{width} columns"),
            )),
            (named, _) if named == width => Ok(self.roles.clone()),
            (named, _) => {
                Err(ParseError::file(format!("{named} columns, as named"), format!("{width} columns")))
            }
        }
    }
}

/// How colour values are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColorScale {
    /// 0 to 255.
    Byte,
    /// Not known: 0 to 1 if no value is above 1, else 0 to 255.
    Guess,
}

/// Columns by role, all of one length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    columns: Vec<(ColumnRole, Vec<f64>)>,
}

impl Columns {
    /// Adds a column; a second one of the same role is not kept.
    pub(crate) fn push(&mut self, role: ColumnRole, values: Vec<f64>) {
        if self.get(role).is_none() {
            self.columns.push((role, values));
        }
    }

    fn get(&self, role: ColumnRole) -> Option<&[f64]> {
        self.columns.iter().find(|(r, _)| *r == role).map(|(_, values)| values.as_slice())
    }

    /// Rows of three columns, `None` if one is missing.
    pub(crate) fn three(&self, roles: [ColumnRole; 3]) -> Option<Vec<[f64; 3]>> {
        let [a, b, c] = roles.map(|role| self.get(role));
        let (a, b, c) = (a?, b?, c?);
        Some(a.iter().zip(b).zip(c).map(|((&a, &b), &c)| [a, b, c]).collect())
    }

    /// The cloud; rows with a position that is not finite are dropped, with a warning that counts them.
    ///
    /// # Errors
    /// Fails if x, y or z is missing, a label is no whole number of 16 bits, or no finite row is left.
    pub(crate) fn into_cloud(self, scale: ColorScale) -> Result<Parsed<PointCloud>, ParseError> {
        use ColumnRole::{B, G, Intensity, Label, Nx, Ny, Nz, R, X, Y, Z};
        let missing = || ParseError::file("columns x, y and z", "not all of them");
        let positions = self.three([X, Y, Z]).ok_or_else(missing)?;
        let normals = self.three([Nx, Ny, Nz]);
        let mut cloud = PointCloud {
            positions,
            normals: normals.map(|rows| rows.into_iter().map(|n| n.map(|v| v as f32)).collect()),
            colors: self.three([R, G, B]).map(|rows| bytes_from_colors(&rows, scale)),
            intensity: self.get(Intensity).map(|values| values.iter().map(|&v| v as f32).collect()),
            point_labels: self.get(Label).map(whole_labels).transpose()?,
        };
        let rows = cloud.len();
        let dropped = cloud.drop_non_finite();
        if cloud.is_empty() {
            return Err(ParseError::file(
                "at least one finite point",
                if rows == 0 { "no points".to_owned() } else { format!("{rows} rows, none finite") },
            ));
        }
        Ok(Parsed { geometry: cloud, warnings: Vec::from_iter(warn_of_dropped(dropped, rows)) })
    }
}

/// 8-bit colours of numeric ones; NaN becomes 0.
pub(crate) fn bytes_from_colors(rows: &[[f64; 3]], scale: ColorScale) -> Vec<[u8; 3]> {
    let unit = scale == ColorScale::Guess && rows.iter().flatten().all(|&v| v.is_nan() || v <= 1.0);
    let factor = if unit { 255.0 } else { 1.0 };
    // `as` saturates and maps NaN to 0.
    rows.iter().map(|row| row.map(|v| (v * factor).round() as u8)).collect()
}

/// Labels of numbers.
///
/// # Errors
/// Fails if one is no whole number of 16 bits.
fn whole_labels(values: &[f64]) -> Result<Vec<i16>, ParseError> {
    let label = |(row, &value): (usize, &f64)| {
        let rounded = value as i16;
        if f64::from(rounded) == value {
            return Ok(rounded);
        }
        Err(ParseError::new(FilePlace::Row(row), "a whole label from -32768 to 32767", value.to_string()))
    };
    values.iter().enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_checked() {
        assert!(ColumnSpec::new(&["x", "Y", "z", "_", "label"]).is_ok());
        assert_eq!(ColumnSpec::new(&["x", "y"]).unwrap_err(), "no column \"z\"");
        assert_eq!(ColumnSpec::new(&["x", "y", "z", "q"]).unwrap_err(), "unknown column \"q\"");
        assert_eq!(ColumnSpec::new(&["x", "y", "z", "x"]).unwrap_err(), "column \"x\" twice");
        assert_eq!(ColumnSpec::default().roles(3).unwrap().len(), 3);
        assert_eq!(ColumnSpec::default().roles(7).unwrap_err().found, "7 columns");
    }

    #[test]
    fn colours_are_scaled_once() {
        assert_eq!(bytes_from_colors(&[[0.0, 0.5, 1.0]], ColorScale::Guess), [[0, 128, 255]]);
        assert_eq!(bytes_from_colors(&[[0.0, 0.5, 1.0]], ColorScale::Byte), [[0, 1, 1]]);
        assert_eq!(bytes_from_colors(&[[f64::NAN, 300.0, 2.0]], ColorScale::Guess), [[0, 255, 2]]);
    }

    #[test]
    fn labels_must_be_whole() {
        assert_eq!(whole_labels(&[1.0, -1.0]), Ok(vec![1, -1]));
        assert_eq!(whole_labels(&[1.0, 1.5]).unwrap_err().place, FilePlace::Row(1));
        assert!(whole_labels(&[f64::NAN]).is_err() && whole_labels(&[1e6]).is_err());
    }
}
