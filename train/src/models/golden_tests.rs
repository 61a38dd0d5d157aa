//! Point-JEPA against a PyTorch implementation of the same definition (goldens/point_jepa.py): features, loss, every
//! gradient, one AdamW step, one EMA step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use jepa3d_loader::Masks;

use super::{
    CrossInput, HybridInput, MaskedInput, PatchTensors, PretrainModel, StepInput, ViewImages, ViewTargets,
};
use crate::config::PretrainConfig;
use crate::nn::{ForwardPass, HostTensor, Parameter, ParameterRole, Parameters};
use crate::optim::{AdamW, ParameterGradients, UpdateRates};
use crate::target_encoder::update_target_encoder;

pub(super) type Golden = std::collections::HashMap<String, Tensor>;

pub(super) fn golden(name: &str) -> Golden {
    let path = format!("{}/goldens/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

pub(super) fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_dtype(candle_core::DType::F32).unwrap().to_vec1().unwrap()
}

fn indices(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<i64>().unwrap().iter().map(|&i| i as u32).collect()
}

/// The bias before the second batch norm, which takes it out again: its gradient is zero up to rounding, and what
/// AdamW makes of rounding is of order 1. The same holds for the keys' part of the attention's biases, so that
/// updates are compared where gradients are clear.
pub(super) const CANCELLED: &str = "first_conv.3.bias";

/// Largest difference relative to the largest wanted value (taken as 1e-4 if it is below).
pub(super) fn check(what: &str, found: &Tensor, want: &Tensor) {
    let (found, want) = (numbers(found), numbers(want));
    assert_eq!(found.len(), want.len(), "{what}");
    let size = want.iter().fold(0.0f32, |m, x| m.max(x.abs())).max(1e-4);
    let worst = found.iter().zip(&want).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst <= 1e-4 * size, "{what}: off by {worst} of {size}");
}

pub(super) fn config(text: &str) -> PretrainConfig {
    let data = "[data]\ngroups = 16\ngroup_size = 8";
    let (method, text) = text.split_at(text.find('[').unwrap());
    let config: PretrainConfig =
        toml::from_str(&format!("preset = \"test\"\n{method}\n{data}\n{text}")).unwrap();
    config.check().unwrap();
    config
}

pub(super) const OFFICIAL: &str = "[model]\ntokenizer = [8, 16, 32]\nwidth = 12\ndepth = 3\nheads = 3
[predictor]\nwidth = 6\ndepth = 2\nheads = 3\n[optim]\nlr = 1e-3\ndecay_all = true";
pub(super) const REGION: &str = "[model]\ntokenizer = [8, 16, 32]\nwidth = 18\ndepth = 2\nheads = 3
positions = \"sinusoid\"\npositions_every_block = false
[predictor]\nwidth = 12\ndepth = 2\nheads = 3\n[target]\nfinal_norm = true\n[loss]\nkind = \"sum-dim\"";

pub(super) fn loaded(config: &PretrainConfig, golden: &Golden) -> (PretrainModel, Parameters) {
    let (model, parameters) = PretrainModel::new(config, &Device::Cpu).unwrap();
    let values: BTreeMap<String, HostTensor> = golden
        .iter()
        .filter_map(|(name, t)| Some((name.strip_prefix("weights/")?, t)))
        .map(|(name, t)| {
            // 1x1 convolutions carry a last dimension of one.
            let rank = if name.contains("conv.") && t.rank() == 3 { 2 } else { t.rank() };
            (name.to_owned(), HostTensor { dims: t.dims()[..rank].to_vec(), values: numbers(t) })
        })
        .collect();
    parameters.set(Path::new("golden"), &values).unwrap();
    (model, parameters)
}

pub(super) fn input(golden: &Golden) -> StepInput {
    let tensor = |name: &str| golden[&format!("input/{name}")].clone();
    let points = PatchTensors { patches: tensor("patches"), centers: tensor("centers"), counts: None };
    if golden.contains_key("input/embeddings") {
        let (embeddings, poses) = (tensor("embeddings"), tensor("poses"));
        let (histograms, weights) = (tensor("histograms"), tensor("weights"));
        let views = ViewTargets { embeddings, poses, histograms, weights };
        return StepInput::Cross(CrossInput { points, views });
    }
    let masks = masks(golden, points.centers.dim(0).unwrap());
    if !golden.contains_key("input/pixels") {
        return StepInput::Masked(MaskedInput::plain(points, masks));
    }
    let views = ViewImages {
        pixels: tensor("pixels"),
        patches: indices(&golden["input/shown"]),
        projected: tensor("projected"),
        counts: indices(&golden["input/counts"]),
    };
    StepInput::Hybrid(HybridInput { points, masks, views })
}

