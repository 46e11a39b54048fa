//! How far a download is, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ropewalk::http::Download;
use std::cell::Cell;

/// A bar that is drawn at most so many times in a second.
const HERTZ: u8 = 10;

pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Where standard error is no terminal, nothing is drawn.
    pub(crate) fn new() -> Bar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(HERTZ));
        bar.set_style(style("{spinner} {bytes}  {bytes_per_sec}  {elapsed}"));
        Bar(bar)
    }

    /// Has it follow a download.
    pub(crate) fn shows(&self, download: Download) -> Download {
        if self.0.is_hidden() {
            return download;
        }
        let (bar, begun) = (self.0.clone(), Cell::new(false));
        download.on_progress(move |bytes, total| {
            if !begun.replace(true)
                && let Some(total) = total
            {
                bar.set_style(style("[{wide_bar}] {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left"));
                bar.set_length(total);
                // What was there before says nothing of the speed.
                bar.set_position(bytes);
                bar.reset_eta();
            }
            bar.set_position(bytes);
        })
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that makes no sense would show in the first run.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
