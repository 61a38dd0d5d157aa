//! Functions of surfaces and cameras: points on a mesh, cameras around something, pictures and what they show.

use jepa3d_pipeline::sample_mesh;
use jepa3d_render::{DrawnPicture, Subject, ViewsConfig, draw_pictures, place_around};
use jepa3d_schemas::{Camera, Mesh, Object, PointCloud, Sample, Shape, UpAxis};
use numpy::{PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rayon::prelude::*;

use crate::arrays::{Array, shape_array};
use crate::errors::refuse;
use crate::threads::run_parallel;

/// The most pixels along a side of a picture, as the rasterizer can count them.
const MOST_PIXELS: u32 = 4096;

/// A mesh or a cloud to look at, and the points to be found in pictures of it.
#[derive(FromPyObject)]
pub(crate) struct SeenArrays<'py> {
    /// `[V,3]`, of a mesh.
    vertices: PyReadonlyArray2<'py, f64>,
    /// `[F,3]`; without any it is a cloud.
    faces: PyReadonlyArray2<'py, i64>,
    /// `[S,3]`.
    points: PyReadonlyArray2<'py, f32>,
}

fn triples<'a, T: numpy::Element>(array: &'a PyReadonlyArray2<'_, T>, name: &str) -> PyResult<&'a [[T; 3]]> {
    if array.shape()[1] != 3 {
        return Err(refuse(format!("{name}: expected [.., 3], found {:?}", array.shape())));
    }
    Ok(array.as_slice().map_err(refuse)?.as_chunks::<3>().0)
}

fn read_mesh(vertices: &PyReadonlyArray2<'_, f64>, faces: &PyReadonlyArray2<'_, i64>) -> PyResult<Mesh> {
    let positions = triples(vertices, "vertices")?.to_vec();
    if let Some(at) = positions.iter().position(|p| !p.iter().all(|x| x.is_finite())) {
        return Err(refuse(format!(
            "vertices: expected finite coordinates, found {:?} at vertex {at}",
            positions[at]
        )));
    }
    let count = positions.len();
    let mut triangles = Vec::with_capacity(faces.shape()[0]);
    for (at, face) in triples(faces, "faces")?.iter().enumerate() {
        if face.iter().any(|&v| v < 0 || v as usize >= count) {
            return Err(refuse(format!(
                "faces: expected indices below {count}, found {face:?} at face {at}"
            )));
        }
        triangles.push(face.map(|v| v as u32));
    }
    Ok(Mesh { positions, triangles, ..Mesh::default() })
}

/// Points `[n,3]` and normals `[n,3]` on a mesh of vertices `[V,3]` and faces `[F,3]`.
#[pyfunction]
pub(crate) fn sample_surface<'py>(
    py: Python<'py>,
    vertices: PyReadonlyArray2<'py, f64>,
    faces: PyReadonlyArray2<'py, i64>,
    count: usize,
    seed: u64,
) -> PyResult<(Array<'py, f64>, Array<'py, f32>)> {
    let mesh = read_mesh(&vertices, &faces)?;
    let PointCloud { positions, normals, .. } =
        py.detach(|| sample_mesh(&mesh, count, seed)).map_err(refuse)?;
    let normals = normals.unwrap_or_default();
    let shape = [count, 3];
    Ok((
        shape_array(py, positions.into_flattened(), &shape)?,
        shape_array(py, normals.into_flattened(), &shape)?,
    ))
}

/// What is looked at, as the renderer takes it.
struct SeenSubject {
    object: Object,
    sample: Sample,
    up: UpAxis,
}

impl SeenSubject {
    fn read(seen: &SeenArrays<'_>, up: &str) -> PyResult<Self> {
        let mesh = read_mesh(&seen.vertices, &seen.faces)?;
        let points = triples(&seen.points, "points")?;
        if let Some(at) = points.iter().position(|p| !p.iter().all(|x| x.is_finite())) {
            return Err(refuse(format!("expected finite coordinates, found {:?} at point {at}", points[at])));
        }
        let shape = match mesh.triangles.is_empty() {
            true => Shape::Points(PointCloud::default()),
            false => Shape::Mesh(mesh),
        };
        let up = match up {
            "x" => UpAxis::X,
            "y" => UpAxis::Y,
            "z" => UpAxis::Z,
            other => return Err(refuse(format!("up: expected x, y or z, found {other:?}"))),
        };
        let points = points.as_flattened().to_vec();
        let sample = Sample { sample_id: "seen".into(), points, norm_scale: 1.0, ..Sample::default() };
        let object = Object::new("seen", shape);
        Ok(Self { object, sample, up })
    }

    fn subject(&self) -> Subject<'_> {
        Subject { object: &self.object, sample: &self.sample, up: self.up, seed: 0 }
    }
}

fn read_settings(json: &str) -> PyResult<ViewsConfig> {
    let config: ViewsConfig = serde_json::from_str(json).map_err(refuse)?;
    config.check().map_err(refuse)?;
    Ok(config)
}

/// The cameras of a rig: rows of `camera_from_world` `[V,12]`, and `fx fy cx cy` `[V,4]`.
#[pyfunction]
pub(crate) fn place_cameras<'py>(
    py: Python<'py>,
    seen: SeenArrays<'py>,
    up: &str,
    settings: &str,
) -> PyResult<(Array<'py, f64>, Array<'py, f64>)> {
    let subject = SeenSubject::read(&seen, up)?;
    let cameras = place_around(&subject.subject(), &read_settings(settings)?).map_err(refuse)?;
    let rows: Vec<f64> = cameras.iter().flat_map(Camera::rows).collect();
    let lenses: Vec<f64> = cameras.iter().flat_map(|c| [c.fx, c.fy, c.cx, c.cy]).collect();
    Ok((shape_array(py, rows, &[cameras.len(), 12])?, shape_array(py, lenses, &[cameras.len(), 4])?))
}

