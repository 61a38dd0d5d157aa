//! The fused stack against the same from candle's operators: outputs and every gradient, with and without dropout.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use jepa3d_kernels::{Bf16Engine, Precision};
use jepa3d_schemas::Draws;

use super::block_pass::DropRates;
use super::encoder::{ComposedPass, Encoder, EncoderConfig, EncoderInput, key_bias};
use super::forward_pass::ForwardPass;
use super::parameter_builder::ParameterStore;
use super::parameters::Parameters;

fn random(shape: &[usize], draws: &mut Draws) -> Var {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| draws.normal() as f32).collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn close(what: &str, a: &Tensor, b: &Tensor) {
    let [a, b]: [Vec<f32>; 2] = [a, b].map(|t| t.flatten_all().unwrap().to_vec1().unwrap());
    let size = b.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
    let worst = a.iter().zip(&b).fold(0.0f32, |m, (x, y)| m.max((x - y).abs()));
    assert!(worst < 2e-5 * size, "{what}: {worst} of {size}");
}

/// An encoder of width 24 with 3 heads, and its parameters.
fn small(depth: usize, rates: DropRates, positions_every_block: bool) -> (Encoder, Parameters) {
    let store = ParameterStore::new(3, &Device::Cpu);
    let config = EncoderConfig { width: 24, depth, heads: 3, rates, positions_every_block };
    let encoder = Encoder::new(config, &store.builder().pp("student")).unwrap();
    (encoder, store.into_parameters())
}

fn compare(rates: DropRates, every_block: bool, (b, t): (usize, usize)) {
    compare_padded(rates, every_block, (b, t), None);
}

fn compare_padded(rates: DropRates, every_block: bool, (b, t): (usize, usize), keys: Option<Vec<u32>>) {
    let (encoder, parameters) = small(3, rates, every_block);
    let mut draws = Draws::new(9, "x", "stack test");
    let [x, positions, g] = [(); 3].map(|()| random(&[b, t, 24], &mut draws));
    let pass = ForwardPass::new(11, false);
    let shared = keys.clone().map(Arc::new);
    let fused = EncoderInput { tokens: &x, positions: Some(&positions), keys: shared };
    let fused = encoder.train(fused, &pass).unwrap();
    let fused_gradients = (&fused * &*g).unwrap().sum_all().unwrap().backward().unwrap();

    let twin = ForwardPass::new(11, false);
    let (input, added) = match every_block {
        true => (x.as_tensor().clone(), Some(positions.as_tensor())),
        false => ((&*x + &*positions).unwrap(), None),
    };
    let key = twin.next_key();
    let bias = keys.map(|keys| key_bias(&keys, &input).unwrap());
    let training = ComposedPass { key, is_bf16: false, key_bias: bias.as_ref() };
    let (out, _) = encoder.compose(&input, added, Some(training), &[]).unwrap();
    let composed = encoder.final_norm(&out).unwrap();
    let gradients = (&composed * &*g).unwrap().sum_all().unwrap().backward().unwrap();

    close("output", &fused, &composed);
    for (name, var) in [("x", &x), ("positions", &positions)] {
        close(name, fused_gradients.get(var).unwrap(), gradients.get(var).unwrap());
    }
    for parameter in parameters.trained() {
        let tensor = parameter.var.as_tensor();
        let want = gradients.get(tensor).unwrap();
        match pass.tape.take(tensor) {
            Some(found) => close(&parameter.name, &Tensor::new(found, &Device::Cpu).unwrap(), want),
            None => close(&parameter.name, fused_gradients.get(tensor).unwrap(), want),
        }
    }
}

#[test]
fn the_first_row_alone_equals_the_whole() {
    for depth in [1, 3] {
        let (encoder, parameters) = small(depth, DropRates::default(), false);
        let mut draws = Draws::new(9, "x", "first row");
        let (x, g) = (random(&[5, 7, 24], &mut draws), random(&[5, 1, 24], &mut draws));
        let (short, whole) = (ForwardPass::new(11, false), ForwardPass::new(11, false));
        let found = encoder.train_first(&x, &short).unwrap();
        let all = EncoderInput { tokens: &x, positions: None, keys: None };
        let want = encoder.train(all, &whole).unwrap().narrow(1, 0, 1).unwrap();
        close("output", &found, &want);
        let of = |y: &Tensor| (y * &*g).unwrap().sum_all().unwrap().backward().unwrap();
        let (found, want) = (of(&found), of(&want));
        close("x", found.get(&x).unwrap(), want.get(&x).unwrap());
        for parameter in parameters.trained() {
            let tensor = parameter.var.as_tensor();
            let gradient =
                |pass: &ForwardPass, store: &candle_core::backprop::GradStore| match pass.tape.take(tensor) {
                    Some(values) => Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap(),
                    None => store.get(tensor).unwrap().clone(),
                };
            close(&parameter.name, &gradient(&short, &found), &gradient(&whole, &want));
        }
    }
}

