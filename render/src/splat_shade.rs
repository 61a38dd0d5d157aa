//! Colours of splats: a value of every point, lit by a headlight on the disc's plane.

use glam::Vec3;
use jepa3d_schemas::{Camera, Sample, UpAxis, label_color, viridis};

use crate::config::ColorBy;
use crate::mesh_scene::GREY;
use crate::palette::Srgb;
use crate::shade::lambert;
use crate::splat_fit::Splats;

/// sRGB colour of every point of a sample.
///
/// `Auto` takes point colours, else intensity, else height; what was asked for by name and is not there
/// is grey. Height runs from the lowest to the highest point, intensity from 0 to its 95th percentile
/// (a few returns of road signs are many times brighter than the rest).
pub(crate) fn point_colors(sample: &Sample, up: UpAxis, by: ColorBy) -> Vec<[u8; 3]> {
    let grey = || vec![GREY; sample.len()];
    let intensity = || sample.intensity.as_deref().map(intensity_colors);
    match by {
        ColorBy::Plain => grey(),
        ColorBy::Height => height_colors(&sample.points, up),
        ColorBy::Intensity => intensity().unwrap_or_else(grey),
        ColorBy::Label => {
            let colors = |labels: &Vec<i16>| labels.iter().map(|l| label_color(*l)).collect();
            sample.point_labels.as_ref().map_or_else(grey, colors)
        }
        ColorBy::Auto => match &sample.colors {
            Some(colors) => colors.as_chunks().0.to_vec(),
            None => intensity().unwrap_or_else(|| height_colors(&sample.points, up)),
        },
    }
}

fn height_colors(points: &[f32], up: UpAxis) -> Vec<[u8; 3]> {
    let along = || points.as_chunks::<3>().0.iter().map(|p| p[up as usize]);
    let [low, high] = along().fold([f32::INFINITY, f32::NEG_INFINITY], |[l, h], x| [l.min(x), h.max(x)]);
    along().map(|x| viridis((x - low) / (high - low))).collect()
}

fn intensity_colors(values: &[f32]) -> Vec<[u8; 3]> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let bright = sorted.get(sorted.len().saturating_sub(1) * 95 / 100).copied().unwrap_or(0.0);
    values.iter().map(|x| viridis(x / bright)).collect()
}

/// Linear light of every point's disc, seen by `camera`.
///
/// # Shapes
/// `colors [S]` -> `[S]`.
pub(crate) fn light_splats(splats: &Splats, colors: &[[u8; 3]], camera: &Camera) -> Vec<[f32; 3]> {
    let srgb = Srgb::new();
    let forward = camera.camera_from_world.matrix3.row(2).normalize().as_vec3();
    let lit = |(color, normal): (&[u8; 3], &[f32; 3])| {
        let light = lambert(Vec3::from_array(*normal), forward);
        srgb.linear(*color).map(|c| c * light)
    };
    colors.iter().zip(&splats.normals).map(lit).collect()
}
