//! The report of `jepa3d retrieve`: its tables, curves and plots, and pictures of what is found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jepa3d_inspect::{
    CurvePoint, ImageMark, ImageRow, Provenance, Report, ReportCell, ReportConfusion, ReportCurves,
    ReportImage, ReportImages, ReportSection, ReportSeries, ReportTable, render_samples, write_report,
};
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::{FeatureSet, MeanDeviation, Retrieval, RetrievalScores, RetrievedQuery, fixed_subset};

use super::feature_plane::project_features;

/// Ranks whose recall and precision are shown.
pub(crate) const CUTOFFS: [usize; 3] = [1, 5, 10];

/// Neighbours that are shown of a query.
const SHOWN: usize = 5;
/// Width and height of a picture.
const SIDE: u32 = 144;

/// What one encoder found.
pub(crate) struct RetrieveColumn {
    pub title: String,
    pub features: FeatureSet,
    pub retrieval: Retrieval,
}

/// Everything that the report is made of.
pub(crate) struct RetrieveReport<'a> {
    pub dataset: &'a PreparedDataset,
    pub columns: &'a [RetrieveColumn],
    /// What the queries are.
    pub part: String,
    /// Queries a class that are shown.
    pub queries: usize,
}

impl RetrieveReport<'_> {
    /// Writes the files of the report into a folder.
    pub(crate) fn write(&self, folder: &Path, provenance: Provenance) -> anyhow::Result<()> {
        let title = format!("Retrieval on {}", self.dataset.manifest().dataset);
        let mut report = Report::new(title, provenance);
        let Some(first) = self.columns.first() else { return Ok(()) };
        let scores = first.retrieval.scores();
        report.add_fact("mAP", format!("{:.1} %", scores.mean_average_precision));
        report.add_fact("recall@1", format!("{:.1} %", scores.recall.first().unwrap_or(&0.0)));
        report.add_fact("queries", scores.queries.to_string());
        report.add_fact("gallery", first.retrieval.gallery.values().sum::<usize>().to_string());
        report.add(ReportSection::Table(tabulate_scores(self.columns, &self.part)));
        report.add(ReportSection::Table(tabulate_classes(self.columns, self.dataset)));
        for (caption, pick) in
            [("Recall at k", pick_recall as PickScores), ("Precision at k", pick_precision)]
        {
            report.add(ReportSection::Curves(draw_ranks(self.columns, caption, pick)));
        }
        report.add(ReportSection::Confusion(self.confuse(first)));
        report.add(ReportSection::Images(self.picture(first)?));
        for column in self.columns {
            for plane in project_features(&column.features, self.dataset, &column.title)? {
                report.add(ReportSection::Scatter(plane));
            }
        }
        Ok(write_report(folder, &report)?)
    }

    /// What the nearest neighbour would make of every query.
    fn confuse(&self, column: &RetrieveColumn) -> ReportConfusion {
        let class = |label: Option<i32>| label.and_then(|l| usize::try_from(l).ok()).unwrap_or(usize::MAX);
        let queries = &column.retrieval.queries;
        let truth: Vec<usize> = queries.iter().map(|query| class(Some(query.label))).collect();
        let nearest = |query: &RetrievedQuery| column.features.labels[query.nearest[0]];
        let found: Vec<usize> = queries.iter().map(|query| class(nearest(query))).collect();
        let caption = format!("Class of the nearest neighbour: {}", column.title);
        ReportConfusion::count(caption, self.dataset.classes(), &truth, &found)
    }

    /// A few queries a class with what is nearest to them.
    fn picture(&self, column: &RetrieveColumn) -> anyhow::Result<ReportImages> {
        let ids = &column.features.ids;
        let chosen = choose_queries(column, self.queries);
        let rows = || chosen.iter().flat_map(|q| std::iter::once(&q.row).chain(q.nearest.iter().take(SHOWN)));
        let wanted: BTreeSet<String> = rows().map(|&row| ids[row].clone()).collect();
        let pictures = render_samples(self.dataset.folder(), &wanted, SIDE)?;
        let show = |query: &&RetrievedQuery| {
            let image = |row: usize, mark| {
                let class =
                    column.features.labels[row].map_or(String::new(), |l| name_class(self.dataset, l));
                let png = pictures.get(&ids[row]).map_or(&[][..], Vec::as_slice);
                // Most ids say it already.
                let id = &ids[row];
                let caption = if id.contains(&class) { id.clone() } else { format!("{class}: {id}") };
                ReportImage::new(png, caption, mark)
            };
            let mut images = vec![image(query.row, ImageMark::Query)];
            let nearest = query.nearest.iter().zip(&query.is_right).take(SHOWN);
            images.extend(nearest.map(|(&row, &is_right)| {
                image(row, if is_right { ImageMark::Right } else { ImageMark::Wrong })
            }));
            let title = name_class(self.dataset, query.label);
            let title = format!("{title}, average precision {:.2}", query.average_precision);
            ImageRow { title, images, ..ImageRow::default() }
        };
        let note = format!(
            "{} queries a class, those with the lowest hashes of their ids, and the {SHOWN} nearest to each; right is what \
             has the query's class",
            self.queries
        );
        let caption = format!("Nearest neighbours: {}", column.title);
        Ok(ReportImages { caption, rows: chosen.iter().map(show).collect(), note })
    }
}

