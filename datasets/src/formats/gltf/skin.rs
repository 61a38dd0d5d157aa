//! Skins of glTF: joints move vertices, and the transform of the mesh's own node does not count.

use std::collections::BTreeMap;
use std::rc::Rc;

use glam::DMat4;

use super::buffers::Buffers;
use super::document::Primitive;
use crate::error::ParseError;

/// The joint matrices of skins that were asked for.
#[derive(Default)]
pub(super) struct Skins {
    by_number: BTreeMap<usize, Rc<Vec<DMat4>>>,
}

impl Skins {
    /// What each joint of a skin makes of a vertex: its transform after the inverse of its bind matrix.
    ///
    /// # Errors
    /// Fails if the skin, a joint or a bind matrix is not there.
    pub(super) fn joints(
        &mut self,
        buffers: &Buffers<'_>,
        world_from_node: &[Option<DMat4>],
        skin: usize,
    ) -> Result<Rc<Vec<DMat4>>, ParseError> {
        if let Some(known) = self.by_number.get(&skin) {
            return Ok(Rc::clone(known));
        }
        let skins = &buffers.document.skins;
        let missing = || ParseError::file(format!("skin {skin}"), format!("{} skins", skins.len()));
        let entry = skins.get(skin).ok_or_else(missing)?;
        let inverse_binds = match entry.inverse_bind_matrices {
            Some(accessor) => {
                let rows = buffers.accessor(accessor)?.rows::<16>();
                let rows = rows.filter(|rows| rows.len() >= entry.joints.len()).ok_or_else(|| {
                    let expected = format!("{} inverse bind matrices", entry.joints.len());
                    ParseError::file(expected, format!("accessor {accessor}"))
                })?;
                rows.iter().map(DMat4::from_cols_array).collect()
            }
            None => vec![DMat4::IDENTITY; entry.joints.len()],
        };
        let mut matrices = Vec::with_capacity(entry.joints.len());
        for (&joint, inverse_bind) in entry.joints.iter().zip(&inverse_binds) {
            let world = world_from_node.get(joint).copied().flatten();
            let world = world.ok_or_else(|| {
                ParseError::file(format!("joint {joint} of skin {skin} in a tree"), "a node that is in none")
            })?;
            matrices.push(world * *inverse_bind);
        }
        let matrices = Rc::new(matrices);
        self.by_number.insert(skin, Rc::clone(&matrices));
        Ok(matrices)
    }
}

/// How joints move the vertices of a primitive.
pub(super) struct SkinnedVertices {
    /// Transform of each vertex.
    pub(super) world_from_vertex: Vec<DMat4>,
    /// Vertices whose weights did not add up to one.
    pub(super) mended: usize,
}

/// What the joints of a vertex add up to.
#[derive(Clone, Copy)]
struct JointSum {
    /// Joint matrices times their weights.
    matrix: DMat4,
    weight: f64,
    /// The matrix of the joint that is named first.
    first: DMat4,
}

fn rows_of_four(
    rows: Option<Vec<[f64; 4]>>,
    accessor: usize,
    count: usize,
) -> Result<Vec<[f64; 4]>, ParseError> {
    let wrong = || ParseError::file(format!("{count} rows of 4 numbers"), format!("accessor {accessor}"));
    rows.filter(|rows| rows.len() == count).ok_or_else(wrong)
}

/// The transform of each of `count` vertices; `None` for a primitive that names no joints.
///
/// Weights that do not add up to one are scaled until they do; a vertex of no weight goes with its first joint.
///
/// # Errors
/// Fails if joints and weights are not there for every vertex, or name a joint that the skin has not.
pub(super) fn skin_vertices(
    buffers: &Buffers<'_>,
    primitive: &Primitive,
    joints: &[DMat4],
    count: usize,
) -> Result<Option<SkinnedVertices>, ParseError> {
    let mut sets = 0;
    let mut sums: Vec<JointSum> = Vec::new();
    while let Some(&named) = primitive.attributes.get(&format!("JOINTS_{sets}")) {
        if sets == 0 {
            buffers.budget.charge_values(count as u64, size_of::<JointSum>(), "the joints of vertices")?;
            sums = vec![JointSum { matrix: DMat4::ZERO, weight: 0.0, first: DMat4::IDENTITY }; count];
        }
        let weights = primitive.attributes.get(&format!("WEIGHTS_{sets}")).copied().ok_or_else(|| {
            ParseError::file(format!("an attribute WEIGHTS_{sets}"), format!("JOINTS_{sets} alone"))
        })?;
        buffers.budget.charge_values(count as u64, 8 * 8, "joints and weights")?;
        let names = rows_of_four(buffers.accessor(named)?.rows(), named, count)?;
        let weights = rows_of_four(buffers.shares(weights)?.rows(), weights, count)?;
        for (sum, (names, weights)) in sums.iter_mut().zip(names.iter().zip(&weights)) {
            let first = joints.get(names[0] as usize).filter(|_| sets == 0);
            sum.first = first.copied().unwrap_or(sum.first);
            for (&name, &weight) in names.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
                let joint = joints.get(name as usize).filter(|_| name >= 0.0).ok_or_else(|| {
                    let found = format!("{name} in accessor {named}");
                    ParseError::file(format!("joints below {}", joints.len()), found)
                })?;
                sum.matrix += *joint * weight;
                sum.weight += weight;
            }
        }
        sets += 1;
    }
    let mut mended = 0;
    let world_from_vertex = sums.into_iter().map(|JointSum { matrix, weight, first }| {
        // Bytes that stand for weights may miss one by a 255th each.
        if weight.is_nan() || (weight - 1.0).abs() > 0.02 {
            mended += 1;
        }
        if weight.is_finite() && weight > 0.0 { matrix * (1.0 / weight) } else { first }
    });
    let world_from_vertex: Vec<DMat4> = world_from_vertex.collect();
    Ok((sets > 0).then_some(SkinnedVertices { world_from_vertex, mended }))
}
