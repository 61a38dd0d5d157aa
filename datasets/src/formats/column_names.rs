//! What a column means by its name, whatever program wrote it.

use jepa3d_schemas::{Warning, WarningKind};

use super::ascii::quote;
use crate::error::ParseError;

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
    /// Red, see [`ColorType`](super::colors::ColorType) for its range.
    R,
    /// Green.
    G,
    /// Blue.
    B,
    /// Coefficient of degree 0 of a splat's red.
    HarmonicR,
    /// That of its green.
    HarmonicG,
    /// That of its blue.
    HarmonicB,
    /// Return intensity.
    Intensity,
    /// Part or semantic label.
    Label,
}

use ColumnRole::{B, G, HarmonicB, HarmonicG, HarmonicR, Intensity, Label, Nx, Ny, Nz, R, X, Y, Z};

/// Attributes of three columns each; all three are there, or none is read.
const TRIPLES: [(&str, [ColumnRole; 3]); 4] = [
    ("a position", [X, Y, Z]),
    ("a normal", [Nx, Ny, Nz]),
    ("a colour", [R, G, B]),
    ("a colour", [HarmonicR, HarmonicG, HarmonicB]),
];

impl ColumnRole {
    /// The meaning of a column name, without regard to case, quotes and a unit in brackets (`x [m]`); `None` for
    /// names that mean nothing here.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().trim_matches('"').trim().to_ascii_lowercase();
        Self::from_plain_name(&name).or_else(|| {
            let open = match name.as_bytes().last()? {
                b']' => name.rfind('['),
                b')' => name.rfind('('),
                _ => None,
            };
            Self::from_plain_name(name[..open?].trim_end())
        })
    }

    fn from_plain_name(name: &str) -> Option<Self> {
        Some(match name {
            "x" | "pointx" | "point_x" | "points:0" | "points_0" | "points_m_xyz:0" | "pos_x"
            | "position_x" | "coord_x" | "x_coord" => X,
            "y" | "pointy" | "point_y" | "points:1" | "points_1" | "points_m_xyz:1" | "pos_y"
            | "position_y" | "coord_y" | "y_coord" => Y,
            "z" | "pointz" | "point_z" | "points:2" | "points_2" | "points_m_xyz:2" | "pos_z"
            | "position_z" | "coord_z" | "z_coord" => Z,
            "nx" | "normal_x" | "normalx" | "normals_x" | "normals:0" | "normal:0" => Nx,
            "ny" | "normal_y" | "normaly" | "normals_y" | "normals:1" | "normal:1" => Ny,
            "nz" | "normal_z" | "normalz" | "normals_z" | "normals:2" | "normal:2" => Nz,
            "r" | "red" | "diffuse_red" | "rf" | "color_r" | "colors:0" | "color:0" | "rgb:0" | "rgba:0" => R,
            "g" | "green" | "diffuse_green" | "gf" | "color_g" | "colors:1" | "color:1" | "rgb:1"
            | "rgba:1" => G,
            "b" | "blue" | "diffuse_blue" | "bf" | "color_b" | "colors:2" | "color:2" | "rgb:2"
            | "rgba:2" => B,
            "f_dc_0" => HarmonicR,
            "f_dc_1" => HarmonicG,
            "f_dc_2" => HarmonicB,
            "intensity" | "i" | "scalar_intensity" | "reflectance" | "reflectivity" => Intensity,
            "label"
            | "labels"
            | "part"
            | "class"
            | "scalar_label"
            | "classification"
            | "scalar_classification"
            | "semantic_label" => Label,
            _ => return None,
        })
    }

    /// Whether the name is the usual one of its role, which goes before the others.
    fn is_usual(name: &str) -> bool {
        let name = name.trim_matches('"').to_ascii_lowercase();
        matches!(
            name.as_str(),
            "x" | "y"
                | "z"
                | "nx"
                | "ny"
                | "nz"
                | "r"
                | "g"
                | "b"
                | "red"
                | "green"
                | "blue"
                | "intensity"
                | "label"
        )
    }
}

/// The roles of named columns, and what of them is not read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NamedColumns {
    /// One entry a column, `None` for one to pass over; no role comes twice.
    pub(crate) roles: Vec<Option<ColumnRole>>,
    /// Columns of one meaning, and attributes of which a column is missing.
    pub(crate) warnings: Vec<Warning>,
}

impl NamedColumns {
    /// The roles of columns with these names; `None` stands for a column that cannot be read.
    ///
    /// Of several columns of one meaning the one with the usual name is read, else the first. Normals and colours
    /// of which one of three columns is missing are not read.
    pub(crate) fn from_names(names: &[Option<&str>]) -> Self {
        let mut named = Self::default();
        for (i, name) in names.iter().enumerate() {
            let role = name.and_then(ColumnRole::from_name);
            named.roles.push(role);
            let before = named.roles[..i].iter().position(|r| role.is_some() && *r == role);
            let (Some(name), Some(before)) = (name, before) else { continue };
            let other = names[before].unwrap_or_default();
            let takes_over = ColumnRole::is_usual(name) && !ColumnRole::is_usual(other);
            named.roles[if takes_over { before } else { i }] = None;
            let text = format!(
                "columns {} and {} mean the same; {} is read",
                quote(other.as_bytes()),
                quote(name.as_bytes()),
                quote(if takes_over { name.as_bytes() } else { other.as_bytes() }),
            );
            named.warnings.push(Warning::new(WarningKind::ColumnsIgnored, text));
        }
        named.drop_incomplete();
        named
    }

