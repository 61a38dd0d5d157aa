//! How many samples a second become ready batches, and what the parts cost.
//!
//! `loader DIR --threads T --buffer B --epochs E [--from shard|online] [--subset farthest|random] [--sensor MOST]`: one
//! warming epoch (it also hashes the shards), then whole epochs, with `--sensor` of two clouds a sample; prints one JSON line with the rate of the median epoch, wall clock from one epoch's
//! last batch to the next one's. Batches of 128 are taken, read at one place and given back.
//!
//! `loader quality`: how good the shuffle is at several buffer sizes, as rows of a table.

use std::sync::Arc;
use std::time::Instant;

use jepa3d_loader::{
    Augment, EpochOrder, Loader, LoaderConfig, PatchesFrom, PointSubset, PreparedDataset, Result, Sensor,
    resident_rows, shuffle_quality,
};

/// The value after a flag.
fn value<'a>(args: &'a [String], flag: &str, default: &'a str) -> &'a str {
    args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1)).map_or(default, String::as_str)
}

/// Processor time of this process in seconds, to a hundredth; NaN where Linux does not tell.
fn processor_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything but its closing bracket: user and system time in ticks.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks: Vec<f64> = after.split_whitespace().skip(11).take(2).filter_map(|x| x.parse().ok()).collect();
    if ticks.len() == 2 { (ticks[0] + ticks[1]) / 100.0 } else { f64::NAN }
}

/// The mean of 20 epochs of 64 row groups of 128 rows, in batches of 128.
fn print_quality() {
    let (group_rows, epochs) = (vec![128; 64], 20);
    for buffer in [1, 256, 512, 1024, 2048, 4096, 8192] {
        let order = EpochOrder { fingerprint: "f".into(), seed: 3, buffer, group_rows: group_rows.clone() };
        let (mut sum, mut held) = ([0.0; 4], 0);
        for epoch in 0..epochs {
            let rows = order.rows(epoch);
            let q = shuffle_quality(&rows, &group_rows, 128);
            let parts = [q.displacement, q.rank_correlation.abs(), q.neighbours_apart, q.groups_of_batch];
            (0..4).for_each(|i| sum[i] += parts[i] / epochs as f64);
            held = held.max(resident_rows(&rows, &group_rows));
        }
        let [moved, correlation, apart, groups] = sum;
        println!("| {buffer} | {moved:.2} | {correlation:.3} | {apart:.3} | {groups:.2} | {held} |");
    }
}

/// The number after a flag.
fn number(args: &[String], flag: &str, default: &str) -> usize {
    value(args, flag, default).parse().expect("a number")
}

fn read_config(args: &[String], dataset: &PreparedDataset) -> LoaderConfig {
    let is_online = value(args, "--from", "shard") == "online";
    let has_sensor = args.iter().any(|arg| arg == "--sensor");
    let sensor = || Sensor { most: number(args, "--sensor", "2"), clean: 0.0, ..Sensor::default() };
    LoaderConfig {
        split: value(args, "--split", dataset.splits()[0].0).to_owned(),
        threads: number(args, "--threads", "1"),
        shuffle_buffer: number(args, "--buffer", "1024"),
        patches_from: if is_online { PatchesFrom::Online } else { PatchesFrom::Shard },
        augment: if is_online { Augment::official() } else { Augment::default() },
        subset: match value(args, "--subset", "farthest") {
            "random" => PointSubset::Random,
            _ => PointSubset::Farthest,
        },
        sensor: has_sensor.then(sensor),
        ..LoaderConfig::default()
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "quality") {
        print_quality();
        return Ok(());
    }
    let Some(folder) = args.get(1).filter(|arg| !arg.starts_with("--")) else {
        eprintln!(
            "usage: loader DIR [--threads T] [--buffer B] [--epochs E] [--from shard|online] [--subset farthest|random] \
             [--sensor MOST]"
        );
        return Ok(());
    };
    let dataset = Arc::new(PreparedDataset::open(folder.as_ref())?);
    let config = read_config(&args, &dataset);
    let started = Instant::now();
    let mut loader = Loader::start(&dataset, config, 0)?;
    let steps = loader.steps_per_epoch();
    let (mut seconds, mut checksum, mut seen) = (Vec::new(), 0.0, 0);
    let (epochs, mut used) = (number(&args, "--epochs", "5"), 0.0);
    for epoch in 0..=epochs {
        used = if epoch == 1 { processor_s() } else { used };
        let start = if epoch == 0 { started } else { Instant::now() };
        seen = 0;
        for _ in 0..steps {
            let batch = loader.next()?;
            checksum += f64::from(batch.patches[0] + batch.centers[0]);
            seen += batch.rows;
            loader.recycle(batch);
        }
        seconds.push(start.elapsed().as_secs_f64());
    }
    let used = (processor_s() - used) / (seen * epochs.max(1)) as f64 * 1e6;
    let first = seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    println!(
        "{{\"samples_per_s\": {:.0}, \"processor_us\": {used:.1}, \"samples\": {seen}, \"first_epoch_s\": {first:.4}, \"resident_rows\": {}, \
         \"checksum\": {checksum}}}",
        seen as f64 / seconds[seconds.len() / 2],
        loader.resident_rows(),
    );
    Ok(())
}
