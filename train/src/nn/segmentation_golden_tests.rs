//! The segmentation heads against PyTorch (goldens/segmentation.py): scores, loss, every gradient, one AdamW step.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};

use super::{
    ClassLoss, ForwardPass, HostTensor, ParameterRole, ParameterStore, Parameters, PartHead, PartHeadSizes,
    PointNeighbors, PointTokens, SceneHead, mix_depths,
};
use crate::config::OptimConfig;
use crate::optim::{AdamW, ParameterGradients, UpdateRates};

const SIZES: PartHeadSizes = PartHeadSizes { width: 12, upsampling: 10, hidden: 16, classes: 4, parts: 9 };

type HeadGolden = HashMap<String, Tensor>;

fn load() -> HeadGolden {
    let path = format!("{}/goldens/segmentation.safetensors", env!("CARGO_MANIFEST_DIR"));
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap()
}

fn indices(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<i64>().unwrap().iter().map(|&i| i as u32).collect()
}

fn check(what: &str, found: &[f32], want: &[f32]) {
    assert_eq!(found.len(), want.len(), "{what}");
    let size = want.iter().fold(0.0f32, |m, x| m.max(x.abs())).max(1e-4);
    let worst = found.iter().zip(want).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst <= 1e-4 * size, "{what}: off by {worst} of {size}");
}

/// The heads with the golden's weights.
fn build(golden: &HeadGolden) -> (PartHead, SceneHead, Parameters) {
    let store = ParameterStore::new(0, &Device::Cpu);
    let head = PartHead::new(SIZES, 0.0, &store.builder()).unwrap();
    let scene = SceneHead::new(SIZES.width, SIZES.parts, &store.builder()).unwrap();
    let parameters = store.into_parameters();
    let weights = golden.iter().filter_map(|(name, t)| Some((name.strip_prefix("weights/")?, t)));
    let values: BTreeMap<String, HostTensor> = weights
        .map(|(name, t)| {
            let rank = if t.rank() == 3 { 2 } else { t.rank() };
            (name.to_owned(), HostTensor { dims: t.dims()[..rank].to_vec(), values: numbers(t) })
        })
        .collect();
    parameters.set(Path::new("golden"), &values).unwrap();
    (head, scene, parameters)
}

#[test]
fn the_segmentation_heads_equal_pytorch() {
    let golden = load();
    let (head, scene, parameters) = build(&golden);
    let hidden = Var::from_tensor(&golden["input/hidden"]).unwrap();
    let depths: Vec<Tensor> = (0..3).map(|i| hidden.as_tensor().get(i).unwrap()).collect();
    let tokens = mix_depths(&depths).unwrap();
    let points = golden["input/points"].flatten_to(1).unwrap();
    let (classes, labels) = (indices(&golden["input/classes"]), indices(&golden["input/labels"]));
    let ends = [20, 40, 60];
    let neighbors = PointNeighbors::find(&numbers(&points), &ends, &numbers(&golden["input/centers"]));
    let input = PointTokens {
        tokens: &tokens,
        points: &points,
        ends: &ends,
        neighbors: &neighbors,
        classes: &classes,
    };
    check("eval", &numbers(&head.eval(input).unwrap()), &numbers(&golden["out/parts_eval"]));
    let pass = ForwardPass::new(1, false);
    let parts = head.train(input, &pass).unwrap();
    let scenes = scene.score(&tokens, &neighbors).unwrap();
    check("parts", &numbers(&parts), &numbers(&golden["out/parts"]));
    check("scenes", &numbers(&scenes), &numbers(&golden["out/scenes"]));
    let scene_loss = (ClassLoss::default().of_rows(&scenes, &labels).unwrap() * 0.5).unwrap();
    let loss = (ClassLoss::default().of_rows(&parts, &labels).unwrap() + scene_loss).unwrap();
    check("loss", &numbers(&loss), &numbers(&golden["out/loss"]));

    let into_tokens = loss.backward().unwrap();
    check("hidden", &numbers(into_tokens.get(hidden.as_tensor()).unwrap()), &numbers(&golden["grad/hidden"]));
    let gradients = ParameterGradients::backward(&loss, &pass.tape, &parameters).unwrap();
    for (p, gradient) in parameters.trained().zip(gradients.all()) {
        check(&p.name, &numbers(gradient), &numbers(&golden[&format!("grad/{}", p.name)]));
    }
    for p in parameters.with_role(ParameterRole::Statistic) {
        check(&p.name, &numbers(p.var.as_tensor()), &numbers(&golden[&format!("after/{}", p.name)]));
    }
    a_step_equals(&golden, &parameters, &gradients);
}

/// One step of AdamW from the golden's weights.
fn a_step_equals(golden: &HeadGolden, parameters: &Parameters, gradients: &ParameterGradients) {
    let config: OptimConfig = toml::from_str("decay_all = true").unwrap();
    let mut optimizer = AdamW::new(&config, parameters).unwrap();
    let rates = UpdateRates { learning_rate: 1e-3, weight_decay: 0.05, gradient_scale: 1.0 };
    optimizer.update(parameters, gradients, rates).unwrap();
    for p in parameters.trained() {
        // A first step is the sign of the gradient: compared where that is clear.
        let gradient = numbers(&golden[&format!("grad/{}", p.name)]);
        let (found, want) = (numbers(p.var.as_tensor()), numbers(&golden[&format!("adamw/{}", p.name)]));
        let clear = |values: &[f32]| -> Vec<f32> {
            values.iter().zip(&gradient).filter(|(_, g)| g.abs() > 1e-5).map(|(v, _)| *v).collect()
        };
        check(&p.name, &clear(&found), &clear(&want));
    }
}
