//! Progress with rate and remaining time: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jepa3d_pipeline::Progress;

use super::tell;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far a preparation is.
pub(crate) enum Meter {
    Bar(ProgressBar),
    Lines { start: Instant, last: Instant },
}

impl Meter {
    pub(crate) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { start: Instant::now(), last: Instant::now() };
        }
        let bar = ProgressBar::new(0);
        let template = "{bar:32} {pos}/{len} objects  {per_sec}  {elapsed} elapsed, {eta} left  {msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.total as u64);
                bar.set_position(progress.done as u64);
                bar.set_message(message(progress));
            }
            Self::Lines { start, last } => {
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    tell(line(progress, start.elapsed()));
                }
            }
        }
    }

    pub(crate) fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line(progress: Progress, elapsed: Duration) -> String {
    let rate = progress.done as f64 / elapsed.as_secs_f64().max(1e-9);
    let left = (progress.total - progress.done) as f64 / rate.max(1e-9);
    let views = if progress.views > 0 { format!("{} views, ", progress.views) } else { String::new() };
    format!(
        "{} of {} objects, {views}{} quarantined, {rate:.0}/s, {left:.0} s left",
        progress.done, progress.total, progress.quarantined
    )
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
        let progress = Progress { total: 400, done: 100, quarantined: 2, ..Progress::default() };
        let text = line(progress, Duration::from_secs(5));
        assert_eq!(text, "100 of 400 objects, 2 quarantined, 20/s, 15 s left");
        let progress = Progress { views: 1200, ..progress };
        let text = line(progress, Duration::from_secs(5));
        assert_eq!(text, "100 of 400 objects, 1200 views, 2 quarantined, 20/s, 15 s left");
        assert_eq!(message(progress), "1200 views, 2 quarantined");
    }
}
