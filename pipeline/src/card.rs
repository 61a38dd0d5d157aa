//! The dataset card: `README.md` of a prepared dataset, by which the Hugging Face hub and `datasets.load_dataset(folder)` find
//! its splits and tables, and people what is in it.
//!
//! It is a function of the manifest alone. A card that somebody has changed, say to state a licence, is left as it is.

use std::fmt::Write as _;
use std::path::Path;

use jepa3d_schemas::{
    GroupsEntry, Manifest, ShardEntry, Table, VoxelEdge, read_regular, source_hash, write_atomically,
};

use crate::error::Result;

/// File name of the card inside a prepared dataset.
pub(crate) const CARD_FILE: &str = "README.md";

/// Before the hash of all that stands above it, at the end of a card of ours.
const SEAL: &str = "\n<!-- jepa3d ";

/// Writes the card of a complete dataset, unless it is there already, or one that is not of our making.
///
/// # Errors
/// Fails if the file cannot be written.
pub(crate) fn write_card(folder: &Path, manifest: &Manifest) -> Result<()> {
    let path = folder.join(CARD_FILE);
    let card = seal(&describe_dataset(manifest));
    let is_kept = match read_regular(&path) {
        Ok(found) => found == card.as_bytes() || !is_ours(&found),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    };
    if is_kept {
        return Ok(());
    }
    Ok(write_atomically(&path, card.as_bytes())?)
}

/// A card that tells later whether somebody has changed it.
fn seal(card: &str) -> String {
    format!(
        "{card}{SEAL}{}: a card that is changed above is left as it is -->\n",
        source_hash(&[card.as_bytes()])
    )
}

fn is_ours(found: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(found) else { return false };
    text.rsplit_once(SEAL).is_some_and(|(card, end)| end.starts_with(&source_hash(&[card.as_bytes()])))
}

/// Whether the card in `folder` says the fingerprint of the manifest; none if there is no card.
pub(crate) fn names_fingerprint(folder: &Path, manifest: &Manifest) -> Option<bool> {
    let found = read_regular(&folder.join(CARD_FILE)).ok()?;
    Some(String::from_utf8_lossy(&found).contains(&manifest.fingerprint))
}

fn describe_dataset(manifest: &Manifest) -> String {
    let Manifest { dataset, tool_version, fingerprint, .. } = manifest;
    let mut out = describe_header(manifest);
    let _ = writeln!(
        out,
        "\n# {dataset}, prepared by jepa3d\n\n\
         {rows} samples, of the source `{dataset}`, prepared by jepa3d {tool_version}. The licence is that of the source: state it \
         in the header above.\n\n\
         | | |\n|---|---|\n\
         | fingerprint | `{fingerprint}` |\n\
         | up axis | {up} |\n\
         | clouds | {clouds} |\n\
         | groups | {groups} |",
        rows = manifest.written(),
        up = ["x", "y", "z"][manifest.up_axis.index()],
        clouds = describe_clouds(manifest),
        groups = describe_groups(manifest),
    );
    if let Some(views) = &manifest.views {
        let shape = manifest.shape;
        let _ = writeln!(out, "| views | {} x {} pixels, `{}` |", shape.W, shape.H, views.fingerprint);
    }
    if !manifest.classes.is_empty() {
        let _ = writeln!(out, "| classes | {} |", manifest.classes.join(", "));
    }
    out += &describe_splits(manifest);
    out += &describe_use(manifest);
    out += &describe_tables(manifest);
    let config = serde_json::to_string_pretty(&manifest.config).expect("a value serialises");
    let _ = writeln!(out, "\n## Config\n\n```json\n{config}\n```");
    out
}

/// The YAML header: which files are which split of which table.
fn describe_header(manifest: &Manifest) -> String {
    let mut out = format!("---\npretty_name: {:?}\nlicense: unknown\n", manifest.dataset);
    out += "tags:\n- 3d\n- point-cloud\n- jepa3d\nsize_categories:\n";
    let size = match manifest.written() {
        ..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        _ => "1M<n<10M",
    };
    let _ = writeln!(out, "- {size}\nconfigs:");
    add_table(&mut out, Table::Points, &manifest.shards);
    if let Some(views) = &manifest.views {
        add_table(&mut out, Table::Views, &views.shards);
    }
    out + "---\n"
}

