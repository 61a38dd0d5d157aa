//! How long does the tokenizer take, forward and forward with backward, fused or in candle's operators?
//!
//! `tokenizer fused|composite full|small BATCH SHARE REPEATS` on random patches [64 BATCH, 32, 3] prints one JSON object:
//! least milliseconds of REPEATS runs, of the clock and of the processor (all threads). SHARE of the tokens get a gradient: 1, or about 0.28 as in Point-JEPA, where only
//! context tokens do. `tokenizer_peers.py` runs it in turns with PyTorch.

use std::hint::black_box;
use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use jepa3d_kernels::{Mode, TokenizerWeights, tokenize, tokenize_composite};
use jepa3d_schemas::Draws;

const GROUPS: usize = 64;
const POINTS: usize = 32;

/// Milliseconds of processor time that this process has used, all threads together (0 where Linux does not tell).
fn processor_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_task = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
    };
    tasks.map(of_task).sum()
}

/// Least time and least processor time of `repeats` runs, in milliseconds.
fn least_ms(repeats: usize, mut f: impl FnMut()) -> [f64; 2] {
    f();
    let mut least = [f64::INFINITY; 2];
    for _ in 0..repeats {
        let (start, used) = (Instant::now(), processor_ms());
        f();
        let found = [start.elapsed().as_secs_f64() * 1e3, processor_ms() - used];
        least = [least[0].min(found[0]), least[1].min(found[1])];
    }
    least
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
    // Patches of real clouds differ in extent.
    let extents: Vec<f32> = (0..n).map(|_| draws.range(0.02, 0.14) as f32).collect();
    let extents = Tensor::from_vec(extents, (n, 1, 1), &Device::Cpu)?;
    let patches = tensor(&mut draws, &[n, POINTS, 3], 0.0, 1.0)?.detach().broadcast_mul(&extents)?;
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
    println!(
        r#"{{"forward_ms": {:.2}, "both_ms": {:.2}, "forward_cpu_ms": {:.2}, "both_cpu_ms": {:.2}}}"#,
        forward[0], both[0], forward[1], both[1]
    );
    Ok(())
}
