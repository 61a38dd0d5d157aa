//! Regions that grow from anchors, exact in number: the nearest centers of each anchor, trimmed and topped up so that
//! they stay contiguous.

use jepa3d_schemas::Draws;

use super::distance::{sort_by_distance, squared_distance};
use crate::error::{Result, out_of_range};

/// `hidden` indices, ascending, in `anchors` regions.
pub(super) fn draw(
    centers: &[[f32; 3]],
    anchors: usize,
    hidden: usize,
    draws: &mut Draws,
) -> Result<Vec<u32>> {
    let groups = centers.len();
    if !(anchors <= hidden && hidden < groups) {
        let expected = format!("a share that hides {anchors} to {} of {groups} patches", groups - 1);
        return Err(out_of_range("masking.target_ratio", expected, hidden));
    }
    let anchors = draws.distinct(groups, anchors);
    let near: Vec<Vec<usize>> = anchors.iter().map(|&a| sort_by_distance(centers, a)).collect();
    let each = hidden.div_ceil(anchors.len());
    let mut is_target = vec![false; groups];
    near.iter().flat_map(|near| &near[..each]).for_each(|&i| is_target[i] = true);
    trim(&mut is_target, centers, &anchors, hidden);
    top_up(&mut is_target, &near, hidden);
    Ok((0..groups as u32).filter(|&i| is_target[i as usize]).collect())
}

/// Drops the members farthest from their nearest anchor; of equals, the higher index.
fn trim(is_target: &mut [bool], centers: &[[f32; 3]], anchors: &[usize], hidden: usize) {
    let reach = |i: usize| {
        anchors.iter().map(|&a| squared_distance(centers[i], centers[a])).fold(f32::INFINITY, f32::min)
    };
    let mut members: Vec<usize> = (0..is_target.len()).filter(|&i| is_target[i]).collect();
    members.sort_by(|&a, &b| reach(a).total_cmp(&reach(b)).then(a.cmp(&b)));
    members.iter().skip(hidden).for_each(|&i| is_target[i] = false);
}

/// Every anchor in turn adds the nearest center that is not a target yet.
fn top_up(is_target: &mut [bool], near: &[Vec<usize>], hidden: usize) {
    let mut count = is_target.iter().filter(|&&t| t).count();
    for near in near.iter().cycle() {
        if count >= hidden {
            return;
        }
        if let Some(&next) = near.iter().find(|&&i| !is_target[i]) {
            is_target[next] = true;
            count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(seed: u64, groups: usize, steps: usize) -> Vec<[f32; 3]> {
        let mut draws = Draws::new(seed, "cloud", "test");
        // A coarse grid now and then, so that distances tie.
        let mut at = |_| if steps > 0 { draws.index(steps) as f32 } else { draws.normal() as f32 };
        (0..groups).map(|_| [0, 1, 2].map(&mut at)).collect()
    }

    /// The definition, word for word, without any shortcut.
    fn twin(centers: &[[f32; 3]], anchors: &[usize], hidden: usize) -> Vec<u32> {
        let each = hidden.div_ceil(anchors.len());
        let mut set: Vec<usize> = Vec::new();
        for &a in anchors {
            let mut order: Vec<(f32, usize)> =
                (0..centers.len()).map(|i| (squared_distance(centers[i], centers[a]), i)).collect();
            order.sort_by(|x, y| x.partial_cmp(y).unwrap());
            for &(_, i) in &order[..each] {
                if !set.contains(&i) {
                    set.push(i);
                }
            }
        }
        let reach = |i: usize| {
            anchors.iter().map(|&a| squared_distance(centers[i], centers[a])).fold(f32::MAX, f32::min)
        };
        while set.len() > hidden {
            let worst =
                *set.iter().max_by(|&&a, &&b| (reach(a), a).partial_cmp(&(reach(b), b)).unwrap()).unwrap();
            set.retain(|&i| i != worst);
        }
        let mut turn = 0;
        while set.len() < hidden {
            let a = anchors[turn % anchors.len()];
            let free = (0..centers.len()).filter(|i| !set.contains(i));
            let key = |i: usize| (squared_distance(centers[i], centers[a]), i);
            set.push(free.min_by(|&x, &y| key(x).partial_cmp(&key(y)).unwrap()).unwrap());
            turn += 1;
        }
        set.sort_unstable();
        set.iter().map(|&i| i as u32).collect()
    }

    #[test]
    fn equals_the_definition_and_is_exact() {
        for seed in 0..300 {
            let mut draws = Draws::new(seed, "x", "region test");
            let groups = 6 + draws.index(80);
            let anchors = 1 + draws.index(4);
            let hidden = anchors + draws.index(groups - anchors - 1);
            let centers = cloud(seed, groups, if seed % 3 == 0 { 4 } else { 0 });
            let key = Draws::new(seed, "x", "mask");
            let found = draw(&centers, anchors, hidden, &mut key.clone()).unwrap();
            let drawn = key.clone().distinct(groups, anchors);
            assert_eq!(found, twin(&centers, &drawn, hidden), "seed {seed}");
            assert_eq!(found.len(), hidden);
            let has_equals = seed % 3 == 0;
            let is_inside = |&a: &usize| found.contains(&(a as u32));
            assert!(has_equals || drawn.iter().all(is_inside), "anchors are inside");
        }
    }

    #[test]
    fn impossible_shares_are_refused() {
        let centers = cloud(1, 8, 0);
        let error = draw(&centers, 4, 8, &mut Draws::new(1, "x", "y")).unwrap_err().to_string();
        assert_eq!(
            error,
            "config: masking.target_ratio: expected a share that hides 4 to 7 of 8 patches, found 8"
        );
    }
}
