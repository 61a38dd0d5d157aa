//! The look at a run every few epochs: monitors of the fixed subset, the online probe, the best checkpoint so far.

use super::{Event, Trainer};
use crate::checkpoint;
use crate::error::Result;
use crate::features::{Pooling, features_of};
use crate::online_probe::online_probe;

impl Trainer {
    /// The online probe and the monitors of the fixed subset.
    pub(super) fn look(&mut self, tell: &mut dyn FnMut(Event)) -> Result<()> {
        let measures = self.subset.measure(&self.model)?;
        let mut values = vec![("rank", measures.rank)];
        values.extend(measures.position_encoder.map(|share| ("position/encoder", share)));
        values.extend(measures.position_target.map(|share| ("position/target", share)));
        values.extend(measures.cloud_encoder.map(|share| ("cloud/encoder", share)));
        if self.step == 0 {
            self.first_position = self.first_position.or(measures.position_target);
        } else {
            let alarms = self.alarms.subset(&self.config.monitor, &measures, self.first_position);
            alarms.into_iter().for_each(|text| tell(Event::Alarm(text)));
        }
        values.extend(self.light_probe(tell)?);
        if let Some(&(_, accuracy)) = values.iter().find(|(name, _)| *name == "probe/knn20")
            && self.best.is_none_or(|(_, best)| accuracy > best)
        {
            self.best = Some((self.step, accuracy));
            checkpoint::write(&self.folder.best(), &self.parameters, None, &self.state())?;
        }
        tell(Event::Probe(self.step, values.clone()));
        self.record(values)
    }

    /// kNN-20 and few labels on the validation part, as far as there are labels; what is left out is told at the start.
    fn light_probe(&self, tell: &mut dyn FnMut(Event)) -> Result<Vec<(&'static str, f64)>> {
        let splits = std::slice::from_ref(&self.config.data.split);
        let wanted = (&self.config.data, splits);
        let features = features_of(&self.model, &self.dataset, wanted, Pooling::MaxMean, &self.device)?;
        let found = online_probe(&features, &self.config.data.split)?;
        let is_start = self.step == 0;
        found.left_out.filter(|_| is_start).into_iter().for_each(|text| tell(Event::Header(text)));
        let random = found.values.iter().filter(|_| is_start).map(|&(name, value)| match name {
            "probe/knn20" => ("random/knn20", value),
            _ => ("random/labels20", value),
        });
        Ok(found.values.iter().copied().chain(random).collect())
    }
}
