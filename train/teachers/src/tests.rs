//! Caches of a small dataset: resumed, refused, read back; the same bytes on any number of threads.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_fixtures::viewed_set::write_dataset;
use jepa3d_loader::{PreparedDataset, TeacherCache};
use jepa3d_schemas::{
    Manifest, RowGroupEncoder, ShardWriter, TeacherManifest, TeacherReader, ViewReader, WriteOptions,
    file_hash,
};

use super::*;

fn cached(folder: &Path, width: usize, name: &str) -> Result<CacheReport> {
    let dataset = PreparedDataset::open(folder)?;
    cache_teacher(&dataset, &Teacher::hog(width)?, name, &mut |_| ())
}

fn open(folder: &Path) -> Result<TeacherCache> {
    Ok(TeacherCache::open(&PreparedDataset::open(folder)?, "hog", &[])?)
}

/// Hashes of the files of a cache.
fn bytes(folder: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder.join("teachers/hog")).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.display().to_string(), file_hash(&path).unwrap().1)).collect()
}

#[test]
fn every_view_gets_a_row_and_a_second_call_keeps_all() {
    let dir = tempfile::tempdir().unwrap();
    write_dataset(dir.path(), true);
    let (mut told, mut total) = (Vec::new(), 0);
    let dataset = PreparedDataset::open(dir.path()).unwrap();
    let hog = Teacher::hog(24).unwrap();
    let mut progress = |p: CacheProgress| {
        told.push(p.done);
        total = p.total;
    };
    let report = cache_teacher(&dataset, &hog, "hog", &mut progress).unwrap();
    // The images of the fixture are flat: nothing to say of them.
    assert_eq!((report.views, report.valid, report.width), (15, 0, 24));
    assert_eq!((report.shards_written, report.shards_kept), (3, 0));
    assert_eq!((told.last(), total), (Some(&15), 15));
    let before = bytes(dir.path());
    assert_eq!(before.len(), 4);
    let again = cached(dir.path(), 24, "hog").unwrap();
    assert_eq!(again, CacheReport { shards_written: 0, shards_kept: 3, ..report });
    assert_eq!(bytes(dir.path()), before);
    for views in &dataset.manifest().views.as_ref().unwrap().shards {
        let rows = ViewReader::open(&dir.path().join(&views.file)).unwrap();
        let beside = TeacherManifest::shard_beside("hog", &views.file);
        let teacher = TeacherReader::open(&dir.path().join(beside)).unwrap();
        assert_eq!(teacher.row_groups(), rows.row_groups());
        for group in 0..rows.row_groups() {
            let keys = rows.read_row_group(group, &["sample_id", "view"]).unwrap();
            let found = teacher.read_row_group(group, &[]).unwrap();
            assert_eq!((keys.sample_id, keys.view), (found.sample_id, found.view));
        }
    }
}

#[test]
fn a_cache_is_read_back_by_sample() {
    let dir = tempfile::tempdir().unwrap();
    write_dataset(dir.path(), true);
    cached(dir.path(), 24, "hog").unwrap();
    let cache = open(dir.path()).unwrap();
    let count = |id: &str| cache.views(id).map_or(0, |views| views.len());
    assert_eq!(["a0", "a1", "a2", "a3", "a4", "b0"].map(count), [3, 0, 3, 3, 3, 3]);
    assert_eq!(cache.width(), 24);
    let views: Vec<_> = cache.views("a0").unwrap().collect();
    assert_eq!(views.iter().map(|v| v.view).collect::<Vec<_>>(), [0, 1, 2]);
    // The fixture's first camera stands on -z, the front, 3 away, level, with y down in its image: upside down.
    let want = [0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 3.0, 2.0 * (0.32f32).atan()];
    assert!(views[0].pose.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", views[0].pose);
    assert_eq!(views[0].histogram.iter().sum::<f32>(), 3.0);
    let text = format!(
        "{}: sample a1: expected an embedding, found none",
        dir.path().join("teachers/hog").display()
    );
    assert_eq!(cache.views("a1").map(|_| ()).unwrap_err().to_string(), text);
    let dataset = PreparedDataset::open(dir.path()).unwrap();
    let val = TeacherCache::open(&dataset, "hog", &["val"]).unwrap();
    assert!(val.views("b0").is_ok() && val.views("a0").is_err(), "the views of one split");
    let error = TeacherCache::open(&dataset, "hog", &["vall"]).unwrap_err().to_string();
    assert!(error.ends_with("split: expected one of train, val; found \"vall\""), "{error}");
}

#[test]
fn what_is_lost_or_damaged_is_made_again_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    write_dataset(dir.path(), true);
    cached(dir.path(), 24, "hog").unwrap();
    let before = bytes(dir.path());
    let shard = |i: usize| {
        let split = if i == 2 { "val" } else { "train" };
        dir.path().join(format!("teachers/hog/{split}-{i:05}-of-00003.parquet"))
    };
    std::fs::remove_file(shard(1)).unwrap();
    std::fs::write(shard(2), b"damaged").unwrap();
    std::fs::write(shard(0).with_file_name("a.parquet.1-2.tmp"), b"left over").unwrap();
    assert!(open(dir.path()).is_err());
    let report = cached(dir.path(), 24, "hog").unwrap();
    assert_eq!((report.shards_written, report.shards_kept), (2, 1));
    assert_eq!(bytes(dir.path()), before);
    // Interrupted before the manifest: what is there is kept.
    std::fs::remove_file(dir.path().join("teachers/hog/teacher.json")).unwrap();
    std::fs::remove_file(shard(0)).unwrap();
    let error = open(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("expected a complete cache hog, found none (jepa3d teacher makes one)"),
        "{error}"
    );
    let report = cached(dir.path(), 24, "hog").unwrap();
    assert_eq!((report.shards_written, report.shards_kept), (1, 2));
    assert_eq!(bytes(dir.path()), before);
}

