//! The tokenizer's products in `bf16`: against those in `f32`, and the matrix unit against its emulation.

use candle_core::{Result, Tensor, Var};
use jepa3d_schemas::Draws;

use super::{LIFT_BIAS, difference, numbers, patches, run, variable, vars};
use crate::tokenizer::{BatchStats, Mode, TokenizerWeights, tokenize, tokenize_in};
use crate::{Bf16Engine, Precision};

fn emulated(
    x: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    tokenize_in(Precision::Bf16(Bf16Engine::Emulated), x, weights, mode)
}

fn on_the_unit(
    x: &Tensor,
    weights: &TokenizerWeights,
    mode: &Mode<'_>,
) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
    let engine = Bf16Engine::detect().expect("asked before");
    tokenize_in(Precision::Bf16(engine), x, weights, mode)
}

/// Cosine of the angle between two gradients.
fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (numbers(a), numbers(b));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

/// Tokens and gradients in `bf16` against those in `f32`; with the unit, where there is one, to the bit.
fn compare(vars: &[Var], x: &Tensor, gradient: &Tensor, what: &str) {
    let (tokens, found) = run(emulated, x, vars, &Mode::Train, gradient);
    let (oracle, expected) = run(tokenize, x, vars, &Mode::Train, gradient);
    let far = difference(&tokens, &oracle);
    assert!(far > 1e-6 && far < 2e-2, "{what}: {far}");
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate().filter(|(i, _)| *i != LIFT_BIAS) {
        // Another point may have a maximum.
        let along = cosine(found, expected);
        assert!(along > 0.98, "{what} {}: {along}", crate::tokenizer::weights::NAMES[i]);
    }
    if Bf16Engine::detect().is_none() {
        eprintln!("skipped: this processor or system has no AMX");
        return;
    }
    let (same, gradients) = run(on_the_unit, x, vars, &Mode::Train, gradient);
    assert_eq!(numbers(&same), numbers(&tokens), "{what}: tokens");
    for (i, (a, b)) in gradients.iter().zip(&found).enumerate() {
        assert_eq!(numbers(a), numbers(b), "{what}: {}", crate::tokenizer::weights::NAMES[i]);
    }
}

#[test]
fn products_in_bf16_are_near_those_in_f32() {
    for (seed, widths, n, k) in [(21, [33, 40, 70, 5], 60, 7), (22, [128, 256, 512, 384], 20, 32)] {
        let mut draws = Draws::new(seed, "tokenizer", "bf16");
        let (vars, x) = (vars(&mut draws, widths), patches(&mut draws, n, k));
        let gradient = variable(&mut draws, &[n, widths[3]], 0.0, 1.0).as_tensor().clone();
        compare(&vars, &x, &gradient, &format!("{widths:?}"));
    }
}

#[test]
fn points_that_are_all_equal_hand_their_gradient_to_the_first() {
    let mut draws = Draws::new(23, "tokenizer", "bf16");
    let (widths, n, k) = ([33, 40, 70, 5], 90, 9);
    let vars = vars(&mut draws, widths);
    let one = patches(&mut draws, n, 1);
    let x = one.broadcast_as((n, k, 3)).unwrap().contiguous().unwrap();
    let gradient = variable(&mut draws, &[n, widths[3]], 0.0, 1.0).as_tensor().clone();
    compare(&vars, &x, &gradient, "equal points");
}

#[test]
fn tokens_of_ten_thousand_and_patches_without_a_gradient() {
    let mut draws = Draws::new(24, "tokenizer", "bf16");
    let (widths, n, k) = ([33, 40, 70, 5], 50, 9);
    let (vars, x) = (vars(&mut draws, widths), patches(&mut draws, n, k));
    vars[8].set(&(vars[8].as_tensor() * 1e4).unwrap()).unwrap();
    let some: Vec<f32> =
        (0..n * 5).map(|i| if i / 5 % 3 == 0 { draws.normal() as f32 } else { 0.0 }).collect();
    let gradient = Tensor::from_vec(some, (n, 5), x.device()).unwrap();
    compare(&vars, &x, &gradient, "large tokens");
}
