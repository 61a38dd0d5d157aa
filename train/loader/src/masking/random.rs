//! A uniform subset of the patches, exact in number.

use jepa3d_schemas::Draws;

use crate::error::{Result, out_of_range};

/// `hidden` of `groups` indices, ascending.
pub(super) fn draw(groups: usize, hidden: usize, draws: &mut Draws) -> Result<Vec<u32>> {
    if hidden == 0 || hidden >= groups {
        let expected = format!("a share that hides 1 to {} of {groups} patches", groups - 1);
        return Err(out_of_range("masking.target_ratio", expected, hidden));
    }
    Ok(draws.distinct_sorted(groups, hidden))
}
