//! ModelNet40 as rows of HDF5 files: PointNet's `ply_data_{train,test}*.h5`.

use std::path::Path;

use super::folders::{ModelNetFiles, class_names};
use crate::error::{Error, Result};
use crate::h5_clouds::H5Clouds;
use crate::listing::{ListOrigin, Listing, ListingEntry};
use crate::split::Split;
use crate::walk::list_folder;

/// Lists the rows of all files, in the byte order of their names: ids are `train0/00017`.
///
/// The `origin` of an entry holds its file and row. The label of a row is read with the row, so the
/// entries have none of their own.
///
/// # Errors
/// Fails if `shape_names.txt` is missing, or if a file cannot be opened.
pub(super) fn list_rows(base: &Path) -> Result<(ModelNetFiles, Vec<H5Clouds>)> {
    let classes = class_names(&base.join("shape_names.txt"))?;
    let (mut files, mut entries, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for name in list_folder(base)?.files {
        let Some((part, split)) = parse_name(&name) else { continue };
        let path = base.join(&name);
        let clouds = H5Clouds::open(&path, false)?;
        for row in 0..clouds.len() {
            let origin = Some(ListOrigin { list: files.len(), line: row });
            entries.push(ListingEntry {
                id: format!("{part}/{row:05}"),
                split,
                label: 0,
                file: format!("{name}#{row}"),
                origin,
            });
        }
        files.push(clouds);
        paths.push(path);
    }
    if files.is_empty() {
        return Err(Error::Missing {
            path: base.join("ply_data_train0.h5"),
            expected: "modelnet40_ply_hdf5_2048, the archive of PointNet".into(),
        });
    }
    let listing = Listing::new(entries, paths)?;
    Ok((ModelNetFiles { listing, classes, notes: Vec::new() }, files))
}

/// `train0` and its split, of `ply_data_train0.h5`.
pub(super) fn parse_name(file: &str) -> Option<(&str, Split)> {
    let part = file.strip_prefix("ply_data_")?.strip_suffix(".h5")?;
    let split = [Split::Train, Split::Test].into_iter().find(|split| part.starts_with(split.name()))?;
    Some((part, split))
}
