//! What a frozen encoder says of hidden patches, against the step that trained it.

use candle_core::{Device, Tensor};
use jepa3d_loader::{BatchKey, PatchPlaces, draw_masks};
use jepa3d_schemas::Draws;

use crate::checkpoint::{LAST_FILE, RunState, write};
use crate::checkpoint_file::NumberFormat;
use crate::config::PretrainConfig;
use crate::export::export_encoder_file;
use crate::frozen::FrozenEncoder;
use crate::models::{MaskedInput, PatchTensors, PretrainModel, StepInput};
use crate::monitor::StepMeasures;
use crate::nn::ForwardPass;
use crate::run_config::CONFIG_FILE;
use crate::shipped::is_shipped;

const TINY: &str = "preset = \"tiny\"\n[data]\ngroups = 4\ngroup_size = 6\n[model]\ntokenizer = [4, 8, 8]\nwidth = 8\n\
                    depth = 1\nheads = 2\n[predictor]\nwidth = 8\ndepth = 1\nheads = 2\n[optim]\nbatch = 2\n\
                    [masking]\nkind = \"region\"\nblocks = 2\ntarget_ratio = [0.5, 0.5]\n";

fn state(config: &PretrainConfig) -> RunState {
    RunState {
        teacher: None,
        grouping: None,
        up_axis: None,
        tool_version: "0".into(),
        step: 5,
        steps_per_epoch: 2,
        fingerprint: "f1".into(),
        encoder_only: false,
        config: config.to_toml(),
        best: None,
        first_position: None,
        alarms: Default::default(),
    }
}

#[test]
fn an_encoder_alone_makes_the_features_of_its_run_and_is_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let toml = format!("{TINY}[features]\npooling = \"mean-std\"\n");
    let config: PretrainConfig = toml::from_str(&toml).unwrap();
    let (model, parameters) = PretrainModel::new(&config, &Device::Cpu).unwrap();
    // Weights that no seed draws.
    for (at, parameter) in parameters.all().iter().enumerate() {
        let moved = (parameter.var.as_tensor() + 0.01 * (at + 1) as f64).unwrap();
        parameter.var.set(&moved).unwrap();
    }
    let (whole, alone) = (folder.path().join(LAST_FILE), folder.path().join("alone.safetensors"));
    write(&whole, &parameters, None, &state(&config).entry()).unwrap();
    let made = export_encoder_file(&whole, &alone, NumberFormat::F32).unwrap();
    assert!(
        made.parameters > 0
            && std::fs::metadata(&alone).unwrap().len() < std::fs::metadata(&whole).unwrap().len()
    );
    let encoder = FrozenEncoder::open(&alone, None, "cpu").unwrap();
    assert_eq!(encoder.feature_config(), &config.features);
    let mut draws = Draws::new(0, "clouds", "alone");
    let numbers = (0..2 * 4 * 6 * 3).map(|_| draws.normal() as f32).collect();
    let points = PatchTensors {
        patches: Tensor::from_vec(numbers, (2, 4, 6, 3), &Device::Cpu).unwrap(),
        centers: Tensor::ones((2, 4, 3), candle_core::DType::F32, &Device::Cpu).unwrap(),
        counts: None,
    };
    let features = |model: &PretrainModel| -> Vec<f32> {
        model.features(&points).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    assert_eq!(features(encoder.extractor().model), features(&model));
    // Given away once more it is the same file, and what trains on needs more.
    let again = folder.path().join("again.safetensors");
    export_encoder_file(&alone, &again, NumberFormat::F32).unwrap();
    assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&alone).unwrap());
    assert!(!is_shipped(&alone));
    // In half the bytes its features are nearly the same, and nothing more is lost when it is given away once more.
    let half = folder.path().join("half.safetensors");
    export_encoder_file(&alone, &half, NumberFormat::F16).unwrap();
    let lengths = [&alone, &half].map(|file| std::fs::metadata(file).unwrap().len() as f64);
    let numbers = made.parameters as f64;
    assert!(
        (lengths[0] - lengths[1] - 2.0 * numbers).abs() < 0.1 * numbers,
        "{lengths:?}, {numbers} numbers"
    );
    let (want, found) =
        (features(&model), features(FrozenEncoder::open(&half, None, "cpu").unwrap().extractor().model));
    let errors: Vec<f32> = want.iter().zip(&found).map(|(a, b)| (a - b).abs()).collect();
    assert!(errors.iter().all(|&e| e < 2e-2) && errors.iter().any(|&e| e > 0.0), "{errors:?}");
    export_encoder_file(&half, &again, NumberFormat::F16).unwrap();
    assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&half).unwrap());
}

#[test]
fn weights_that_half_the_bits_do_not_hold_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config: PretrainConfig = toml::from_str(TINY).unwrap();
    let (_, parameters) = PretrainModel::new(&config, &Device::Cpu).unwrap();
    let weight = parameters.all().iter().find(|p| p.name.starts_with("student.")).unwrap();
    weight.var.set(&(weight.var.ones_like().unwrap() * 7e4).unwrap()).unwrap();
    let (whole, half) = (folder.path().join(LAST_FILE), folder.path().join("half.safetensors"));
    write(&whole, &parameters, None, &state(&config).entry()).unwrap();
    let error = export_encoder_file(&whole, &half, NumberFormat::F16).unwrap_err().to_string();
    assert!(error.contains(&format!("{}: 70000, which 16 bits do not hold", weight.name)), "{error}");
    assert!(!half.exists());
}

#[test]
fn errors_of_patches_are_shares_of_the_targets_variance() {
    let run = tempfile::tempdir().unwrap();
    let config: PretrainConfig = toml::from_str(TINY).unwrap();
    std::fs::write(run.path().join(CONFIG_FILE), config.to_toml()).unwrap();
    let (model, parameters) = PretrainModel::new(&config, &Device::Cpu).unwrap();
    write(&run.path().join(LAST_FILE), &parameters, None, &state(&config).entry()).unwrap();
    let encoder = FrozenEncoder::open(run.path(), None, "cpu").unwrap();
    let mut draws = Draws::new(0, "clouds", "frozen");
    let mut numbers = |count: usize| -> Vec<f32> { (0..count).map(|_| draws.normal() as f32).collect() };
    let (patches, centers) = (numbers(5 * 4 * 6 * 3), numbers(5 * 4 * 3));
    let ids: Vec<String> = (0..5).map(|i| format!("a{i}")).collect();
    for epoch in 0..3 {
        let places = PatchPlaces { ids: &ids, centers: &centers, cells: None };
        let key = BatchKey { seed: config.run.seed, epoch, batch: 0 };
        let masks = draw_masks(&config.masking, places, key).unwrap();
        let errors = encoder.patch_errors(&patches, &centers, &masks).unwrap().unwrap();
        assert_eq!(errors.len(), 5 * masks.blocks * masks.target_len);
        let points = PatchTensors {
            patches: Tensor::from_slice(&patches, (5, 4, 6, 3), &Device::Cpu).unwrap(),
            centers: Tensor::from_slice(&centers, (5, 4, 3), &Device::Cpu).unwrap(),
            counts: None,
        };
        let input = StepInput::Masked(MaskedInput::plain(points, masks));
        let output = model.step(&input, &ForwardPass::new(0, false)).unwrap();
        let unexplained = 1.0 - StepMeasures::measure(&output).unwrap().r2;
        let mean = errors.iter().map(|&error| f64::from(error)).sum::<f64>() / errors.len() as f64;
        assert!((mean / unexplained - 1.0).abs() < 1e-4, "{mean} {unexplained}");
    }
}
