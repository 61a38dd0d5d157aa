//! What is said about a sample: one line above its picture, a page beside its recording.

use jepa3d_schemas::{Manifest, Sample};

use super::colors::Meaning;
use super::select::Specimen;

/// The name of a sample's class, its points and views.
pub(crate) fn line(specimen: &Specimen) -> String {
    let sample = &specimen.sample;
    let category = sample.category.as_deref().unwrap_or("no class");
    let mut text = format!("{category}, {} points", sample.len());
    if !specimen.views.is_empty() {
        text += &format!(", {} views that see {:.0} %", specimen.views.len(), 100.0 * seen_share(specimen));
    }
    text
}

/// Whether each point is seen by a view.
///
/// # Shapes
/// `[S]`.
pub(crate) fn seen(specimen: &Specimen) -> Vec<bool> {
    let mut seen = vec![false; specimen.sample.len()];
    for &point in specimen.views.iter().flat_map(|view| &view.correspondences.point) {
        if let Some(seen) = seen.get_mut(point as usize) {
            *seen = true;
        }
    }
    seen
}

fn seen_share(specimen: &Specimen) -> f64 {
    let seen = seen(specimen);
    seen.iter().filter(|&&s| s).count() as f64 / seen.len().max(1) as f64
}

/// All facts as Markdown.
pub(crate) fn page(specimen: &Specimen, manifest: &Manifest, meaning: Meaning) -> String {
    let Sample { sample_id, dataset, source, norm_center, norm_scale, .. } = &specimen.sample;
    let class = match (&specimen.sample.category, specimen.sample.label) {
        (Some(category), Some(label)) => format!("{category} ({label})"),
        (category, _) => category.clone().unwrap_or_else(|| "none".to_owned()),
    };
    let shape = manifest.shape;
    let colors = match meaning {
        Meaning::Label => "part labels",
        Meaning::Stored => "stored colours",
        Meaning::Intensity => "return intensity",
        Meaning::Height => "height",
    };
    let [x, y, z] = norm_center;
    format!(
        "# {sample_id}\n\n\
         | | |\n|---|---|\n\
         | dataset | {dataset} |\n\
         | split | {split} |\n\
         | class | {class} |\n\
         | points S | {points} |\n\
         | groupings R, centers G, points a patch K | {R}, {G}, {K} |\n\
         | cloud coloured by | {colors} |\n\
         | boxes | {boxes} |\n\
         | raw = p * {norm_scale} + | {x}, {y}, {z} |\n\
         | source | {source} |\n\n{views}",
        split = specimen.split,
        points = specimen.sample.len(),
        R = shape.R,
        G = shape.G,
        K = shape.K,
        boxes = specimen.sample.box_labels.as_ref().map_or(0, Vec::len),
        views = views(specimen),
    )
}

fn views(specimen: &Specimen) -> String {
    if specimen.views.is_empty() {
        return "No views are stored for this sample.\n".to_owned();
    }
    let mut text = format!(
        "{:.1} % of the points are seen by at least one view. A correspondence has the colour of its place \
         in the cloud: x red, y green, z blue.\n\n\
         | view | name | size | points seen | image bytes |\n|---|---|---|---|---|\n",
        100.0 * seen_share(specimen)
    );
    for view in &specimen.views {
        text += &format!(
            "| {} | {} | {} x {} | {} | {} |\n",
            view.view,
            view.name,
            view.camera.width,
            view.camera.height,
            view.correspondences.len(),
            view.image.len()
        );
    }
    text
}
