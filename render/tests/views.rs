//! Whole views of meshes: decoded images, depth, colours, alpha, and the same bytes every time.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use jepa3d_render::{
    ColorBy, Placement, Rendered, RigConfig, Subject, ViewScratch, ViewsConfig, render_views,
};
use jepa3d_schemas::{
    ColorRule, Material, Mesh, Object, Sample, Shape, Texture, UpAxis, View, label_color, viridis,
};

/// A square of side 1.2 in the plane z = 0, seen by a camera in front (-z) of it: x runs to the left.
fn square() -> Mesh {
    Mesh {
        positions: vec![[0.6, -0.6, 0.0], [-0.6, -0.6, 0.0], [-0.6, 0.6, 0.0], [0.6, 0.6, 0.0]],
        triangles: vec![[0, 1, 2], [0, 2, 3]],
        ..Mesh::default()
    }
}

fn object(mesh: Mesh) -> Object {
    Object::new("square", Shape::Mesh(mesh))
}

fn sample(points: Vec<f32>) -> Sample {
    Sample { sample_id: "square".to_owned(), points, norm_scale: 1.0, ..Sample::default() }
}

fn front() -> RigConfig {
    let placement =
        Placement { azimuth: 0.0, elevation: 0.0, roll: 0.0, distance: Some(2.0), field_of_view: None };
    RigConfig::Explicit { cameras: vec![placement] }
}

fn config() -> ViewsConfig {
    ViewsConfig { rig: front(), size: 64, supersample: 1, ..ViewsConfig::default() }
}

fn render(mesh: Mesh, config: &ViewsConfig) -> Rendered {
    let (object, sample) = (object(mesh), sample(vec![0.0, 0.0, 0.0, 1.0, 0.0, 0.0]));
    let subject = Subject { object: &object, sample: &sample, up: UpAxis::Y, seed: 1 };
    render_views(&subject, config, &mut ViewScratch::default()).unwrap()
}

/// Pixels of a PNG file as 16-bit channels.
fn decode(file: &[u8]) -> (png::OutputInfo, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    (info, bytes)
}

fn pixel(view: &View, x: usize, y: usize) -> [u8; 4] {
    let (info, bytes) = decode(&view.image);
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgba, png::BitDepth::Eight));
    let at = (y * info.width as usize + x) * 4;
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}

#[track_caller]
fn near(found: [u8; 4], expected: [u8; 4]) {
    assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2), "{found:?}, expected {expected:?}");
}

#[test]
fn a_square_in_front_is_grey_on_nothing_with_its_depth() {
    let rendered = render(square(), &config());
    assert!(rendered.failures.is_empty() && rendered.warnings.is_empty());
    let view = &rendered.views[0];
    assert_eq!((view.view, view.name.as_str(), view.sample_id.as_str()), (0, "explicit-00", "square"));
    near(pixel(view, 32, 32), [204, 204, 204, 255]);
    assert_eq!(pixel(view, 1, 1), [255, 255, 255, 0]);
    let (info, depth) = decode(view.depth.as_ref().unwrap());
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Grayscale, png::BitDepth::Sixteen));
    let at = |x: usize, y: usize| u16::from_be_bytes([depth[(y * 64 + x) * 2], depth[(y * 64 + x) * 2 + 1]]);
    assert_eq!((at(1, 1), at(32, 32)), (0, 65535));
    assert!((f64::from(at(20, 40)) * view.depth_scale - 2.0).abs() < 1e-4);
    assert_eq!(view.correspondences.point, [0]);
    assert_eq!((view.correspondences.u[0], view.correspondences.v[0]), (32.0, 32.0));
}

#[test]
fn the_configuration_leaves_things_out() {
    let config = ViewsConfig { depth: false, background: [1, 2, 3, 255], ..config() };
    let view = &render(square(), &config).views[0];
    assert!(view.depth.is_none() && view.pixel_point.is_none());
    assert_eq!(view.depth_scale, 0.0);
    assert_eq!(pixel(view, 0, 0), [1, 2, 3, 255]);
}

#[test]
fn supersampled_edges_have_the_alpha_of_their_share() {
    // The square ends at 0.6 * f / 2 = 20.59 pixels from the middle.
    let view = &render(square(), &ViewsConfig { supersample: 4, ..config() }).views[0];
    near(pixel(view, 32 + 20, 32), [204, 204, 204, 128]);
    near(pixel(view, 32 - 21, 32), [204, 204, 204, 128]);
    near(pixel(view, 32 + 19, 32), [204, 204, 204, 255]);
    let opaque = ViewsConfig { supersample: 4, background: [0, 0, 0, 255], ..config() };
    // Half the light of 204 is 151 in sRGB.
    near(pixel(&render(square(), &opaque).views[0], 52, 32), [149, 149, 149, 255]);
}

