//! The fused stack against the same from candle's operators: outputs and every gradient, with and without dropout.

use candle_core::{Device, Tensor, Var};
use jepa3d_schemas::Draws;

use std::sync::Arc;

use super::encoder::{Encoder, EncoderSize, Training, key_bias};
use super::parameters::{Parameters, Role};
use super::pass::{Pass, Rates};

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

fn compare(rates: Rates, every_block: bool, (b, t): (usize, usize)) {
    compare_padded(rates, every_block, (b, t), None);
}

fn compare_padded(rates: Rates, every_block: bool, (b, t): (usize, usize), keys: Option<Vec<u32>>) {
    let mut p = Parameters::new(3, &Device::Cpu);
    let size = EncoderSize { width: 24, depth: 3, heads: 3 };
    let encoder = Encoder::new(&mut p, "student", size, rates, every_block).unwrap();
    let mut draws = Draws::new(9, "x", "stack test");
    let [x, positions, g] = [(); 3].map(|()| random(&[b, t, 24], &mut draws));
    let pass = Pass::new(11, false);
    let shared = keys.clone().map(Arc::new);
    let fused = encoder.train_padded(&x, Some(&positions), shared, &pass).unwrap();
    let fused_gradients = (&fused * &*g).unwrap().sum_all().unwrap().backward().unwrap();

    let twin = Pass::new(11, false);
    let (input, added) = match every_block {
        true => (x.as_tensor().clone(), Some(positions.as_tensor())),
        false => ((&*x + &*positions).unwrap(), None),
    };
    let key = twin.next_key();
    let bias = keys.map(|keys| key_bias(&keys, &input).unwrap());
    let training = Training { key, pass: &twin, bias: bias.as_ref() };
    let (out, _) = encoder.compose(&input, added, Some(training), &[]).unwrap();
    let composed = encoder.final_norm(&out).unwrap();
    let gradients = (&composed * &*g).unwrap().sum_all().unwrap().backward().unwrap();

    close("output", &fused, &composed);
    for (name, var) in [("x", &x), ("positions", &positions)] {
        close(name, fused_gradients.get(var).unwrap(), gradients.get(var).unwrap());
    }
    for parameter in p.of(Role::Trained) {
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
        let mut p = Parameters::new(3, &Device::Cpu);
        let size = EncoderSize { width: 24, depth, heads: 3 };
        let encoder = Encoder::new(&mut p, "student", size, Rates::default(), false).unwrap();
        let mut draws = Draws::new(9, "x", "first row");
        let (x, g) = (random(&[5, 7, 24], &mut draws), random(&[5, 1, 24], &mut draws));
        let (short, whole) = (Pass::new(11, false), Pass::new(11, false));
        let found = encoder.train_first(&x, &short).unwrap();
        let want = encoder.train(&x, None, &whole).unwrap().narrow(1, 0, 1).unwrap();
        close("output", &found, &want);
        let of = |y: &Tensor| (y * &*g).unwrap().sum_all().unwrap().backward().unwrap();
        let (found, want) = (of(&found), of(&want));
        close("x", found.get(&x).unwrap(), want.get(&x).unwrap());
        for parameter in p.of(Role::Trained) {
            let tensor = parameter.var.as_tensor();
            let gradient =
                |pass: &Pass, store: &candle_core::backprop::GradStore| match pass.tape.take(tensor) {
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
        compare_padded(Rates::default(), false, (b, t), Some(keys(b, t)));
    }
    let rates = Rates { hidden: 0.1, attention: 0.2, path: vec![0.0, 0.1, 0.2] };
    compare_padded(rates, true, (6, 9), Some(keys(6, 9)));
}

#[test]
fn fused_blocks_equal_composed_ones() {
    for every_block in [true, false] {
        compare(Rates::default(), every_block, (5, 7));
        compare(Rates::default(), every_block, (40, 33));
    }
}

#[test]
fn dropout_is_the_same_in_both_forms() {
    let rates = Rates { hidden: 0.2, attention: 0.1, path: vec![0.0, 0.2, 0.4] };
    compare(rates.clone(), true, (40, 33));
    compare(rates, false, (3, 1));
}

#[test]
fn results_do_not_depend_on_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut p = Parameters::new(3, &Device::Cpu);
            let size = EncoderSize { width: 24, depth: 2, heads: 3 };
            let encoder = Encoder::new(&mut p, "student", size, Rates::default(), true).unwrap();
            let mut draws = Draws::new(9, "x", "stack test");
            let x = random(&[50, 33, 24], &mut draws);
            let pass = Pass::new(11, false);
            let loss = encoder.train(&x, Some(&x), &pass).unwrap().sqr().unwrap().sum_all().unwrap();
            let store = loss.backward().unwrap();
            let mut all = store.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            all.extend(p.all().iter().filter_map(|q| pass.tape.take(q.var.as_tensor())).flatten());
            all
        })
    };
    let one = run(1);
    assert!(one.iter().any(|&x| x != 0.0));
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}
