//! Corruptions by their definitions: counts, what moves and what stays, determinism.

use std::collections::BTreeSet;

use super::moved::{Ball, draw_direction, squared_length, subtract};
use super::*;

/// An egg's shell of `count` points somewhere in space.
fn shell(count: usize) -> Vec<[f32; 3]> {
    let mut draws = Draws::new(1, "shell", "test");
    (0..count)
        .map(|_| {
            let [x, y, z] = draw_direction(&mut draws).map(|x| 3.0 * x);
            [x as f32 + 5.0, (0.8 * y) as f32, (0.9 * z + 0.1 * x) as f32]
        })
        .collect()
}

fn apply(points: &[[f32; 3]], kind: CorruptionKind, severity: usize, id: &str) -> Vec<[f32; 3]> {
    let cloud = CloudUpright { points, up: UpAxis::Z };
    Corruption { kind, severity, seed: 7 }.apply(id, &cloud, 1)
}

fn bits(points: &[[f32; 3]]) -> Vec<[u32; 3]> {
    points.iter().map(|p| p.map(f32::to_bits)).collect()
}

fn as_set(points: &[[f32; 3]]) -> BTreeSet<[u32; 3]> {
    bits(points).into_iter().collect()
}

#[test]
fn every_kind_is_a_function_of_seed_id_and_severity() {
    let points = shell(600);
    for kind in CorruptionKind::ALL {
        for severity in 1..=SEVERITIES {
            let made = apply(&points, kind, severity, "a");
            assert!(made.as_flattened().iter().all(|x| x.is_finite()) && !made.is_empty(), "{kind:?}");
            assert_eq!(bits(&made), bits(&apply(&points, kind, severity, "a")));
            assert_ne!(bits(&made), bits(&points), "{kind:?} {severity}");
            assert_ne!(bits(&made), bits(&apply(&points, kind, severity, "b")), "{kind:?} {severity}");
        }
        let names: BTreeSet<&str> = CorruptionKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), CorruptionKind::ALL.len());
    }
    // Degenerate clouds survive: one point, and points that coincide.
    for kind in CorruptionKind::ALL {
        for points in [vec![[1.0, 2.0, 3.0]], vec![[0.5; 3]; 9]] {
            let cloud = CloudUpright { points: &points, up: UpAxis::Y };
            let made = Corruption { kind, severity: 5, seed: 1 }.apply("a", &cloud, 64);
            assert!(made.len() >= 64 && made.as_flattened().iter().all(|x| x.is_finite()), "{kind:?}");
        }
    }
}

#[test]
fn counts_are_those_of_the_amounts() {
    let points = shell(1024);
    for severity in 1..=SEVERITIES {
        let count = |kind| apply(&points, kind, severity, "a").len();
        let amount = |kind: CorruptionKind| kind.amounts()[severity - 1];
        for kind in
            [CorruptionKind::Jitter, CorruptionKind::Scale, CorruptionKind::Rotate, CorruptionKind::Turn]
        {
            assert_eq!(count(kind), 1024);
        }
        let kept = (1024.0 * (1.0 - amount(CorruptionKind::DropGlobal))) as usize;
        assert_eq!(count(CorruptionKind::DropGlobal), kept);
        assert_eq!(count(CorruptionKind::DropLocal), 1024 - 100 * severity);
        assert_eq!(count(CorruptionKind::AddGlobal), 1024 + 10 * severity);
        assert_eq!(count(CorruptionKind::AddLocal), 1024 + 100 * severity);
        assert_eq!(count(CorruptionKind::Subsample), amount(CorruptionKind::Subsample) as usize);
        let repeated = apply(&points, CorruptionKind::Repeat, severity, "a");
        assert_eq!(repeated.len(), 1024);
        assert_eq!(as_set(&repeated).len(), amount(CorruptionKind::Repeat) as usize);
    }
}

#[test]
fn more_severe_is_more() {
    let points = shell(800);
    let is_uneven = |kind: CorruptionKind| {
        matches!(kind, CorruptionKind::Scale | CorruptionKind::Rotate | CorruptionKind::Turn)
    };
    let mean = |kind, severity, measure: &dyn Fn(&[[f32; 3]]) -> f64| {
        let count = if is_uneven(kind) { 300 } else { 12 };
        let one = |id: usize| measure(&apply(&points, kind, severity, &id.to_string()));
        (0..count).map(one).sum::<f64>() / count as f64
    };
    let moved = |made: &[[f32; 3]]| {
        let gap = |p: &[f32; 3], q: &[f32; 3]| squared_length(subtract(*q, p.map(f64::from))).sqrt();
        points.iter().zip(made).map(|(p, q)| gap(p, q)).sum::<f64>()
    };
    let changed = |made: &[[f32; 3]]| (made.len() as f64 - 800.0).abs();
    for kind in CorruptionKind::ALL {
        let measure: &dyn Fn(&[[f32; 3]]) -> f64 = match kind {
            CorruptionKind::Jitter
            | CorruptionKind::Scale
            | CorruptionKind::Rotate
            | CorruptionKind::Turn => &moved,
            CorruptionKind::Repeat => &|made: &[[f32; 3]]| -(as_set(made).len() as f64),
            _ => &changed,
        };
        let sizes: Vec<f64> = (1..=SEVERITIES).map(|severity| mean(kind, severity, measure)).collect();
        // How far a draw of a few factors or angles reaches is uneven from one severity to the next.
        assert!(sizes[4] > sizes[0], "{kind:?}: {sizes:?}");
        if !is_uneven(kind) {
            assert!(sizes.is_sorted(), "{kind:?}: {sizes:?}");
        }
    }
}

