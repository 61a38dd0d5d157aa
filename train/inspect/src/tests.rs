//! Selections, sheets and recordings of a small dataset whose views were made by hand.

use std::path::Path;

use jepa3d_fixtures::viewed_set::{sample, view, write_dataset};

use super::select::{Query, Selection, Specimen};
use super::sheet::{contact_sheet, strip};
use super::thumbnail::render_samples;
use crate::error::Result;

fn read(folder: &Path, query: &Query) -> Result<Vec<Specimen>> {
    let mut specimens = Vec::new();
    Selection::new(folder, query)?.visit(&mut |specimen| {
        specimens.push(specimen.clone());
        Ok(())
    })?;
    Ok(specimens)
}

fn ids(folder: &Path, query: &Query) -> Vec<String> {
    read(folder, query).unwrap().into_iter().map(|specimen| specimen.sample.sample_id).collect()
}

#[test]
fn a_selection_reads_what_was_written_with_its_own_views() {
    let dir = tempfile::tempdir().unwrap();
    write_dataset(dir.path(), true);
    let all = read(dir.path(), &Query::default()).unwrap();
    assert_eq!(all.len(), 6);
    for (i, specimen) in all.iter().enumerate() {
        let id = specimen.sample.sample_id.as_str();
        assert_eq!((specimen.index, specimen.split.as_str()), (i, if id == "b0" { "val" } else { "train" }));
        assert_eq!(specimen.sample, sample(id));
        let views: Vec<_> = (0..3).map(|number| view(&sample(id), number)).collect();
        assert_eq!(specimen.views, if id == "a1" { vec![] } else { views }, "{id}");
    }
}

#[test]
fn a_selection_is_by_id_split_or_evenly_spread() {
    let dir = tempfile::tempdir().unwrap();
    write_dataset(dir.path(), false);
    let query = Query::default();
    assert_eq!(ids(dir.path(), &query), ["a0", "a1", "a2", "a3", "a4", "b0"]);
    assert_eq!(ids(dir.path(), &Query { limit: 3, ..query.clone() }), ["a0", "a2", "a4"]);
    assert_eq!(ids(dir.path(), &Query { limit: 1, ..query.clone() }), ["a0"]);
    let val = Query { split: Some("val".into()), ..query.clone() };
    assert_eq!(ids(dir.path(), &val), ["b0"]);
    for id in ["a0", "a2", "a4", "b0"] {
        assert_eq!(ids(dir.path(), &Query { sample: Some(id.into()), ..query.clone() }), [id]);
    }
    let train = Query { split: Some("train".into()), limit: 2, ..query };
    assert_eq!(ids(dir.path(), &train), ["a0", "a2"]);
}

#[test]
fn what_does_not_exist_is_named_with_what_does() {
    let dir = tempfile::tempdir().unwrap();
    write_dataset(dir.path(), true);
    let here = dir.path().display().to_string();
    let query = Query::default();
    let cases = [
        (
            Query { sample: Some("a9".into()), ..query.clone() },
            format!("{here}: sample: expected one of 6, like a0, a1, a2; found \"a9\""),
        ),
        (
            Query { sample: Some("a0".into()), split: Some("val".into()), ..query.clone() },
            format!("{here}: sample: expected one of 1, like b0; found \"a0\""),
        ),
        (
            Query { sample: Some("c0".into()), ..query.clone() },
            format!("{here}: sample \"c0\": expected a written sample, found one quarantined at read"),
        ),
        (
            Query { split: Some("test".into()), ..query.clone() },
            format!("{here}: split: expected one of train, val; found \"test\""),
        ),
        (Query { limit: 0, ..query.clone() }, "limit: expected at least 1, found 0".into()),
        (Query { grouping: 2, ..query.clone() }, "grouping: expected below R = 2, found 2".into()),
    ];
    for (query, expected) in cases {
        assert_eq!(Selection::new(dir.path(), &query).err().unwrap().to_string(), expected);
    }
    let gone = Selection::new(&dir.path().join("gone"), &query).err().unwrap().to_string();
    assert!(gone.contains("gone/manifest.json: No such file"), "{gone}");
}

