//! Attention on the emulated device against the CPU's kernel.

use super::attention::{AttentionInput, attention, attention_backward};
use super::device::{KernelDevice, NumberKind};
use super::fixture::{KINDS, TestNumbers, assert_near, find_test_device, noise, round, upload};
use crate::attention::{Attention, Heads, ProbabilityDrop};
use crate::dropout::{Mask, key_of};

/// Several samples that attend.
struct Case {
    heads: Heads,
    keys: Option<Vec<u32>>,
    mask: Option<Mask>,
    qkv: Vec<f32>,
}

impl Case {
    fn new(samples: usize, heads: Heads, scale: f64) -> Self {
        let qkv = TestNumbers::new("qkv").normal(samples * heads.tokens * 3 * heads.width, scale);
        Self { heads, keys: None, mask: None, qkv }
    }

    fn with_keys(self, keys: &[u32]) -> Self {
        Self { keys: Some(keys.to_vec()), ..self }
    }

    fn with_dropout(self) -> Self {
        Self { mask: Mask::new(key_of(3, 0), 0.25), ..self }
    }

    /// Output and gradient by the CPU's kernel.
    fn run_on_cpu(&self, qkv: &[f32], dout: &[f32]) -> [Vec<f32>; 2] {
        let Heads { tokens, width, .. } = self.heads;
        let (mut out, mut dqkv) = (vec![0.0; qkv.len() / 3], vec![0.0; qkv.len()]);
        let rows = qkv.chunks_exact(3 * tokens * width).zip(dout.chunks_exact(tokens * width));
        let outs = out.chunks_exact_mut(tokens * width).zip(dqkv.chunks_exact_mut(3 * tokens * width));
        for (i, ((qkv, dout), (out, dqkv))) in rows.zip(outs).enumerate() {
            let first = i * self.heads.squares();
            let keys = self.keys.as_ref().map_or(tokens, |keys| keys[i] as usize);
            let drop = self.mask.map(|mask| ProbabilityDrop { mask, first });
            let attention = Attention { heads: self.heads, keys, drop };
            let mut probabilities = vec![0.0; self.heads.squares()];
            attention.forward(out, &mut probabilities, qkv);
            attention.backward(dqkv, dout, &probabilities, qkv);
        }
        [out, dqkv]
    }

    fn check(&self, device: &dyn KernelDevice, kind: NumberKind) {
        self.check_within(device, kind, noise(kind));
    }

    fn check_within(&self, device: &dyn KernelDevice, kind: NumberKind, bound: f32) {
        let what = format!("{:?} in {kind:?}, keys {:?}", self.heads, self.keys);
        let mut numbers = TestNumbers::new("attention");
        let bias = numbers.normal(3 * self.heads.width, 0.1);
        let (qkv, dout) = (round(kind, &self.qkv), round(kind, &numbers.normal(self.qkv.len() / 3, 1.0)));
        let biased: Vec<f32> = qkv.iter().enumerate().map(|(i, x)| x + bias[i % bias.len()]).collect();
        let [out, gradient] = self.run_on_cpu(&biased, &dout);
        let keys = self.keys.as_ref().map(|keys| device.upload_counts(keys).unwrap());
        let (qkv, dout) = (upload(device, kind, &qkv), upload(device, kind, &dout));
        let bias = device.upload(&bias).unwrap();
        let input = AttentionInput {
            heads: self.heads,
            qkv: &qkv,
            bias: &bias,
            keys: keys.as_ref(),
            drop: self.mask.into(),
        };
        let (found, row_stats) = attention(device, input).unwrap();
        assert_near(&what, &device.download(&found).unwrap(), &out, bound);
        let found = attention_backward(device, input, &row_stats, &dout).unwrap();
        assert_near(&what, &device.download(&found).unwrap(), &gradient, bound);
    }
}

#[test]
fn attention_is_that_of_the_cpu() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    let heads = |tokens, width, heads| Heads { tokens, width, heads };
    for kind in KINDS {
        Case::new(2, heads(1, 3, 1), 1.0).check(device, kind);
        Case::new(3, heads(7, 15, 3), 1.0).with_keys(&[1, 7, 4]).with_dropout().check(device, kind);
        Case::new(0, heads(5, 8, 2), 1.0).check(device, kind);
        Case::new(1, heads(100, 128, 2), 1.0).with_dropout().check(device, kind);
        Case::new(2, heads(33, 64, 2), 1.0).with_keys(&[32, 33]).check(device, kind);
        Case::new(1, heads(29, 192, 6), 1.0).check(device, kind);
    }
}

#[test]
fn equal_and_extreme_scores() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    let heads = Heads { tokens: 40, width: 16, heads: 2 };
    let equal = Case { qkv: vec![0.5; 40 * 48], ..Case::new(1, heads, 1.0) };
    equal.check(device, NumberKind::F32);
    // Scores of about 1e4, of which the last bit of an f32 is 1e-3.
    Case::new(2, heads, 60.0).check_within(device, NumberKind::F32, 2e-3);
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    for (tokens, width) in [(101, 8), (4, 66)] {
        let heads = Heads { tokens, width, heads: 1 };
        let (qkv, bias) = (
            device.upload(&vec![0.0; 3 * tokens * width]).unwrap(),
            device.upload(&vec![0.0; 3 * width]).unwrap(),
        );
        let input = AttentionInput { heads, qkv: &qkv, bias: &bias, keys: None, drop: None.into() };
        assert!(attention(device, input).unwrap_err().to_string().contains("is not for this kernel"));
    }
}
