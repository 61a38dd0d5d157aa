//! An encoder and a head that labels points: parts of objects, or classes of what scenes show.

use candle_core::{Device, Tensor};
use jepa3d_kernels::Precision;
use jepa3d_loader::{Batch, BatchPoints, EvalConfig, LoaderConfig, PointScope, PreparedDataset};
use jepa3d_schemas::{Error as DataError, MANIFEST_FILE, PointClasses};

use super::config::DownstreamConfig;
use super::evaluation::EvaluationSource;
use super::segment_config::{ClassBalance, SegmentHead};
use super::segment_scores::{
    ScoreCollector, ScoredObject, ScoredPoints, SegmentScores, find_targets, point_loss,
};
use super::task::DownstreamModel;
use super::thaw::EncoderPhase;
use crate::config::{DataConfig, PretrainConfig, out_of_range};
use crate::error::{Error, Result};
use crate::features::patch_tensors;
use crate::models::{Backbone, PatchTensors};
use crate::nn::{
    ClassLoss, EncoderInput, ForwardPass, ParameterStore, Parameters, PartHead, PartHeadSizes,
    PointNeighbors, PointTokens, SceneHead, mix_depths,
};
use crate::trained_samples::TrainedLabels;

#[derive(Debug)]
enum BuiltHead {
    Parts(Box<PartHead>),
    Linear(SceneHead),
}

/// Patches to the scores of the classes of points.
#[derive(Debug)]
pub(crate) struct Segmenter {
    backbone: Backbone,
    head: BuiltHead,
    /// Blocks whose outputs are averaged, ascending.
    depths: Vec<usize>,
    classes: PointClasses,
    loss: ClassLoss,
    /// Which points are judged.
    judged: PointScope,
    data: DataConfig,
    device: Device,
}

/// A sample that was judged.
pub(crate) struct JudgedSample<'a> {
    pub id: &'a str,
    /// `[P,3]`.
    pub points: &'a [f32],
    /// What they were taken for.
    pub scored: ScoredPoints,
}

/// What the heads read of the points of a batch.
struct PointInput {
    /// `[P, 3]`.
    positions: Tensor,
    neighbors: PointNeighbors,
    /// `[B]`, classes of the objects; 0 where nobody reads them.
    classes: Vec<u32>,
}

/// What the labels of points mean in a dataset.
///
/// # Errors
/// Fails if the manifest does not say.
pub(crate) fn find_point_classes(dataset: &PreparedDataset) -> Result<&PointClasses> {
    let found = "none: points have no labels, or an older version prepared them (prepare them again, into another folder)";
    dataset.manifest().point_classes.as_ref().ok_or_else(|| {
        let path = dataset.folder().join(MANIFEST_FILE);
        DataError::contract(&path, "point_classes", "what the labels of points mean", found).into()
    })
}

impl Segmenter {
    /// Drawn from the run's seed; `encoder` says the architecture, `config` what is dropped in it and the head.
    ///
    /// # Errors
    /// Fails if points of the dataset have no labels, or none that the head could tell apart, or a device does.
    pub(crate) fn new(
        config: &DownstreamConfig,
        encoder: &PretrainConfig,
        dataset: &PreparedDataset,
        device: &Device,
    ) -> Result<(Self, Parameters)> {
        let classes = find_point_classes(dataset)?.clone();
        if dataset.cell_edge().is_some() {
            return Err(out_of_range("groups of the dataset", "patches, to label points", "voxel blocks"));
        }
        let store = ParameterStore::new(config.run.seed, device);
        let backbone = Backbone::below_head(encoder, &store)?;
        let (width, names) = (encoder.model.width, classes.names.len());
        let head = match config.segment.head {
            SegmentHead::Parts if classes.parts.is_empty() => {
                let expected = "\"linear\" where classes of objects have no parts";
                return Err(out_of_range("segment.head", expected, "parts"));
            }
            SegmentHead::Parts => {
                let (upsampling, hidden) = (config.segment.upsampling, config.head.hidden);
                let objects = dataset.classes().len();
                let sizes = PartHeadSizes { width, upsampling, hidden, classes: objects, parts: names };
                BuiltHead::Parts(Box::new(PartHead::new(sizes, config.head.dropout, &store.builder())?))
            }
            SegmentHead::Linear => BuiltHead::Linear(SceneHead::new(width, names, &store.builder())?),
        };
        let model = Self {
            backbone,
            head,
            depths: config.segment.find_depths(encoder.model.depth)?,
            classes,
            loss: ClassLoss { smoothing: config.head.smoothing, weights: None },
            judged: config.segment.judged.scope(),
            data: config.data.clone(),
            device: device.clone(),
        };
        Ok((model, store.into_parameters()))
    }

