//! How long does the tokenizer take, forward and forward with backward, fused or in candle's operators?
//!
//! `tokenizer fused|composite full|small BATCH SHARE REPEATS` on random patches [64 BATCH, 32, 3] prints one JSON object:
//! least milliseconds of REPEATS runs. SHARE of the tokens get a gradient: 1, or about 0.28 as in Point-JEPA, where only
//! context tokens do. `tokenizer_peers.py` runs it in turns with PyTorch.

use std::hint::black_box;
use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use jepa3d_schemas::Draws;
use jepa3d_train::{Mode, TokenizerWeights, tokenize, tokenize_composite};

const GROUPS: usize = 64;
const POINTS: usize = 32;

fn least_ms(repeats: usize, mut f: impl FnMut()) -> f64 {
    f();
    let time = |_| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..repeats).map(time).fold(f64::INFINITY, f64::min)
}

fn tensor(draws: &mut Draws, dims: &[usize], center: f64, spread: f64) -> Result<Tensor> {
    let values: Vec<f32> =
        (0..dims.iter().product()).map(|_| (center + spread * draws.normal()) as f32).collect();
    Ok(Var::from_vec(values, dims, &Device::Cpu)?.into_inner())
}

fn weights(draws: &mut Draws, [c1, c2, c3, d]: [usize; 4]) -> Result<TokenizerWeights> {
    let mut linear =
        |out: usize, fan_in: usize| tensor(draws, &[out, fan_in], 0.0, (1.0 / fan_in as f64).sqrt());
    let (first, lift, mix, out) = (linear(c1, 3)?, linear(c2, c1)?, linear(c3, 2 * c2)?, linear(d, c3)?);
    let mut vector = |n: usize, center: f64| tensor(draws, &[n], center, 0.1);
    Ok(TokenizerWeights {
        first,
        bn1_weight: vector(c1, 1.0)?,
        bn1_bias: vector(c1, 0.0)?,
        lift,
        lift_bias: vector(c2, 0.0)?,
        mix,
        bn2_weight: vector(c3, 1.0)?,
        bn2_bias: vector(c3, 0.0)?,
        out,
        out_bias: vector(d, 0.0)?,
    })
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [kind, size, batch, share, repeats] = args.as_slice() else {
        eprintln!(
            "usage: tokenizer fused|composite full|small BATCH SHARE REPEATS; `make bench-tokenizer` runs it against its peers"
        );
        return Ok(());
    };
    let widths = if size == "full" { [128, 256, 512, 384] } else { [64, 128, 256, 192] };
    let n = GROUPS * batch.parse::<usize>().expect("BATCH");
    let (share, repeats): (f64, usize) = (share.parse().expect("SHARE"), repeats.parse().expect("REPEATS"));
    let mut draws = Draws::new(0, "bench", "tokenizer");
    let weights = weights(&mut draws, widths)?;
    let patches = tensor(&mut draws, &[n, POINTS, 3], 0.0, 0.08)?.detach();
    let seen: Vec<f32> = (0..n).map(|_| f32::from(u8::from(draws.chance(share)))).collect();
    let gradient = tensor(&mut draws, &[n, widths[3]], 0.0, 1e-3)?.detach();
    let gradient = gradient.broadcast_mul(&Tensor::from_vec(seen, (n, 1), &Device::Cpu)?)?;
    let run = |patches: &Tensor| match kind.as_str() {
        "fused" => tokenize(patches, &weights, &Mode::Train),
        _ => tokenize_composite(patches, &weights, &Mode::Train),
    };
    let forward = least_ms(repeats, || drop(black_box(run(&patches).expect("tokens"))));
    let both = least_ms(repeats, || {
        let (tokens, _) = run(&patches).expect("tokens");
        let loss = (tokens * &gradient).and_then(|x| x.sum_all()).expect("a loss");
        drop(black_box(loss.backward().expect("gradients")));
    });
    println!(r#"{{"forward_ms": {forward:.2}, "both_ms": {both:.2}}}"#);
    Ok(())
}
