//! Few-shot episodes by training: an encoder and a head on the labelled samples of each, a run folder an episode.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{Episode, EpisodeList, FewShotColumn, sum_up_episodes};
use jepa3d_train::{
    DownstreamConfig, DownstreamRequest, DownstreamRun, EncoderSource, EncoderWeights, EpisodeSamples,
    Finetuner,
};

use super::tell;

/// How episodes are trained on.
pub(crate) struct EpisodeTuning<'a> {
    pub config: DownstreamConfig,
    pub list: &'a EpisodeList,
    pub dataset: &'a Arc<PreparedDataset>,
    /// Below which every episode has a folder.
    pub out: PathBuf,
    pub device: &'a str,
}

impl EpisodeTuning<'_> {
    /// Trains an encoder on every episode, those that were begun before from where they stood.
    ///
    /// # Errors
    /// Fails if the encoder or the list does not serve the dataset, or a folder holds another run.
    pub(crate) fn run(&self, title: &str, encoder: &EncoderSource) -> anyhow::Result<FewShotColumn> {
        let kind = name_kind(encoder);
        let encoder = Arc::new(EncoderWeights::open(encoder, self.dataset, self.device, &self.config)?);
        let mut accuracies = Vec::new();
        for episode in &self.list.episodes {
            let accuracy = self.run_episode(episode, &encoder, kind)?;
            let Episode { way, shot, fold, .. } = episode;
            tell(format_args!("{title}: {way}-way {shot}-shot, fold {fold}: {:.1} %", 100.0 * accuracy));
            accuracies.push(accuracy);
        }
        Ok(FewShotColumn { title: title.to_owned(), lines: sum_up_episodes(self.list, &accuracies) })
    }

    /// Share of the queries that are classified correctly after the last step.
    fn run_episode(
        &self,
        episode: &Episode,
        encoder: &Arc<EncoderWeights>,
        kind: &str,
    ) -> anyhow::Result<f64> {
        let Episode { way, shot, fold, .. } = episode;
        let support_split = self.list.support_split.clone();
        // Queries of a held-out part are of the same split.
        let query_split = self.list.splits().pop().unwrap_or_else(|| support_split.clone());
        let request = DownstreamRequest {
            config: self.config.clone(),
            encoder: Arc::clone(encoder),
            episode: Some(EpisodeSamples { episode: episode.clone(), support_split, query_split }),
            dataset: Arc::clone(self.dataset),
            out: self.out.join(kind).join(format!("{way}-way-{shot}-shot-{fold}")),
            resume: true,
            shown: None,
            device: self.device.to_owned(),
        };
        let mut finetuner = Finetuner::new(request)?;
        finetuner.run(&AtomicBool::new(false), &mut |_| ())?;
        Ok(finetuner.judge()?.last.accuracy / 100.0)
    }
}

/// Below which folder the runs of an encoder stand.
fn name_kind(encoder: &EncoderSource) -> &'static str {
    match encoder {
        EncoderSource::Pretrained { .. } => "pretrained",
        EncoderSource::Scratch(_) => "scratch",
    }
}
