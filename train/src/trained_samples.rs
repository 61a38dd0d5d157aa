//! A few clouds of a batch that was just trained on, for people to look at: what was hidden, how wrong each prediction is.

use candle_core::Tensor;
use jepa3d_loader::Masks;

use crate::error::Result;
use crate::models::{StepInput, StepOutput, ViewImages};
use crate::nn::PROJECTED;

/// Which steps are shown, and how many clouds of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplePlan {
    /// Steps from one that is shown to the next; the first step is shown too.
    pub every: u64,
    /// Clouds of each, the first of its batch.
    pub clouds: usize,
}

impl SamplePlan {
    /// Clouds of a step that are shown.
    pub(crate) fn clouds_of_step(&self, step: u64) -> usize {
        let is_shown = step == 1 || step.is_multiple_of(self.every.max(1));
        if is_shown { self.clouds } else { 0 }
    }
}

/// Clouds of one step: `n` of its first batch, as the model saw them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainedSamples {
    /// The step, from 1.
    pub step: u64,
    /// `[n]`.
    pub ids: Vec<String>,
    /// `[n,G,K,3]`, minus the centers; where a sensor saw the clouds otherwise, its patches of the context come behind them.
    pub patches: Vec<f32>,
    /// `[n,G,3]`.
    pub centers: Vec<f32>,
    /// `[n]`: the length that patches are in units of; 1, or the edge of voxel blocks.
    pub units: Vec<f32>,
    /// What was hidden; none where nothing is.
    pub masks: Option<Masks>,
    /// `[n,M,L]`: how wrong each prediction is, as a share of the variance of the batch's targets: 0 is exact, 1 no better
    /// than their mean. None where coordinates are predicted, or no patch is.
    pub errors: Option<Vec<f32>>,
    /// Views that took part.
    pub views: Vec<TrainedView>,
    /// What clouds were taken for, where classes are learned.
    pub labels: Vec<TrainedLabels>,
}

/// What a cloud or its points are, and what they were taken for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainedLabels {
    /// The cloud among those shown.
    pub cloud: usize,
    /// `[n]`: its points, as the model had them.
    pub points: Vec<[f32; 3]>,
    /// `[n]`, or `[1]` where the cloud as a whole has a class; negative: none is known.
    pub truth: Vec<i16>,
    /// Like the truth.
    pub predicted: Vec<i16>,
}

/// A view of a cloud in a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainedView {
    /// The cloud among those shown.
    pub cloud: usize,
    /// Number of the view within its sample.
    pub number: u16,
    /// Patches that were asked for; none where the view as a whole was predicted.
    pub patches: Vec<u32>,
    /// u / W and v / H of each of those patches.
    pub projected: Vec<[f32; 2]>,
    /// How wrong the prediction of each of those patches is, or that of the view: one number.
    pub errors: Vec<f32>,
}

/// What a model's input does not say about the rows that are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShownRows {
    /// `[n]`.
    pub ids: Vec<String>,
    /// `[n]`: 1, or the edge of voxel blocks.
    pub units: Vec<f32>,
    /// `[n]`: numbers of the views of each.
    pub views: Vec<Vec<u16>>,
    /// Whether predictions and targets are vectors that can be compared number by number.
    pub are_latents: bool,
}

impl TrainedSamples {
    /// What a step showed and gave, of its first rows.
    pub(crate) fn select(rows: ShownRows, input: &StepInput, output: &StepOutput) -> Result<Self> {
        let points = input.points();
        let count = rows.ids.len();
        let first = |x: &Tensor| -> Result<Vec<f32>> { Ok(x.narrow(0, 0, count)?.flatten_all()?.to_vec1()?) };
        let errors = output.row_errors()?;
        let all = points.centers.dim(0)?;
        let mut shown = Self {
            patches: first(&points.patches)?,
            centers: first(&points.centers)?,
            units: rows.units,
            ..Self::default()
        };
        match input {
            StepInput::Masked(input) => {
                shown.set_masks(&input.masks, count, &errors);
                if let Some(seen) = &input.context {
                    shown.patches = first(&Tensor::cat(&[&points.patches, &seen.patches], 1)?)?;
                    shown.centers = first(&Tensor::cat(&[&points.centers, &seen.centers], 1)?)?;
                    shown.take_context_from_end(points.centers.dim(1)?, count);
                }
            }
            StepInput::Whole(_) => {}
            StepInput::Cross(_) => shown.views = whole_views(&rows.views, errors.len() / all, &errors),
            StepInput::Hybrid(input) => {
                let m = &input.masks;
                shown.set_masks(m, count, &errors);
                shown.views =
                    partial_views(&rows.views, &input.views, &errors[all * m.blocks * m.target_len..])?;
            }
        }
        shown.ids = rows.ids;
        shown.errors.take_if(|_| !rows.are_latents);
        Ok(shown)
    }

