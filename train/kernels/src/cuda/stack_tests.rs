//! Stacks of blocks on the emulated device against the CPU's operator: outputs and all gradients; and what a block costs.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::block::DeviceBlock;
use super::counting::CountingDevice;
use super::device::{KernelDevice, NumberKind};
use super::fixture::{KINDS, TestNumbers, assert_near, find_test_device};
use super::stack::DeviceStack;
use crate::attention::Heads;
use crate::block::{BlockDrop, PARTS};
use crate::linear::Precision;
use crate::stack::{BlockTensors, Stack, StackDrop};
use crate::tape::Tape;

/// Sizes of a stack, and what is special about it.
#[derive(Clone, Copy)]
struct StackCase {
    samples: usize,
    heads: Heads,
    hidden: usize,
    depth: usize,
    is_dropped: bool,
    has_positions: bool,
    is_padded: bool,
}

impl StackCase {
    fn blocks(self) -> Vec<[Vec<f32>; PARTS]> {
        let (d, h) = (self.heads.width, self.hidden);
        let mut numbers = TestNumbers::new("stack");
        let mut draw = |count: usize, scale: f64| numbers.normal(count, scale);
        let mut block = |_| {
            let mut norm = || draw(d, 0.2).iter().map(|x| 1.0 + x).collect::<Vec<_>>();
            let norms = [norm(), norm()];
            let mut layer = |outputs: usize, inputs: usize| {
                [draw(outputs * inputs, 1.0 / (inputs as f64).sqrt()), draw(outputs, 0.3)]
            };
            let [qkv, proj, fc1, fc2] = [layer(3 * d, d), layer(d, d), layer(h, d), layer(d, h)];
            let ([w1, w2], [b1, b2]) = (norms, [draw(d, 0.3), draw(d, 0.3)]);
            let parts = [vec![w1, b1], qkv.into(), proj.into(), vec![w2, b2], fc1.into(), fc2.into()];
            parts.concat().try_into().unwrap()
        };
        (0..self.depth).map(&mut block).collect()
    }

    fn tensors(self, block: &[Vec<f32>; PARTS]) -> BlockTensors {
        let (d, h) = (self.heads.width, self.hidden);
        let shapes: [&[usize]; PARTS] =
            [&[d], &[d], &[3 * d, d], &[3 * d], &[d, d], &[d], &[d], &[d], &[h, d], &[h], &[d, h], &[d]];
        std::array::from_fn(|i| Tensor::from_slice(&block[i], shapes[i], &Device::Cpu).unwrap())
    }

    fn stack(self, blocks: &[[Vec<f32>; PARTS]]) -> Stack {
        let path = (0..self.depth).map(|b| 0.3 * b as f64).collect();
        let drop = StackDrop { key: 11, attention: 0.1, hidden: 0.2, path };
        let keys = (0..self.samples).map(|i| (1 + i % self.heads.tokens) as u32).collect();
        Stack {
            blocks: Arc::new(blocks.iter().map(|block| self.tensors(block)).collect()),
            heads: self.heads.heads,
            drop: self.is_dropped.then_some(drop),
            has_positions: self.has_positions,
            keys: self.is_padded.then(|| Arc::new(keys)),
            precision: Precision::F32,
        }
    }

