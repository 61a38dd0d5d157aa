//! The fused tokenizer against candle's operators, PyTorch and finite differences.

use std::path::Path;

use candle_core::safetensors::load;
use candle_core::{Device, Tensor, Var};
use jepa3d_schemas::Draws;

use super::fixture::weights;
use super::{BatchStats, Mode, TokenizerWeights, tokenize, tokenize_composite, tokenize_counted};

mod bf16;
mod parts;

type Tokenizer =
    fn(&Tensor, &TokenizerWeights, &Mode<'_>) -> candle_core::Result<(Tensor, Option<[BatchStats; 2]>)>;

/// Numbers uniform in +-1.
fn draw(draws: &mut Draws, n: usize) -> Vec<f32> {
    (0..n).map(|_| (draws.unit() * 2.0 - 1.0) as f32).collect()
}

fn variable(draws: &mut Draws, dims: &[usize], center: f32, spread: f32) -> Var {
    let values: Vec<f32> =
        draw(draws, dims.iter().product()).into_iter().map(|v| center + spread * v).collect();
    Var::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn vars(draws: &mut Draws, [c1, c2, c3, d]: [usize; 4]) -> Vec<Var> {
    let bound = |fan_in: usize| 1.0 / (fan_in as f32).sqrt();
    vec![
        variable(draws, &[c1, 3], 0.0, bound(3)),
        variable(draws, &[c1], 1.0, 0.4),
        variable(draws, &[c1], 0.0, 0.3),
        variable(draws, &[c2, c1], 0.0, bound(c1)),
        variable(draws, &[c2], 0.0, bound(c1)),
        variable(draws, &[c3, 2 * c2], 0.0, bound(2 * c2)),
        variable(draws, &[c3], 1.0, 0.4),
        variable(draws, &[c3], 0.0, 0.3),
        variable(draws, &[d, c3], 0.0, bound(c3)),
        variable(draws, &[d], 0.0, bound(c3)),
    ]
}

fn patches(draws: &mut Draws, n: usize, k: usize) -> Tensor {
    let values: Vec<f32> = draw(draws, n * k * 3).into_iter().map(|v| 0.2 * v).collect();
    Tensor::from_vec(values, (n, k, 3), &Device::Cpu).unwrap()
}

/// Tokens, and the gradients of all parts given that of the tokens.
fn run(
    tokenizer: Tokenizer,
    x: &Tensor,
    vars: &[Var],
    mode: &Mode<'_>,
    gradient: &Tensor,
) -> (Tensor, Vec<Tensor>) {
    let (tokens, stats) = tokenizer(x, &weights(vars), mode).unwrap();
    assert_eq!(stats.is_some(), matches!(mode, Mode::Train));
    let grads = (&tokens * gradient).unwrap().sum_all().unwrap().backward().unwrap();
    let parts = vars.iter().map(|v| grads.get(v.as_tensor()).unwrap().clone()).collect();
    (tokens.detach(), parts)
}

fn numbers(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest difference, relative to the largest number of `b`.
fn difference(a: &Tensor, b: &Tensor) -> f32 {
    let (a, b) = (numbers(a), numbers(b));
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / scale
}

#[track_caller]
fn assert_near(a: &Tensor, b: &Tensor, what: &str) {
    let found = difference(a, b);
    assert!(found < 1e-4, "{what}: {found}");
}

/// Gradients of all parts. That of the lift's bias is 0 with the statistics of the batch: the oracle has rounding errors.
#[track_caller]
fn assert_gradients(found: &[Tensor], expected: &[Tensor], mode: &Mode<'_>, what: &str) {
    let largest = expected.iter().flat_map(numbers).fold(0.0f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        if i == LIFT_BIAS && matches!(mode, Mode::Train) {
            let small = |x: &Tensor| numbers(x).iter().all(|v| v.abs() < 1e-5 * largest);
            assert!(small(a) && small(b), "{what}: {}", super::weights::NAMES[i]);
        } else {
            assert_near(a, b, &format!("{what}: {}", super::weights::NAMES[i]));
        }
    }
}

const LIFT_BIAS: usize = 4;

fn compare(widths: [usize; 4], n: usize, k: usize, mode: &Mode<'_>, seed: u64) {
    let mut draws = Draws::new(seed, "tokenizer", "test");
    let (vars, x) = (vars(&mut draws, widths), patches(&mut draws, n, k));
    let gradient = variable(&mut draws, &[n, widths[3]], 0.0, 1.0).as_tensor().clone();
    let (tokens, found) = run(tokenize, &x, &vars, mode, &gradient);
    let (oracle, expected) = run(tokenize_composite, &x, &vars, mode, &gradient);
    assert_near(&tokens, &oracle, "tokens");
    assert_gradients(&found, &expected, mode, &format!("widths {widths:?}, {n} patches of {k}"));
}

#[test]
fn equals_the_composite_form() {
    compare([8, 16, 32, 12], 48, 8, &Mode::Train, 1);
    compare([128, 256, 512, 384], 40, 32, &Mode::Train, 2);
    compare([33, 40, 70, 5], 300, 3, &Mode::Train, 3);
    compare([8, 16, 32, 12], 7, 300, &Mode::Train, 4);
}

#[test]
fn a_patch_of_one_point_and_a_single_patch() {
    compare([8, 16, 32, 12], 50, 1, &Mode::Train, 5);
    compare([8, 16, 32, 12], 1, 32, &Mode::Train, 6);
}

#[test]
fn running_statistics() {
    let mut draws = Draws::new(7, "tokenizer", "statistics");
    let near = |draws: &mut Draws, n: usize, center: f32| {
        draw(draws, n).into_iter().map(|v| center + 0.1 * v).collect()
    };
    let (m1, v1): (Vec<f32>, Vec<f32>) = (near(&mut draws, 8, 0.0), near(&mut draws, 8, 0.3));
    let (m2, v2): (Vec<f32>, Vec<f32>) = (near(&mut draws, 32, 0.0), near(&mut draws, 32, 0.3));
    let mode = Mode::Eval { bn1: (&m1, &v1), bn2: (&m2, &v2) };
    compare([8, 16, 32, 12], 48, 8, &mode, 8);
    compare([8, 16, 32, 12], 1, 1, &mode, 9);
}

#[test]
fn repeated_points_share_no_gradient() {
    let mut draws = Draws::new(11, "tokenizer", "ties");
    let (vars, x) = (vars(&mut draws, [8, 16, 32, 12]), patches(&mut draws, 20, 5));
    let twice = Tensor::cat(&[&x, &x], 1).unwrap();
    let gradient = variable(&mut draws, &[20, 12], 0.0, 1.0).as_tensor().clone();
    let (tokens, once) = run(tokenize, &x, &vars, &Mode::Train, &gradient);
    let (tokens_twice, found) = run(tokenize, &twice, &vars, &Mode::Train, &gradient);
    // The statistics are those of the same points, so everything is as if each stood there once.
    assert_near(&tokens_twice, &tokens, "tokens");
    assert_gradients(&found, &once, &Mode::Train, "twice");
}

#[test]
fn a_channel_without_variance() {
    let mut draws = Draws::new(12, "tokenizer", "constant");
    let (vars, x) = (vars(&mut draws, [8, 16, 32, 12]), patches(&mut draws, 40, 8));
    for (part, row) in [(0, 2), (5, 3)] {
        let old = vars[part].as_tensor();
        let keep: Vec<f32> = (0..old.dim(0).unwrap()).map(|i| f32::from(u8::from(i != row))).collect();
        let keep = Tensor::from_vec(keep, (old.dim(0).unwrap(), 1), &Device::Cpu).unwrap();
        vars[part].set(&old.broadcast_mul(&keep).unwrap()).unwrap();
    }
    let gradient = variable(&mut draws, &[40, 12], 0.0, 1.0).as_tensor().clone();
    let (tokens, found) = run(tokenize, &x, &vars, &Mode::Train, &gradient);
    let (oracle, expected) = run(tokenize_composite, &x, &vars, &Mode::Train, &gradient);
    assert_near(&tokens, &oracle, "tokens");
    assert_gradients(&found, &expected, &Mode::Train, "fused");
}

#[test]
fn tokens_without_gradient_change_nothing() {
    let mut draws = Draws::new(13, "tokenizer", "context");
    let (vars, x) = (vars(&mut draws, [8, 16, 32, 12]), patches(&mut draws, 60, 8));
    let gradient = variable(&mut draws, &[60, 12], 0.0, 1.0).as_tensor().clone();
    let seen: Vec<f32> = (0..60).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
    let gradient = gradient.broadcast_mul(&Tensor::from_vec(seen, (60, 1), &Device::Cpu).unwrap()).unwrap();
    let (_, found) = run(tokenize, &x, &vars, &Mode::Train, &gradient);
    let (_, expected) = run(tokenize_composite, &x, &vars, &Mode::Train, &gradient);
    assert_gradients(&found, &expected, &Mode::Train, "fused");
}

#[test]
fn repeats_of_voxel_blocks_count_for_nothing() {
    let mut draws = Draws::new(15, "tokenizer", "blocks");
    let (vars, distinct) = (vars(&mut draws, [8, 16, 32, 12]), patches(&mut draws, 20, 5));
    // The same points, cyclically repeated to eight.
    let rows = Tensor::new(&[0u32, 1, 2, 3, 4, 0, 1, 2], &Device::Cpu).unwrap();
    let repeated = distinct.index_select(&rows, 1).unwrap();
    let gradient = variable(&mut draws, &[20, 12], 0.0, 1.0).as_tensor().clone();
    let counted: Tokenizer = |x, w, _| tokenize_counted(x, w, &vec![5; x.dim(0)?], None);
    let (found, gradients) = run(counted, &repeated, &vars, &Mode::Train, &gradient);
    let (expected, wanted) = run(tokenize, &distinct, &vars, &Mode::Train, &gradient);
    assert_gradients(&gradients, &wanted, &Mode::Train, "counted");
    assert_near(&found, &expected, "tokens");
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    let stats = |tokenizer: Tokenizer, x: &Tensor| tokenizer(x, &weights(&vars), &Mode::Train).unwrap().1;
    let [found, known] = [stats(counted, &repeated), stats(tokenize, &distinct)].map(Option::unwrap);
    for (found, known) in found.iter().zip(&known) {
        assert!(near(&found.mean, &known.mean) && near(&found.var, &known.var));
    }
    let error = tokenize_counted(&repeated, &weights(&vars), &[9; 20], None).unwrap_err().to_string();
    assert!(error.starts_with("tokenizer: counts: expected 20 from 1 to 8, found 20: [9"), "{error}");
}

#[test]
fn gradients_equal_finite_differences() {
    let mut draws = Draws::new(14, "tokenizer", "finite");
    let (vars, x) = (vars(&mut draws, [8, 16, 32, 12]), patches(&mut draws, 30, 8));
    let gradient = variable(&mut draws, &[30, 12], 0.0, 1.0).as_tensor().clone();
    let (_, found) = run(tokenize, &x, &vars, &Mode::Train, &gradient);
    let value = |part: usize, at: usize, step: f32| {
        let mut moved = vars.clone();
        let mut values = numbers(vars[part].as_tensor());
        values[at] += step;
        moved[part] = Var::from_vec(values, vars[part].dims(), &Device::Cpu).unwrap();
        let tokens = tokenize(&x, &weights(&moved), &Mode::Train).unwrap().0;
        numbers(&tokens)
            .iter()
            .zip(numbers(&gradient))
            .map(|(&t, g)| f64::from(t) * f64::from(g))
            .sum::<f64>()
    };
    for (part, gradients) in found.iter().enumerate() {
        let gradients = numbers(gradients);
        let scale = gradients.iter().fold(1.0f32, |m, g| m.max(g.abs()));
        let at = gradients.len() / 2;
        // Small enough that few maxima and ReLUs switch, large enough for f32.
        let slope = (value(part, at, 2e-3) - value(part, at, -2e-3)) / 4e-3;
        let error = (slope as f32 - gradients[at]).abs() / scale;
        assert!(error < 2e-2, "{}: {slope} against {}", super::weights::NAMES[part], gradients[at]);
    }
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    let mut draws = Draws::new(15, "tokenizer", "threads");
    let (vars, x) = (vars(&mut draws, [64, 128, 256, 192]), patches(&mut draws, 300, 16));
    let gradient = variable(&mut draws, &[300, 192], 0.0, 1.0).as_tensor().clone();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (tokens, parts) = pool.install(|| run(tokenize, &x, &vars, &Mode::Train, &gradient));
        let all = parts.iter().chain([&tokens]).flat_map(numbers);
        all.map(f32::to_bits).collect::<Vec<_>>()
    };
    assert!(with(1) == with(3));
}

/// Parts of a golden file by their official names.
fn golden_parts(golden: &std::collections::HashMap<String, Tensor>, kind: &str) -> Vec<Tensor> {
    let part = |name: &&str| {
        let x = &golden[&format!("{kind}/tokenizer.embedding.encoder.{name}")];
        if x.rank() == 3 { x.squeeze(2).unwrap() } else { x.clone() }
    };
    super::weights::NAMES.iter().map(part).collect()
}

#[test]
fn equals_pytorch() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../goldens/point_jepa.safetensors");
    let golden = load(file, &Device::Cpu).unwrap();
    let vars: Vec<Var> =
        golden_parts(&golden, "weights").iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let x = golden["input/patches"].flatten(0, 1).unwrap();
    let gradient = golden["out/tokens_gradient"].flatten(0, 1).unwrap();
    let expected = golden_parts(&golden, "grad");
    for (tokenizer, name) in [(tokenize as Tokenizer, "fused"), (tokenize_composite, "composite")] {
        let (tokens, found) = run(tokenizer, &x, &vars, &Mode::Train, &gradient);
        assert_near(&tokens, &golden["out/tokens"].flatten(0, 1).unwrap(), name);
        assert_gradients(&found, &expected, &Mode::Train, name);
    }
}

#[test]
fn statistics_equal_those_of_pytorch() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../goldens/point_jepa.safetensors");
    let golden = load(file, &Device::Cpu).unwrap();
    let vars: Vec<Var> =
        golden_parts(&golden, "weights").iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let x = golden["input/patches"].flatten(0, 1).unwrap();
    let read = |kind: &str, norm: &str, what: &str| {
        numbers(&golden[&format!("{kind}/tokenizer.embedding.encoder.{norm}.{what}")])
    };
    let norms = ["first_conv.1", "second_conv.1"];
    let [(m1, v1), (m2, v2)] =
        norms.map(|n| (read("weights", n, "running_mean"), read("weights", n, "running_var")));
    let mode = Mode::Eval { bn1: (&m1, &v1), bn2: (&m2, &v2) };
    for tokenizer in [tokenize as Tokenizer, tokenize_composite] {
        let stats = tokenizer(&x, &weights(&vars), &Mode::Train).unwrap().1.unwrap();
        for (norm, stats) in norms.iter().zip(&stats) {
            for (what, found) in [("running_mean", &stats.mean), ("running_var", &stats.var)] {
                let before = read("weights", norm, what);
                for ((old, new), expected) in before.iter().zip(found).zip(read("after", norm, what)) {
                    assert!((0.9 * old + 0.1 * new - expected).abs() < 1e-5, "{norm}.{what}");
                }
            }
        }
        let tokens = tokenizer(&x, &weights(&vars), &mode).unwrap().0;
        assert_near(&tokens, &golden["out/tokens_eval"].flatten(0, 1).unwrap(), "tokens");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let mut draws = Draws::new(16, "tokenizer", "errors");
    let vars = vars(&mut draws, [8, 16, 32, 12]);
    let message = |x: &Tensor, w: &TokenizerWeights| tokenize(x, w, &Mode::Train).unwrap_err().to_string();
    let x = patches(&mut draws, 1, 1);
    let text = message(&x, &weights(&vars));
    assert!(text.contains("expected more than one point to take statistics of, found 1"), "{text}");
    let mut wrong = weights(&vars);
    wrong.lift = wrong.lift.narrow(1, 0, 7).unwrap();
    let text = message(&patches(&mut draws, 2, 4), &wrong);
    assert!(text.contains("tokenizer: first_conv.3.weight: expected [16, 8], found [16, 7]"), "{text}");
}