#[test]
fn colours_come_from_where_the_configuration_says() {
    let material = |name: &str, diffuse| Material { name: name.to_owned(), diffuse, texture: None };
    let mut mesh = square();
    mesh.materials = vec![material("red", [1.0, 0.0, 0.0])];
    mesh.triangle_materials = vec![0, jepa3d_schemas::NO_INDEX];
    mesh.triangle_parts = vec![3, -1];
    // Triangle 0 is the lower left half as seen from the front (x runs to the right there).
    let [low, high] = [(40, 50), (20, 20)];
    let colors = |color: ColorBy, mesh: &Mesh| {
        let rendered = render(mesh.clone(), &ViewsConfig { color, ..config() });
        [low, high].map(|(x, y)| pixel(&rendered.views[0], x, y))
    };
    let opaque = |[r, g, b]: [u8; 3]| [r, g, b, 255];
    let auto = colors(ColorBy::Auto, &mesh);
    near(auto[0], [255, 0, 0, 255]);
    near(auto[1], opaque([204; 3]));
    near(colors(ColorBy::Plain, &mesh)[0], opaque([204; 3]));
    let label = colors(ColorBy::Label, &mesh);
    near(label[0], opaque(label_color(3)));
    near(label[1], opaque(label_color(-1)));
    let height = colors(ColorBy::Height, &mesh);
    let at = |row: f32| 0.5 - (row + 0.5 - 32.0) / (2.0 * 20.588);
    near(height[0], opaque(viridis(at(50.0))));
    near(height[1], opaque(viridis(at(20.0))));
    mesh.vertex_colors = vec![[0, 0, 255]; 4];
    near(colors(ColorBy::Auto, &mesh)[0], [0, 0, 255, 255]);
}

