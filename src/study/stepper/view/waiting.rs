//! What waits at the cursor, soonest first. It stands where the rail would, as long as there is no Deferred.

use super::{Line, Tone, cut_left, place};
use crate::study::state::{Stage, TaskStage};
use crate::study::stepper::{Pane, Stepper};
use crate::study::words::{duration, escaped};
use crate::trace::{EventNumber, Id};

/// A thing that waits.
struct Waiting {
    id: Id,
    /// The event that made it.
    s: EventNumber,
    /// For what.
    text: String,
}

impl Stepper {
    fn waiting(&self) -> Vec<Waiting> {
        let state = &self.state;
        let queued = state.posts().filter(|call| call.stage == Stage::Waits);
        let mut all: Vec<Waiting> =
            queued.map(|call| Waiting { id: call.id, s: call.queued, text: "is queued".to_owned() }).collect();
        all.extend(state.tasks().filter_map(|task| {
            let text = match task.stage {
                TaskStage::Woken => "is woken".to_owned(),
                TaskStage::Polled => "is polled".to_owned(),
                TaskStage::Waits(Some(on)) => format!("awaits {on}"),
                TaskStage::Waits(None) => "awaits something".to_owned(),
                TaskStage::Ready | TaskStage::Dropped => return None,
            };
            Some(Waiting { id: task.id, s: task.born, text })
        }));
        all.extend(state.sources().filter(|source| source.open).map(|source| {
            let text = match source.wants {
                Some((true, true)) => "wants to read and to write",
                Some((false, true)) => "wants to write",
                Some((false, false)) => "wants nothing now",
                Some((true, false)) | None => "wants to read",
            };
            Waiting { id: source.id, s: source.opened, text: text.to_owned() }
        }));
        let jobs = state.jobs().filter(|job| job.stage == Stage::Waits);
        all.extend(jobs.map(|job| Waiting { id: job.id, s: job.queued, text: "is with a worker".to_owned() }));
        let mut timers: Vec<_> = state.timers().filter(|timer| timer.stage == Stage::Waits).collect();
        timers.sort_by_key(|timer| (timer.due, timer.armed));
        all.extend(timers.into_iter().map(|timer| {
            let text = match timer.due.checked_sub(state.t()) {
                Some(left) => format!("due in {}", duration(left)),
                None => format!("late by {}", duration(state.t() - timer.due)),
            };
            Waiting { id: timer.id, s: timer.armed, text }
        }));
        all
    }

    /// The event that made each, for the keys.
    pub(in crate::study::stepper) fn waiting_targets(&self) -> Vec<EventNumber> {
        self.waiting().into_iter().map(|waiting| waiting.s).collect()
    }

    pub(in crate::study::stepper) fn waiting_pane(&self, width: usize, height: usize) -> Vec<Line> {
        let home = self.home();
        let all = self.waiting();
        let focus = (self.pane == Pane::Chain && !all.is_empty()).then(|| self.row.min(all.len() - 1));
        let from = focus.map_or(0, |focus| (focus + 1).saturating_sub(height));
        let names: Vec<String> = all
            .iter()
            .map(|waiting| match self.state.label(waiting.id) {
                Some(label) => format!("{} {}", waiting.id, escaped(label)),
                None => waiting.id.to_string(),
            })
            .collect();
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(18);
        let mut lines: Vec<Line> = all
            .iter()
            .zip(names)
            .enumerate()
            .skip(from)
            .take(height)
            .map(|(i, (waiting, name))| {
                let here = focus == Some(i);
                let (sign, tone) = if here { ('>', Tone::Here) } else { (' ', Tone::Plain) };
                let made = self.timeline.trace().get(waiting.s);
                let at = made.map(|made| place(&made, home.as_deref())).unwrap_or_default();
                let text = format!("{sign} {name:<longest$}  {}", waiting.text);
                // For what it waits is more than where it was made.
                let room = width.saturating_sub(text.chars().count() + 1).max(8);
                Line::of(tone, text).right(width, Tone::Dim, &cut_left(&at, room))
            })
            .collect();
        if lines.is_empty() {
            lines.push(Line::of(Tone::Dim, " nothing waits").fit(width));
        }
        lines.truncate(height);
        lines.resize(height, Line::default().fit(width));
        lines
    }
}
