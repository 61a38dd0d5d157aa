//! Colours of splats: a value of every point, lit by a headlight on the disc's plane.

use glam::Vec3;
use jepa3d_schemas::{Camera, Sample, UpAxis};

use crate::config::ColorBy;
use crate::frame::Frame;
use crate::palette::{Srgb, label_color, ramp_color};
use crate::scene::GREY;
use crate::shade::{average, lambert};
use crate::splat_fit::Splats;

/// sRGB colour of every point of a sample.
///
/// `Auto` takes point colours, else intensity, else height; what was asked for by name and is not there
/// is grey. Height runs from the lowest to the highest point, intensity from 0 to its 95th percentile
/// (a few returns of road signs are many times brighter than the rest).
pub(crate) fn point_colors(sample: &Sample, up: UpAxis, by: ColorBy) -> Vec<[u8; 3]> {
    let grey = || vec![GREY; sample.len()];
    let intensity = || sample.intensity.as_deref().map(by_intensity);
    match by {
        ColorBy::Plain => grey(),
        ColorBy::Height => by_height(&sample.points, up),
        ColorBy::Intensity => intensity().unwrap_or_else(grey),
        ColorBy::Label => {
            let colors = |labels: &Vec<i16>| labels.iter().map(|l| label_color(*l)).collect();
            sample.point_labels.as_ref().map_or_else(grey, colors)
        }
        ColorBy::Auto => match &sample.colors {
            Some(colors) => colors.as_chunks().0.to_vec(),
            None => intensity().unwrap_or_else(|| by_height(&sample.points, up)),
        },
    }
}

fn by_height(points: &[f32], up: UpAxis) -> Vec<[u8; 3]> {
    let along = || points.as_chunks::<3>().0.iter().map(|p| p[up as usize]);
    let [low, high] = along().fold([f32::INFINITY, f32::NEG_INFINITY], |[l, h], x| [l.min(x), h.max(x)]);
    along().map(|x| ramp_color((x - low) / (high - low))).collect()
}

fn by_intensity(values: &[f32]) -> Vec<[u8; 3]> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let bright = sorted.get(sorted.len().saturating_sub(1) * 95 / 100).copied().unwrap_or(0.0);
    values.iter().map(|x| ramp_color(x / bright)).collect()
}

/// Colours `frame`, `scale` x `scale` samples a pixel, into `rgba [H*W]`: sRGB, straight alpha.
pub(crate) fn shade_splats(
    (splats, colors): (&Splats, &[[u8; 3]]),
    (camera, scale): (&Camera, u32),
    frame: &Frame,
    background: [u8; 4],
    rgba: &mut Vec<[u8; 4]>,
) {
    let srgb = Srgb::new();
    let forward = camera.camera_from_world.matrix3.row(2).normalize().as_vec3();
    let lit = |(color, normal): (&[u8; 3], &[f32; 3])| {
        let light = lambert(Vec3::from_array(*normal), forward);
        srgb.linear(*color).map(|c| c * light)
    };
    let lights: Vec<[f32; 3]> = colors.iter().zip(&splats.normals).map(lit).collect();
    average(frame, scale, background, rgba, |id, _, _| lights[id as usize]);
}