#[test]
fn what_is_dropped_is_all_that_changes() {
    let points = shell(900);
    let all = bits(&points);
    for kind in [
        CorruptionKind::DropGlobal,
        CorruptionKind::DropLocal,
        CorruptionKind::Density,
        CorruptionKind::Occlude,
        CorruptionKind::Subsample,
    ] {
        let mut rest = all.iter();
        let made = apply(&points, kind, 4, "x");
        assert!(bits(&made).iter().all(|p| rest.any(|q| p == q)), "{kind:?} keeps the order");
    }
    for kind in [CorruptionKind::AddGlobal, CorruptionKind::AddLocal] {
        let made = apply(&points, kind, 5, "x");
        assert_eq!(bits(&made[..900]), all);
        let ball = Ball::measure(&points);
        let reach = |p: &[f32; 3]| squared_length(subtract(*p, ball.mean)).sqrt();
        assert!(made[900..].iter().all(|p| reach(p) <= ball.radius * 1.00001), "{kind:?}");
    }
}

#[test]
fn motions_keep_what_they_must() {
    let points = shell(500);
    let ball = Ball::measure(&points);
    let lengths = |points: &[[f32; 3]]| {
        points.iter().map(|p| squared_length(subtract(*p, ball.mean)).sqrt()).collect::<Vec<f64>>()
    };
    for kind in [CorruptionKind::Rotate, CorruptionKind::Turn] {
        let made = apply(&points, kind, 5, "x");
        assert!(lengths(&points).iter().zip(lengths(&made)).all(|(a, b)| (a - b).abs() < 1e-5), "{kind:?}");
    }
    let turned = apply(&points, CorruptionKind::Turn, 5, "x");
    assert!(points.iter().zip(&turned).all(|(p, q)| (p[2] - q[2]).abs() < 1e-6), "z is up");
    let scaled = apply(&points, CorruptionKind::Scale, 5, "x");
    let most = lengths(&scaled).into_iter().fold(0.0, f64::max);
    assert!((most - ball.radius).abs() < 1e-5);
    let noisy = apply(&points, CorruptionKind::Jitter, 3, "x");
    let noise: Vec<f64> = points
        .as_flattened()
        .iter()
        .zip(noisy.as_flattened())
        .map(|(&a, &b)| f64::from(b) - f64::from(a))
        .collect();
    let deviation = (noise.iter().map(|x| x * x).sum::<f64>() / noise.len() as f64).sqrt();
    assert!((deviation / (0.03 * ball.radius) - 1.0).abs() < 0.1, "{deviation}");
}

#[test]
fn hidden_points_are_those_behind_others() {
    let points = shell(700);
    for severity in 1..=SEVERITIES {
        let depth = CorruptionKind::Occlude.amounts()[severity - 1];
        let mut draws = Draws::new(7, "x", &format!("corruption occlude {severity}"));
        let view = draw_direction(&mut draws);
        let ball = Ball::measure(&points);
        let reach = ball.radius * (4.0 * std::f64::consts::PI / 700.0).sqrt();
        let near = |v: [f64; 3]| view[0] * v[0] + view[1] * v[1] + view[2] * v[2];
        let is_hidden = |p: &[f32; 3]| {
            points.iter().any(|q| {
                let gap = subtract(*q, p.map(f64::from));
                let ahead = near(gap);
                let across = squared_length([0, 1, 2].map(|axis| gap[axis] - ahead * view[axis]));
                ahead > depth * ball.radius && across <= reach * reach
            })
        };
        let twin: Vec<[f32; 3]> = points.iter().copied().filter(|p| !is_hidden(p)).collect();
        assert_eq!(bits(&apply(&points, CorruptionKind::Occlude, severity, "x")), bits(&twin));
        assert!(severity < 5 || (twin.len() > 100 && twin.len() < 600), "{}", twin.len());
    }
}

#[test]
fn dropped_regions_are_the_nearest_of_what_is_left() {
    let points = shell(400);
    let made = apply(&points, CorruptionKind::DropLocal, 5, "x");
    let mut draws = Draws::new(7, "x", "corruption drop-local 5");
    let total = (400.0 * 500.0 / 1024.0) as usize;
    let clusters = 1 + draws.index(7);
    let mut sizes = vec![0; clusters];
    (0..total).for_each(|_| sizes[draws.index(clusters)] += 1);
    let mut left: Vec<usize> = (0..400).collect();
    for size in sizes {
        let center = points[left[draws.index(left.len())]].map(f64::from);
        let gap = |i: usize| squared_length(subtract(points[i], center));
        let mut order = left.clone();
        order.sort_by(|&a, &b| gap(a).total_cmp(&gap(b)).then(a.cmp(&b)));
        let dropped: BTreeSet<usize> = order[..size].iter().copied().collect();
        left.retain(|i| !dropped.contains(i));
    }
    let twin: Vec<[f32; 3]> = left.into_iter().map(|i| points[i]).collect();
    assert_eq!(bits(&made), bits(&twin));
}

#[test]
fn density_falls_by_its_ratio() {
    // A rod along x: the ends are known.
    let points: Vec<[f32; 3]> = (0..60_000).map(|i| [i as f32 / 60_000.0, 0.0, 0.0]).collect();
    let made = apply(&points, CorruptionKind::Density, 4, "x");
    let tenth = |first: f32| made.iter().filter(|p| p[0] >= first && p[0] < first + 0.1).count() as f64;
    let [low, high] = [tenth(0.0), tenth(0.9)];
    let ratio = if low > high { low / high } else { high / low };
    // Between the middles of the outer tenths lie nine tenths of the length.
    assert!((ratio / 16.0f64.powf(0.9) - 1.0).abs() < 0.15, "{ratio}");
}
