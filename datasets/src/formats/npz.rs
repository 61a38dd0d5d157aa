//! npz (NumPy): a zip of npy arrays, of which one holds the points and others may hold their attributes.

use std::io::{Cursor, Read};

use jepa3d_schemas::{PointCloud, Warning, WarningKind};
use zip::ZipArchive;

use super::ascii::quote;
use super::column_names::{ColumnRole, ColumnSpec};
use super::npy::{NpyArray, NpyPoints};
use super::parsed::Parsed;
use crate::budget::Budget;
use crate::error::ParseError;

use ColumnRole::{B, G, Intensity, Label, Nx, Ny, Nz, R};

/// Array names that hold points, in the order in which they are tried.
const POINT_NAMES: [&str; 4] = ["points", "xyz", "pos", "data"];

/// Arrays beside the points that hold an attribute, `[N]` or `[N,C]`; of several names the first that is there.
const ATTRIBUTE_NAMES: [(&[&str], &[ColumnRole]); 4] = [
    (&["normals", "normal"], &[Nx, Ny, Nz]),
    (&["colors", "color", "rgb"], &[R, G, B]),
    (&["intensity", "intensities"], &[Intensity]),
    (&["labels", "label"], &[Label]),
];

/// Reads the points of an npz file: the array `points`, `xyz`, `pos` or `data`, else the only one.
///
/// # Errors
/// Fails as `parse_within` does, with the default budget.
pub fn parse(bytes: &[u8]) -> Result<Parsed<PointCloud>, ParseError> {
    parse_within(bytes, &ColumnSpec::default(), &Budget::default())
}

/// Reads the points of an npz file whose array `[N,C]` has the columns that `spec` names, and the arrays of as many
/// rows that are called `normals`, `colors`, `intensity` or `labels`. Other arrays are named in a warning.
///
/// # Errors
/// Fails as [`npy::parse`](super::npy::parse) does, or if the file is no zip, no array can be chosen (the error lists
/// the names), or an array unpacks to more than deflate can hold, than its entry says or than is left of the budget.
pub(crate) fn parse_within(
    bytes: &[u8],
    spec: &ColumnSpec,
    budget: &Budget,
) -> Result<Parsed<PointCloud>, ParseError> {
    let mut archive = NpzArchive::open(bytes, budget)?;
    let main = archive.choose_points()?;
    let unpacked = archive.unpack(&main)?;
    let in_array = |e| place_in_array(e, &main.name);
    let mut points =
        NpyArray::read(&unpacked).and_then(|array| array.points(spec, budget)).map_err(in_array)?;
    drop(unpacked);
    archive.arrays.retain(|entry| entry.index != main.index);
    for (names, roles) in ATTRIBUTE_NAMES {
        archive.take_attribute(names, roles, &mut points)?;
    }
    let NpyPoints { columns, color_type, mut warnings } = points;
    if !archive.arrays.is_empty() {
        let names: Vec<&str> = archive.arrays.iter().take(8).map(|entry| entry.name.as_str()).collect();
        let text =
            format!("{} arrays are not read: {}", archive.arrays.len(), quote(names.join(",").as_bytes()));
        warnings.push(Warning::new(WarningKind::ArraysIgnored, text));
    }
    let mut parsed = columns.into_cloud(color_type)?;
    parsed.warnings.splice(0..0, warnings);
    Ok(parsed)
}

/// The same problem, in an array of that name.
fn place_in_array(e: ParseError, name: &str) -> ParseError {
    ParseError { expected: format!("{} in array {name:?}", e.expected), ..e }
}

/// An array of the file.
#[derive(Clone, Debug)]
struct NpzEntry {
    index: usize,
    name: String,
}

/// The file, and its arrays that were not looked at yet.
struct NpzArchive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    arrays: Vec<NpzEntry>,
    budget: &'a Budget,
}

fn broken(error: zip::result::ZipError) -> ParseError {
    ParseError::file("an npz (zip) file", error.to_string())
}

