//! Reports in and out of their files, and what a page may never do.

use super::page::render_page;
use super::*;

fn provenance(name: &str) -> Provenance {
    Provenance {
        name: String::new(),
        command: format!("jepa3d probe {name} --data out/set --out {name}"),
        seeds: vec![1, 2],
        inputs: vec![ReportFact::new("dataset", "out/set (fingerprint 9e45ac23)")],
        tool_version: "0.1.0".to_owned(),
        processor: "a processor".to_owned(),
        threads: 2,
    }
}

fn table(rows: &[(&str, f64, f64)]) -> ReportSection {
    let cells = |row: &(&str, f64, f64)| {
        vec![ReportCell::text(row.0), ReportCell::number(row.1, 1), ReportCell::spread(row.2, 0.125, 1)]
    };
    ReportSection::Table(ReportTable {
        caption: "Accuracy".to_owned(),
        header: ["", "pretrained", "random"].map(str::to_owned).to_vec(),
        rows: rows.iter().map(cells).collect(),
        note: "on the validation part".to_owned(),
    })
}

fn curves(scale: f64) -> ReportSection {
    let mut points: Vec<CurvePoint> =
        (0..5).map(|i| CurvePoint::spread(f64::from(i), scale * f64::from(i).sqrt(), 0.1)).collect();
    points.push(CurvePoint::new(5.0, f64::NAN));
    let series = vec![ReportSeries { name: "model".to_owned(), points }];
    let (caption, x, y) = ("By severity".to_owned(), "severity".to_owned(), "accuracy".to_owned());
    ReportSection::Curves(ReportCurves { caption, x, y, series, ..Default::default() })
}

/// A report of every kind of part, with `name` wherever text of data can stand.
fn example(name: &str) -> Report {
    let classes = vec![name.to_owned(), "chair".to_owned()];
    let mut report = Report::new(name, provenance(name));
    report.add_fact(name, name);
    report.add(table(&[("SVM", 93.061_25, 91.0), (name, 1.0 / 3.0, f64::INFINITY)]));
    report.add(curves(10.0));
    report.add(ReportSection::Confusion(ReportConfusion::count(
        name,
        &classes,
        &[0, 1, 1, 7],
        &[0, 0, 1, 1],
    )));
    let points = vec![ScatterPoint::new(0.1, -2.0, 0).unwrap(), ScatterPoint::new(1.0, 1.0, 1).unwrap()];
    report.add(ReportSection::Scatter(ReportScatter {
        caption: name.to_owned(),
        classes,
        points,
        note: name.to_owned(),
    }));
    let images = [ImageMark::Plain, ImageMark::Query, ImageMark::Right, ImageMark::Wrong]
        .map(|mark| ReportImage::new(b"\x89PNG bytes", name, mark));
    let legend = vec![LegendColor { name: name.to_owned(), color: [1, 20, 255] }];
    let rows = vec![
        ImageRow { title: name.to_owned(), images: images.to_vec(), legend },
        ImageRow { title: name.to_owned(), images: images[..3].to_vec(), ..ImageRow::default() },
    ];
    report.add(ReportSection::Images(ReportImages { caption: name.to_owned(), rows, note: String::new() }));
    report
        .add(ReportSection::Text(ReportText { caption: name.to_owned(), text: format!("{name}\n\n{name}") }));
    report
}

#[test]
fn a_report_comes_back_as_it_was_and_leaves_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a/b");
    let report = example("lamp \u{202e}");
    write_report(&out, &report).unwrap();
    assert_eq!(read_report(&out).unwrap(), report);
    let bytes = || [REPORT_JSON, REPORT_PAGE].map(|file| std::fs::read(out.join(file)).unwrap());
    let first = bytes();
    write_report(&out, &read_report(&out).unwrap()).unwrap();
    assert!(first == bytes());
}

#[test]
fn a_page_runs_and_loads_nothing_whatever_the_data_are_called() {
    let page = render_page(&example("<script>alert('\"&')</script><img src=x onerror=y>"));
    for never in ["<script", "http:", "https:", "<img src=x", "<link", "@import", "url("] {
        assert!(!page.contains(never), "{never}");
    }
    assert_eq!(page.matches("src=\"").count(), page.matches("src=\"data:image/png;base64,").count());
    assert!(page.contains("&lt;script&gt;alert(&#39;&quot;&amp;&#39;)"));
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("style=\"background:#0114ff\"></i>&lt;script&gt;"));
    assert_eq!(page.matches("<div class=\"images large\">").count(), 1);
    let mut sly = example("x");
    if let ReportSection::Images(images) = &mut sly.sections[4] {
        images.rows[0].images[0].png = "AA==\" onload=\"alert(1)".to_owned();
    }
    assert!(!render_page(&sly).contains("onload=\"alert"), "a picture does not end its attribute");
}