#[test]
fn textures_lie_as_their_coordinates_say() {
    let rgb = vec![[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]];
    let texture = Texture { width: 2, height: 2, rgb, ..Texture::default() };
    let mut mesh = square();
    mesh.materials =
        vec![Material { name: "m".to_owned(), diffuse: [1.0; 3], texture: Some(Arc::new(texture)) }];
    mesh.triangle_materials = vec![0, 0];
    // u runs along +x, v along +y.
    mesh.uvs = vec![[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
    mesh.uv_corners = mesh.triangles.clone();
    let view = &render(mesh, &config()).views[0];
    // The camera stands at -z with y up: +x is to its left. A hundredth of the light is 25 in sRGB.
    let expected =
        [((21, 21), [0, 255, 0]), ((42, 21), [255, 0, 0]), ((21, 42), [9, 9, 9]), ((42, 42), [0, 0, 255])];
    for ((x, y), color) in expected {
        let found = pixel(view, x, y);
        assert!((0..3).all(|c| found[c].abs_diff(color[c]) < 40), "{found:?} at {x} {y}");
    }
}

#[test]
fn colours_are_multiplied_where_the_mesh_says_so() {
    let texture = Texture { width: 1, height: 1, rgb: vec![[255, 255, 0]], ..Texture::default() };
    let mut mesh = square();
    let image = Some(Arc::new(texture));
    mesh.materials = vec![
        Material { name: "image".to_owned(), diffuse: [1.0, 0.5, 1.0], texture: image },
        Material { name: "plain".to_owned(), diffuse: [0.5, 1.0, 1.0], texture: None },
    ];
    mesh.triangle_materials = vec![0, 1];
    mesh.uvs = vec![[0.5; 2]; 4];
    mesh.uv_corners = vec![mesh.triangles[0], [jepa3d_schemas::NO_INDEX; 3]];
    mesh.vertex_colors = vec![[255, 255, 128]; 4];
    let colors = |mesh: &Mesh| {
        let rendered = render(mesh.clone(), &config());
        [(40, 50), (20, 20)].map(|(x, y)| pixel(&rendered.views[0], x, y))
    };
    let first = colors(&mesh);
    near(first[0], [255, 128, 0, 255]);
    near(first[1], [255, 255, 128, 255]);
    mesh.color_rule = ColorRule::Product;
    let product = colors(&mesh);
    near(product[0], [255, 128, 0, 255]);
    near(product[1], [128, 255, 128, 255]);
    mesh.vertex_colors = Vec::new();
    mesh.triangle_materials = vec![0, jepa3d_schemas::NO_INDEX];
    near(colors(&mesh)[1], [255, 255, 255, 255]);
}

#[test]
fn smooth_normals_shade_and_flat_ones_do_not() {
    let mut mesh = square();
    // Turned by 60 degrees: half the headlight.
    mesh.normals = vec![[0.0, 0.866_025_4, 0.5]];
    mesh.normal_corners = vec![[0; 3]; 2];
    let smooth = pixel(&render(mesh.clone(), &config()).views[0], 32, 32);
    let flat = pixel(&render(mesh, &ViewsConfig { smooth: false, ..config() }).views[0], 32, 32);
    near(flat, [204, 204, 204, 255]);
    assert!(smooth[0] < 180 && smooth[0] > 120, "{smooth:?}");
}

#[test]
fn the_same_subject_gives_the_same_bytes_with_any_memory() {
    let config = ViewsConfig { rig: RigConfig::ShapenetRendering, jitter: 5.0, ..ViewsConfig::default() };
    let (object, sample) = (object(square()), sample(vec![0.1, 0.0, 0.0, 1.0, 0.0, 0.0]));
    let subject = Subject { object: &object, sample: &sample, up: UpAxis::Y, seed: 1 };
    let mut scratch = ViewScratch::default();
    let first = render_views(&subject, &config, &mut scratch).unwrap();
    render(square(), &ViewsConfig { size: 100, ..config.clone() });
    let again = render_views(&subject, &config, &mut scratch).unwrap();
    let fresh = render_views(&subject, &config, &mut ViewScratch::default()).unwrap();
    assert_eq!(first.views.len(), 24);
    assert_eq!(first.views, again.views);
    assert_eq!(first.views, fresh.views);
    let other = render_views(&Subject { seed: 2, ..subject }, &config, &mut scratch).unwrap();
    assert_ne!(first.views[0].camera, other.views[0].camera);
}

#[test]
fn a_configuration_out_of_range_is_refused() {
    let (object, sample) = (object(square()), sample(vec![0.0; 3]));
    let subject = Subject { object: &object, sample: &sample, up: UpAxis::Y, seed: 1 };
    let config = ViewsConfig { size: 5000, ..config() };
    let error = render_views(&subject, &config, &mut ViewScratch::default()).unwrap_err();
    assert_eq!(error.to_string(), "views.size: expected 1 to 4096, found 5000");
}

#[test]
fn meshes_without_area_give_empty_views() {
    let mut mesh = square();
    mesh.triangles = vec![[0, 1, 1], [2, 2, 2]];
    let view = &render(mesh.clone(), &config()).views[0];
    assert_eq!(pixel(view, 32, 32), [255, 255, 255, 0]);
    assert_eq!(view.depth_scale, 0.0);
    mesh.triangles.clear();
    assert_eq!(render(mesh, &config()).views.len(), 1);
}

#[test]
fn a_mesh_of_a_million_triangles_is_drawn_without_gaps() {
    const N: u32 = 708;
    let at = |i: u32| 0.6 - 1.2 * f64::from(i) / f64::from(N);
    let positions = (0..=N).flat_map(|y| (0..=N).map(move |x| [at(x), at(y), 0.0])).collect();
    let quad = |i: u32| {
        let a = i / N * (N + 1) + i % N;
        [[a, a + 1, a + N + 2], [a, a + N + 2, a + N + 1]]
    };
    let mesh = Mesh { positions, triangles: (0..N * N).flat_map(quad).collect(), ..Mesh::default() };
    assert!(mesh.triangles.len() > 1_000_000);
    let views = |mesh: Mesh| render(mesh, &config()).views.remove(0);
    let (many, two) = (views(mesh), views(square()));
    assert_eq!(decode(&many.image).1, decode(&two.image).1);
}

#[test]
fn a_camera_inside_a_mesh_sees_its_walls() {
    // Two squares, before and behind a camera at a distance of 0.1 from the origin.
    let mut mesh = square();
    mesh.positions.extend(square().positions.iter().map(|p| [p[0], p[1], -0.3]));
    mesh.triangles.extend([[4, 5, 6], [4, 6, 7]]);
    let RigConfig::Explicit { mut cameras } = front() else { unreachable!("front is explicit") };
    cameras[0].distance = Some(0.1);
    let config = ViewsConfig { rig: RigConfig::Explicit { cameras }, ..config() };
    let view = &render(mesh, &config).views[0];
    assert!(decode(&view.image).1.chunks(4).all(|p| p[3] == 255));
    assert!((view.depth_scale * 65535.0 - 0.1).abs() < 1e-6);
}
