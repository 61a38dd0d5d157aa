//! The loader's batches as dicts of arrays on the loader's own memory: nothing is copied.

use std::sync::{Arc, Mutex, PoisonError};

use jepa3d_loader::{Batch, BatchKey, BatchViews, DataShare, DatasetMix, Loader, TeacherCache, draw_masks};
use jepa3d_schemas::{HISTOGRAM_NUMBERS, POSE_NUMBERS};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::arrays::shape_array;
use crate::batch_memory::{BatchPart, FreeBatches, LentBatch, lend_array};
use crate::errors::{raise, refuse};
use crate::loader_settings::{LoaderSettings, TeacherSettings};
use crate::remote_sets::serve_stores;

/// Batches of one rank from some batch on, endlessly.
#[pyclass(frozen)]
pub(crate) struct BatchStream {
    settings: LoaderSettings,
    teacher: Option<TeacherCache>,
    /// None only while it is dropped.
    loader: Mutex<Option<Loader>>,
    /// Batches that Python is done with.
    free: FreeBatches,
    /// The process whose threads make the batches.
    process: u32,
    #[pyo3(get)]
    steps_per_epoch: u64,
    #[pyo3(get)]
    fingerprint: String,
}

#[pymethods]
impl BatchStream {
    /// Opens prepared datasets (`DIR` or `DIR:WEIGHT`) and starts the threads at batch `first` of the run; `settings` are JSON.
    #[new]
    fn open(py: Python<'_>, folders: Vec<String>, settings: &str, first: u64) -> PyResult<Self> {
        let settings: LoaderSettings = serde_json::from_str(settings).map_err(refuse)?;
        let LoaderSettings { batch, world, .. } = settings;
        if world == 0 || !batch.is_multiple_of(world) {
            return Err(refuse(format!("batch: expected a multiple of the {world} ranks, found {batch}")));
        }
        py.detach(|| {
            folders.iter().try_for_each(|folder| serve_stores(folder))?;
            let shares: Result<Vec<DataShare>, _> = folders.iter().map(|folder| folder.parse()).collect();
            let mix = DatasetMix::open(&shares.map_err(raise)?).map_err(raise)?;
            let config = settings.loader_config();
            if settings.teacher.is_some() {
                config.augment.check_beside_teacher().map_err(raise)?;
            }
            let split = config.split.clone();
            let open = |teacher: &TeacherSettings| TeacherCache::open_mix(&mix, &teacher.name, &[&split]);
            let teacher = settings.teacher.as_ref().map(open).transpose().map_err(raise)?;
            let loader = Loader::start_mix(&mix, config, first).map_err(raise)?;
            let fingerprint = mix.fingerprint();
            let steps_per_epoch = loader.steps_per_epoch();
            let (loader, process) = (Mutex::new(Some(loader)), std::process::id());
            let free = FreeBatches::default();
            Ok(Self { settings, teacher, loader, free, process, steps_per_epoch, fingerprint })
        })
    }

    /// The next batch; waits for it if it is not ready.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if self.process != std::process::id() {
            return Err(refuse("expected the process that opened this stream, found a fork of it"));
        }
        let batch = py.detach(|| {
            let mut loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
            loader.as_mut().map(|loader| {
                self.give_back(loader);
                loader.next()
            })
        });
        match batch {
            Some(batch) => self.make_dict(py, batch.map_err(raise)?),
            None => Err(refuse("expected an open stream, found one that is closed")),
        }
    }
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // The threads are those of the process that this one was forked from: nobody here can wait for them.
            std::mem::forget(self.loader.get_mut().map(Option::take));
        }
    }
}

impl BatchStream {
    /// Memory that is free serves the loader's next batches.
    fn give_back(&self, loader: &mut Loader) {
        let free = std::mem::take(&mut *self.free.lock().unwrap_or_else(PoisonError::into_inner));
        free.into_iter().for_each(|batch| loader.recycle(batch));
    }