    /// Makes mistakes on the classes of points cost what `balance` says, by how many labelled points of a part they have.
    ///
    /// # Errors
    /// Fails if a shard does, or a point has a label without a name.
    pub(crate) fn weigh_classes(
        &mut self,
        balance: ClassBalance,
        training: &EvaluationSource<'_>,
    ) -> Result<()> {
        let mut counts = vec![0u64; self.classes.names.len()];
        training.for_each(|batch| {
            let targets = find_targets(&labelled_points(batch).labels, &self.classes)?;
            targets.into_iter().flatten().for_each(|class| counts[class] += 1);
            Ok(())
        })?;
        self.loss.weights = Some(balance.weigh(&counts));
        Ok(())
    }

    /// How well it labels the points of a part; `visit` sees every sample.
    ///
    /// # Errors
    /// Fails if a shard does, or a point has a label without a name.
    pub(crate) fn judge(
        &self,
        source: &EvaluationSource<'_>,
        visit: &mut dyn FnMut(JudgedSample<'_>),
    ) -> Result<SegmentScores> {
        let mut collector = ScoreCollector::new(&self.classes);
        source.for_each(|batch| {
            let points = labelled_points(batch);
            let scores = self.eval(batch, points)?.flatten_all()?.to_vec1::<f32>()?;
            let mut start = 0;
            for ((&end, label), id) in points.ends.iter().zip(&batch.labels).zip(&batch.sample_ids) {
                let width = self.classes.names.len();
                let scored = collector.add(ScoredObject {
                    class: label.and_then(|label| usize::try_from(label).ok()),
                    labels: &points.labels[start..end],
                    scores: &scores[start * width..end * width],
                })?;
                visit(JudgedSample { id, points: &points.positions[3 * start..3 * end], scored });
                start = end;
            }
            Ok(())
        })?;
        Ok(collector.finish())
    }

    /// Scores `[P, C]` with running statistics, without gradient.
    fn eval(&self, batch: &Batch, points: &BatchPoints) -> Result<Tensor> {
        let input = self.point_input(batch, points)?;
        let tokens = self.eval_tokens(&patch_tensors(batch, &self.data, &self.device)?)?;
        let scores = match &self.head {
            BuiltHead::Parts(head) => head.eval(input.with_tokens(&tokens, points))?,
            BuiltHead::Linear(head) => head.score(&tokens, &input.neighbors)?,
        };
        Ok(scores.detach())
    }

    fn point_input(&self, batch: &Batch, points: &BatchPoints) -> Result<PointInput> {
        let needs_class = matches!(self.head, BuiltHead::Parts(_));
        let class = |(label, id): (&Option<i32>, &String)| match label.map(u32::try_from) {
            Some(Ok(class)) => Ok(class),
            _ if !needs_class => Ok(0),
            _ => Err(Error::NoClass { sample: id.clone() }),
        };
        let classes = batch.labels.iter().zip(&batch.sample_ids).map(class).collect::<Result<_>>()?;
        Ok(PointInput {
            positions: Tensor::from_slice(&points.positions, (points.labels.len(), 3), &self.device)?,
            neighbors: PointNeighbors::find(&points.positions, &points.ends, &batch.centers),
            classes,
        })
    }

    /// Token features `[B, G, D]` in training.
    fn train_tokens(&self, points: &PatchTensors, pass: &ForwardPass) -> Result<Tensor> {
        let tokens = self.backbone.train_tokens(points, pass)?;
        let positions = self.backbone.positions.forward(&points.centers)?;
        let input = EncoderInput { tokens: &tokens, positions: Some(&positions), keys: None };
        mix_depths(&self.backbone.encoder.train_outputs(input, pass, &self.depths)?)
    }

    /// Token features `[B, G, D]` with running statistics, without gradient.
    fn eval_tokens(&self, points: &PatchTensors) -> Result<Tensor> {
        let (tokens, positions) = (self.backbone.eval_tokens(points)?, self.backbone.eval_positions(points)?);
        Ok(mix_depths(&self.backbone.encoder.outputs(&tokens, &positions, &self.depths, Precision::F32)?)?
            .detach())
    }
}

impl PointInput {
    fn with_tokens<'a>(&'a self, tokens: &'a Tensor, points: &'a BatchPoints) -> PointTokens<'a> {
        let Self { positions, neighbors, classes } = self;
        PointTokens { tokens, points: positions, ends: &points.ends, neighbors, classes }
    }
}

