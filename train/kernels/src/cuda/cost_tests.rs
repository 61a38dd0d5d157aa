//! What the kernels of one step of the official recipe cost at batch 512: launches, products, bytes; the figures of docs/gpu.md.

use super::block::DeviceBlock;
use super::counting::{CountingDevice, DeviceCounts};
use super::device::{DeviceArray, KernelDevice, NumberKind};
use super::device_tokenizer::{CHUNK_ROWS, DeviceTokenizer, PatchArray};
use super::stack::DeviceStack;
use crate::attention::Heads;
use crate::block::BlockDrop;
use crate::tokenizer::Widths;

const BATCH: usize = 512;

fn stack(device: &dyn KernelDevice, depth: usize, heads: Heads) -> DeviceStack<'_> {
    let d = heads.width;
    let sizes = [d, d, 3 * d * d, 3 * d, d * d, d, d, d, 4 * d * d, 4 * d, 4 * d * d, d];
    let block = |_| {
        let parts = sizes.map(|len| device.allocate(NumberKind::F32, len).unwrap());
        DeviceBlock::new(device, NumberKind::Bf16, &parts).unwrap()
    };
    DeviceStack {
        device,
        blocks: (0..depth).map(block).collect(),
        drops: vec![BlockDrop::default(); depth],
        heads,
        keys: None,
    }
}

fn array(device: &dyn KernelDevice, len: usize) -> DeviceArray {
    device.allocate(NumberKind::F32, len).unwrap()
}

/// Tokenizer, target, context of 18, predictor of 29 in four passes: forward, then back.
fn run_step(device: &dyn KernelDevice) {
    let widths = Widths { c1: 128, c2: 256, c3: 512, d: 384 };
    let flat = array(device, widths.ranges().len());
    let kind = NumberKind::Bf16;
    let tokenizer =
        DeviceTokenizer { device, kind, widths, flat: &flat, running: None, chunk_rows: CHUNK_ROWS };
    let points = array(device, BATCH * 64 * 32 * 3);
    let patches = PatchArray { points: &points, k: 32 };
    let (tokens, saved) = tokenizer.forward(patches).unwrap();
    let heads = |tokens, width| Heads { tokens, width, heads: 6 };
    stack(device, 12, heads(64, 384)).outputs(&tokens, Some(&tokens), &[11]).unwrap();
    let (context, predictor) = (stack(device, 12, heads(18, 384)), stack(device, 6, heads(29, 192)));
    let [seen, asked] = [array(device, BATCH * 18 * 384), array(device, 4 * BATCH * 29 * 192)];
    let (_, kept) = context.forward(&seen, Some(&seen)).unwrap();
    let (_, answered) = predictor.forward(&asked, None).unwrap();
    predictor.backward(&asked, answered, false).unwrap();
    context.backward(&seen, kept, true).unwrap();
    tokenizer.backward(patches, &tokens, &saved).unwrap();
}

#[test]
fn a_step_of_the_official_recipe_fits_its_budget() {
    let device = CountingDevice::default();
    run_step(&device);
    let counts = device.counts();
    let DeviceCounts { multiplications, moved, uploaded, downloaded, peak, .. } = counts;
    let (launches, gigabytes) = (counts.launches(), |bytes: u64| bytes as f64 / 1e9);
    println!(
        "{launches} launches, {:.2} TFLOP, {:.1} GB moved, {:.1} GB at most",
        2e-12 * multiplications,
        gigabytes(moved),
        gigabytes(peak)
    );
    assert_eq!((uploaded, downloaded), (0, 0), "nothing is uploaded or read back between launches");
    assert!(launches <= 700, "{:?}", counts.launches);
    assert!(peak < 40_000_000_000, "{peak}");
}
