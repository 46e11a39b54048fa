//! The list of events around the cursor, with the frames they lie in.

use super::{Line, Tone, place};
use crate::study::row::{headline, is_error};
use crate::study::state::FrameKind;
use crate::study::stepper::Stepper;
use crate::trace::{Event, Kind};

/// How deep frames are drawn; deeper ones look like this deep.
const DEPTH: usize = 6;

impl Stepper {
    /// The rows of the list: the cursor's row about two thirds down.
    pub(in crate::study::stepper) fn events_pane(&self, width: usize, height: usize) -> Vec<Line> {
        let trace = self.timeline.trace();
        let shown = |event: &Event<'_>| event.level() <= self.level || event.s == self.cursor;
        let here = self.timeline.len_at(self.cursor);
        let above = height * 2 / 3;
        let before: Vec<usize> =
            (0..here).rev().filter(|i| trace.nth(*i).is_some_and(|e| shown(&e))).take(height).collect();
        let after: Vec<usize> =
            (here..trace.len()).filter(|i| trace.nth(*i).is_some_and(|e| shown(&e))).take(height).collect();
        let n_before = before.len().min(above.max(height.saturating_sub(after.len())));
        let rows: Vec<usize> = before[..n_before].iter().rev().copied().chain(after).take(height).collect();
        let mut lines = Vec::with_capacity(height);
        let Some(&first) = rows.first() else { return vec![Line::default().fit(width); height] };
        let mut state = match first.checked_sub(1).and_then(|i| trace.nth(i)) {
            Some(event) => self.timeline.state_at(event.s),
            None => crate::study::State::new(),
        };
        let home = self.home();
        let mut next = first;
        let digits = self.timeline.head().s().to_string().len().max(3);
        for row in rows {
            while next < row {
                if let Some(event) = trace.nth(next) {
                    state.apply(&event);
                }
                next += 1;
            }
            let Some(event) = trace.nth(row) else { break };
            let mut depth = depth(state.frames());
            state.apply(&event);
            next = row + 1;
            let opens = event.kind.opens_frame() && !matches!(event.kind, Kind::TurnBegin { .. });
            let closes =
                event.kind.begin().is_some() && !matches!(event.kind, Kind::TurnEnd { .. } | Kind::PollEnd { .. });
            if closes {
                depth = depth.saturating_sub(1);
            }
            let mut indent = "| ".repeat(depth.min(DEPTH));
            indent.push_str(match (opens, closes) {
                (true, _) => "[ ",
                (_, true) => "] ",
                _ => "  ",
            });
            if depth == 0 && !opens && !closes {
                indent.clear();
            }
            let is_here = event.s == self.cursor;
            let tone = match () {
                () if is_here => Tone::Here,
                () if event.s > self.cursor => Tone::Dim,
                () if is_error(&event.kind) => Tone::Err,
                () if matches!(event.kind, Kind::TurnBegin { .. }) => Tone::Strong,
                () => Tone::Plain,
            };
            let sign = if is_here { '>' } else { ' ' };
            // Names as they are known now: those of the head, where the run is.
            let names = if event.s > self.cursor { &state } else { &self.state };
            let text = format!("{sign}{:>digits$} {indent}{}", event.s, headline(names, &event));
            let at = if event.sys { "sys".to_owned() } else { place(&event, home.as_deref()) };
            lines.push(Line::of(tone, text).right(width, tone, &at));
        }
        lines.resize(height, Line::default().fit(width));
        lines
    }
}

/// Turns are no frames that one sees: everything lies in one.
fn depth(frames: &[crate::study::state::Frame]) -> usize {
    frames.iter().filter(|frame| !matches!(frame.what, FrameKind::Turn(_))).count()
}