/// The labelled points of a batch.
fn labelled_points(batch: &Batch) -> &BatchPoints {
    batch.points.as_ref().expect("the loader was asked for labelled points")
}

impl DownstreamModel for Segmenter {
    fn loss(&self, batch: &Batch, phase: EncoderPhase, pass: &ForwardPass) -> Result<Tensor> {
        let points = labelled_points(batch);
        let input = self.point_input(batch, points)?;
        let patches = patch_tensors(batch, &self.data, &self.device)?;
        let tokens = match phase {
            EncoderPhase::Frozen => self.eval_tokens(&patches)?,
            EncoderPhase::TransformerFrozen | EncoderPhase::Trained => self.train_tokens(&patches, pass)?,
        };
        let scores = match &self.head {
            BuiltHead::Parts(head) => head.train(input.with_tokens(&tokens, points), pass)?,
            BuiltHead::Linear(head) => head.score(&tokens, &input.neighbors)?,
        };
        point_loss(&scores, &find_targets(&points.labels, &self.classes)?, &self.loss)
    }

    fn show(&self, batch: &Batch, clouds: usize) -> Result<Vec<TrainedLabels>> {
        let points = labelled_points(batch);
        let scores = self.eval(batch, points)?.flatten_all()?.to_vec1::<f32>()?;
        let (mut collector, width) = (ScoreCollector::new(&self.classes), self.classes.names.len());
        let (mut shown, mut start) = (Vec::new(), 0);
        for (cloud, (&end, label)) in points.ends.iter().zip(&batch.labels).take(clouds).enumerate() {
            let labels = &points.labels[start..end];
            let class = label.and_then(|label| usize::try_from(label).ok());
            let object = ScoredObject { class, labels, scores: &scores[start * width..end * width] };
            shown.push(TrainedLabels {
                cloud,
                points: points.positions[3 * start..3 * end].as_chunks().0.to_vec(),
                truth: labels.to_vec(),
                predicted: collector.add(object)?.predicted.into_iter().map(|label| label as i16).collect(),
            });
            start = end;
        }
        Ok(shown)
    }

    /// mIoU by instance of parts, mIoU over classes of scenes.
    fn selection_score(&self, source: &EvaluationSource<'_>) -> Result<f64> {
        Ok(self.judge(source, &mut |_| ())?.selection())
    }

    fn loader_config(&self, config: LoaderConfig) -> LoaderConfig {
        LoaderConfig { label_points: Some(PointScope::Grouping), ..config }
    }

    fn eval_config(&self, config: EvalConfig) -> EvalConfig {
        EvalConfig { label_points: Some(self.judged), ..config }
    }

    /// The final norm, and blocks beyond the last depth.
    fn is_idle(&self, name: &str) -> bool {
        let block =
            name.strip_prefix("encoder.blocks.").and_then(|rest| rest.split('.').next()?.parse().ok());
        let is_beyond = |block: usize| self.depths.last().is_none_or(|&last| block > last);
        name.starts_with("encoder.norm.") || block.is_some_and(is_beyond)
    }
}
