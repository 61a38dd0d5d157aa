//! A confusion matrix as a table whose cells are coloured by their share of the true class.

use std::fmt::Write;

use super::escape::escape;
use super::sections::ReportConfusion;

/// The matrix, with the share that was right beside every class.
pub(crate) fn render_confusion(section: &ReportConfusion) -> String {
    let mut out = String::from(
        "<div class=\"wide\"><table class=\"confusion\"><thead><tr><th>true \u{2193} predicted\u{a0}\u{2192}</th>\
         <th>right</th><th>of</th>",
    );
    for class in &section.classes {
        let _ = write!(out, "<th class=\"up\"><span>{}</span></th>", escape(class));
    }
    out += "</tr></thead><tbody>";
    for (truth, name) in section.classes.iter().enumerate() {
        let row = section.counts.get(truth).map_or(&[][..], Vec::as_slice);
        let total: u64 = row.iter().sum();
        let name = escape(name);
        let right = row.get(truth).copied().unwrap_or(0);
        let share = if total == 0 { "-".to_owned() } else { format!("{:.1} %", percent(right, total)) };
        let _ = write!(out, "<tr><th>{name}</th><td>{share}</td><td>{total}</td>");
        for (predicted, other) in section.classes.iter().enumerate() {
            out += &match row.get(predicted).copied().unwrap_or(0) {
                0 => "<td></td>".to_owned(),
                count => {
                    let (kind, share) = (if predicted == truth { "r" } else { "w" }, percent(count, total));
                    let title = format!("{name} taken for {}: {count}, {share:.1} %", escape(other));
                    // A single sample of many must still be seen.
                    let strength = (0.12 + 0.0088 * share).min(1.0);
                    let full = if strength > 0.55 { " full" } else { "" };
                    format!(
                        "<td class=\"{kind}{full}\" style=\"--s:{strength:.2}\" title=\"{title}\">{count}</td>"
                    )
                }
            };
        }
        out += "</tr>";
    }
    let _ = write!(out, "</tbody></table></div>{}", render_total(section));
    out
}

/// Accuracy over all, and the mean over classes.
fn render_total(section: &ReportConfusion) -> String {
    let (mut right, mut total, mut shares) = (0, 0, Vec::new());
    for (truth, row) in section.counts.iter().enumerate() {
        let (own, all): (u64, u64) = (row.get(truth).copied().unwrap_or(0), row.iter().sum());
        (right, total) = (right + own, total + all);
        if all > 0 {
            shares.push(percent(own, all));
        }
    }
    if total == 0 {
        return "<p class=\"note\">no samples</p>".to_owned();
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    format!(
        "<p class=\"note\">{right} of {total} right: {:.1} %; mean over the {} classes that occur: {mean:.1} %</p>",
        percent(right, total),
        shares.len()
    )
}

fn percent(part: u64, total: u64) -> f64 {
    100.0 * part as f64 / total.max(1) as f64
}