#[test]
fn other_teachers_and_other_images_are_refused_by_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    write_dataset(dir.path(), true);
    cached(dir.path(), 24, "hog").unwrap();
    let at = dir.path().join("teachers/hog/teacher.json").display().to_string();
    let hash = |width: usize| hog::Hog::new(width).hash();
    let error = cached(dir.path(), 25, "hog").unwrap_err().to_string();
    assert_eq!(error, format!("{at}: jepa3d.teacher_weights: expected {}, found {}", hash(25), hash(24)));
    // Without the manifest the footers tell.
    let text = std::fs::read(dir.path().join("teachers/hog/teacher.json")).unwrap();
    std::fs::remove_file(&at).unwrap();
    let error = cached(dir.path(), 25, "hog").unwrap_err().to_string();
    assert!(error.contains("train-00000-of-00003.parquet: jepa3d.teacher_weights: expected "), "{error}");
    std::fs::write(&at, text).unwrap();
    let mut manifest = Manifest::read(dir.path()).unwrap();
    manifest.views.as_mut().unwrap().plan = "p3".into();
    manifest.write(dir.path()).unwrap();
    let want = format!("{at}: jepa3d.views_plan: expected p3, found p2");
    assert_eq!(open(dir.path()).unwrap_err().to_string(), want);
    assert_eq!(cached(dir.path(), 24, "hog").unwrap_err().to_string(), want);
    manifest.fingerprint = "f9".into();
    manifest.write(dir.path()).unwrap();
    let want = format!("{at}: jepa3d.fingerprint: expected f9, found f1");
    assert_eq!(open(dir.path()).unwrap_err().to_string(), want);
    manifest.without_views().write(dir.path()).unwrap();
    let error = cached(dir.path(), 24, "hog").unwrap_err().to_string();
    assert!(error.ends_with("expected views, found none (prepare --only views adds them)"), "{error}");
    let error = cached(dir.path(), 24, "../x").unwrap_err().to_string();
    assert_eq!(error, "config: --name: expected letters, digits, -, _ and ., found \"../x\"");
}

#[test]
fn the_first_missing_view_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write_dataset(dir.path(), true);
    cached(dir.path(), 24, "hog").unwrap();
    let dataset = PreparedDataset::open(dir.path()).unwrap();
    let mut manifest = TeacherManifest::find(dir.path(), "hog").unwrap().unwrap();
    let entry = &mut manifest.shards[1];
    let path = dir.path().join(&entry.file);
    let group = TeacherReader::open(&path).unwrap().read_row_group(0, &[]).unwrap();
    let rows: Vec<_> = (0..group.rows).filter(|&i| i != 4).map(|i| group.row(i).unwrap()).collect();
    let encoder = RowGroupEncoder::new(WriteOptions::default());
    let footer = manifest.facts.footer();
    let mut out = ShardWriter::create(&path, WriteOptions::default(), footer).unwrap();
    out.append(encoder.encode(&rows).unwrap()).unwrap();
    entry.hash = out.finish().unwrap().hash;
    manifest.write(dir.path(), "hog").unwrap();
    let error = TeacherCache::open(&dataset, "hog", &[]).unwrap_err().to_string();
    let at = dir.path().join("teachers/hog").display().to_string();
    assert_eq!(error, format!("{at}: sample a4, view 1: expected an embedding, found none"));
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let dir = tempfile::tempdir().unwrap();
    let folders = [1, 3].map(|threads| {
        let folder = dir.path().join(threads.to_string());
        write_dataset(&folder, true);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| cached(&folder, 40, "hog")).unwrap();
        bytes(&folder).into_values().collect::<Vec<_>>()
    });
    assert_eq!(folders[0], folders[1]);
}
