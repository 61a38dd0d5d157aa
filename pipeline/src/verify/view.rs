//! The invariants of one view: image, depth, camera, and every correspondence projected back.

use image::{ColorType, DynamicImage};
use jepa3d_schemas::{Camera, NO_POINT, View, check_view};

/// Largest distance between a stored pixel position and the projection of its point, in pixels.
const PIXELS: f64 = 0.01;
/// Largest difference of depth, relative to 1 + depth: stored depths are f32.
const DEPTH: f64 = 1e-5;
/// Largest departure of a rotation from orthonormal.
const ROTATION: f64 = 1e-6;

/// Checks a view of the cloud `points`; says the first invariant that does not hold.
pub(super) fn check_row(view: &View, points: &[[f32; 3]]) -> Result<(), String> {
    check_view(view).map_err(|e| e.to_string())?;
    check_camera(&view.camera)?;
    check_image(view)?;
    check_depth(view)?;
    check_correspondences(view, points)?;
    check_pixel_point(view)
}

fn ensure(holds: bool, what: &str, expected: &str, found: impl std::fmt::Display) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}: expected {expected}, found {found}")) }
}

fn check_camera(camera: &Camera) -> Result<(), String> {
    let Camera { width, height, fx, fy, cx, cy, .. } = *camera;
    let is_finite = [fx, fy, cx, cy].iter().chain(&camera.rows()).all(|x| x.is_finite());
    ensure(is_finite, "camera", "finite numbers", "NaN or infinity")?;
    ensure(width > 0 && height > 0, "image", "a size above 0", format!("{width} x {height}"))?;
    ensure(fx > 0.0 && fy > 0.0, "focal length", "above 0", format!("{fx} x {fy}"))?;
    let rotation = camera.camera_from_world.matrix3;
    let product = rotation * rotation.transpose();
    let mut error = (rotation.determinant() - 1.0).abs();
    for (i, column) in [product.x_axis, product.y_axis, product.z_axis].into_iter().enumerate() {
        for j in 0..3 {
            error = error.max((column[j] - f64::from(u8::from(i == j))).abs());
        }
    }
    ensure(error <= ROTATION, "camera_from_world", "a rotation", format!("one that is off by {error:.1e}"))
}

fn check_image(view: &View) -> Result<(), String> {
    let image = decode("image", &view.image)?;
    check_size("image", &image, &view.camera)
}

fn decode(what: &str, bytes: &[u8]) -> Result<DynamicImage, String> {
    image::load_from_memory(bytes).map_err(|e| format!("{what}: expected a PNG or JPEG file, found {e}"))
}

fn check_size(what: &str, image: &DynamicImage, camera: &Camera) -> Result<(), String> {
    let (expected, found) = ((camera.width, camera.height), (image.width(), image.height()));
    let text = |(width, height): (u32, u32)| format!("{width} x {height} pixels");
    ensure(expected == found, what, &text(expected), text(found))
}

fn check_depth(view: &View) -> Result<(), String> {
    let scale = view.depth_scale;
    let Some(bytes) = &view.depth else {
        return ensure(scale == 0.0, "depth_scale", "0 without depth", scale);
    };
    let depth = decode("depth", bytes)?;
    let color = depth.color();
    ensure(color == ColorType::L16, "depth", "16-bit grey", format!("{color:?}"))?;
    check_size("depth", &depth, &view.camera)?;
    let is_empty = depth.as_luma16().is_some_and(|depth| depth.iter().all(|&value| value == 0));
    let is_scale = scale.is_finite() && (scale > 0.0 || (is_empty && scale == 0.0));
    ensure(is_scale, "depth_scale", "a positive length", scale)
}

fn check_correspondences(view: &View, points: &[[f32; 3]]) -> Result<(), String> {
    let found = &view.correspondences;
    let is_ascending = found.point.is_sorted_by(|a, b| a < b);
    ensure(is_ascending, "corr_point", "ascending points", "others")?;
    let (width, height) = (f64::from(view.camera.width), f64::from(view.camera.height));
    for (i, &point) in found.point.iter().enumerate() {
        let Some(world) = points.get(point as usize) else {
            return Err(format!("corr_point: expected a point below {}, found {point}", points.len()));
        };
        let [u, v, depth] = [found.u[i], found.v[i], found.depth[i]].map(f64::from);
        let is_inside = (0.0..=width).contains(&u) && (0.0..=height).contains(&v);
        ensure(is_inside, &format!("point {point}"), "a position inside the image", format!("({u}, {v})"))?;
        ensure(depth > 0.0, &format!("point {point}"), "a depth above 0", depth)?;
        let [x, y, z] = view.camera.project(world.map(f64::from));
        let is_same = (x - u).abs() <= PIXELS && (y - v).abs() <= PIXELS;
        let is_deep = (z - depth).abs() <= DEPTH * (1.0 + z.abs());
        if !(is_same && is_deep) {
            let expected = format!("its projection ({x:.4}, {y:.4}) at depth {z:.6}");
            return Err(format!("point {point}: expected {expected}, found ({u:.4}, {v:.4}) at {depth:.6}"));
        }
    }
    Ok(())
}