    fn set_masks(&mut self, masks: &Masks, count: usize, errors: &[f32]) {
        let asked = masks.blocks * masks.target_len;
        self.errors = Some(errors[..count * asked].to_vec());
        self.masks = Some(Masks {
            context: masks.context[..count * masks.context_len].to_vec(),
            targets: masks.targets[..count * asked].to_vec(),
            ..masks.clone()
        });
    }
}

impl TrainedSamples {
    /// The context is what a sensor saw, whose patches come behind the `groups` clean ones of every cloud.
    fn take_context_from_end(&mut self, groups: usize, count: usize) {
        if let Some(masks) = &mut self.masks {
            let places = groups as u32..(groups + masks.context_len) as u32;
            masks.context = (0..count).flat_map(|_| places.clone()).collect();
        }
    }
}

/// Views that were predicted as a whole, `each` of every sample of the batch.
fn whole_views(numbers: &[Vec<u16>], each: usize, errors: &[f32]) -> Vec<TrainedView> {
    let of_cloud = |(cloud, numbers): (usize, &Vec<u16>)| -> Vec<TrainedView> {
        let view = |(at, &number): (usize, &u16)| TrainedView {
            cloud,
            number,
            errors: vec![errors[cloud * each + at]],
            ..TrainedView::default()
        };
        numbers.iter().enumerate().map(view).collect()
    };
    numbers.iter().enumerate().flat_map(of_cloud).collect()
}