/// The queries with the lowest hashes of their ids, of every class as many, in the order of the classes.
fn choose_queries(column: &RetrieveColumn, count: usize) -> Vec<&RetrievedQuery> {
    let mut by_class = BTreeMap::<i32, Vec<&RetrievedQuery>>::new();
    for query in &column.retrieval.queries {
        by_class.entry(query.label).or_default().push(query);
    }
    let mut chosen = Vec::new();
    for queries in by_class.into_values() {
        let ids: Vec<&str> = queries.iter().map(|query| column.features.ids[query.row].as_str()).collect();
        chosen.extend(fixed_subset(&ids, count).into_iter().map(|i| queries[i]));
    }
    chosen
}

/// Measures of all queries, a column an encoder.
pub(crate) fn tabulate_scores(columns: &[RetrieveColumn], part: &str) -> ReportTable {
    let scores: Vec<RetrievalScores> = columns.iter().map(|column| column.retrieval.scores()).collect();
    let mut table = ReportTable { caption: "Retrieval".to_owned(), ..ReportTable::default() };
    table.header = std::iter::once(String::new()).chain(columns.iter().map(|c| c.title.clone())).collect();
    let mut push = |name: String, values: Vec<f64>| {
        let cells = values.into_iter().map(|value| ReportCell::number(value, 1));
        table.rows.push(std::iter::once(ReportCell::text(name)).chain(cells).collect());
    };
    push("mAP".to_owned(), scores.iter().map(|s| s.mean_average_precision).collect());
    push("mAP, mean of the classes".to_owned(), columns.iter().map(average_classes).collect());
    let depth = columns.iter().map(|column| column.retrieval.depth).min().unwrap_or(0);
    for k in CUTOFFS.into_iter().filter(|&k| k <= depth) {
        push(format!("recall@{k}"), scores.iter().map(|s| s.recall[k - 1]).collect());
        push(format!("precision@{k}"), scores.iter().map(|s| s.precision[k - 1]).collect());
    }
    let gallery = columns.first().map_or(0, |column| column.retrieval.gallery.values().sum());
    table.note = format!(
        "percent over {} queries ({part}) in a gallery of {gallery} samples; cosine of standardised features; recall@k: queries \
         with one of their class among the first k",
        scores.first().map_or(0, |s| s.queries),
    );
    table
}

fn average_classes(column: &RetrieveColumn) -> f64 {
    let scores = column.retrieval.scores_by_class();
    let precisions: Vec<f64> = scores.values().map(|scores| scores.mean_average_precision).collect();
    MeanDeviation::measure(&precisions).mean
}

/// Measures of every class, columns of each encoder.
pub(crate) fn tabulate_classes(columns: &[RetrieveColumn], dataset: &PreparedDataset) -> ReportTable {
    let mut table = ReportTable { caption: "By class".to_owned(), ..ReportTable::default() };
    table.header = ["class", "queries", "gallery"].map(str::to_owned).to_vec();
    let by_class: Vec<_> = columns.iter().map(|column| column.retrieval.scores_by_class()).collect();
    for column in columns {
        table.header.extend([format!("mAP: {}", column.title), format!("recall@1: {}", column.title)]);
    }
    let Some(first) = columns.first() else { return table };
    for (label, gallery) in &first.retrieval.gallery {
        let queries = by_class[0].get(label).map_or(0, |scores| scores.queries);
        let counts = [queries as f64, *gallery as f64].map(|count| ReportCell::number(count, 0));
        let mut row = vec![ReportCell::text(name_class(dataset, *label))];
        row.extend(counts);
        for scores in &by_class {
            row.extend(match scores.get(label) {
                None => ["-", "-"].map(ReportCell::text),
                Some(scores) => {
                    [scores.mean_average_precision, scores.recall.first().copied().unwrap_or(0.0)]
                        .map(|value| ReportCell::number(value, 1))
                }
            });
        }
        table.rows.push(row);
    }
    for (label, queries) in &first.retrieval.left_out {
        let class = name_class(dataset, *label);
        table.note +=
            &format!("{class}: {queries} queries are left out, the gallery has nothing of this class. ");
    }
    table
}

/// A measure at every rank.
type PickScores = fn(RetrievalScores) -> Vec<f64>;

fn pick_recall(scores: RetrievalScores) -> Vec<f64> {
    scores.recall
}

fn pick_precision(scores: RetrievalScores) -> Vec<f64> {
    scores.precision
}

fn draw_ranks(columns: &[RetrieveColumn], caption: &str, pick: PickScores) -> ReportCurves {
    let series = columns.iter().map(|column| {
        let values = pick(column.retrieval.scores()).into_iter().enumerate();
        let points = values.map(|(rank, value)| CurvePoint::new((rank + 1) as f64, value)).collect();
        ReportSeries { name: column.title.clone(), points }
    });
    let (x, y) = ("k".to_owned(), "percent".to_owned());
    ReportCurves { caption: caption.to_owned(), x, y, series: series.collect(), ..Default::default() }
}

/// The name of a class, or its number where it has none.
pub(crate) fn name_class(dataset: &PreparedDataset, label: i32) -> String {
    let name = usize::try_from(label).ok().and_then(|label| dataset.classes().get(label));
    name.cloned().unwrap_or_else(|| format!("class {label}"))
}
