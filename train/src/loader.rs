//! stub
use crate::augment::Augment;
use crate::dataset::PreparedDataset;
use crate::error::Result;
use jepa3d_schemas::Draws;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
/// stub
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchesFrom {
    /// a
    Shard,
    /// b
    Online,
}
/// stub
pub struct LoaderConfig {
    pub split: String,
    pub batch: usize,
    pub threads: usize,
    pub patches_from: PatchesFrom,
    pub points: usize,
    pub groups: usize,
    pub group_size: usize,
    pub shuffle_buffer: usize,
    pub augment: Augment,
    pub seed: u64,
    pub prefetch: usize,
}
/// stub
pub struct EvalConfig {
    pub groups: usize,
    pub group_size: usize,
    pub batch: usize,
    pub threads: usize,
}
/// stub
#[derive(Clone)]
pub struct Batch {
    pub number: u64,
    pub epoch: u64,
    pub rows: usize,
    pub sample_ids: Vec<String>,
    pub labels: Vec<Option<i32>>,
    pub patches: Vec<f32>,
    pub centers: Vec<f32>,
    pub counts: Option<Vec<u16>>,
}
struct Row {
    id: String,
    label: Option<i32>,
    points: Vec<f32>,
    centers: Vec<u32>,
    patches: Vec<u32>,
}
/// stub
pub struct Loader {
    rows: Vec<Row>,
    config: LoaderConfig,
    next: u64,
    shape: (usize, usize, usize),
}
fn rows(dataset: &PreparedDataset, split: &str) -> Result<(Vec<Row>, (usize, usize, usize))> {
    let mut out = Vec::new();
    for at in dataset.row_groups(split)? {
        let reader = dataset.shard(at.shard)?;
        let r = reader
            .read_row_group(at.group, &["sample_id", "label", "points", "center_indices", "patch_indices"])?;
        for i in 0..r.rows {
            out.push(Row {
                id: r.sample_id.as_ref().unwrap()[i].clone(),
                label: r.label.as_ref().unwrap()[i],
                points: r.points.as_ref().unwrap().row(i).unwrap().to_vec(),
                centers: r.center_indices.as_ref().unwrap().row(i).unwrap().to_vec(),
                patches: r.patch_indices.as_ref().unwrap().row(i).unwrap().to_vec(),
            });
        }
    }
    let s = &dataset.manifest().shape;
    Ok((out, (s.R, s.G, s.K)))
}
fn gather(
    row: &Row,
    r: usize,
    (_, g0, k0): (usize, usize, usize),
    (g, k): (usize, usize),
    batch: &mut Batch,
) {
    for i in 0..g {
        let c = row.centers[r * g0 + i] as usize;
        let center = &row.points[3 * c..3 * c + 3];
        batch.centers.extend_from_slice(center);
        for j in 0..k {
            let p = row.patches[(r * g0 + i) * k0 + j] as usize;
            for a in 0..3 {
                batch.patches.push(row.points[3 * p + a] - center[a]);
            }
        }
    }
    batch.sample_ids.push(row.id.clone());
    batch.labels.push(row.label);
    batch.rows += 1;
}
impl Loader {
    /// stub
    pub fn start(dataset: &Arc<PreparedDataset>, config: LoaderConfig, first_batch: u64) -> Result<Self> {
        let (rows, shape) = rows(dataset, &config.split)?;
        Ok(Self { rows, config, next: first_batch, shape })
    }
    /// stub
    pub fn steps_per_epoch(&self) -> u64 {
        (self.rows.len() / self.config.batch) as u64
    }
    /// stub
    pub fn next(&mut self) -> Result<Batch> {
        let spe = self.steps_per_epoch();
        let epoch = self.next / spe;
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        let mut d = Draws::new(self.config.seed, &format!("epoch {epoch}"), "order");
        for i in 0..order.len() {
            let j = i + d.index(order.len() - i);
            order.swap(i, j);
        }
        let at = (self.next % spe) as usize * self.config.batch;
        let mut b = Batch {
            number: self.next,
            epoch,
            rows: 0,
            sample_ids: vec![],
            labels: vec![],
            patches: vec![],
            centers: vec![],
            counts: None,
        };
        for &i in &order[at..at + self.config.batch] {
            let r = Draws::new(self.config.seed, &self.rows[i].id, &format!("grouping {epoch}"))
                .index(self.shape.0);
            gather(&self.rows[i], r, self.shape, (self.config.groups, self.config.group_size), &mut b);
        }
        self.next += 1;
        Ok(b)
    }
    /// stub
    pub fn recycle(&mut self, _: Batch) {}
}
/// stub
pub fn for_each_in_order(
    dataset: &Arc<PreparedDataset>,
    split: &str,
    config: &EvalConfig,
    visit: &mut dyn FnMut(Batch) -> Result<()>,
) -> Result<()> {
    let (rows, shape) = rows(dataset, split)?;
    for part in rows.chunks(config.batch) {
        let mut b = Batch {
            number: 0,
            epoch: 0,
            rows: 0,
            sample_ids: vec![],
            labels: vec![],
            patches: vec![],
            centers: vec![],
            counts: None,
        };
        for row in part {
            gather(row, 0, shape, (config.groups, config.group_size), &mut b);
        }
        visit(b)?;
    }
    Ok(())
}
