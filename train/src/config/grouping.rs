//! Groups of clouds in letters: what an encoder learned from, what a dataset holds, and whether one serves the other.

use std::fmt;
use std::str::FromStr;

use jepa3d_grouping::CellEdge;
use jepa3d_loader::PreparedDataset;
use jepa3d_schemas::ShapeLetters;

use crate::error::Error;

/// Groups that are patches around farthest points.
const PATCHES: &str = "patches";

/// How clouds are grouped. As text, `N 1024, G 64, K 32, patches`: so checkpoints keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupLetters {
    /// `N`.
    pub points: usize,
    /// `G`.
    pub groups: usize,
    /// `K`.
    pub group_size: usize,
    /// Patches, or which voxel blocks.
    kind: String,
}

impl GroupLetters {
    /// Patches.
    pub(crate) fn patches(points: usize, groups: usize, group_size: usize) -> Self {
        Self { points, groups, group_size, kind: PATCHES.to_owned() }
    }

    /// Those that a dataset holds.
    pub(crate) fn read_stored(dataset: &PreparedDataset) -> Self {
        let ShapeLetters { N: points, G: groups, K: group_size, .. } = dataset.shape();
        let kind = match dataset.cell_edge() {
            None => PATCHES.to_owned(),
            Some(CellEdge::Auto) => "voxel blocks".to_owned(),
            Some(CellEdge::Fixed(edge)) => format!("voxel blocks of edge {edge}"),
        };
        Self { points, groups, group_size, kind }
    }

    /// Whether groups are patches.
    pub(crate) fn is_patches(&self) -> bool {
        self.kind == PATCHES
    }

    /// The edge of voxel blocks whose cells have a fixed one.
    pub(crate) fn voxel_edge(&self) -> Option<f64> {
        self.kind.strip_prefix("voxel blocks of edge ")?.parse().ok()
    }

    /// Whether an encoder that learned from these finds them in `stored` ones: the first centers are farthest points again, and
    /// the first of a patch its nearest, so more of both do no harm; where voxel blocks lie depends on how many there are.
    pub(crate) fn are_in(&self, stored: &Self) -> bool {
        if !self.is_patches() {
            return self == stored;
        }
        let is_enough = stored.groups >= self.groups && stored.group_size >= self.group_size;
        stored.is_patches() && stored.points == self.points && is_enough
    }
}

impl fmt::Display for GroupLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { points, groups, group_size, kind } = self;
        write!(f, "N {points}, G {groups}, K {group_size}, {kind}")
    }
}

impl FromStr for GroupLetters {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(4, ", ");
        let mut number = |letter: &str| parts.next()?.strip_prefix(letter)?.parse().ok();
        let numbers = (number("N "), number("G "), number("K "));
        if let ((Some(points), Some(groups), Some(group_size)), Some(kind)) = (numbers, parts.next()) {
            return Ok(Self { points, groups, group_size, kind: kind.to_owned() });
        }
        let expected = "N, G, K and what the groups are, as in \"N 1024, G 64, K 32, patches\"";
        Err(super::out_of_range("grouping of a checkpoint", expected, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_back_and_more_groups_serve_patches_alone() {
        let learned: GroupLetters = "N 1024, G 32, K 16, patches".parse().unwrap();
        assert_eq!(learned, GroupLetters::patches(1024, 32, 16));
        for (stored, serves) in [
            ("N 1024, G 64, K 32, patches", true),
            ("N 1024, G 32, K 16, patches", true),
            ("N 1024, G 31, K 16, patches", false),
            ("N 1024, G 64, K 8, patches", false),
            ("N 2048, G 64, K 32, patches", false),
            ("N 1024, G 64, K 32, voxel blocks", false),
        ] {
            assert_eq!(learned.are_in(&stored.parse().unwrap()), serves, "{stored}");
        }
        let blocks: GroupLetters = "N 8192, G 64, K 32, voxel blocks of edge 0.5".parse().unwrap();
        assert_eq!(blocks.to_string(), "N 8192, G 64, K 32, voxel blocks of edge 0.5");
        assert!(blocks.are_in(&blocks) && !blocks.are_in(&GroupLetters { groups: 128, ..blocks.clone() }));
        for wrong in ["", "N 1, G 2, K 3", "N 1, G 2, patches", "N x, G 2, K 3, patches"] {
            assert!(wrong.parse::<GroupLetters>().unwrap_err().to_string().contains("patches"), "{wrong}");
        }
    }
}