#[test]
fn dots_over_an_image_have_the_colours_of_the_cloud_where_the_points_project() {
    let sample = sample("a");
    let views: Vec<_> = (0..3).map(|number| view(&sample, number)).collect();
    let specimen = Specimen { index: 0, split: "train".into(), sample, views };
    let picture = strip(&specimen, jepa3d_schemas::UpAxis::Y).unwrap();
    let sizes: Vec<_> = specimen.views.iter().map(|v| (v.camera.width, v.camera.height)).collect();
    let layout = super::layout::Strip::new(&sizes);
    let colors = super::colors::by_place(&specimen.sample.points);
    let (mut checked, mut covered) = (0, 0);
    for ((&index, tile), image) in layout.views.iter().zip(&layout.dots).zip(&layout.images) {
        let camera = &specimen.views[index].camera;
        for (point, p) in specimen.sample.points.chunks_exact(3).enumerate() {
            let [u, v, _] = camera.project([0, 1, 2].map(|axis| f64::from(p[axis])));
            let scale = f64::from(tile.width) / f64::from(camera.width);
            let [x, y] = [u, v].map(|pixel| (pixel * scale) as u32);
            let at = |tile: &super::canvas::PixelRect| picture.get_pixel(tile.x + x, tile.y + y).0;
            assert_eq!(at(image), [90; 3], "the image itself stays as it is");
            let is_hidden = point % 3 == 0;
            checked += usize::from(!is_hidden);
            // A nearer dot may lie over it.
            covered += usize::from(!is_hidden && at(tile) != colors[point]);
            assert!(!(is_hidden && at(tile) == colors[point]), "point {point} is not seen by the view");
        }
    }
    assert_eq!(checked, 96);
    assert!(covered < 8, "{covered} of {checked}");
}

#[test]
fn sheets_are_the_same_each_time_and_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    for views in [false, true] {
        let folder = dir.path().join(format!("views-{views}"));
        write_dataset(&folder, views);
        let selection = Selection::new(&folder, &Query::default()).unwrap();
        assert_eq!(selection.has_views(), views);
        let (a, b) = (dir.path().join("a.png"), dir.path().join("b.png"));
        let bytes = contact_sheet(&selection).unwrap().write(&a).unwrap();
        contact_sheet(&selection).unwrap().write(&b).unwrap();
        let file = std::fs::read(&a).unwrap();
        assert!(file == std::fs::read(&b).unwrap() && file.len() as u64 == bytes);
        assert_eq!(image::load_from_memory(&file).unwrap().width(), 1400);
        let error = contact_sheet(&selection).unwrap().write(&dir.path().join("gone/a.png")).unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn an_image_that_does_not_decode_is_named() {
    let mut specimen =
        Specimen { index: 0, split: "train".into(), sample: sample("a"), views: vec![view(&sample("a"), 2)] };
    specimen.views[0].image.truncate(30);
    let error = strip(&specimen, jepa3d_schemas::UpAxis::Y).unwrap_err().to_string();
    let expected = "sample a, view 2: image: expected a PNG or JPEG file, found ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn samples_are_drawn_by_their_ids_and_an_unknown_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write_dataset(dir.path(), true);
    let wanted = ["b0", "a3"].map(str::to_owned).into();
    let pictures = render_samples(dir.path(), &wanted, 40).unwrap();
    assert_eq!(pictures.keys().collect::<Vec<_>>(), ["a3", "b0"]);
    assert!(pictures.values().all(|png| image::load_from_memory(png).unwrap().width() == 40));
    let unknown = ["a3", "z9"].map(str::to_owned).into();
    let error = render_samples(dir.path(), &unknown, 40).unwrap_err().to_string();
    assert!(error.contains("\"z9\""), "{error}");
}
