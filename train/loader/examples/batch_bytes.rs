//! Writes the first batches of a prepared set as bytes: what readers in other languages are compared with.
//!
//! `batch_bytes FOLDER BATCH SEED FIRST COUNT`: of `COUNT` batches from `FIRST` on the centers, then the patches, f32
//! little-endian, on standard output; with a random turn of every sample, so that what is drawn shows, too.

use std::io::Write;
use std::sync::Arc;

use jepa3d_loader::{Augment, Loader, LoaderConfig, Per, PreparedDataset};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, batch, seed, first, count] = arguments.as_slice() else {
        return Err("expected FOLDER BATCH SEED FIRST COUNT".into());
    };
    let dataset = Arc::new(PreparedDataset::open(folder.as_ref())?);
    let shape = dataset.shape();
    let config = LoaderConfig {
        batch: batch.parse()?,
        seed: seed.parse()?,
        groups: shape.G,
        group_size: shape.K,
        augment: Augment { rotate_up: 1.0, per: Per::Sample, ..Augment::default() },
        ..LoaderConfig::default()
    };
    let mut loader = Loader::start(&dataset, config, first.parse()?)?;
    let mut out = std::io::stdout().lock();
    for _ in 0..count.parse::<usize>()? {
        let batch = loader.next()?;
        let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        out.write_all(&bytes(&batch.centers))?;
        out.write_all(&bytes(&batch.patches))?;
    }
    Ok(())
}
