//! Learning rate, weight decay and the target encoder's momentum as pure functions of the step.

use std::f64::consts::PI;

use crate::config::{EmaConfig, EmaShape, OptimConfig};

/// Steps of an epoch and epochs of the schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScheduleLength {
    pub steps_per_epoch: u64,
    pub epochs: u64,
}

impl ScheduleLength {
    /// `T`.
    pub(crate) fn total(self) -> u64 {
        self.steps_per_epoch * self.epochs
    }
}

/// Learning rate of step `step`, counted from 0: linear warm-up, then half a cosine.
pub(crate) fn learning_rate(c: &OptimConfig, length: ScheduleLength, step: u64) -> f64 {
    if c.lr_per_epoch {
        return per_epoch(c, length, step / length.steps_per_epoch.max(1));
    }
    let warm = c.warmup_epochs * length.steps_per_epoch as f64;
    let (t, total) = (step as f64, length.total() as f64);
    if t < warm {
        return c.lr_start + (c.lr - c.lr_start) * t / warm;
    }
    half_cosine(c.lr, c.lr_end, (t - warm) / (total - warm).max(1.0))
}

/// The official recipe (lightning-bolts): constant in an epoch, and the peak is the warm-up's last epoch.
fn per_epoch(c: &OptimConfig, length: ScheduleLength, epoch: u64) -> f64 {
    let (e, warm, epochs) = (epoch as f64, c.warmup_epochs, length.epochs as f64);
    if e < warm {
        return c.lr_start + e * (c.lr - c.lr_start) / (warm - 1.0).max(1.0);
    }
    half_cosine(c.lr, c.lr_end, (e - warm) / (epochs - warm).max(1.0))
}

/// Weight decay of a step.
pub(crate) fn weight_decay(c: &OptimConfig, length: ScheduleLength, step: u64) -> f64 {
    match c.weight_decay_end < 0.0 {
        true => c.weight_decay,
        false => {
            half_cosine(c.weight_decay, c.weight_decay_end, step as f64 / (length.total() as f64).max(1.0))
        }
    }
}

/// Momentum of the update after step `step`, counted from 0.
pub(crate) fn momentum(c: &EmaConfig, length: ScheduleLength, step: u64) -> f64 {
    let total = (length.total() as f64).max(1.0);
    let share = (step as f64 / total).min(1.0);
    match c.shape {
        // Updates are counted from 1 there: the first two copy, and update u has the share (u - 1) / T.
        EmaShape::OfficialLinear if step < 2 => 0.0,
        EmaShape::OfficialLinear | EmaShape::Linear => c.start + (c.end - c.start) * share,
        EmaShape::Cosine => half_cosine(c.start, c.end, share),
    }
}

/// Half a cosine from `from` (share 0) to `to` (share 1).
fn half_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + libm::cos(PI * share.clamp(0.0, 1.0))) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: impl Fn(u64) -> f64, golden: &serde_json::Value) {
        for (at, want) in golden.as_object().unwrap() {
            let (found, want) = (found(at.parse().unwrap()), want.as_f64().unwrap());
            assert!((found - want).abs() <= 1e-12, "at {at}: {found} instead of {want}");
        }
    }

    #[test]
    fn equal_the_goldens() {
        let text = include_str!("../goldens/schedules.json");
        let golden: serde_json::Value = serde_json::from_str(text).unwrap();
        let official = OptimConfig {
            lr: 1e-3,
            lr_start: 1e-5,
            lr_end: 1e-6,
            warmup_epochs: 30.0,
            lr_per_epoch: true,
            ..OptimConfig::default()
        };
        let length = ScheduleLength { steps_per_epoch: 81, epochs: 500 };
        check(|e| learning_rate(&official, length, e * 81 + 40), &golden["point_jepa"]["lr_at_epoch"]);
        let ema = EmaConfig::default();
        check(|u| momentum(&ema, length, u - 1), &golden["point_jepa"]["tau_at_update"]);
        let region =
            OptimConfig { lr: 1.5e-4, lr_start: 1e-6, lr_end: 1e-6, warmup_epochs: 40.0, ..official.clone() };
        let region = OptimConfig { lr_per_epoch: false, ..region };
        let length = ScheduleLength { steps_per_epoch: 100, epochs: 300 };
        check(|t| learning_rate(&region, length, t), &golden["point_jepa_region"]["lr_at_step"]);
        let ema = EmaConfig { shape: EmaShape::Cosine, start: 0.996, end: 1.0 };
        check(|t| momentum(&ema, length, t), &golden["point_jepa_region"]["tau_at_step"]);
    }

    #[test]
    fn weight_decay_stays_or_falls() {
        let length = ScheduleLength { steps_per_epoch: 10, epochs: 10 };
        let stays = OptimConfig::default();
        assert_eq!(weight_decay(&stays, length, 70), 0.05);
        let grows = OptimConfig { weight_decay: 0.04, weight_decay_end: 0.4, ..stays };
        assert!((weight_decay(&grows, length, 50) - 0.22).abs() < 1e-12);
        assert_eq!(weight_decay(&grows, length, 100), 0.4);
    }
}
