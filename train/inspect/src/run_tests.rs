//! Runs on the small dataset: masks as they are drawn, sheets, and errors.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use jepa3d_fixtures::viewed_set::write_dataset;
use jepa3d_loader::{BatchKey, MaskKind, PatchPlaces, draw_masks};
use jepa3d_train::{PretrainConfig, PretrainRequest, Trainer};

use super::canvas::LINE;
use super::colors::{CONTEXT, of_block};
use super::layout::{GAP, HEADING};
use super::masked::PatchRole;
use super::run::{RunQuery, RunView};
use super::run_sheet::{mask_sheet, picture};
use super::select::Query;

/// A config that the small dataset serves.
pub(super) fn config(kind: MaskKind) -> PretrainConfig {
    let text = "preset = \"tiny\"\n[data]\ngroups = 4\ngroup_size = 6\n[model]\ntokenizer = [4, 8, 8]\nwidth = 8\n\
                depth = 1\nheads = 2\n[predictor]\nwidth = 8\ndepth = 1\nheads = 2\n[optim]\nbatch = 2\n";
    let mut config: PretrainConfig = toml::from_str(text).unwrap();
    config.masking.kind = kind;
    config.masking.blocks = 2;
    config.masking.target_ratio = match kind {
        MaskKind::Region | MaskKind::Random => [0.5, 0.5],
        _ => [0.25, 0.3],
    };
    config.masking.context_ratio = [1.0, 1.0];
    config
}

/// A dataset and a run of 5 steps (2 an epoch) without a checkpoint.
pub(super) fn write_run(dir: &Path, kind: MaskKind) -> (PathBuf, PathBuf) {
    let (data, run) = (dir.join("set"), dir.join("run"));
    write_dataset(&data, false);
    std::fs::create_dir_all(&run).unwrap();
    std::fs::write(run.join("config.toml"), config(kind).to_toml()).unwrap();
    let line = |step: usize| {
        format!(
            "{{\"step\":{step},\"epoch\":{},\"loss\":{},\"probe/knn20\":0.5}}\n",
            step as f64 / 2.0,
            9 - step
        )
    };
    std::fs::write(run.join("metrics.jsonl"), (1..=5).map(line).collect::<String>()).unwrap();
    (data, run)
}

#[test]
fn masks_are_those_that_training_draws() {
    let kinds =
        [MaskKind::Runs, MaskKind::Region, MaskKind::Random, MaskKind::FpsBlocks, MaskKind::DisjointBlocks];
    for kind in kinds {
        let dir = tempfile::tempdir().unwrap();
        let (data, run) = write_run(dir.path(), kind);
        let query = RunQuery { draws: 3, ..RunQuery::default() };
        let view = RunView::open(&run, Some(&data), &query).unwrap();
        let config = config(kind);
        assert_eq!(
            view.draws.iter().map(|at| (at.epoch, at.step)).collect::<Vec<_>>(),
            [(0, 0), (1, 2), (2, 4)]
        );
        let ids: Vec<String> = view.clouds.iter().map(|cloud| cloud.id.clone()).collect();
        assert_eq!(ids, ["a0", "a1", "a2", "a3", "a4"], "the split of the run");
        let centers: Vec<f32> =
            view.clouds.iter().flat_map(|cloud| cloud.centers.as_flattened().to_vec()).collect();
        for (number, at) in view.draws.iter().enumerate() {
            let places = PatchPlaces { ids: &ids, centers: &centers, cells: None };
            let key = BatchKey { seed: config.run.seed, epoch: at.epoch, batch: at.batch };
            let masks = draw_masks(&config.masking, places, key).unwrap();
            for (i, cloud) in view.clouds.iter().enumerate() {
                let roles = &cloud.draws[number].roles;
                let seen = &masks.context[i * masks.context_len..][..masks.context_len];
                let asked = masks.blocks * masks.target_len;
                let asked = &masks.targets[i * asked..][..asked];
                for (patch, role) in roles.iter().enumerate() {
                    let patch = patch as u32;
                    assert_eq!(*role == PatchRole::Context, seen.contains(&patch), "{kind:?}");
                    assert_eq!(matches!(role, PatchRole::Target(_)), asked.contains(&patch), "{kind:?}");
                }
                assert!(cloud.draws[number].errors.is_none());
            }
        }
    }
}

#[test]
fn a_sheet_shows_centers_in_the_colours_of_their_masks() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = write_run(dir.path(), MaskKind::Region);
    let query = RunQuery { clouds: Query { limit: 2, ..Query::default() }, draws: 2 };
    let view = RunView::open(&run, Some(&data), &query).unwrap();
    let sheet = mask_sheet(&view).unwrap();
    let image = picture(&sheet);
    let count = |color: [u8; 3], top: u32| {
        image.enumerate_pixels().filter(|(_, y, pixel)| *y > top && pixel.0 == color).count()
    };
    let top = GAP + 3 * HEADING + LINE;
    for color in [CONTEXT, of_block(0)] {
        assert!(count(color, top) > 100, "{color:?}");
    }
    assert_eq!(count(of_block(1), top), 0, "regions are one target block");
    assert_eq!(image.width(), 1400);
}

#[test]
fn a_trained_run_shows_the_errors_of_its_targets_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("set"), dir.path().join("run"));
    write_dataset(&data, false);
    let mut config = config(MaskKind::Region);
    (config.run.max_steps, config.monitor.probe_every) = (4, 0);
    let request = PretrainRequest {
        config,
        data: vec![data.as_path().into()],
        out: run.clone(),
        resume: false,
        device: "cpu".into(),
        emulates_bf16: false,
        shown: None,
    };
    Trainer::new(request).unwrap().run(&AtomicBool::new(false), &mut |_| ()).unwrap();
    let view = RunView::open(&run, Some(&data), &RunQuery::default()).unwrap();
    for cloud in &view.clouds {
        for masks in &cloud.draws {
            for (error, role) in masks.errors.as_ref().unwrap().iter().zip(&masks.roles) {
                assert_eq!(error.is_finite(), matches!(role, PatchRole::Target(_)), "{error} {role:?}");
            }
        }
    }
    assert!(mask_sheet(&view).is_ok());
    let mut manifest = jepa3d_schemas::Manifest::read(&data).unwrap();
    manifest.fingerprint = "f0".into();
    manifest.write(&data).unwrap();
    let error = RunView::open(&run, Some(&data), &RunQuery::default()).err().unwrap().to_string();
    let expected = "last.safetensors: expected the dataset it was trained on, fingerprint f1, found f0 in ";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_does_not_serve_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = write_run(dir.path(), MaskKind::Region);
    let open = |data: Option<&Path>| RunView::open(&run, data, &RunQuery::default());
    let alone = open(None).unwrap();
    assert_eq!((alone.clouds(), alone.name()), (0, "run"));
    assert!(mask_sheet(&alone).is_err());
    let mut config = config(MaskKind::Region);
    config.data.groups = 5;
    std::fs::write(run.join("config.toml"), config.to_toml()).unwrap();
    let error = open(Some(&data)).err().unwrap().to_string();
    assert!(error.contains("data.groups x data.group_size: expected at most the stored 4 x 8"), "{error}");
    std::fs::remove_file(run.join("config.toml")).unwrap();
    let error = open(None).err().unwrap().to_string();
    assert!(error.contains("config.toml"), "{error}");
}
