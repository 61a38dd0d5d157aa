//! Samples a second of the loader over a prepared set: what loaders in other languages are compared with.
//!
//! `batch_rate FOLDER BATCH THREADS BUFFER EPOCHS` prints the median over epochs, the first left out.

use std::sync::Arc;
use std::time::Instant;

use jepa3d_loader::{Loader, LoaderConfig, PreparedDataset};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, batch, threads, buffer, epochs] = arguments.as_slice() else {
        return Err("expected FOLDER BATCH THREADS BUFFER EPOCHS".into());
    };
    let dataset = Arc::new(PreparedDataset::open(folder.as_ref())?);
    let shape = dataset.shape();
    let config = LoaderConfig {
        batch: batch.parse()?,
        threads: threads.parse()?,
        groups: shape.G,
        group_size: shape.K,
        shuffle_buffer: buffer.parse()?,
        ..LoaderConfig::default()
    };
    let mut loader = Loader::start(&dataset, config, 0)?;
    let mut rates = Vec::new();
    for _ in 0..epochs.parse::<usize>()? {
        let (start, mut samples) = (Instant::now(), 0);
        for _ in 0..loader.steps_per_epoch() {
            let batch = loader.next()?;
            samples += batch.rows;
            loader.recycle(batch);
        }
        rates.push(samples as f64 / start.elapsed().as_secs_f64());
    }
    let mut later = rates.split_off(1.min(rates.len()));
    later.sort_by(f64::total_cmp);
    println!("{}", later.get(later.len() / 2).ok_or("expected at least 2 epochs")?);
    Ok(())
}