fn masks(golden: &Golden, b: usize) -> Masks {
    let (context, targets) = (&golden["input/context"], &golden["input/targets"]);
    let shared = context.rank() == 1;
    let repeat = |t: &Tensor| if shared { indices(t).repeat(b) } else { indices(t) };
    Masks {
        context_len: context.dims()[context.rank() - 1],
        blocks: if shared {
            targets.dim(0).unwrap()
        } else {
            targets.dims()[1..targets.rank() - 1].iter().product()
        },
        target_len: targets.dims()[targets.rank() - 1],
        one_pass: targets.rank() == 2 && !shared,
        context: repeat(context),
        targets: repeat(targets),
    }
}

fn steps_equal(name: &str, text: &str) {
    let (golden, config) = (golden(name), config(text));
    let (model, parameters) = loaded(&config, &golden);
    let input = input(&golden);
    let pass = ForwardPass::new(1, false);
    if let Some(latents) = model.target_latents(input.points()).unwrap() {
        assert!(numbers(&latents).iter().all(|x| x.is_finite()));
    }
    let out = model.step(&input, &pass).unwrap();
    check("predictions", &out.predictions, &golden["out/predictions"]);
    check("loss", &out.loss, &golden["out/loss"]);
    let gradients = ParameterGradients::backward(&out.loss, &pass.tape, &parameters).unwrap();
    for (p, gradient) in parameters.trained().zip(gradients.all()) {
        if p.name.ends_with(CANCELLED) {
            assert!(numbers(gradient).iter().all(|g| g.abs() < 1e-6), "{} cancels out", p.name);
            continue;
        }
        let want = &golden[&format!("grad/{}", p.name)];
        assert!(numbers(want).iter().any(|&g| g != 0.0), "{} has a gradient", p.name);
        check(&format!("gradient of {}", p.name), gradient, want);
    }
    for p in parameters.with_role(ParameterRole::Statistic) {
        check(&p.name, p.var.as_tensor(), &golden[&format!("after/{}", p.name)]);
    }
    let mut optimizer = AdamW::new(&config.optim, &parameters).unwrap();
    let rates = UpdateRates { learning_rate: 1e-3, weight_decay: 0.05, gradient_scale: 1.0 };
    optimizer.update(&parameters, &gradients, rates).unwrap();
    update_target_encoder(&parameters, 0.99).unwrap();
    for p in parameters.all().iter().filter(|p| !p.name.ends_with(CANCELLED)) {
        let key = match p.role {
            ParameterRole::Trained => format!("adamw/{}", p.name),
            ParameterRole::Target => format!("ema/{}", p.name),
            _ => continue,
        };
        let (mut found, mut want) = (numbers(p.var.as_tensor()), numbers(&golden[&key]));
        let source = p.name.replace("teacher.ema_model", "student");
        let source = source.strip_prefix("teacher.").unwrap_or(&source);
        let clear = |gradient: &Tensor| numbers(gradient).iter().map(|g| g.abs() > 1e-5).collect::<Vec<_>>();
        // Running statistics have no gradient.
        let clear = golden.get(&format!("grad/{source}")).map_or(vec![true; found.len()], clear);
        for values in [&mut found, &mut want] {
            let mut keep = clear.iter();
            values.retain(|_| *keep.next().unwrap());
        }
        let [found, want] = [found, want].map(|v| Tensor::new(v, &Device::Cpu).unwrap());
        check(&key, &found, &want);
    }
}

#[test]
fn the_official_recipe_equals_pytorch() {
    steps_equal("point_jepa", OFFICIAL);
}

#[test]
fn the_region_preset_equals_pytorch() {
    steps_equal("point_jepa_region", REGION);
}

#[test]
fn the_coordinates_baseline_equals_pytorch() {
    let text = REGION.replace("final_norm = true", "kind = \"coordinates\"");
    steps_equal("point_jepa_coordinates", &text);
}

pub(super) const BLOCKS: &str = "[model]\ntokenizer = [8, 16, 32]\nwidth = 12\ndepth = 2\nheads = 3
[predictor]\nkind = \"decoder\"\nwidth = 6\ndepth = 2\nheads = 3
[target]\nfinal_norm = true\nnorm = \"none\"\n[loss]\nkind = \"cosine\"";

#[test]
fn the_context_aware_decoder_equals_pytorch() {
    steps_equal("jepa_3d", BLOCKS);
}

pub(super) const CROSS: &str =
    "method = \"cross\"\n[model]\ntokenizer = [8, 16, 32]\nwidth = 12\ndepth = 2\nheads = 3
