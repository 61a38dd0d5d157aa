//! The statistics as text for a terminal.

use std::collections::BTreeSet;
use std::fmt;

use super::classes::ClassCounts;
use super::columns::ColumnBytes;
use super::quarantine::StageFailures;
use super::report::Stats;
use super::sizes::{NamedExtent, Spread};
use super::table::AlignedTable;
use super::units::{
    bytes, bytes_each, count, counted, duration, number, printable, share, share_of, shortened,
};
use crate::warnings::WarningCount;

/// Classes listed; more are summed up in one row (`--json` has them all).
const CLASS_ROWS: usize = 60;

/// Characters of the longest class name, id and reason shown.
const NAME_WIDTH: usize = 32;
const ID_WIDTH: usize = 48;
const REASON_WIDTH: usize = 160;

/// Aligned text, one section after the other.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections = [
            self.header(),
            self.class_table(),
            self.quarantine_text(),
            self.warning_text(),
            self.size_table(),
            self.time_table(),
            self.coverage_line(),
            self.column_table(),
            self.shard_table(),
            self.view_table(),
            self.last_lines(),
        ];
        let filled: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
        f.write_str(&filled.join("\n"))
    }
}

impl Stats {
    fn header(&self) -> String {
        let d = &self.dataset;
        let up = ["x", "y", "z"][d.up_axis.index()];
        let s = &d.shape;
        let mut letters = format!(
            "S {} stored points, R {} x N {} points, G {} patches of K {}",
            count(s.S),
            count(s.R),
            count(s.N),
            count(s.G),
            count(s.K)
        );
        if s.V > 0 {
            letters += &format!(", V {} views of {} x {} pixels", count(s.V), s.W, s.H);
        }
        let counts = |(name, c): (&String, &jepa3d_schemas::SplitCounts)| match c.quarantined {
            0 => format!("{} {}", printable(name), count(c.written)),
            q => format!("{} {} (+{} quarantined)", printable(name), count(c.written), count(q)),
        };
        let splits: Vec<String> = d.splits.iter().map(counts).collect();
        let splits = if splits.is_empty() { "none".to_owned() } else { splits.join(", ") };
        format!(
            "{} (schema version {}, jepa3d {})\n  fingerprint  {}\n  letters      {letters}\n  \
             up axis      {up}\n  splits       {splits}\n",
            printable(&d.name),
            d.schema_version,
            printable(&d.tool_version),
            printable(&d.fingerprint),
        )
    }

    fn class_table(&self) -> String {
        let splits: BTreeSet<&String> = self.classes.iter().flat_map(|class| class.splits.keys()).collect();
        let splits: Vec<&String> = in_usual_order(splits);
        let has_failures = self.classes.iter().any(|class| class.quarantined > 0);
        let mut header = vec!["class".to_owned()];
        header.extend(splits.iter().map(|split| printable(split)));
        header.extend(["all", "share"].map(str::to_owned));
        header.extend(has_failures.then(|| "quarantined".to_owned()));
        let mut table = AlignedTable::new(header);
        let mut add = |name: String, class: &ClassCounts| {
            let in_split = |split: &&String| count(class.splits.get(*split).copied().unwrap_or(0));
            let mut cells = vec![name];
            cells.extend(splits.iter().map(in_split));
            cells.extend([count(class.written), share(class.share)]);
            cells.extend(has_failures.then(|| count(class.quarantined)));
            table.row(cells);
        };
        let shown = if self.classes.len() > CLASS_ROWS { CLASS_ROWS - 1 } else { self.classes.len() };
        for class in &self.classes[..shown] {
            add(class_name(class), class);
        }
        let rest = &self.classes[shown..];
        if !rest.is_empty() {
            add(format!("({} more)", count(rest.len())), &sum(rest));
        }
        if self.classes.len() > 1 {
            add("(all)".to_owned(), &sum(&self.classes));
        }
        let named = self.classes.iter().filter(|class| class.category.is_some()).count();
        let objects: usize = self.classes.iter().map(|class| class.written).sum();
        format!("{}, {}\n{}", counted(objects, "object"), counted(named, "class"), table.text())
    }

    fn quarantine_text(&self) -> String {
        let all: usize = self.quarantine.iter().map(|stage| stage.objects).sum();
        if all == 0 {
            return "no object quarantined\n".to_owned();
        }
        let mut out = format!("{} quarantined\n", counted(all, "object"));
        for StageFailures { stage, objects, examples } in &self.quarantine {
            out += &format!("  {}: {}\n", printable(stage), counted(*objects, "object"));
            for failure in examples {
                let id = shortened(&failure.id, ID_WIDTH);
                out += &format!("    {id}: {}\n", shortened(&failure.error, REASON_WIDTH));
            }
            if *objects > examples.len() {
                out += &format!("    ({} more in quarantine.jsonl)\n", count(objects - examples.len()));
            }
        }
        out
    }