fn add_table(out: &mut String, table: Table, shards: &[ShardEntry]) {
    let name = table.folder();
    let is_default = if table == Table::Points { "  default: true\n" } else { "" };
    let _ = write!(out, "- config_name: {name}\n{is_default}  data_files:\n");
    let mut splits: Vec<&str> = shards.iter().map(|shard| shard.split.as_str()).collect();
    splits.sort_unstable();
    splits.dedup();
    for split in splits {
        // Names of splits are words there.
        let word: String = split.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
        let _ = write!(out, "  - split: {word}\n    path: {name}/{split}-*.parquet\n");
    }
}

fn describe_clouds(manifest: &Manifest) -> String {
    match manifest.shape.S {
        0 => "of any size".to_owned(),
        points => format!("S = {points} points"),
    }
}

fn describe_groups(manifest: &Manifest) -> String {
    let shape = manifest.shape;
    let letters = format!("R = {}, N = {}, G = {}, K = {}", shape.R, shape.N, shape.G, shape.K);
    match manifest.groups {
        GroupsEntry::Patches => format!("patches, {letters}"),
        GroupsEntry::VoxelBlocks { cell_edge: VoxelEdge::Auto } => format!("voxel blocks, {letters}"),
        GroupsEntry::VoxelBlocks { cell_edge: VoxelEdge::Fixed(edge) } => {
            format!("voxel blocks of edge {edge}, {letters}")
        }
    }
}

fn describe_splits(manifest: &Manifest) -> String {
    let mut out = "\n| split | samples | not prepared |\n|---|---|---|\n".to_owned();
    for (split, counts) in &manifest.splits {
        let _ = writeln!(out, "| {split} | {} | {} |", counts.written, counts.quarantined);
    }
    out
}

fn describe_use(manifest: &Manifest) -> String {
    let split = manifest.shards.first().map_or("train", |shard| &shard.split);
    format!(
        "\n```python\nfrom datasets import load_dataset\nload_dataset(\"this folder\", split=\"{split}\")\n\n\
         import jepa3d  # the same rows as arrays, and a loader for training\n\
         jepa3d.Dataset(\"this folder\", split=\"{split}\")[0][\"points\"]\n```\n"
    )
}

fn describe_tables(manifest: &Manifest) -> String {
    let mut out = format!(
        "\n## Columns\n\nCoordinates are in the stored frame, `raw = points * norm_scale + norm_center`. Letters: S stored points, \
         R groupings of N points, G groups of K points.\n\n### points\n\n{}",
        Table::Points.describe_columns()
    );
    if manifest.views.is_some() {
        let columns = Table::Views.describe_columns();
        let _ = write!(out, "\n### views\n\nH x W pixels, C visible points.\n\n{columns}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_names_every_split_and_table_and_a_changed_one_is_kept() {
        let manifest = Manifest::example();
        let card = describe_dataset(&manifest);
        for shard in &manifest.shards {
            assert!(card.contains(&format!(
                "  - split: {}\n    path: points/{}-*.parquet",
                shard.split, shard.split
            )));
        }
        assert!(card.starts_with("---\n") && card.contains(&manifest.fingerprint));
        let folder = tempfile::tempdir().unwrap();
        write_card(folder.path(), &manifest).unwrap();
        let path = folder.path().join(CARD_FILE);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), seal(&card));
        // One of other views, say, is replaced; a changed one is not.
        std::fs::write(&path, seal("another")).unwrap();
        write_card(folder.path(), &manifest).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), seal(&card));
        assert_eq!(names_fingerprint(folder.path(), &manifest), Some(true));
        std::fs::write(&path, "license: mit").unwrap();
        write_card(folder.path(), &manifest).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "license: mit");
        assert_eq!(names_fingerprint(folder.path(), &manifest), Some(false));
    }
}
