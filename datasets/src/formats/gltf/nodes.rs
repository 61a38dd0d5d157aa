//! Places the meshes of a glTF scene: the tree of nodes and their transforms.

use glam::{DMat4, DQuat, DVec3};
use gltf::json;

use crate::error::ParseError;

/// A mesh where a node puts it.
pub(super) struct PlacedMesh<'a> {
    pub(super) mesh: &'a json::Mesh,
    pub(super) world_from_mesh: DMat4,
}

/// Places every mesh of the default scene (else of all root nodes).
///
/// # Errors
/// Fails if a node or mesh is not there, or the nodes form no tree.
pub(super) fn place_meshes(root: &json::Root) -> Result<Vec<PlacedMesh<'_>>, ParseError> {
    let mut stack: Vec<(usize, DMat4)> =
        root_nodes(root).into_iter().rev().map(|i| (i, DMat4::IDENTITY)).collect();
    let mut visited = vec![false; root.nodes.len()];
    let mut placed = Vec::new();
    while let Some((index, parent)) = stack.pop() {
        let missing = || ParseError::file(format!("node {index}"), format!("{} nodes", root.nodes.len()));
        let node = root.nodes.get(index).ok_or_else(missing)?;
        if std::mem::replace(&mut visited[index], true) {
            return Err(ParseError::file("nodes that form a tree", format!("node {index} twice")));
        }
        let world_from_mesh = parent * local_transform(node);
        if let Some(mesh) = node.mesh {
            let missing = || {
                ParseError::file(format!("mesh {}", mesh.value()), format!("{} meshes", root.meshes.len()))
            };
            let mesh = root.meshes.get(mesh.value()).ok_or_else(missing)?;
            placed.push(PlacedMesh { mesh, world_from_mesh });
        }
        let children = node.children.iter().flatten().rev();
        stack.extend(children.map(|child| (child.value(), world_from_mesh)));
    }
    Ok(placed)
}

/// Numbers of the nodes that have no parent in the scene.
fn root_nodes(root: &json::Root) -> Vec<usize> {
    let scene = root.scene.map_or(0, |scene| scene.value());
    if let Some(scene) = root.scenes.get(scene) {
        return scene.nodes.iter().map(json::Index::value).collect();
    }
    let mut is_child = vec![false; root.nodes.len()];
    for child in root.nodes.iter().flat_map(|node| node.children.iter().flatten()) {
        if let Some(slot) = is_child.get_mut(child.value()) {
            *slot = true;
        }
    }
    (0..root.nodes.len()).filter(|&i| !is_child[i]).collect()
}

fn local_transform(node: &json::Node) -> DMat4 {
    if let Some(matrix) = node.matrix {
        return DMat4::from_cols_array(&matrix.map(f64::from));
    }
    let [x, y, z, w] = node.rotation.map_or([0.0, 0.0, 0.0, 1.0], |q| q.0.map(f64::from));
    let scale = DVec3::from_array(node.scale.map_or([1.0; 3], |s| s.map(f64::from)));
    let translation = DVec3::from_array(node.translation.map_or([0.0; 3], |t| t.map(f64::from)));
    DMat4::from_scale_rotation_translation(scale, DQuat::from_xyzw(x, y, z, w).normalize(), translation)
}
