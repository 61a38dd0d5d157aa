//! Settings of the folder reader, and what they mean once they are checked.

use glob::Pattern;
use jepa3d_schemas::UpAxis;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::formats::{ColumnSpec, EXTENSIONS};
use crate::split::Split;

/// Extensions that also name lists, notes, weights and buffers; read only when asked for.
const ONLY_WHEN_LISTED: [&str; 3] = ["txt", "csv", "bin"];

/// Settings of a [`Folder`](super::Folder).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderConfig {
    /// Extensions to read, without dot, any case. Empty (default): all that can be read, but for
    /// `txt`, `csv` and `bin`, which also name lists, notes, weights and buffers; list these to read them.
    /// `bin` is KITTI's velodyne: rows of x, y, z, intensity as little-endian f32 (`.pcd.bin`: of nuScenes, with a ring).
    pub extensions: Vec<String>,
    /// Only objects whose id matches: `*` stands for any run of characters (also `/`), `?` for one,
    /// `[abc]`, `[a-z]` and `[!abc]` for one of a set. Empty (default): all.
    pub pattern: String,
    /// Split of files that lie in no split folder: `train` (default), `val` or `test`.
    pub split: String,
    /// The axis that points up: `x`, `y` (default) or `z`.
    pub up_axis: UpAxis,
    /// Column names of text tables, npy arrays and `bin`: x, y, z, nx, ny, nz, r, g, b, intensity, label,
    /// or `_` for one to pass over, which may hold anything. Empty (default): by header line or field names, else xyz
    /// for three columns and xyz with normals or colours (whichever the values can be) for six.
    pub columns: Vec<String>,
    /// Whether to decode the textures that materials name (default true).
    pub textures: bool,
}

impl Default for FolderConfig {
    fn default() -> Self {
        Self {
            extensions: Vec::new(),
            pattern: String::new(),
            split: "train".to_owned(),
            up_axis: UpAxis::Y,
            columns: Vec::new(),
            textures: true,
        }
    }
}

impl FolderConfig {
    /// The extensions to read, in lower case.
    ///
    /// # Errors
    /// Fails if one of them is not read.
    pub(super) fn wanted_extensions(&self) -> Result<Vec<String>> {
        if self.extensions.is_empty() {
            let usual = EXTENSIONS.iter().filter(|e| !ONLY_WHEN_LISTED.contains(e));
            return Ok(usual.map(|&e| e.to_owned()).collect());
        }
        let mut wanted = Vec::with_capacity(self.extensions.len());
        for name in &self.extensions {
            let lower = name.trim_start_matches('.').to_ascii_lowercase();
            if !EXTENSIONS.contains(&lower.as_str()) {
                return Err(Error::Config {
                    key: "extensions",
                    expected: format!("some of {}", EXTENSIONS.join(", ")),
                    found: format!("{name:?}"),
                });
            }
            wanted.push(lower);
        }
        Ok(wanted)
    }

    /// What the columns of tables mean.
    ///
    /// # Errors
    /// Fails if a name is unknown or comes twice, or x, y or z is missing.
    pub(super) fn column_spec(&self) -> Result<ColumnSpec> {
        ColumnSpec::new(&self.columns).map_err(|problem| Error::Config {
            key: "columns",
            expected: "x, y, z and any of nx, ny, nz, r, g, b, intensity, label, _".to_owned(),
            found: format!("{:?} ({problem})", self.columns.join(",")),
        })
    }

    /// The split of files that lie in no split folder.
    ///
    /// # Errors
    /// Fails if the name means none.
    pub(super) fn default_split(&self) -> Result<Split> {
        Split::from_folder_name(&self.split).ok_or_else(|| Error::Config {
            key: "split",
            expected: "train, val or test".to_owned(),
            found: format!("{:?}", self.split),
        })
    }

    /// The pattern of ids, `None` for all.
    ///
    /// # Errors
    /// Fails if a set of characters is not closed.
    pub(super) fn id_pattern(&self) -> Result<Option<Pattern>> {
        if self.pattern.is_empty() {
            return Ok(None);
        }
        let pattern = Pattern::new(&one_star_each(&self.pattern)).map_err(|problem| Error::Config {
            key: "pattern",
            expected: "a pattern of *, ?, [abc] and other characters".to_owned(),
            found: format!("{:?} ({})", self.pattern, problem.msg),
        })?;
        Ok(Some(pattern))
    }
}

/// The pattern with each run of stars as one: `*` goes beyond a `/` here, so that more say nothing
/// new, and `glob` allows two only for whole folders.
fn one_star_each(pattern: &str) -> String {
    let mut shorter = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        if c != '*' || !shorter.ends_with('*') {
            shorter.push(c);
        }
    }
    shorter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*/train/*", "cup/train/x", true),
            ("?b", "ab", true),
            ("?b", "b", false),
            ("a**b*", "acb", true),
            ("a/**", "a/b/c", true),
            ("[!b-d]?", "\u{e9}x", true),
            ("[!b-d]?", "cx", false),
        ] {
            let config = FolderConfig { pattern: pattern.to_owned(), ..FolderConfig::default() };
            let matcher = config.id_pattern().unwrap().expect("a pattern");
            assert_eq!(matcher.matches(text), expected, "{pattern} {text}");
        }
        let open = FolderConfig { pattern: "a[b".to_owned(), ..FolderConfig::default() };
        assert_eq!(
            open.id_pattern().unwrap_err().to_string(),
            "dataset.pattern: expected a pattern of *, ?, [abc] and other characters, \
             found \"a[b\" (invalid range pattern)"
        );
    }
}