    /// Passes over the columns of a normal or a colour that is not whole.
    fn drop_incomplete(&mut self) {
        for (what, triple) in &TRIPLES[1..] {
            let of_triple = |role: &Option<ColumnRole>| role.is_some_and(|role| triple.contains(&role));
            let count = self.roles.iter().filter(|role| of_triple(role)).count();
            if count == 0 || count == 3 {
                continue;
            }
            self.roles.iter_mut().filter(|role| of_triple(role)).for_each(|role| *role = None);
            let text = format!("{count} of the three columns of {what} are there; it is not read");
            self.warnings.push(Warning::new(WarningKind::ColumnsIgnored, text));
        }
    }

    /// Fails if x, y or z is missing, and quotes the names that are there.
    ///
    /// # Errors
    /// Fails if there is no position.
    pub(crate) fn require_position(&self, names: &[Option<&str>]) -> Result<(), ParseError> {
        if [X, Y, Z].iter().all(|role| self.roles.contains(&Some(*role))) {
            return Ok(());
        }
        let names: Vec<&str> = names.iter().map(|name| name.unwrap_or_default()).collect();
        Err(ParseError::file("columns x, y and z", format!("columns {}", quote(names.join(",").as_bytes()))))
    }
}

/// Names of the columns of a table without a header of its own.
///
/// Empty (the default) means: by the header line if there is one, else `x,y,z` for three columns and `x,y,z` with
/// normals or colours (whichever the values can be) for six; any other width must be named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSpec {
    /// One entry a column, `None` for a column to pass over.
    roles: Vec<Option<ColumnRole>>,
}

impl ColumnSpec {
    /// The columns `names`, where `_` or `-` passes a column over.
    ///
    /// # Errors
    /// Fails (with the offending name or the missing one) if a name is unknown, comes twice, or one of x, y, z, or of
    /// the three columns of a normal or a colour, is missing.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, String> {
        let mut roles = Vec::with_capacity(names.len());
        for name in names {
            let name = name.as_ref().trim();
            let role = ColumnRole::from_name(name);
            if role.is_none() && !matches!(name, "_" | "-") {
                return Err(format!("unknown column {name:?}"));
            }
            if role.is_some() && roles.contains(&role) {
                return Err(format!("column {name:?} twice"));
            }
            roles.push(role);
        }
        for (role, name) in [(X, "x"), (Y, "y"), (Z, "z")] {
            if !roles.is_empty() && !roles.contains(&Some(role)) {
                return Err(format!("no column {name:?}"));
            }
        }
        for (what, triple) in &TRIPLES[1..] {
            let count = triple.iter().filter(|role| roles.contains(&Some(**role))).count();
            if !matches!(count, 0 | 3) {
                return Err(format!("{count} of the three columns of {what}"));
            }
        }
        Ok(Self { roles })
    }

    /// Whether columns go by header or width, since none is named.
    pub(crate) fn is_default(&self) -> bool {
        self.roles.is_empty()
    }

    /// Number of columns, 0 if none is named.
    pub(crate) fn width(&self) -> usize {
        self.roles.len()
    }

    /// The roles of the columns of a table that is `width` wide.
    ///
    /// # Errors
    /// Fails if that is not the number of names, or there are no names and it is neither 3 nor 6.
    pub(crate) fn roles(&self, width: usize) -> Result<Vec<Option<ColumnRole>>, ParseError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_checked() {
        assert!(ColumnSpec::new(&["x", "Y", "z", "_", "label", "-"]).is_ok());
        assert_eq!(ColumnSpec::new(&["x", "y"]).unwrap_err(), "no column \"z\"");
        assert_eq!(ColumnSpec::new(&["x", "y", "z", "q"]).unwrap_err(), "unknown column \"q\"");
        assert_eq!(ColumnSpec::new(&["x", "y", "z", "x"]).unwrap_err(), "column \"x\" twice");
        let error = ColumnSpec::new(&["x", "y", "z", "nx"]).unwrap_err();
        assert_eq!(error, "1 of the three columns of a normal");
        assert_eq!(ColumnSpec::default().roles(3).unwrap().len(), 3);
        assert_eq!(ColumnSpec::default().roles(7).unwrap_err().found, "7 columns");
    }

    #[test]
    fn names_of_many_programs() {
        for (name, role) in [
            ("X", X),
            ("\"Points:1\"", Y),
            ("z [m]", Z),
            ("x(mm)", X),
            ("Nx", Nx),
            ("Rf", R),
            ("Diffuse_Blue", B),
            ("Reflectivity", Intensity),
            ("Classification", Label),
            ("f_dc_2", HarmonicB),
        ] {
            assert_eq!(ColumnRole::from_name(name), Some(role), "{name}");
        }
        for name in ["", "time", "[m]", "x y", "Points", "ring", "]", ")"] {
            assert_eq!(ColumnRole::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_double_or_incomplete_is_said() {
        let named = NamedColumns::from_names(&["Points:0", "y", "z", "x", "y", "nx", "r"].map(Some));
        assert_eq!(named.roles, [None, Some(Y), Some(Z), Some(X), None, None, None]);
        assert_eq!(
            named.warnings,
            [
                "columns \"Points:0\" and \"x\" mean the same; \"x\" is read",
                "columns \"y\" and \"y\" mean the same; \"y\" is read",
                "1 of the three columns of a normal are there; it is not read",
                "1 of the three columns of a colour are there; it is not read",
            ]
        );
        let names = [Some("lon"), Some("lat"), None];
        let error = NamedColumns::from_names(&names).require_position(&names).unwrap_err();
        assert_eq!(error.to_string(), "expected columns x, y and z, found columns \"lon,lat,\"");
    }
}