/// Views of which patches were asked; `errors` are those of all patches that the batch's views were asked for.
fn partial_views(numbers: &[Vec<u16>], views: &ViewImages, errors: &[f32]) -> Result<Vec<TrainedView>> {
    let most = views.projected.dim(1)?;
    let projected: Vec<f32> = views.projected.narrow(0, 0, numbers.len())?.flatten_all()?.to_vec1()?;
    let (mut found, mut start) = (Vec::new(), 0);
    for (cloud, numbers) in numbers.iter().enumerate() {
        let asked = views.counts[cloud] as usize;
        let places = projected[cloud * most * PROJECTED..].as_chunks::<PROJECTED>().0;
        if let Some(&number) = numbers.first() {
            found.push(TrainedView {
                cloud,
                number,
                patches: views.patches[cloud * most..][..asked].to_vec(),
                projected: places[..asked].iter().map(|&[u, v, _]| [u, v]).collect(),
                errors: errors[start..start + asked].to_vec(),
            });
        }
        start += asked;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::config::LossKind;
    use crate::models::{CrossInput, HybridInput, PatchTensors, ViewTargets};

    const BATCH: usize = 3;

    fn tensor(shape: &[usize], of: impl Fn(usize) -> f32) -> Tensor {
        let values: Vec<f32> = (0..shape.iter().product()).map(of).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn points() -> PatchTensors {
        let (patches, centers) =
            (tensor(&[BATCH, 4, 2, 3], |i| i as f32), tensor(&[BATCH, 4, 3], |i| -(i as f32)));
        PatchTensors { patches, centers, counts: None }
    }

    fn output(rows: usize) -> StepOutput {
        let predictions = tensor(&[rows, 2], |i| (i as f32 * 1.7).sin());
        let targets = tensor(&[rows, 2], |i| (i as f32 * 0.9).cos());
        StepOutput {
            loss: tensor(&[1], |_| 0.0),
            predictions,
            targets,
            record: None,
            kind: LossKind::MeanElem,
            terms: Vec::new(),
        }
    }

    /// The errors of all rows, number by number.
    fn slow_errors(output: &StepOutput) -> Vec<f32> {
        let rows = |x: &Tensor| x.to_vec2::<f32>().unwrap();
        let (p, z) = (rows(&output.predictions), rows(&output.targets));
        let mean = |j: usize| z.iter().map(|row| f64::from(row[j])).sum::<f64>() / z.len() as f64;
        let off = |row: &Vec<f32>, at: &dyn Fn(usize) -> f64| {
            (0..2).map(|j| (f64::from(row[j]) - at(j)).powi(2)).sum::<f64>() / 2.0
        };
        let variance = z.iter().map(|row| off(row, &mean)).sum::<f64>() / z.len() as f64;
        let error = |(p, z): (&Vec<f32>, &Vec<f32>)| (off(p, &|j| f64::from(z[j])) / variance) as f32;
        p.iter().zip(&z).map(error).collect()
    }

    #[track_caller]
    fn assert_near(found: &[f32], want: &[f32]) {
        assert_eq!(found.len(), want.len());
        assert!(found.iter().zip(want).all(|(f, w)| (f - w).abs() < 1e-5), "{found:?} {want:?}");
    }

    #[test]
    fn steps_are_shown_from_the_first_on() {
        let plan = SamplePlan { every: 4, clouds: 2 };
        let shown: Vec<u64> = (1..=9).filter(|&step| plan.clouds_of_step(step) == 2).collect();
        assert_eq!(shown, [1, 4, 8]);
    }

    #[test]
    fn errors_are_those_of_the_rows_of_each_cloud_and_view() {
        let masks = Masks {
            context_len: 2,
            blocks: 1,
            target_len: 2,
            one_pass: true,
            context: vec![0, 1, 2, 3, 0, 3],
            targets: vec![2, 3, 0, 1, 1, 2],
        };
        let views = ViewImages {
            pixels: tensor(&[1], |_| 0.0),
            patches: vec![3, 0, 9, 9, 1, 2],
            projected: tensor(&[BATCH, 2, 3], |i| i as f32),
            counts: vec![1, 0, 2],
        };
        let rows = ShownRows {
            ids: vec!["a".into(), "b".into(), "c".into()],
            units: vec![1.0; 3],
            views: vec![vec![7], vec![], vec![8]],
            are_latents: true,
        };
        let output = output(2 * BATCH + 3);
        let errors = slow_errors(&output);
        let input = StepInput::Hybrid(HybridInput { points: points(), masks: masks.clone(), views });
        let all = TrainedSamples::select(rows.clone(), &input, &output).unwrap();
        assert_near(all.errors.as_ref().unwrap(), &errors[..6]);
        let [first, second] = &all.views[..] else { panic!("{:?}", all.views) };
        assert_eq!((first.cloud, first.number, &first.patches[..]), (0, 7, &[3][..]));
        assert_eq!((second.cloud, second.number, &second.patches[..]), (2, 8, &[1, 2][..]));
        assert_eq!(second.projected, [[12.0, 13.0], [15.0, 16.0]]);
        assert_near(&first.errors, &errors[6..7]);
        assert_near(&second.errors, &errors[7..9]);
        // Fewer clouds are the first of them; coordinates have no such errors.
        let (ids, views) = (rows.ids[..2].to_vec(), rows.views[..2].to_vec());
        let fewer = ShownRows { ids, views, units: vec![1.0; 2], are_latents: false };
        let two = TrainedSamples::select(fewer, &input, &output).unwrap();
        let kept = two.masks.unwrap();
        assert_eq!((kept.context, kept.targets), (masks.context[..4].to_vec(), masks.targets[..4].to_vec()));
        assert_eq!((two.errors, two.patches.len(), two.centers.len()), (None, 2 * 24, 2 * 12));
    }

    #[test]
    fn a_view_that_was_predicted_as_a_whole_has_one_error() {
        let nothing = || tensor(&[1], |_| 0.0);
        let views = ViewTargets {
            embeddings: nothing(),
            poses: nothing(),
            histograms: nothing(),
            weights: nothing(),
        };
        let output = output(2 * BATCH);
        let rows = ShownRows {
            ids: vec!["a".into(), "b".into()],
            units: vec![1.0; 2],
            views: vec![vec![4], vec![0, 5]],
            are_latents: true,
        };
        let input = StepInput::Cross(CrossInput { points: points(), views });
        let shown = TrainedSamples::select(rows, &input, &output).unwrap();
        let errors = slow_errors(&output);
        let found: Vec<(usize, u16)> = shown.views.iter().map(|view| (view.cloud, view.number)).collect();
        assert_eq!(found, [(0, 4), (1, 0), (1, 5)]);
        let found: Vec<f32> = shown.views.iter().map(|view| view.errors[0]).collect();
        assert_near(&found, &[errors[0], errors[2], errors[3]]);
        assert!(shown.masks.is_none() && shown.errors.is_none());
    }
}