#[test]
fn tags_of_a_page_are_closed() {
    let page = render_page(&example("a < b"));
    for tag in ["section", "table", "tr", "td", "th", "figure", "svg", "ul", "li", "div", "dl", "g", "span"] {
        let (opened, closed) = (format!("<{tag}"), format!("</{tag}>"));
        let starts =
            page.match_indices(&opened).filter(|(at, _)| page[at + opened.len()..].starts_with([' ', '>']));
        assert_eq!(starts.count(), page.matches(&closed).count(), "{tag}");
    }
    assert!(page.contains("1 values are not finite"));
    assert!(page.contains("2 of 3 right: 66.7 %; mean over the 2 classes that occur: 75.0 %"));
}

#[test]
fn an_empty_report_has_a_page() {
    let mut report = Report::new("", Provenance::default());
    report.add(ReportSection::Curves(ReportCurves::default()));
    report.add(ReportSection::Scatter(ReportScatter::default()));
    report.add(ReportSection::Confusion(ReportConfusion::default()));
    report.add(ReportSection::Table(ReportTable::default()));
    report.add(ReportSection::Images(ReportImages::default()));
    assert!(!render_page(&report).contains("NaN"));
}

#[test]
fn rows_columns_and_curves_of_one_name_stand_side_by_side() {
    let mut a = Report::new("a probe", provenance("a"));
    let mut b = Report::new("another", provenance("b"));
    a.add_fact("samples", "793");
    a.add(table(&[("SVM", 93.0, 91.0), ("kNN", 90.0, 80.0)]));
    b.add(table(&[("kNN", 88.0, 81.0), ("rank", 12.0, 3.0)]));
    a.add(curves(1.0));
    b.add(curves(2.0));
    b.add(ReportSection::Confusion(ReportConfusion { caption: "Who".to_owned(), ..Default::default() }));
    let merged = compare_reports(&["a".to_owned(), "b".to_owned()], &[a, b]);
    let texts = |table: &ReportTable| -> Vec<String> {
        let rows =
            table.rows.iter().map(|row| row.iter().map(|c| c.text.as_str()).collect::<Vec<_>>().join("|"));
        std::iter::once(table.header.join("|")).chain(rows).collect()
    };
    let [ReportSection::Table(facts), ReportSection::Table(table), ReportSection::Curves(curves), other] =
        merged.sections.as_slice()
    else {
        panic!("{:?}", merged.sections.iter().map(ReportSection::caption).collect::<Vec<_>>())
    };
    assert_eq!(texts(facts), ["|a|b", "report|a probe|another", "samples|793|-"]);
    let expected = [
        "|pretrained: a|pretrained: b|random: a|random: b",
        "SVM|93.0|-|91.0 ± 0.1|-",
        "kNN|90.0|88.0|80.0 ± 0.1|81.0 ± 0.1",
        "rank|-|12.0|-|3.0 ± 0.1",
    ];
    assert_eq!(texts(table), expected);
    assert_eq!(table.note, "on the validation part");
    assert_eq!(curves.series.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a: model", "b: model"]);
    assert_eq!(other.caption(), "Who: b");
    assert_eq!(merged.provenance.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn what_is_no_report_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |text: Option<&str>| {
        if let Some(text) = text {
            std::fs::write(folder.path().join(REPORT_JSON), text).unwrap();
        }
        read_report(folder.path()).unwrap_err().to_string()
    };
    let missing = refused(None);
    assert!(missing.contains("report.json") && missing.ends_with("found none"), "{missing}");
    let torn = refused(Some("{\"format\": \"jepa3d rep"));
    assert!(torn.contains("report.json") && torn.contains("EOF"), "{torn}");
    assert!(refused(Some("[1]")).contains("format: expected jepa3d report 1"), "{}", refused(Some("[1]")));
    let newer = refused(Some("{\"format\": \"jepa3d report\", \"version\": 2}"));
    assert!(newer.contains("version") && newer.ends_with("found 2"), "{newer}");
    let partial = refused(Some("{\"format\": \"jepa3d report\", \"version\": 1}"));
    assert!(partial.contains("missing field `title`"), "{partial}");
}