fn check_pixel_point(view: &View) -> Result<(), String> {
    let visible = &view.correspondences.point;
    let shown = view.pixel_point.iter().flatten().filter(|&&point| point != NO_POINT);
    match shown.into_iter().find(|point| visible.binary_search(point).is_err()) {
        Some(point) => Err(format!("pixel_point: expected visible points, found {point}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::tests::view;

    fn png(image: &DynamicImage) -> Vec<u8> {
        let mut file = std::io::Cursor::new(Vec::new());
        image.write_to(&mut file, image::ImageFormat::Png).unwrap();
        file.into_inner()
    }

    /// Three points in front of a camera at distance 2 that sees 8 x 8 pixels.
    fn good() -> (View, Vec<[f32; 3]>) {
        let points = vec![[0.0, 0.0, 0.0], [0.25, -0.5, 0.5], [0.5, 0.25, -1.0]];
        let mut view = view("a", 3, vec![]);
        for (i, p) in points.iter().enumerate() {
            let at = view.camera.project(p.map(f64::from));
            view.correspondences.push(i as u32, at.map(|x| x as f32));
        }
        view.image = png(&DynamicImage::new_rgba8(8, 8));
        view.depth = Some(png(&DynamicImage::new_luma16(8, 8)));
        view.depth_scale = 1e-4;
        view.pixel_point = Some([vec![NO_POINT; 61], vec![0, 2, 1]].concat());
        (view, points)
    }

    #[track_caller]
    fn fails(change: impl Fn(&mut View), what: &str) {
        let (mut view, points) = good();
        change(&mut view);
        let error = check_row(&view, &points).unwrap_err();
        assert!(error.contains(what), "{error}");
    }

    #[test]
    fn a_good_view_passes() {
        let (view, points) = good();
        assert_eq!(check_row(&view, &points), Ok(()));
    }

    #[test]
    fn images_of_another_kind_or_size_are_found() {
        fails(|v| v.image.truncate(40), "image: expected a PNG or JPEG file, found ");
        fails(
            |v| v.image = png(&DynamicImage::new_rgba8(8, 7)),
            "image: expected 8 x 8 pixels, found 8 x 7 pixels",
        );
        fails(
            |v| v.depth = Some(png(&DynamicImage::new_luma8(8, 8))),
            "depth: expected 16-bit grey, found L8",
        );
        fails(|v| v.depth = Some(png(&DynamicImage::new_luma16(9, 8))), "depth: expected 8 x 8 pixels");
        fails(|v| v.depth = None, "depth_scale: expected 0 without depth, found 0.0001");
        fails(|v| v.depth_scale = f64::NAN, "depth_scale: expected a positive length, found NaN");
    }

    #[test]
    fn cameras_that_are_none_are_found() {
        fails(|v| v.camera.fx = f64::INFINITY, "camera: expected finite numbers");
        fails(|v| v.camera.fy = -8.0, "focal length: expected above 0, found 8 x -8");
        fails(|v| v.camera.camera_from_world.matrix3.x_axis.x = 1.0 + 1e-5, "expected a rotation, found one");
        // A mirror is orthonormal and no rotation.
        fails(|v| v.camera.camera_from_world.matrix3.x_axis.x = -1.0, "off by 2.0e0");
    }

    #[test]
    fn correspondences_that_do_not_project_back_are_found() {
        fails(|v| v.correspondences.u[1] += 0.011, "point 1: expected its projection (4.8000, 2.4000)");
        fails(
            |v| v.correspondences.depth[2] += 1e-4,
            "at depth 1.000000, found (8.0000, 6.0000) at 1.000100",
        );
        fails(|v| v.correspondences.point[2] = 3, "corr_point: expected a point below 3, found 3");
        fails(|v| v.correspondences.point[1] = 0, "corr_point: expected ascending points");
        fails(|v| v.correspondences.v[0] = -0.5, "point 0: expected a position inside the image");
        fails(|v| v.correspondences.depth[0] = f32::NAN, "point 0: expected a depth above 0, found NaN");
        fails(|v| v.correspondences.v.truncate(2), "corr_v: expected 3 values, found 2");
    }

    #[test]
    fn dense_maps_show_visible_points_alone() {
        fails(|v| v.pixel_point = Some(vec![7; 64]), "pixel_point: expected visible points, found 7");
        fails(|v| v.pixel_point = Some(vec![0; 63]), "pixel_point: expected 64 values, found 63");
    }
}