/// Cameras as arrays: `camera_from_world` `[V,12]`, `fx fy cx cy` `[V,4]`, height and width.
#[derive(FromPyObject)]
pub(crate) struct CameraArrays<'py>(PyReadonlyArray2<'py, f64>, PyReadonlyArray2<'py, f64>, u32, u32);

fn read_cameras(arrays: &CameraArrays<'_>) -> PyResult<Vec<Camera>> {
    let CameraArrays(rows, lenses, height, width) = arrays;
    let (rows, lenses) = (rows.as_slice().map_err(refuse)?, lenses.as_slice().map_err(refuse)?);
    let (rows, lenses) = (rows.as_chunks::<12>().0, lenses.as_chunks::<4>().0);
    if rows.len() != lenses.len() || rows.is_empty() {
        return Err(refuse(format!(
            "cameras: expected as many poses as lenses, found {} and {}",
            rows.len(),
            lenses.len()
        )));
    }
    if [*height, *width].iter().any(|side| !(1..=MOST_PIXELS).contains(side)) {
        return Err(refuse(format!(
            "size: expected 1 to {MOST_PIXELS} pixels a side, found {height} x {width}"
        )));
    }
    let is_lens = |lens: &[f64; 4]| lens.iter().all(|x| x.is_finite()) && lens[0] > 0.0 && lens[1] > 0.0;
    if !lenses.iter().all(is_lens) || !rows.iter().flatten().all(|x| x.is_finite()) {
        return Err(refuse("cameras: expected finite numbers and focal lengths above 0, found others"));
    }
    let camera = |(rows, &[fx, fy, cx, cy]): (&[f64; 12], &[f64; 4])| Camera {
        width: *width,
        height: *height,
        fx,
        fy,
        cx,
        cy,
        camera_from_world: Camera::affine_from_rows(rows),
    };
    Ok(rows.iter().zip(lenses).map(camera).collect())
}

/// Pictures: a dict of `image [V,H,W,4]`, `depth` and `id` `[V,H,W]`, and of what each shows: `ends [V]`, `point`, `u`, `v`, `z`.
#[pyfunction]
pub(crate) fn render<'py>(
    py: Python<'py>,
    seen: SeenArrays<'py>,
    up: &str,
    cameras: CameraArrays<'py>,
    settings: &str,
) -> PyResult<Bound<'py, PyDict>> {
    let subject = SeenSubject::read(&seen, up)?;
    let config = read_settings(settings)?;
    let lenses = read_cameras(&cameras)?;
    let drawn: Result<Vec<DrawnPicture>, _> = run_parallel(py, || {
        let one = |camera: &Camera| draw_pictures(&subject.subject(), std::slice::from_ref(camera), &config);
        let drawn: Result<Vec<Vec<DrawnPicture>>, _> = lenses.par_iter().map(one).collect();
        drawn.map(|drawn| drawn.into_iter().flatten().collect())
    })?;
    let drawn = drawn.map_err(refuse)?;
    let out = PyDict::new(py);
    set_pixels(&out, &drawn, [cameras.2 as usize, cameras.3 as usize])?;
    set_shown(&out, &drawn)?;
    Ok(out)
}

/// What every pixel shows, of pictures of `size` (height, width).
fn set_pixels(out: &Bound<'_, PyDict>, drawn: &[DrawnPicture], size: [usize; 2]) -> PyResult<()> {
    let (py, shape) = (out.py(), [drawn.len(), size[0], size[1]]);
    let image: Vec<u8> = drawn.iter().flat_map(|picture| picture.rgba.as_flattened()).copied().collect();
    out.set_item("image", shape_array(py, image, &[drawn.len(), size[0], size[1], 4])?)?;
    let depth: Vec<f32> = drawn.iter().flat_map(|picture| &picture.depth).copied().collect();
    out.set_item("depth", shape_array(py, depth, &shape)?)?;
    let number = |&id: &u32| if id == u32::MAX { -1 } else { i64::from(id) };
    let numbers = drawn.iter().flat_map(|picture| &picture.id).map(number).collect();
    out.set_item("id", shape_array(py, numbers, &shape)?)
}

/// The points that pictures show, those of one after those of the one before; `ends` says where each ends.
fn set_shown(out: &Bound<'_, PyDict>, drawn: &[DrawnPicture]) -> PyResult<()> {
    let py = out.py();
    let mut end = 0;
    let add = |picture: &DrawnPicture| {
        end += picture.shown.len();
        end as i64
    };
    let ends: Vec<i64> = drawn.iter().map(add).collect();
    out.set_item("ends", shape_array(py, ends, &[drawn.len()])?)?;
    let point: Vec<i64> = drawn.iter().flat_map(|p| &p.shown.point).map(|&i| i64::from(i)).collect();
    out.set_item("point", shape_array(py, point, &[end])?)?;
    let set = |name: &str, part: fn(&DrawnPicture) -> &Vec<f32>| -> PyResult<()> {
        let values: Vec<f32> = drawn.iter().flat_map(part).copied().collect();
        out.set_item(name, shape_array(py, values, &[end])?)
    };
    set("u", |picture| &picture.shown.u)?;
    set("v", |picture| &picture.shown.v)?;
    set("z", |picture| &picture.shown.depth)
}
