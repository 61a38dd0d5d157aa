//! Places the meshes of a glTF scene: the tree of nodes, their transforms and instances.

use glam::{DMat4, DQuat, DVec3};
use jepa3d_schemas::{Warning, WarningKind};

use super::buffers::Buffers;
use super::document::{Document, GltfMesh, Instancing, Node};
use crate::error::ParseError;

/// A mesh where a node puts it.
pub(super) struct PlacedMesh<'a> {
    pub(super) node: &'a Node,
    pub(super) mesh: &'a GltfMesh,
    /// One for each instance; one alone for nodes that are no instances.
    pub(super) world_from_mesh: Vec<DMat4>,
}

/// What the nodes of a document say.
pub(super) struct PlacedNodes<'a> {
    pub(super) meshes: Vec<PlacedMesh<'a>>,
    /// Transform of each node; `None` for those that no root leads to.
    pub(super) world_from_node: Vec<Option<DMat4>>,
    pub(super) warnings: Vec<Warning>,
}

/// A node that waits for its turn.
struct Waiting {
    index: usize,
    world_from_parent: DMat4,
    is_shown: bool,
}

/// Places every mesh of the default scene (else of all root nodes), and every node that a joint may be.
///
/// # Errors
/// Fails if a node, mesh or attribute of instances is not there, or the nodes form no tree.
pub(super) fn place_meshes<'a>(buffers: &Buffers<'a>) -> Result<PlacedNodes<'a>, ParseError> {
    let document = buffers.document;
    let mut placed = PlacedNodes {
        meshes: Vec::new(),
        world_from_node: vec![None; document.nodes.len()],
        warnings: Vec::new(),
    };
    let roots = root_nodes(document);
    let shown = default_scene(document).unwrap_or(&roots);
    placed.descend(buffers, shown, true)?;
    let left: Vec<usize> = roots.iter().copied().filter(|&i| placed.world_from_node[i].is_none()).collect();
    // Roots of other scenes may have children in common with this one: those stay where they are.
    placed.descend(buffers, &left, false)?;
    placed.warn_of_others(document);
    Ok(placed)
}

impl<'a> PlacedNodes<'a> {
    /// Places the nodes below `roots`, and the meshes of a scene that is read.
    fn descend(&mut self, buffers: &Buffers<'a>, roots: &[usize], is_scene: bool) -> Result<(), ParseError> {
        let document = buffers.document;
        let start =
            |&index: &usize| Waiting { index, world_from_parent: DMat4::IDENTITY, is_shown: is_scene };
        let mut stack: Vec<Waiting> = roots.iter().rev().map(start).collect();
        while let Some(Waiting { index, world_from_parent, is_shown }) = stack.pop() {
            let node = document.nodes.get(index);
            let is_known = self.world_from_node.get(index).is_some_and(Option::is_some);
            let node = match node.filter(|_| !is_known) {
                Some(node) => node,
                // What is wrong with other scenes does no harm to this one.
                None if !is_scene => continue,
                None if is_known => {
                    return Err(ParseError::file("nodes that form a tree", format!("node {index} twice")));
                }
                None => {
                    let found = format!("{} nodes", document.nodes.len());
                    return Err(ParseError::file(format!("node {index}"), found));
                }
            };
            let world_from_node = world_from_parent * local_transform(node);
            self.world_from_node[index] = Some(world_from_node);
            let is_shown = is_shown && is_visible(node);
            if let Some(mesh) = node.mesh.filter(|_| is_shown) {
                let mesh = find_mesh(document, mesh)?;
                let world_from_mesh = match &node.extensions.instancing {
                    Some(instancing) => instance_transforms(buffers, instancing, world_from_node)?,
                    None => vec![world_from_node],
                };
                self.meshes.push(PlacedMesh { node, mesh, world_from_mesh });
            }
            let child = |&index: &usize| Waiting { index, world_from_parent: world_from_node, is_shown };
            stack.extend(node.children.iter().flatten().rev().map(child));
        }
        Ok(())
    }

    /// A warning if meshes are in no part of the scene that is read.
    fn warn_of_others(&mut self, document: &Document) {
        let with_mesh = document.nodes.iter().filter(|node| node.mesh.is_some()).count();
        let shown = self.meshes.len();
        if shown < with_mesh {
            let told = format!(
                "{} of {with_mesh} nodes with a mesh are hidden or in no part of the default scene; left out",
                with_mesh - shown
            );
            self.warnings.push(Warning::new(WarningKind::SceneLeftOut, told));
        }
    }
}