    fn warning_text(&self) -> String {
        let mut out = String::new();
        for (name, WarningCount { objects, example, text }) in &self.warnings {
            let (id, text) = (shortened(example, ID_WIDTH), shortened(text, REASON_WIDTH));
            out += &format!("  {}: {}\n    {id}: {text}\n", printable(name), counted(*objects, "object"));
        }
        if out.is_empty() { out } else { format!("warnings\n{out}") }
    }

    fn size_table(&self) -> String {
        let sizes = &self.sizes;
        let [x, y, z] = sizes.extent;
        let counts = [
            ("stored points", sizes.points),
            ("source points", sizes.source_points),
            ("source triangles", sizes.source_triangles),
        ];
        let lengths = [
            ("extent x", x),
            ("extent y", y),
            ("extent z", z),
            ("longest side", sizes.longest_side),
            ("norm_scale", sizes.norm_scale),
        ];
        let mut table = AlignedTable::new(["size", "min", "p5", "median", "mean", "p95", "max"]);
        let mut add = |name: &str, s: Spread, show: fn(f64) -> String| {
            let cells = [show(s.min), show(s.p5), show(s.median), number(s.mean), show(s.p95), show(s.max)];
            table.row(std::iter::once(name.to_owned()).chain(cells));
        };
        for (name, spread) in counts.into_iter().filter_map(|(name, spread)| Some((name, spread?))) {
            add(name, spread, |x| number(x.round()));
        }
        for (name, spread) in lengths.into_iter().filter_map(|(name, spread)| Some((name, spread?))) {
            add(name, spread, number);
        }
        if sizes.points.is_none() {
            return String::new();
        }
        format!(
            "sizes (extents and norm_scale in units of the source)\n{}{}",
            table.text(),
            self.size_notes()
        )
    }

    fn size_notes(&self) -> String {
        let sizes = &self.sizes;
        let written: usize = self.classes.iter().map(|class| class.written).sum();
        let below = share_of(sizes.below_s as f64, written as f64);
        let s = count(self.dataset.shape.S);
        let mut out = format!("  fewer than S = {s} points: {} ({below})\n", counted(sizes.below_s, "cloud"));
        out += &format!("  with triangles: {} of {}\n", count(sizes.meshes), count(written));
        for (what, object) in [("smallest", &sizes.smallest), ("largest", &sizes.largest)] {
            if let Some(NamedExtent { id, extent }) = object {
                let [x, y, z] = extent.map(number);
                out += &format!("  {what}: {} ({x} x {y} x {z})\n", shortened(id, ID_WIDTH));
            }
        }
        if sizes.degenerate.is_empty() {
            out += "  degenerate: none\n";
        }
        for kind in &sizes.degenerate {
            let mut ids: Vec<String> = kind.examples.iter().map(|id| shortened(id, ID_WIDTH)).collect();
            ids.extend((kind.objects > ids.len()).then(|| "…".to_owned()));
            out += &format!("  {}: {} ({})\n", kind.kind, counted(kind.objects, "object"), ids.join(", "));
        }
        out
    }

    fn time_table(&self) -> String {
        if self.times.stages.is_empty() {
            return String::new();
        }
        let mut table = AlignedTable::new(["stage", "total", "share", "mean", "p50", "p95", "max"]);
        for t in &self.times.stages {
            let rest = [t.mean_ms, t.p50_ms, t.p95_ms, t.max_ms].map(duration);
            table.row([t.stage.to_owned(), duration(t.total_ms), share(t.share)].into_iter().chain(rest));
        }
        let mut slow = AlignedTable::new(["slowest", "all", "read", "sample", "group"]);
        for object in &self.times.slowest {
            let all = object.read_ms + object.sample_ms + object.group_ms;
            let times = [all, object.read_ms, object.sample_ms, object.group_ms].map(duration);
            slow.row(std::iter::once(shortened(&object.id, ID_WIDTH)).chain(times));
        }
        let objects = counted(self.times.objects, "object");
        format!("time of one thread, {objects}\n{}\n{}", table.text(), slow.text())
    }

