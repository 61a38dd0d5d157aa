//! Normals are unit vectors or unknown: zeros, NaN and vectors of another length are never handed on as normals.

use jepa3d_schemas::{Mesh, PointCloud, Shape, Warning, WarningKind};

/// Lengths this close to one are handed on as they are.
const EXACT: f64 = 1e-3;

/// Lengths this close to one come from rounding (two decimals, eight bits); such normals are made unit vectors.
pub(super) const ROUNDED: f64 = 0.02;

/// What a list of vectors lacks to be one of unit normals.
#[derive(Default)]
struct NormalFaults {
    zero: usize,
    not_finite: usize,
    /// Of another length than one, but neither zero nor NaN.
    long: usize,
    /// The first such length.
    first_length: f64,
    /// Off by more than [`EXACT`].
    rounded: usize,
}

impl NormalFaults {
    fn count(normals: &[[f32; 3]]) -> Self {
        let mut faults = Self::default();
        for normal in normals {
            let length = length(normal);
            if (length - 1.0).abs() <= EXACT {
                continue;
            }
            if !length.is_finite() {
                faults.not_finite += 1;
            } else if length == 0.0 {
                faults.zero += 1;
            } else if (length - 1.0).abs() <= ROUNDED {
                faults.rounded += 1;
            } else {
                if faults.long == 0 {
                    faults.first_length = length;
                }
                faults.long += 1;
            }
        }
        faults
    }
}

fn length(normal: &[f32; 3]) -> f64 {
    let [x, y, z] = normal.map(f64::from);
    (x * x + y * y + z * z).sqrt()
}

/// Checks the normals of a shape and says what is wrong with them, if anything is.
///
/// A cloud with one normal that is zero, NaN or of a length other than one (by more than 2 %) loses all of them:
/// a list has no place for "unknown". A mesh keeps its: points drawn from it interpolate and normalise them, and
/// take the normal of the face where that gives none; the warning counts the triangles with such corners.
pub(crate) fn check_normals(shape: &mut Shape) -> Option<Warning> {
    match shape {
        Shape::Points(cloud) => keep_unit_normals(cloud),
        Shape::Mesh(mesh) => warn_of_mesh_normals(mesh),
    }
}

/// Drops the normals of a cloud unless all are unit vectors; those that were rounded are made so.
pub(crate) fn keep_unit_normals(cloud: &mut PointCloud) -> Option<Warning> {
    let normals = cloud.normals.as_mut()?;
    let NormalFaults { zero, not_finite, long, first_length, rounded } = NormalFaults::count(normals);
    if zero + not_finite + long == 0 {
        if rounded > 0 {
            normals.iter_mut().for_each(make_unit);
        }
        return None;
    }
    let mut parts = Vec::new();
    parts.extend((zero > 0).then(|| format!("{zero} zero")));
    parts.extend((not_finite > 0).then(|| format!("{not_finite} not finite")));
    parts.extend((long > 0).then(|| format!("{long} not of length one, the first of {first_length:.4}")));
    let text = format!("of {} normals {}; none are kept", normals.len(), parts.join(", "));
    cloud.normals = None;
    Some(Warning::new(WarningKind::NormalsUnknown, text))
}

/// Makes a vector one of length one unless it is nearly that.
fn make_unit(normal: &mut [f32; 3]) {
    let length = length(normal);
    if (length - 1.0).abs() > EXACT {
        *normal = normal.map(|x| (f64::from(x) / length) as f32);
    }
}

fn warn_of_mesh_normals(mesh: &Mesh) -> Option<Warning> {
    let is_bad = |normal: &[f32; 3]| {
        let length = length(normal);
        length == 0.0 || !length.is_finite()
    };
    if !mesh.normals.iter().any(is_bad) {
        return None;
    }
    let bad: Vec<bool> = mesh.normals.iter().map(is_bad).collect();
    let names_bad = |corners: &&[u32; 3]| corners.iter().any(|&i| bad.get(i as usize) == Some(&true));
    let count = mesh.normal_corners.iter().filter(names_bad).count();
    let text = format!(
        "{count} of {} triangles have a corner whose normal is zero or not finite; the others count, else their own",
        mesh.triangles.len()
    );
    (count > 0).then(|| Warning::new(WarningKind::NormalsUnknown, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The normals that are kept, and the warning.
    fn checked(normals: &[[f32; 3]]) -> (Option<Vec<[f32; 3]>>, Option<String>) {
        let mut cloud = PointCloud::from_positions(vec![[0.0; 3]; normals.len()]);
        cloud.normals = Some(normals.to_vec());
        let mut shape = Shape::Points(cloud);
        let warning = check_normals(&mut shape).map(|w| w.text);
        let Shape::Points(cloud) = shape else { panic!("a mesh") };
        (cloud.normals, warning)
    }

    #[test]
    fn unit_vectors_are_kept_bit_for_bit_and_rounded_ones_made_unit() {
        let exact = [[0.6, 0.8, 0.0], [0.577_35, 0.577_35, 0.577_35], [0.0, -1.0004, 0.0]];
        assert_eq!(checked(&exact), (Some(exact.to_vec()), None));
        let (kept, warning) = checked(&[[0.58, 0.58, 0.58], [0.0, 0.0, -1.0]]);
        assert_eq!(warning, None);
        let kept = kept.unwrap();
        assert!((length(&kept[0]) - 1.0).abs() < 1e-6, "{kept:?}");
        assert_eq!(kept[1], [0.0, 0.0, -1.0]);
    }

    #[test]
    fn others_are_unknown() {
        let up = [0.0, 0.0, 1.0];
        assert_eq!(checked(&[up, [0.0; 3]]), (None, Some("of 2 normals 1 zero; none are kept".into())));
        let text = "of 3 normals 1 not finite, 1 not of length one, the first of 12.1244; none are kept";
        assert_eq!(checked(&[[f32::NAN, 0.0, 1.0], [7.0; 3], up]), (None, Some(text.into())));
        assert_eq!(checked(&[[0.0, 0.0, 0.5], up]).0, None);
    }

    #[test]
    fn meshes_keep_theirs_with_a_warning() {
        let mut mesh = Mesh { normals: vec![[0.0; 3], [0.0, 0.0, 5.0], [f32::NAN; 3]], ..Mesh::default() };
        mesh.triangles = vec![[0, 1, 2]; 3];
        let checked = |corners: [[u32; 3]; 3]| {
            let mut shape = Shape::Mesh(Mesh { normal_corners: corners.to_vec(), ..mesh.clone() });
            check_normals(&mut shape).map(|w| w.text)
        };
        assert_eq!(checked([[1; 3]; 3]), None);
        let text = "2 of 3 triangles have a corner whose normal is zero or not finite; the others count, else their own";
        assert_eq!(checked([[1, 1, 0], [2, 1, 1], [1; 3]]).unwrap(), text);
    }
}