fn is_visible(node: &Node) -> bool {
    node.extensions.visibility.as_ref().and_then(|v| v.visible).unwrap_or(true)
}

/// The mesh of a number.
fn find_mesh(document: &Document, mesh: usize) -> Result<&GltfMesh, ParseError> {
    let missing = || ParseError::file(format!("mesh {mesh}"), format!("{} meshes", document.meshes.len()));
    document.meshes.get(mesh).ok_or_else(missing)
}

/// The root nodes of the default scene, which is the first unless the document names another.
fn default_scene(document: &Document) -> Option<&Vec<usize>> {
    document.scenes.get(document.scene.unwrap_or(0)).map(|scene| &scene.nodes)
}

/// Numbers of the nodes that have no parent.
fn root_nodes(document: &Document) -> Vec<usize> {
    let mut is_child = vec![false; document.nodes.len()];
    for &child in document.nodes.iter().flat_map(|node| node.children.iter().flatten()) {
        if let Some(slot) = is_child.get_mut(child) {
            *slot = true;
        }
    }
    (0..document.nodes.len()).filter(|&i| !is_child[i]).collect()
}

fn local_transform(node: &Node) -> DMat4 {
    if let Some(matrix) = node.matrix {
        return DMat4::from_cols_array(&matrix.map(f64::from));
    }
    let rotation = node.rotation.map_or([0.0, 0.0, 0.0, 1.0], |q| q.map(f64::from));
    let scale = DVec3::from_array(node.scale.map_or([1.0; 3], |s| s.map(f64::from)));
    let translation = DVec3::from_array(node.translation.map_or([0.0; 3], |t| t.map(f64::from)));
    DMat4::from_scale_rotation_translation(scale, DQuat::from_array(rotation).normalize(), translation)
}

/// The transforms of the instances of a node (`EXT_mesh_gpu_instancing`), each below that of the node.
fn instance_transforms(
    buffers: &Buffers<'_>,
    instancing: &Instancing,
    world_from_node: DMat4,
) -> Result<Vec<DMat4>, ParseError> {
    let rows = |name: &str| instancing.attributes.get(name).copied();
    let translations = instance_rows::<3>(buffers, rows("TRANSLATION"))?;
    let scales = instance_rows::<3>(buffers, rows("SCALE"))?;
    let rotations = match rows("ROTATION") {
        // Integers stand for shares of one, as in all quaternions of glTF.
        Some(accessor) => Some(wide_rows::<4>(buffers.shares(accessor)?.rows(), accessor)?),
        None => None,
    };
    let counts = [
        translations.as_ref().map(Vec::len),
        scales.as_ref().map(Vec::len),
        rotations.as_ref().map(Vec::len),
    ];
    let Some(count) = counts.iter().flatten().copied().min() else { return Ok(vec![world_from_node]) };
    if counts.iter().flatten().any(|&other| other != count) {
        return Err(ParseError::file("as many rows in each attribute of instances", format!("{counts:?}")));
    }
    let transform = |i: usize| {
        let translation = translations.as_ref().map_or(DVec3::ZERO, |rows| DVec3::from_array(rows[i]));
        let scale = scales.as_ref().map_or(DVec3::ONE, |rows| DVec3::from_array(rows[i]));
        let rotation =
            rotations.as_ref().map_or(DQuat::IDENTITY, |rows| DQuat::from_array(rows[i]).normalize());
        world_from_node * DMat4::from_scale_rotation_translation(scale, rotation, translation)
    };
    Ok((0..count).map(transform).collect())
}

fn instance_rows<const N: usize>(
    buffers: &Buffers<'_>,
    accessor: Option<usize>,
) -> Result<Option<Vec<[f64; N]>>, ParseError> {
    accessor.map(|accessor| wide_rows(buffers.accessor(accessor)?.rows(), accessor)).transpose()
}

fn wide_rows<const N: usize>(
    rows: Option<Vec<[f64; N]>>,
    accessor: usize,
) -> Result<Vec<[f64; N]>, ParseError> {
    rows.ok_or_else(|| ParseError::file(format!("instances of {N} numbers"), format!("accessor {accessor}")))
}
