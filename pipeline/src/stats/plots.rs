//! The statistics as pictures: one PNG a question.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jepa3d_charts::{
    Bar, BarChart, COLORS, ChartLabels, GREY, Histogram, HistogramAxis, HistogramSeries, LegendEntry,
    ValueMark,
};
use jepa3d_schemas::{CatalogRow, write_atomically};

use super::classes::{self, ClassCounts};
use super::columns::{self, ColumnBytes};
use super::complete_set::CompleteSet;
use super::coverage::{self, Covered};
use super::tables::{class_name, in_usual_order, sum};
use super::units::{bytes, bytes_each, count, counted, duration, share};
use super::{frame, sizes};
use crate::error::{Error, Result};
use crate::prepare::WRITTEN;

/// Bars of the class chart; smaller classes are left to the tables.
const CLASS_BARS: usize = 40;

/// Colour of what could not be prepared.
const QUARANTINED: &str = "#222222";

/// Draws the plots of the prepared dataset in `folder` into `out`, 900 x 600 pixels each:
/// `classes`, `extents`, `points`, `times`, `bytes` and `coverage`, `.png`.
///
/// A plot without anything to show is left out. Returns the files written.
///
/// # Errors
/// Fails if the dataset is not complete or cannot be read, or a PNG cannot be written.
pub fn plots(folder: &Path, out: &Path) -> Result<Vec<PathBuf>> {
    let CompleteSet { manifest, catalog } = CompleteSet::read(folder)?;
    let classes = classes::count(&frame::objects(&catalog)?, &manifest.classes)?;
    let (columns, shards) = columns::read(folder, &manifest)?;
    let covered = coverage::sample(folder, &manifest, &catalog)?;
    std::fs::create_dir_all(out).map_err(|e| jepa3d_schemas::Error::io(out, e))?;
    let written: Vec<&CatalogRow> = catalog.iter().filter(|row| row.status == WRITTEN).collect();
    let rows = shards.iter().map(|split| split.rows).sum();
    let drawing = Drawing { dataset: &manifest.dataset, out };
    let drawn = [
        drawing.classes(&classes)?,
        drawing.extents(&written)?,
        drawing.points(&written, manifest.shape.S)?,
        drawing.times(&catalog)?,
        drawing.bytes(&columns, rows)?,
        drawing.coverage(covered.as_ref())?,
    ];
    Ok(drawn.into_iter().flatten().collect())
}

/// What all plots of a dataset share.
struct Drawing<'a> {
    dataset: &'a str,
    out: &'a Path,
}

type Drawn = Result<Option<PathBuf>>;

