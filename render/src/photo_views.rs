//! The photo rig: an object's own calibrated photographs as views.
//!
//! A photo that shows none of the stored points ties nothing to the cloud and is left out, with a
//! warning; the others keep the number they have among the object's photos. A photo that cannot
//! be used is a failure of that view alone.

use jepa3d_schemas::{Photo, Shape, View, Warning, WarningKind};

use crate::correspond_photo::{StoredCloud, correspond_photo};
use crate::error::Result;
use crate::photo::read_photo;
use crate::subject::{Rendered, Subject};

/// Adds all usable photos of a subject to its views.
///
/// What hides a point is looked for in the object's raw cloud; for a crop (an annotated box) that is the
/// crop, so what other objects hide stays. The points of a mesh are not tested.
pub(crate) fn add_photos(subject: &Subject<'_>, rendered: &mut Rendered) {
    let sweep: &[[f64; 3]] = match &subject.object.shape {
        Shape::Points(cloud) => &cloud.positions,
        Shape::Mesh(_) => &[],
    };
    for (number, photo) in subject.object.photos.iter().enumerate() {
        match make_view(subject, photo, number as u16, sweep) {
            Ok(view) if view.correspondences.is_empty() => {
                let text = format!("{} shows no stored point: left out", photo.name);
                rendered.warnings.push(Warning::new(WarningKind::PhotoShowsNothing, text));
            }
            Ok(view) => rendered.views.push(view),
            Err(failure) => rendered.failures.push(failure),
        }
    }
}

fn make_view(subject: &Subject<'_>, photo: &Photo, number: u16, sweep: &[[f64; 3]]) -> Result<View> {
    let sample = subject.sample;
    let (center, scale) = (sample.norm_center, sample.norm_scale);
    let stored = StoredCloud { points: sample.points.as_chunks().0, center, scale };
    Ok(View {
        sample_id: sample.sample_id.clone(),
        view: number,
        name: photo.name.clone(),
        image: read_photo(photo)?,
        camera: photo.camera.normalized(center, scale),
        depth: None,
        depth_scale: 0.0,
        correspondences: correspond_photo(stored, &photo.camera, sweep),
        pixel_point: None,
    })
}
