//! The page of a report: one HTML file without a script, which asks nobody for anything.

use std::fmt::Write;

use super::confusion_part::render_confusion;
use super::curves_part::render_curves;
use super::document::{Provenance, Report, ReportFact};
use super::escape::escape;
use super::scatter_part::{render_scatter, render_scatter_styles};
use super::sections::{
    ImageMark, LegendColor, ReportImage, ReportImages, ReportSection, ReportTable, ReportText,
};

/// A reader's browser is told to load nothing and to run nothing, whatever stands in the page.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
    <meta name=\"color-scheme\" content=\"light dark\">";

/// The whole page, a function of the report.
pub(crate) fn render_page(report: &Report) -> String {
    let title = escape(&report.title);
    let styles = include_str!("page.css");
    let classes = report.sections.iter().map(|section| match section {
        ReportSection::Scatter(scatter) => scatter.classes.len(),
        _ => 0,
    });
    let scatter_styles = render_scatter_styles(classes.max().unwrap_or(0));
    let mut out =
        format!("{HEAD}<title>{title}</title><style>{styles}{scatter_styles}</style></head><body><main>");
    let _ = write!(out, "<h1>{title}</h1>");
    out += &render_facts(&report.facts);
    for section in &report.sections {
        let caption = escape(section.caption());
        let _ = writeln!(out, "<section><h2>{caption}</h2>{}</section>", render_section(section));
    }
    out += &render_provenance(&report.provenance);
    out + "</main></body></html>\n"
}

fn render_facts(facts: &[ReportFact]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let fact = |fact: &ReportFact| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(&fact.name), escape(&fact.value))
    };
    format!("<dl class=\"facts\">{}</dl>\n", facts.iter().map(fact).collect::<String>())
}

fn render_section(section: &ReportSection) -> String {
    match section {
        ReportSection::Table(table) => render_table(table) + &render_note(&table.note),
        ReportSection::Curves(curves) => render_curves(curves) + &render_note(&curves.note),
        ReportSection::Confusion(confusion) => render_confusion(confusion) + &render_note(&confusion.note),
        ReportSection::Scatter(scatter) => render_scatter(scatter) + &render_note(&scatter.note),
        ReportSection::Images(images) => render_images(images) + &render_note(&images.note),
        ReportSection::Text(text) => render_text(text),
    }
}

fn render_note(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>", escape(note)) }
}

fn render_text(text: &ReportText) -> String {
    text.text
        .split("\n\n")
        .map(|paragraph| format!("<p>{}</p>", escape(&paragraph.replace('\n', " "))))
        .collect()
}

fn render_table(table: &ReportTable) -> String {
    let mut out = String::from("<div class=\"wide\"><table><thead><tr>");
    for name in &table.header {
        let _ = write!(out, "<th>{}</th>", escape(name));
    }
    out += "</tr></thead><tbody>";
    for row in &table.rows {
        out += "<tr>";
        for (i, cell) in row.iter().enumerate() {
            let (text, kind) = (escape(&cell.text), if cell.value.is_some() { " class=\"n\"" } else { "" });
            out += &match i {
                0 => format!("<th>{text}</th>"),
                _ => format!("<td{kind}>{text}</td>"),
            };
        }
        out += "</tr>";
    }
    out + "</tbody></table></div>"
}

fn render_images(section: &ReportImages) -> String {
    let mut out = String::new();
    for row in &section.rows {
        if !row.title.is_empty() {
            let _ = write!(out, "<h3>{}</h3>", escape(&row.title));
        }
        let images: String = row.images.iter().map(render_image).collect();
        // What stands beside each other to be compared may be larger than what is one of many.
        let size = if row.images.len() <= 3 { " large" } else { "" };
        let _ = write!(out, "<div class=\"images{size}\">{images}</div>{}", render_legend(&row.legend));
    }
    out
}

fn render_legend(legend: &[LegendColor]) -> String {
    if legend.is_empty() {
        return String::new();
    }
    let entry = |LegendColor { name, color: [r, g, b] }: &LegendColor| {
        format!("<li><i class=\"dot\" style=\"background:#{r:02x}{g:02x}{b:02x}\"></i>{}</li>", escape(name))
    };
    format!("<ul class=\"legend keys\">{}</ul>", legend.iter().map(entry).collect::<String>())
}

fn render_image(image: &ReportImage) -> String {
    let (kind, word) = match image.mark {
        ImageMark::Plain => ("plain", ""),
        ImageMark::Query => ("query", "query"),
        ImageMark::Right => ("right", "\u{2713} right"),
        ImageMark::Wrong => ("wrong", "\u{2717} wrong"),
    };
    let word = if word.is_empty() { String::new() } else { format!("<b>{word}</b> ") };
    let caption = escape(&image.caption);
    // What is no base64 is no picture, and must not end the attribute.
    let png: String = image.png.chars().filter(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c)).collect();
    format!(
        "<figure class=\"{kind}\"><img alt=\"{caption}\" src=\"data:image/png;base64,{png}\">\
         <figcaption>{word}{caption}</figcaption></figure>"
    )
}

/// How it was made, a part a run.
fn render_provenance(all: &[Provenance]) -> String {
    let mut out = String::from("<section><h2>How to make it again</h2>");
    for run in all {
        if !run.name.is_empty() {
            let _ = write!(out, "<h3>{}</h3>", escape(&run.name));
        }
        let _ = write!(out, "<pre>{}</pre><dl class=\"made\">", escape(&run.command));
        let seeds: Vec<String> = run.seeds.iter().map(u64::to_string).collect();
        let mut facts = run.inputs.clone();
        facts
            .push(ReportFact::new("seeds", if seeds.is_empty() { "-".to_owned() } else { seeds.join(", ") }));
        facts.push(ReportFact::new("jepa3d", &run.tool_version));
        facts.push(ReportFact::new("machine", format!("{}, threads: {}", run.processor, run.threads)));
        for fact in &facts {
            let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", escape(&fact.name), escape(&fact.value));
        }
        out += "</dl>";
    }
    out + "</section>"
}