impl Drawing<'_> {
    /// Writes the picture `name`, and says where.
    fn save(&self, name: &str, picture: jepa3d_charts::Result<Vec<u8>>) -> Drawn {
        let path = self.out.join(name);
        let png = picture.map_err(|source| Error::Plot { path: path.clone(), source })?;
        write_atomically(&path, &png)?;
        Ok(Some(path))
    }

    fn title(&self, what: &str) -> String {
        format!("{}: {what}", self.dataset)
    }

    fn classes(&self, classes: &[ClassCounts]) -> Drawn {
        let all = sum(classes);
        if all.written + all.quarantined == 0 {
            return Ok(None);
        }
        let splits: BTreeSet<&String> = all.splits.keys().collect();
        let splits = in_usual_order(splits);
        let entry = |(i, split): (usize, &&String)| LegendEntry {
            name: format!("{split} ({})", count(all.splits[*split])),
            color: COLORS[i % COLORS.len()],
        };
        let mut legend: Vec<LegendEntry> = splits.iter().enumerate().map(entry).collect();
        if all.quarantined > 0 {
            let name = format!("quarantined ({})", count(all.quarantined));
            legend.push(LegendEntry { name, color: QUARANTINED });
        }
        let bar = |name: String, class: &ClassCounts| {
            let in_split = |split: &&String| class.splits.get(*split).copied().unwrap_or(0) as f64;
            let failed = (all.quarantined > 0).then_some(class.quarantined as f64);
            let note = format!("{} ({})", count(class.written), share(class.share));
            Bar { name, note, values: splits.iter().map(in_split).chain(failed).collect() }
        };
        let named = classes.iter().filter(|class| class.category.is_some()).count();
        let mut subtitle = format!("{}, {}", counted(all.written, "object"), counted(named, "class"));
        let (shown, rest) = classes.split_at(classes.len().min(CLASS_BARS));
        if !rest.is_empty() {
            let objects = counted(sum(rest).written, "object");
            subtitle += &format!("; the {} smallest, with {objects}, are not shown", count(rest.len()));
        }
        let bars: Vec<Bar> = shown.iter().map(|class| bar(class_name(class), class)).collect();
        let labels = ChartLabels { title: self.title("objects per class"), subtitle, x: "objects", y: "" };
        self.save("classes.png", BarChart { labels, legend, bars, stacked: true }.draw())
    }

    fn extents(&self, written: &[&CatalogRow]) -> Drawn {
        let of = |name: &str, color, get: fn(&CatalogRow) -> f64| series(written, name, color, get);
        let series = vec![
            of("longest side", GREY, |r| frame::longest_side(r.extent)),
            of("x", COLORS[0], |r| r.extent[0]),
            of("y", COLORS[1], |r| r.extent[1]),
            of("z", COLORS[2], |r| r.extent[2]),
        ];
        let zero = written.iter().filter(|r| frame::longest_side(r.extent) <= 0.0).count();
        let flat = written.iter().filter(|r| r.extent.iter().any(|&x| x <= 0.0)).count() - zero;
        if written.len() == zero {
            return Ok(None);
        }
        let labels = ChartLabels {
            title: self.title("raw size of the objects"),
            subtitle: format!(
                "{}; not shown: {} without extent, {} flat along an axis",
                counted(written.len(), "object"),
                count(zero),
                count(flat)
            ),
            x: "size of the bounding box (units of the source, log scale)",
            y: "objects",
        };
        self.save("extents.png", Histogram { labels, axis: HistogramAxis::Log, series, mark: None }.draw())
    }

    fn points(&self, written: &[&CatalogRow], s: usize) -> Drawn {
        let below = written.iter().filter(|r| (r.points as usize) < s).count();
        let series = vec![
            series(written, "in the source (a mesh: vertices)", GREY, |r| f64::from(r.source_points)),
            series(written, "stored", COLORS[0], |r| f64::from(r.points)),
        ];
        if written.is_empty() {
            return Ok(None);
        }
        let labels = ChartLabels {
            title: self.title("points per cloud"),
            subtitle: format!("{}, {} below S = {}", counted(written.len(), "cloud"), count(below), count(s)),
            x: "points (log scale)",
            y: "clouds",
        };
        let mark = Some(ValueMark { value: s as f64, name: format!("S = {}", count(s)) });
        self.save("points.png", Histogram { labels, axis: HistogramAxis::Log, series, mark }.draw())
    }

    fn times(&self, catalog: &[CatalogRow]) -> Drawn {
        let rows: Vec<&CatalogRow> = catalog.iter().collect();
        let stage = |name: &str, color, get: fn(&CatalogRow) -> f64| {
            let stage = series(&rows, name, color, get);
            let total: f64 = stage.values.iter().filter(|ms| ms.is_finite()).sum();
            HistogramSeries { name: format!("{name} ({})", duration(total)), ..stage }
        };
        let series = vec![
            stage("read", COLORS[0], |r| r.read_ms),
            stage("sample", COLORS[1], |r| r.sample_ms),
            stage("group", COLORS[2], |r| r.group_ms),
        ];
        let total: f64 = series.iter().flat_map(|s| s.values.iter()).filter(|ms| ms.is_finite()).sum();
        if total <= 0.0 {
            return Ok(None);
        }
        let each = duration(total / rows.len() as f64);
        let labels = ChartLabels {
            title: self.title("time per object and stage"),
            subtitle: format!(
                "{}, {each} each, {} of one thread",
                counted(rows.len(), "object"),
                duration(total)
            ),
            x: "milliseconds (log scale)",
            y: "objects",
        };
        self.save("times.png", Histogram { labels, axis: HistogramAxis::Log, series, mark: None }.draw())
    }

    fn bytes(&self, columns: &[ColumnBytes], rows: usize) -> Drawn {
        let all = total("all", columns.iter());
        if rows == 0 || all.compressed == 0 {
            return Ok(None);
        }
        // Columns of less than 0.5 % would be bars of no width.
        let (shown, rest): (Vec<_>, Vec<_>) =
            columns.iter().partition(|c| c.compressed * 200 >= all.compressed);
        let each = |n: u64| n as f64 / rows as f64 / 1e3;
        let bar = |name: String, c: &ColumnBytes| Bar {
            name,
            values: vec![each(c.compressed), each(c.uncompressed)],
            note: format!(
                "{} ({})",
                bytes_each(c.compressed, rows),
                share(c.compressed as f64 / all.compressed as f64)
            ),
        };
        let mut bars: Vec<Bar> = shown.iter().map(|c| bar(c.column.to_owned(), c)).collect();
        if !rest.is_empty() {
            bars.push(bar(format!("({} more)", rest.len()), &total("rest", rest.into_iter())));
        }
        let legend = vec![
            LegendEntry { name: format!("compressed ({} in all)", bytes(all.compressed)), color: COLORS[0] },
            LegendEntry { name: format!("uncompressed ({})", bytes(all.uncompressed)), color: GREY },
        ];
        let samples = counted(rows, "sample");
        let labels = ChartLabels {
            title: self.title("bytes per column"),
            subtitle: format!("{samples}, {} each compressed", bytes_each(all.compressed, rows)),
            x: "kB per sample",
            y: "",
        };
        self.save("bytes.png", BarChart { labels, legend, bars, stacked: false }.draw())
    }

    fn coverage(&self, covered: Option<&Covered>) -> Drawn {
        let Some(covered) = covered else { return Ok(None) };
        let Some(spread) = sizes::spread_of(covered.share.clone())? else { return Ok(None) };
        let groupings = counted(covered.share.len(), "grouping");
        let labels = ChartLabels {
            title: self.title("points in at least one patch"),
            subtitle: format!("{groupings} of {}", counted(covered.rows, "sample")),
            x: "distinct points in the patches of a grouping (% of its points)",
            y: "groupings",
        };
        let series = vec![HistogramSeries {
            name: "groupings".to_owned(),
            color: COLORS[0],
            values: covered.share.clone(),
        }];
        let mark = Some(ValueMark {
            value: 100.0 * spread.median,
            name: format!("median {}", share(spread.median)),
        });
        self.save("coverage.png", Histogram { labels, axis: HistogramAxis::Percent, series, mark }.draw())
    }
}

fn series(
    rows: &[&CatalogRow],
    name: &str,
    color: &'static str,
    get: fn(&CatalogRow) -> f64,
) -> HistogramSeries {
    HistogramSeries { name: name.to_owned(), color, values: rows.iter().map(|row| get(row)).collect() }
}

/// The bytes of several columns as one.
fn total<'a>(column: &'static str, columns: impl Iterator<Item = &'a ColumnBytes>) -> ColumnBytes {
    let none = ColumnBytes { column, compressed: 0, uncompressed: 0 };
    columns.fold(none, |sum, c| ColumnBytes {
        column,
        compressed: sum.compressed + c.compressed,
        uncompressed: sum.uncompressed + c.uncompressed,
    })
}
