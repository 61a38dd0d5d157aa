//! One corner of an OBJ face: the index of a vertex, and maybe of a texture coordinate and a normal.

use jepa3d_schemas::NO_INDEX;

/// Index from 0 of an OBJ index (from 1, or negative from the end); it may lie beyond `count`.
#[inline]
pub(super) fn resolve_index(index: i64, count: usize) -> Option<u32> {
    let from_zero =
        if index > 0 { index - 1 } else { index.checked_add(count as i64).filter(|_| index < 0)? };
    u32::try_from(from_zero).ok().filter(|&i| i != NO_INDEX)
}

/// Takes `v`, `v/vt`, `v//vn`, `v/vt/vn` (fields may be empty) off the front; absent ones are 0.
#[inline]
pub(super) fn take_corner(rest: &mut &[u8]) -> Option<[i64; 3]> {
    let mut corner = [take_integer(rest)?, 0, 0];
    for slot in &mut corner[1..] {
        let [b'/', tail @ ..] = *rest else { break };
        *rest = tail;
        if matches!(rest.first(), Some(b'-' | b'+' | b'0'..=b'9')) {
            *slot = take_integer(rest)?;
        }
    }
    matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'#')).then_some(corner)
}

#[inline]
fn take_integer(rest: &mut &[u8]) -> Option<i64> {
    let (negative, mut at) = match rest.first()? {
        b'-' => (true, 1),
        b'+' => (false, 1),
        _ => (false, 0),
    };
    let (start, mut value) = (at, 0i64);
    while let Some(digit @ b'0'..=b'9') = rest.get(at) {
        // Saturating keeps an absurd index out of range instead of wrapping it into it.
        value = value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
        at += 1;
    }
    if at == start {
        return None;
    }
    *rest = &rest[at..];
    Some(if negative { -value } else { value })
}
