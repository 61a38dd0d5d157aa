//! Progress with rate and remaining time: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jepa3d_pipeline::Progress;

use super::tell;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far a long piece of work is.
pub(crate) enum Meter {
    Bar(ProgressBar),
    Lines { start: Instant, last: Instant, unit: &'static str },
}

impl Meter {
    /// A meter that counts `unit`, a plural.
    pub(crate) fn new(unit: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { start: Instant::now(), last: Instant::now(), unit };
        }
        let bar = ProgressBar::new(0).with_prefix(unit);
        let template = "{bar:32} {pos}/{len} {prefix}  {per_sec}  {elapsed} elapsed, {eta} left  {msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    /// Shows how far a preparation is.
    pub(crate) fn show(&mut self, progress: Progress) {
        let views = if progress.views > 0 { format!("{} views, ", progress.views) } else { String::new() };
        let besides = format!("{views}{} quarantined, ", progress.quarantined);
        self.advance(progress.done, progress.total, &besides);
        if let Self::Bar(bar) = self {
            bar.set_message(message(progress));
        }
    }

    /// Shows that `done` of `total` are done.
    pub(crate) fn count(&mut self, done: usize, total: usize) {
        self.advance(done, total, "");
    }

    fn advance(&mut self, done: usize, total: usize, besides: &str) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            Self::Lines { start, last, unit } => {
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    tell(line(done, total, &format!("{unit}, {besides}"), start.elapsed()));
                }
            }
        }
    }

    /// Takes the bar off the terminal.
    pub(crate) fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// `what` is the unit and what else there is to say, each with a comma behind it.
fn line(done: usize, total: usize, what: &str, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
    let left = (total - done) as f64 / rate.max(1e-9);
    format!("{done} of {total} {what}{rate:.0}/s, {left:.0} s left")
}

/// What stands after the bar.
fn message(progress: Progress) -> String {
    let counts = [(progress.views, "views"), (progress.quarantined, "quarantined")];
    let shown = counts.into_iter().filter(|(count, _)| *count > 0);
    shown.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_states_rate_and_remaining_time() {
        let text = line(100, 400, "objects, 2 quarantined, ", Duration::from_secs(5));
        assert_eq!(text, "100 of 400 objects, 2 quarantined, 20/s, 15 s left");
        let progress = Progress { total: 400, done: 100, quarantined: 2, views: 1200, ..Progress::default() };
        assert_eq!(message(progress), "1200 views, 2 quarantined");
    }
}
