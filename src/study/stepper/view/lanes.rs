//! Each object as a line over the events: when it was made, waited, ran, was over.
//!
//! ```text
//! m1 deliver poem   +..........*                 + made or armed   . waits
//! d1 get_poem      +...........o--=======x       o x fired         - runs   = paused   ! an error rests
//! ```

use super::{Line, Tone, cut};
use crate::study::state::{Fate, Life, Stage, Standing, State, TaskStage};
use crate::study::stepper::Stepper;
use crate::study::words::escaped;
use crate::trace::{Event, Id, Kind, Object, Val};

/// How wide the names are.
const NAME: usize = 20;

impl Stepper {
    /// One column for each event that is shown, so far as they fit; the cursor's is the last one or in the middle.
    pub(in crate::study::stepper) fn lanes(&self, width: usize, height: usize) -> Vec<Line> {
        let trace = self.timeline.trace();
        let columns = width.saturating_sub(NAME + 2);
        let shown = |event: &Event<'_>| event.level() <= self.level || event.s == self.cursor;
        let here = self.timeline.len_at(self.cursor);
        let mut before: Vec<usize> =
            (0..here).rev().filter(|i| trace.nth(*i).is_some_and(|e| shown(&e))).take(columns).collect();
        before.reverse();
        let Some(&first) = before.first() else { return vec![Line::default().fit(width); height] };
        // Those that stand in the events that are drawn, or are open; the newest ones last.
        let mut ids = self.lane_ids(&before);
        ids.truncate(height);
        let mut state = match first.checked_sub(1).and_then(|i| trace.nth(i)) {
            Some(event) => self.timeline.state_at(event.s),
            None => State::new(),
        };
        let mut rows: Vec<String> = vec![String::new(); ids.len()];
        let mut next = first;
        for i in before {
            let mut glyphs: Vec<Option<char>> = vec![None; ids.len()];
            while next <= i {
                if let Some(event) = trace.nth(next) {
                    state.apply(&event);
                    for (glyph, id) in glyphs.iter_mut().zip(&ids) {
                        *glyph = event_glyph(&event, *id).or(*glyph);
                    }
                }
                next += 1;
            }
            for ((row, id), glyph) in rows.iter_mut().zip(&ids).zip(glyphs) {
                row.push(glyph.unwrap_or_else(|| state_glyph(&state, *id)));
            }
        }
        let mut lines: Vec<Line> = ids
            .iter()
            .zip(rows)
            .map(|(id, row)| {
                let name = match self.state.label(*id) {
                    Some(label) => format!(" {id} {}", escaped(label)),
                    None => format!(" {id}"),
                };
                let tone = if Some(*id) == self.selected { Tone::Strong } else { Tone::Plain };
                Line::of(tone, format!("{:<NAME$} {row}", cut(&name, NAME))).fit(width)
            })
            .collect();
        lines.resize(height, Line::default().fit(width));
        lines
    }

    fn lane_ids(&self, rows: &[usize]) -> Vec<Id> {
        let trace = self.timeline.trace();
        let mut ids: Vec<Id> = Vec::new();
        for event in rows.iter().filter_map(|i| trace.nth(*i)) {
            for id in crate::study::row::objects(&event.kind).into_iter().flatten() {
                if matches!(id.0, Object::Timer | Object::Deferred | Object::Task) && !ids.contains(&id) {
                    ids.push(id);
                }
            }
            // A screen has no more lines.
            if ids.len() > 200 {
                break;
            }
        }
        ids.sort_by_key(|id| (id.0 != Object::Timer, id.0 != Object::Deferred, id.1));
        if let Some(i) = ids.iter().position(|id| Some(*id) == self.selected) {
            let selected = ids.remove(i);
            ids.insert(0, selected);
        }
        ids
    }
}

/// What happens to it in this event.
fn event_glyph(event: &Event<'_>, id: Id) -> Option<char> {
    let val = |val: Val<'_>| if matches!(val, Val::Err(_)) { 'x' } else { 'o' };
    match event.kind {
        Kind::TimerArm { m, .. } if m == id => Some('+'),
        Kind::TimerFire { m, .. } if m == id => Some('*'),
        Kind::TimerCancel { m } if m == id => Some('/'),
        Kind::DNew { d, .. } if d == id => Some('+'),
        Kind::DFire { d, val: v } | Kind::DResume { d, val: v, .. } if d == id => Some(val(v)),
        Kind::DPause { d, .. } if d == id => Some('='),
        Kind::XSpawn { x, .. } if x == id => Some('+'),
        _ => None,
    }
}

/// How it stands after an event that was not about it.
fn state_glyph(state: &State, id: Id) -> char {
    match id.0 {
        Object::Timer => match state.timer(id).map(|timer| timer.stage) {
            Some(Stage::Waits) => '.',
            _ => ' ',
        },
        Object::Deferred => {
            let Some(chain) = state.chain(id) else { return ' ' };
            let rests = |f| matches!(state.failure(f).map(|error| error.life), Some(Life::Rests(_)));
            match chain.standing {
                Standing::NotFired if chain.born > 0 => '.',
                Standing::NotFired => ' ',
                Standing::Running => '-',
                Standing::Paused(_) => '=',
                Standing::Rests => match chain.val {
                    Some(crate::study::state::Value::Err(f)) if rests(f) => '!',
                    _ if chain.waiting_steps() > 0 || chain.steps().any(|s| matches!(s.fate, Fate::Runs(..))) => {
                        '-'
                    }
                    _ => ' ',
                },
                Standing::WentTo(_) | Standing::Taken | Standing::Lost(_) => ' ',
            }
        }
        Object::Task => match state.task(id).map(|task| task.stage) {
            Some(TaskStage::Polled) => '-',
            Some(TaskStage::Woken) => '^',
            Some(TaskStage::Waits(_)) => '.',
            _ => ' ',
        },
        _ => ' ',
    }
}