[predictor]\nwidth = 6\ndepth = 2\nheads = 3\n[teacher]\nwidth = 10";

#[test]
fn views_from_points_equal_pytorch() {
    steps_equal("cross_jepa", CROSS);
}

pub(super) const HYBRID: &str =
    "method = \"hybrid\"\n[model]\ntokenizer = [4, 8, 16]\nwidth = 12\ndepth = 2\nheads = 3
positions_every_block = false\n[predictor]\nwidth = 8\ndepth = 1\nheads = 2
[hybrid]\nimage_size = 8\nimage_patch = 4\nqueries = 5
[target]\nfinal_norm = true\ntokenizer = \"ema\"\n[loss]\nkind = \"sum-dim\"\nvariance = 0.1";

#[test]
fn patches_from_an_image_equal_pytorch() {
    steps_equal("cross_jepa_hybrid", HYBRID);
}

#[test]
fn a_batch_that_shows_nothing_has_no_cross_term() {
    let golden = golden("cross_jepa_hybrid");
    let (model, parameters) = loaded(&config(HYBRID), &golden);
    let mut input = input(&golden);
    if let StepInput::Hybrid(input) = &mut input {
        input.views.counts.fill(0);
    }
    let pass = ForwardPass::new(1, false);
    let out = model.step(&input, &pass).unwrap();
    let term = |name: &str| {
        let found = out.terms.iter().find(|(term, _)| *term == name);
        found.map(|(_, x)| x.to_scalar::<f32>().unwrap()).unwrap()
    };
    assert_eq!(term("loss_cross"), 0.0);
    assert!((term("loss_local") - golden["out/local"].to_scalar::<f32>().unwrap()).abs() < 1e-3);
    // Every parameter still has a gradient, so that the optimiser need not know.
    let gradients = ParameterGradients::backward(&out.loss, &pass.tape, &parameters).unwrap();
    assert!(gradients.norm().unwrap().is_finite());
}

/// Which parameters a term of the loss reaches.
fn reached(term: &str) -> Vec<String> {
    let golden = golden("cross_jepa_hybrid");
    let (model, parameters) = loaded(&config(HYBRID), &golden);
    let pass = ForwardPass::new(1, false);
    let out = model.step(&input(&golden), &pass).unwrap();
    let (_, loss) = out.terms.iter().find(|(name, _)| *name == term).unwrap();
    let store = loss.backward().unwrap();
    let is_reached = |p: &&Parameter| {
        let tensor = p.var.as_tensor();
        let gradient = pass.tape.take(tensor).or_else(|| store.get(tensor).map(numbers));
        gradient.is_some_and(|values| values.iter().any(|g| g.abs() > 1e-9)) && !p.name.ends_with(CANCELLED)
    };
    parameters.all().iter().filter(is_reached).map(|p| p.name.clone()).collect()
}

#[test]
fn each_term_of_the_hybrid_teaches_its_side_and_both_the_trunk() {
    let golden = golden("cross_jepa_hybrid");
    let (_, parameters) = loaded(&config(HYBRID), &golden);
    let belongs = |name: &str, parts: &[&str]| {
        !name.ends_with(CANCELLED) && parts.iter().any(|part| name.starts_with(part))
    };
    let wanted = |parts: &[&str]| -> Vec<String> {
        let trained = parameters.trained().filter(|p| belongs(&p.name, parts));
        trained.map(|p| p.name.clone()).collect()
    };
    let image = ["image_tokenizer.", "image_modality", "student.", "view_predictor."];
    assert_eq!(reached("loss_cross"), wanted(&image));
    let points = ["tokenizer.", "point_modality", "positional_encoding.", "student.", "predictor."];
    assert_eq!(reached("loss_local"), wanted(&points));
}

#[test]
fn targets_and_features_equal_pytorch() {
    for (name, text) in [("point_jepa", OFFICIAL), ("point_jepa_region", REGION)] {
        let golden = golden(name);
        let (model, _) = loaded(&config(text), &golden);
        let input = input(&golden);
        let backbone = model.masked().backbone();
        let tokens = backbone.eval_tokens(input.points()).unwrap();
        let positions = backbone.eval_positions(input.points()).unwrap();
        check("positions", &positions, &golden["out/positions"]);
        check("tokens", &tokens, &golden["out/tokens_eval"]);
    }
}

/// Where the goldens stand, so that an error names it.
#[test]
fn goldens_are_small() {
    let folder: PathBuf = format!("{}/goldens", env!("CARGO_MANIFEST_DIR")).into();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        assert!(entry.metadata().unwrap().len() < 300_000, "{:?}", entry.path());
    }
}
