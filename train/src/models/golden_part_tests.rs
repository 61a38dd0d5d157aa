//! What PyTorch computes for whole batches, from parts of one sample each, in threads: the mean of the losses and of the gradients.

use std::sync::Arc;

use candle_core::Tensor;
use jepa3d_loader::Masks;

use super::golden_tests::{
    BLOCKS, CANCELLED, CROSS, HYBRID, OFFICIAL, REGION, check, config, golden, input, loaded, numbers,
};
use super::{CrossInput, HybridInput, MaskedInput, PatchTensors, StepInput, ViewImages, ViewTargets};
use crate::nn::{ForwardPass, ParameterRole};
use crate::optim::ParameterGradients;
use crate::parallel::{OwnPart, PartGroup, Processes};

/// Samples of a golden batch, each a part.
const PARTS: usize = 3;

fn row(all: &Tensor, at: usize) -> Tensor {
    all.narrow(0, at, 1).unwrap().contiguous().unwrap()
}

fn third<T: Clone>(all: &[T], at: usize) -> Vec<T> {
    let each = all.len() / PARTS;
    all[at * each..(at + 1) * each].to_vec()
}

fn masks(all: &Masks, at: usize) -> Masks {
    Masks { context: third(&all.context, at), targets: third(&all.targets, at), ..all.clone() }
}

fn sample(input: &StepInput, at: usize) -> StepInput {
    let points = input.points();
    let points =
        PatchTensors { patches: row(&points.patches, at), centers: row(&points.centers, at), counts: None };
    match input {
        StepInput::Whole(_) => unreachable!("no golden has a head"),
        StepInput::Masked(input) => StepInput::Masked(MaskedInput::plain(points, masks(&input.masks, at))),
        StepInput::Cross(CrossInput { views, .. }) => {
            let views = ViewTargets {
                embeddings: row(&views.embeddings, at),
                poses: row(&views.poses, at),
                histograms: row(&views.histograms, at),
                weights: row(&views.weights, at),
            };
            StepInput::Cross(CrossInput { points, views })
        }
        StepInput::Hybrid(HybridInput { masks: all, views, .. }) => {
            let views = ViewImages {
                pixels: row(&views.pixels, at),
                patches: third(&views.patches, at),
                projected: row(&views.projected, at),
                counts: third(&views.counts, at),
            };
            StepInput::Hybrid(HybridInput { points, masks: masks(all, at), views })
        }
    }
}

/// The mean over the parts.
fn mean(parts: &[Tensor]) -> Tensor {
    let sum = parts[1..].iter().fold(parts[0].clone(), |sum, part| (sum + part).unwrap());
    (sum / PARTS as f64).unwrap()
}

fn parts_equal(name: &str, text: &str) {
    let (golden, config) = (golden(name), config(text));
    let (model, parameters) = loaded(&config, &golden);
    let whole = input(&golden);
    let group = Arc::new(PartGroup::new(PARTS, Processes::alone()));
    let pass_part = |at: usize| {
        let pass = ForwardPass::new(1, false).of_part(OwnPart::new(&group, at), 1);
        let out = model.step(&sample(&whole, at), &pass).unwrap();
        let gradients = ParameterGradients::backward(&out.loss, &pass.tape, &parameters).unwrap();
        (out.loss.detach(), gradients.all().cloned().collect::<Vec<_>>())
    };
    let found: Vec<(Tensor, Vec<Tensor>)> = std::thread::scope(|scope| {
        let pass_part = &pass_part;
        let threads: Vec<_> = (0..PARTS).map(|at| scope.spawn(move || pass_part(at))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let losses: Vec<Tensor> = found.iter().map(|(loss, _)| loss.clone()).collect();
    check(&format!("{name}: loss"), &mean(&losses), &golden["out/loss"]);
    for (at, p) in parameters.trained().enumerate() {
        let gradients: Vec<Tensor> = found.iter().map(|(_, all)| all[at].clone()).collect();
        let gradient = mean(&gradients);
        if p.name.ends_with(CANCELLED) {
            assert!(numbers(&gradient).iter().all(|g| g.abs() < 1e-6), "{} cancels out", p.name);
            continue;
        }
        check(&format!("{name}: gradient of {}", p.name), &gradient, &golden[&format!("grad/{}", p.name)]);
    }
    for p in parameters.with_role(ParameterRole::Statistic) {
        check(&p.name, p.var.as_tensor(), &golden[&format!("after/{}", p.name)]);
    }
}

#[test]
fn masked_goldens_equal_in_parts() {
    parts_equal("point_jepa", OFFICIAL);
    parts_equal("point_jepa_region", REGION);
    parts_equal("point_jepa_coordinates", &REGION.replace("final_norm = true", "kind = \"coordinates\""));
    parts_equal("jepa_3d", BLOCKS);
}

#[test]
fn view_goldens_equal_in_parts() {
    parts_equal("cross_jepa", CROSS);
    parts_equal("cross_jepa_hybrid", HYBRID);
}