    fn make_dict<'py>(&self, py: Python<'py>, mut batch: Batch) -> PyResult<Bound<'py, PyDict>> {
        let out = PyDict::new(py);
        self.add_masks(&out, &batch)?;
        self.add_teacher(&out, &batch)?;
        let (b, g, k) = (batch.rows, batch.groups, self.settings.group_size);
        let labels = batch.labels.iter().map(|label| label.map_or(-1, i64::from)).collect();
        out.set_item("epoch", batch.epoch)?;
        out.set_item("batch", batch.number)?;
        out.set_item("labels", shape_array(py, labels, &[b])?)?;
        out.set_item("sets", shape_array(py, batch.sets.iter().copied().map(i64::from).collect(), &[b])?)?;
        if let Some(seen) = batch.seen.take() {
            out.set_item("seen_patches", shape_array(py, seen.patches, &[b, g, k, 3])?)?;
            out.set_item("seen_centers", shape_array(py, seen.centers, &[b, g, 3])?)?;
        }
        if let Some(counts) = batch.counts.take() {
            out.set_item("counts", shape_array(py, counts, &[b, g])?)?;
        }
        if let Some(cells) = batch.cells.take() {
            out.set_item("cells", shape_array(py, cells.into_flattened(), &[b, g, 3])?)?;
        }
        if let Some(edges) = batch.edges.take() {
            out.set_item("edges", shape_array(py, edges, &[b])?)?;
        }
        if let Some(views) = batch.views.take() {
            add_views(&out, views, b)?;
        }
        out.set_item("sample_ids", PyList::new(py, &batch.sample_ids)?)?;
        let lent = Arc::new(LentBatch { batch, free: Arc::clone(&self.free) });
        for (name, part) in [("patches", BatchPart::Patches), ("centers", BatchPart::Centers)] {
            out.set_item(name, lend_array(py, &lent, part, self.settings.group_size)?)?;
        }
        Ok(out)
    }

    /// `context [B,n]` and `targets [B,M,L]`, as pretraining draws them.
    fn add_masks(&self, out: &Bound<'_, PyDict>, batch: &Batch) -> PyResult<()> {
        let Some(masking) = &self.settings.masking else { return Ok(()) };
        let key = BatchKey { seed: self.settings.seed, epoch: batch.epoch, batch: batch.number };
        let masks = draw_masks(masking, batch.places(), key).map_err(raise)?;
        let wide = |indices: Vec<u32>| indices.into_iter().map(i64::from).collect();
        let py = out.py();
        out.set_item("context", shape_array(py, wide(masks.context), &[batch.rows, masks.context_len])?)?;
        let shape = [batch.rows, masks.blocks, masks.target_len];
        out.set_item("targets", shape_array(py, wide(masks.targets), &shape)?)
    }

    /// Embeddings of drawn views `[B,v,D]`, their poses and histograms, and `weights [B,v]`: 0 where a sample has fewer views.
    fn add_teacher(&self, out: &Bound<'_, PyDict>, batch: &Batch) -> PyResult<()> {
        let (Some(cache), Some(settings)) = (&self.teacher, &self.settings.teacher) else { return Ok(()) };
        let (b, count, width) = (batch.rows, settings.views, cache.width());
        let views = cache.draw_views(batch, self.settings.seed, count).map_err(raise)?;
        let py = out.py();
        out.set_item("embeddings", shape_array(py, views.embeddings, &[b, count, width])?)?;
        out.set_item("poses", shape_array(py, views.poses, &[b, count, POSE_NUMBERS])?)?;
        out.set_item("histograms", shape_array(py, views.histograms, &[b, count, HISTOGRAM_NUMBERS])?)?;
        out.set_item("weights", shape_array(py, views.weights, &[b, count])?)
    }
}

/// One view of every sample: `view_pixels [B,T,3,p,p]` flattened to `[B,T*3*p*p]`, and the patches that it shows.
fn add_views(out: &Bound<'_, PyDict>, views: BatchViews, b: usize) -> PyResult<()> {
    let py = out.py();
    let (pixels, asked) = (views.pixels.len() / b, views.patches.len() / b);
    let wide = |values: Vec<u32>| values.into_iter().map(i64::from).collect();
    let number = |&number: &u16| if number == u16::MAX { -1 } else { i64::from(number) };
    out.set_item("view_numbers", shape_array(py, views.numbers.iter().map(number).collect(), &[b])?)?;
    out.set_item("view_pixels", shape_array(py, views.pixels, &[b, pixels])?)?;
    out.set_item("view_patches", shape_array(py, wide(views.patches), &[b, asked])?)?;
    out.set_item("view_projected", shape_array(py, views.projected, &[b, asked, 3])?)?;
    out.set_item("view_counts", shape_array(py, wide(views.counts), &[b])?)
}