    fn coverage_line(&self) -> String {
        let Some((coverage, s)) = self.coverage.as_ref().and_then(|c| Some((c, c.share?))) else {
            return String::new();
        };
        let (groupings, rows) = (counted(coverage.groupings, "grouping"), counted(coverage.rows, "row"));
        let [min, p5, median, max] = [s.min, s.p5, s.median, s.max].map(share);
        format!(
            "points in at least one patch ({groupings} of {rows})\n  \
             min {min}, p5 {p5}, median {median}, max {max} of the points of the grouping\n"
        )
    }

    fn column_table(&self) -> String {
        let rows: usize = self.shards.iter().map(|split| split.rows).sum();
        let sum = |get: fn(&ColumnBytes) -> u64| self.columns.iter().map(get).sum::<u64>();
        let (compressed, uncompressed) = (sum(|c| c.compressed), sum(|c| c.uncompressed));
        if compressed == 0 {
            return String::new();
        }
        let mut table =
            AlignedTable::new(["column", "compressed", "uncompressed", "ratio", "per sample", "share"]);
        let mut add = |name: &str, small: u64, large: u64| {
            let ratio =
                if small == 0 { "-".to_owned() } else { format!("{:.2}", large as f64 / small as f64) };
            let part = share_of(small as f64, compressed as f64);
            table.row([name.to_owned(), bytes(small), bytes(large), ratio, bytes_each(small, rows), part]);
        };
        for c in &self.columns {
            add(c.column, c.compressed, c.uncompressed);
        }
        add("(all)", compressed, uncompressed);
        format!("bytes by column\n{}", table.text())
    }

    fn shard_table(&self) -> String {
        let mut table =
            AlignedTable::new(["split", "shards", "row groups", "rows", "bytes", "per shard", "per sample"]);
        for s in &self.shards {
            table.row([
                printable(&s.split),
                count(s.shards),
                count(s.row_groups),
                count(s.rows),
                bytes(s.bytes),
                bytes_each(s.bytes, s.shards),
                bytes_each(s.bytes, s.rows),
            ]);
        }
        if self.shards.is_empty() { "no shards\n".to_owned() } else { format!("shards\n{}", table.text()) }
    }

    fn view_table(&self) -> String {
        let Some(views) = &self.views else { return String::new() };
        let mut table = AlignedTable::new(["views", "min", "p5", "median", "mean", "p95", "max"]);
        let mut add = |name: &str, spread: Option<Spread>, show: fn(f64) -> String| {
            if let Some(s) = spread {
                let cells = [s.min, s.p5, s.median, s.mean, s.p95, s.max].map(show);
                table.row(std::iter::once(name.to_owned()).chain(cells));
            }
        };
        add("views of a sample", views.per_sample, number);
        add("points that a view shows", views.visible, share);
        add("points that any view shows", views.covered, share);
        add("time of a sample's views", views.views_ms, duration);
        let each = |bytes: u64| bytes_each(bytes, views.views);
        let parts: Vec<String> =
            views.parts.iter().map(|part| format!("{} {}", part.part, each(part.bytes))).collect();
        format!(
            "{}, {} not made, {}\n{}  bytes of a view: {} ({})\n",
            counted(views.views, "view"),
            count(views.failures),
            bytes(views.bytes),
            table.text(),
            each(views.bytes),
            parts.join(", ")
        )
    }

    fn last_lines(&self) -> String {
        let notes = self.notes.iter().map(|note| format!("note: {}\n", printable(note)));
        let wrong = self.disagreements.iter().map(|warning| format!("warning: {}\n", printable(warning)));
        notes.chain(wrong).collect()
    }
}

/// train, val, test first, other splits after them by name.
pub(super) fn in_usual_order(splits: BTreeSet<&String>) -> Vec<&String> {
    let rank = |split: &str| ["train", "val", "test"].iter().position(|&s| s == split).unwrap_or(3);
    let mut splits: Vec<&String> = splits.into_iter().collect();
    splits.sort_by_key(|split| rank(split));
    splits
}

/// The name of a class as shown.
pub(super) fn class_name(class: &ClassCounts) -> String {
    class.category.as_deref().map_or("(no class)".to_owned(), |name| shortened(name, NAME_WIDTH))
}

/// Several classes as one.
pub(super) fn sum(classes: &[ClassCounts]) -> ClassCounts {
    let mut all = ClassCounts::default();
    for class in classes {
        for (split, objects) in &class.splits {
            *all.splits.entry(split.clone()).or_default() += objects;
        }
        all.written += class.written;
        all.share += class.share;
        all.quarantined += class.quarantined;
    }
    all
}
