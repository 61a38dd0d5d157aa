//! Which points of a cloud its patches have: what is asked of views, and shown in pictures.

use std::borrow::Cow;

use super::PatchIndices;

/// The points of patches that were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct PatchMembers {
    /// `[G,K]` indices into the points that were grouped.
    pub indices: Vec<u32>,
    /// Which points of the stored cloud those are; empty if they are all of them, in order.
    origins: Vec<u32>,
}

impl PatchMembers {
    /// The first `size` points of the first `groups` patches of a stored grouping, `stored_size` points each.
    pub(super) fn take_first(
        &mut self,
        patches: PatchIndices<'_>,
        stored_size: usize,
        groups: usize,
        size: usize,
    ) {
        self.origins.clear();
        self.indices.clear();
        for first in (0..groups).map(|group| group * stored_size) {
            self.indices.extend((first..first + size).map(|at| patches.get(at) as u32));
        }
    }

    /// Those of a fresh grouping of the points `subset` (all if empty) of the points `kept` (all if empty) of a cloud.
    pub(super) fn set_fresh(&mut self, patches: Vec<u32>, kept: Vec<u32>, subset: &[u32]) {
        self.indices = patches;
        self.origins = match (kept.as_slice(), subset) {
            (_, []) => kept,
            ([], subset) => subset.to_vec(),
            (kept, subset) => subset.iter().map(|&index| kept[index as usize]).collect(),
        };
    }

    /// Which points of the stored cloud were grouped; empty if they are all of them, in order.
    pub(crate) fn origins(&self) -> &[u32] {
        &self.origins
    }

    /// `[G,K]` indices into the stored cloud.
    pub(crate) fn trace(&self) -> Cow<'_, [u32]> {
        match self.origins.as_slice() {
            [] => Cow::Borrowed(&self.indices),
            origins => self.indices.iter().map(|&index| origins[index as usize]).collect(),
        }
    }
}