#[test]
fn padding_is_not_looked_at() {
    let keys = |b: usize, t: usize| (0..b).map(|i| 1 + (i * 5 % t) as u32).collect();
    for (b, t) in [(5, 7), (40, 33), (2, 1)] {
        compare_padded(DropRates::default(), false, (b, t), Some(keys(b, t)));
    }
    let rates = DropRates { hidden: 0.1, attention: 0.2, path: vec![0.0, 0.1, 0.2] };
    compare_padded(rates, true, (6, 9), Some(keys(6, 9)));
}

#[test]
fn fused_blocks_equal_composed_ones() {
    for every_block in [true, false] {
        compare(DropRates::default(), every_block, (5, 7));
        compare(DropRates::default(), every_block, (40, 33));
    }
}

#[test]
fn dropout_is_the_same_in_both_forms() {
    let rates = DropRates { hidden: 0.2, attention: 0.1, path: vec![0.0, 0.2, 0.4] };
    compare(rates.clone(), true, (40, 33));
    compare(rates, false, (3, 1));
}

/// Output, gradient of the input, and gradients of all parameters of two blocks, one after the other.
fn run_in(precision: Precision, threads: usize) -> Vec<Vec<f32>> {
    run_scaled(precision, threads, 1.0)
}

/// The same where the weights of queries and keys are so many times as large.
fn run_scaled(precision: Precision, threads: usize, scale: f64) -> Vec<Vec<f32>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let rates = DropRates { hidden: 0.1, attention: 0.1, path: vec![0.0, 0.2] };
        let (encoder, parameters) = small(2, rates, true);
        for q in parameters.all().iter().filter(|q| q.name.contains("qkv")) {
            q.var.set(&(q.var.as_tensor() * scale).unwrap()).unwrap();
        }
        let mut draws = Draws::new(9, "x", "stack test");
        let (x, g) = (random(&[50, 33, 24], &mut draws), random(&[50, 33, 24], &mut draws));
        let pass = ForwardPass::new(11, false).with_precision(precision);
        let input = EncoderInput { tokens: &x, positions: Some(&x), keys: None };
        let out = encoder.train(input, &pass).unwrap();
        let store = (&out * &*g).unwrap().sum_all().unwrap().backward().unwrap();
        let mut all = vec![flat(&out), flat(store.get(&x).unwrap())];
        all.extend(parameters.all().iter().filter_map(|q| pass.tape.take(q.var.as_tensor())));
        all
    })
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn results_do_not_depend_on_threads() {
    for precision in [Precision::F32, Precision::Bf16(Bf16Engine::Emulated)] {
        let one = run_in(precision, 1);
        assert!(one.len() > 20 && one.iter().all(|values| values.iter().any(|&x| x != 0.0)));
        assert_eq!(one, run_in(precision, 2));
        assert_eq!(one, run_in(precision, 5));
    }
}

#[test]
fn products_in_bf16_are_near_those_in_f32() {
    let emulated = run_in(Precision::Bf16(Bf16Engine::Emulated), 2);
    for (i, (found, want)) in emulated.iter().zip(&run_in(Precision::F32, 2)).enumerate() {
        let length =
            |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let far = length(&mut found.iter().zip(want).map(|(a, b)| a - b)) / length(&mut want.iter().copied());
        assert!(far > 1e-5 && far < 2e-2, "number {i}: {far}");
    }
    match Bf16Engine::detect() {
        Some(engine) => {
            assert!(run_in(Precision::Bf16(engine), 2) == emulated, "the matrix unit has other bits")
        }
        None => eprintln!("skipped: this processor or system has no AMX"),
    }
}

#[test]
fn logits_of_ten_thousand_stay_numbers_in_bf16() {
    let emulated = run_scaled(Precision::Bf16(Bf16Engine::Emulated), 2, 300.0);
    assert!(emulated.iter().flatten().all(|x| x.is_finite()));
    assert!(emulated[1].iter().any(|&x| x != 0.0), "no gradient of the input");
    match Bf16Engine::detect() {
        Some(engine) => {
            assert!(run_scaled(Precision::Bf16(engine), 2, 300.0) == emulated, "the unit has other bits")
        }
        None => eprintln!("skipped: this processor or system has no AMX"),
    }
}