    fn check(self, device: &dyn KernelDevice, kind: NumberKind) {
        let (blocks, bound) = (self.blocks(), if kind == NumberKind::F32 { 1e-4 } else { 4e-2 });
        let stack = self.stack(&blocks);
        let count = self.samples * self.heads.tokens * self.heads.width;
        let mut numbers = TestNumbers::new("stack's input");
        let [x, positions, weighting] = [(); 3].map(|()| numbers.normal(count, 1.0));
        let dims = (self.samples, self.heads.tokens, self.heads.width);
        let var = |values: &[f32]| Var::from_slice(values, dims, &Device::Cpu).unwrap();
        let (of_x, of_positions, tape) = (var(&x), var(&positions), Tape::default());
        let out = stack.train(of_x.as_tensor(), of_positions.as_tensor(), &tape).unwrap();
        let store = (&out * var(&weighting).as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();

        let uploaded = |block: &[Vec<f32>; PARTS]| {
            let parts = std::array::from_fn(|i| device.upload(&block[i]).unwrap());
            DeviceBlock::new(device, kind, &parts).unwrap()
        };
        let on_device = DeviceStack {
            device,
            blocks: blocks.iter().map(uploaded).collect(),
            drops: (0..self.depth).map(|b| stack.block_drop(b)).collect(),
            heads: self.heads,
            keys: stack.keys.as_ref().map(|keys| device.upload_counts(keys).unwrap()),
        };
        let [x, positions, dx] = [x, positions, weighting].map(|values| device.upload(&values).unwrap());
        let added = self.has_positions.then_some(&positions);
        let (found, saved) = on_device.forward(&x, added).unwrap();
        assert_near("output", &device.download(&found).unwrap(), &flat(&out), bound);
        let gradients = on_device.backward(&dx, saved, self.has_positions).unwrap();
        assert_near("gradient of x", &device.download(&dx).unwrap(), &flat(store.get(&of_x).unwrap()), bound);
        if let Some(positions) = gradients.positions {
            let expected = flat(store.get(&of_positions).unwrap());
            assert_near("gradient of positions", &device.download(&positions).unwrap(), &expected, bound);
        }
        for (b, (found, tensors)) in gradients.blocks.iter().zip(stack.blocks.iter()).enumerate() {
            for (i, (found, parameter)) in found.iter().zip(tensors).enumerate() {
                let expected = tape.take(parameter).unwrap();
                assert_near(
                    &format!("part {i} of block {b}"),
                    &device.download(found).unwrap(),
                    &expected,
                    bound,
                );
            }
        }
        let kept = on_device.outputs(&x, added, &[0, self.depth - 1]).unwrap();
        assert_eq!(device.download(&kept[kept.len() - 1]).unwrap(), device.download(&found).unwrap());
    }
}

#[test]
fn stacks_are_those_of_the_cpu() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    let heads = Heads { tokens: 5, width: 12, heads: 3 };
    let case = StackCase {
        samples: 3,
        heads,
        hidden: 20,
        depth: 2,
        is_dropped: false,
        has_positions: false,
        is_padded: false,
    };
    for kind in KINDS {
        case.check(device, kind);
        StackCase { is_dropped: true, has_positions: true, is_padded: true, ..case }.check(device, kind);
    }
    let heads = Heads { tokens: 29, width: 48, heads: 2 };
    StackCase { samples: 2, heads, hidden: 96, is_dropped: true, ..case }.check(device, NumberKind::F32);
    StackCase { samples: 1, heads: Heads { tokens: 1, width: 2, heads: 1 }, hidden: 3, depth: 1, ..case }
        .check(device, NumberKind::F32);
}

#[test]
fn a_block_is_nine_launches_forward_and_fifteen_back() {
    let device = CountingDevice::default();
    let heads = Heads { tokens: 4, width: 8, heads: 2 };
    let parts = [8, 8, 192, 24, 64, 8, 8, 8, 128, 16, 128, 8];
    let on: &dyn KernelDevice = &device;
    let parts = parts.map(|len| on.allocate(NumberKind::F32, len).unwrap());
    let block = DeviceBlock::new(on, NumberKind::F32, &parts).unwrap();
    let drops = vec![BlockDrop::default()];
    let stack = DeviceStack { device: on, blocks: vec![block], drops, heads, keys: None };
    let x = on.allocate(NumberKind::F32, 3 * 4 * 8).unwrap();
    let (_, saved) = stack.forward(&x, None).unwrap();
    assert_eq!(device.counts().launches(), 9);
    stack.backward(&x, saved, false).unwrap();
    let counts = device.counts();
    // And one for the sums of the stack.
    assert_eq!((counts.launches(), counts.launches["product"]), (25, 12));
    assert_eq!((counts.uploaded, counts.downloaded), (0, 0));
}