impl<'a> NpzArchive<'a> {
    fn open(bytes: &'a [u8], budget: &'a Budget) -> Result<Self, ParseError> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        let entry = |index| {
            let name = zip.name_for_index(index)?.ok()?.strip_suffix(".npy")?.to_owned();
            Some(NpzEntry { index, name })
        };
        let arrays = (0..zip.len()).filter_map(entry).collect();
        Ok(Self { zip, arrays, budget })
    }

    /// The array that holds the points.
    fn choose_points(&self) -> Result<NpzEntry, ParseError> {
        let known = POINT_NAMES.iter().find_map(|name| self.arrays.iter().find(|entry| entry.name == *name));
        match (known, &self.arrays[..]) {
            (Some(entry), _) | (None, [entry]) => Ok(entry.clone()),
            _ => {
                let names: Vec<&String> = self.arrays.iter().take(8).map(|entry| &entry.name).collect();
                let expected = format!("an array named {} or a single array", POINT_NAMES.join(", "));
                Err(ParseError::file(expected, format!("arrays {names:?}")))
            }
        }
    }

    /// The bytes of an array, which the entry's claim bounds before they are unpacked.
    fn unpack(&mut self, array: &NpzEntry) -> Result<Vec<u8>, ParseError> {
        let entry = self.zip.by_index(array.index).map_err(broken)?;
        let in_array = |e| place_in_array(e, &array.name);
        let claimed = entry.size();
        // Deflate cannot hold more than 1032 bytes in one; the slack is for tiny arrays.
        let limit = entry.compressed_size().saturating_mul(1032).saturating_add(1024);
        if claimed > limit {
            let expected = format!("at most {limit} unpacked bytes");
            return Err(in_array(ParseError::file(expected, claimed.to_string())));
        }
        self.budget.charge(claimed, &format!("array {:?}", array.name))?;
        let mut unpacked = Vec::with_capacity(claimed as usize);
        entry
            .take(claimed + 1)
            .read_to_end(&mut unpacked)
            .map_err(|e| in_array(ParseError::file("packed data", e.to_string())))?;
        if unpacked.len() as u64 != claimed {
            let found =
                if unpacked.len() as u64 > claimed { "more".to_owned() } else { unpacked.len().to_string() };
            return Err(in_array(ParseError::file(format!("{claimed} unpacked bytes"), found)));
        }
        Ok(unpacked)
    }

    /// Reads the first array of one of these names as an attribute of the points; one that does not fit them is left
    /// to the warning about the others.
    fn take_attribute(
        &mut self,
        names: &[&str],
        roles: &[ColumnRole],
        points: &mut NpyPoints,
    ) -> Result<(), ParseError> {
        let found = names.iter().find_map(|name| self.arrays.iter().find(|entry| entry.name == *name));
        let Some(entry) = found.cloned().filter(|_| points.columns.get(roles[0]).is_none()) else {
            return Ok(());
        };
        let unpacked = self.unpack(&entry)?;
        let array = NpyArray::read(&unpacked).map_err(|e| place_in_array(e, &entry.name))?;
        match array.push_attribute(&mut points.columns, roles, self.budget)? {
            Some(color_type) => {
                if roles[0] == R {
                    points.color_type = color_type;
                }
                self.arrays.retain(|other| other.index != entry.index);
            }
            None => {
                let rows = points.columns.rows();
                let text =
                    format!("array {:?} of shape {:?} does not fit {rows} points", entry.name, array.shape());
                points.warnings.push(Warning::new(WarningKind::ArraysIgnored, text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;
    use crate::formats::npy::tests::file;

    /// An npz file with the given arrays.
    pub(crate) fn archive(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            writer.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn cloud(value: u8) -> Vec<u8> {
        file("'|u1'", false, "(1, 3)", &[value; 3])
    }

    #[test]
    fn the_array_is_chosen_by_name() {
        let read = |arrays: &[(&str, Vec<u8>)]| parse(&archive(arrays)).unwrap();
        assert_eq!(read(&[("odd", cloud(1))]).geometry.positions[0][0], 1.0);
        let two = read(&[("data", cloud(1)), ("points", cloud(2))]);
        assert_eq!(two.geometry.positions[0][0], 2.0);
        assert_eq!(two.warnings, ["1 arrays are not read: \"data\""]);
        let error = parse(&archive(&[("a", cloud(1)), ("b", cloud(2))])).unwrap_err().to_string();
        assert_eq!(
            error,
            "expected an array named points, xyz, pos, data or a single array, found arrays [\"a\", \"b\"]"
        );
        let error = parse(&archive(&[("a", b"x".to_vec())])).unwrap_err().to_string();
        assert_eq!(error, "expected an npy magic of version 1, 2 or 3 in array \"a\", found \"x\", byte 0");
        assert!(parse(b"PK").unwrap_err().to_string().starts_with("expected an npz (zip) file"));
    }

    #[test]
    fn arrays_beside_the_points_are_attributes() {
        let normal: Vec<u8> = [0.0f32, 0.6, 0.8].iter().flat_map(|v| v.to_le_bytes()).collect();
        let Parsed { geometry, warnings } = parse(&archive(&[
            ("points", cloud(1)),
            ("normals", file("'<f4'", false, "(1, 3)", &normal)),
            ("colors", file("'|u1'", false, "(1, 4)", &[200, 100, 50, 255])),
            ("labels", file("'<i8'", false, "(1,)", &7i64.to_le_bytes())),
            ("intensity", file("'|u1'", false, "(2,)", &[1, 2])),
            ("scale", file("'|u1'", false, "()", &[1])),
        ]))
        .unwrap();
        assert_eq!(geometry.normals, Some(vec![[0.0, 0.6, 0.8]]));
        assert_eq!(geometry.colors, Some(vec![[200, 100, 50]]));
        assert_eq!((geometry.point_labels, geometry.intensity), (Some(vec![7]), None));
        assert_eq!(
            warnings,
            [
                "array \"intensity\" of shape [2] does not fit 1 points",
                "2 arrays are not read: \"intensity,scale\""
            ]
        );
    }

    #[test]
    fn bombs_are_refused_before_they_are_unpacked() {
        let bytes = archive(&[("points", file("'|u1'", false, "(1000000, 3)", &vec![0; 3_000_000]))]);
        assert!(bytes.len() < 10_000);
        for limit in [2 << 20, 40 << 20] {
            let error =
                parse_within(&bytes, &ColumnSpec::default(), &Budget::new(limit)).unwrap_err().to_string();
            assert!(error.contains("run.max_object_mb"), "{error}");
        }
        assert_eq!(parse(&bytes).unwrap().geometry.len(), 1_000_000);
    }
}
