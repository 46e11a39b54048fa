//! The rail of the selected Deferred, as it stands at the cursor.

use super::{Line, Tone, cut, wrap};
use crate::study::chains::chain_id;
use crate::study::rail::Mark;
use crate::study::stepper::{Pane, Stepper};
use crate::study::text_chain::{Rail, RailRow, rail_of};
use crate::study::words::Words;
use crate::trace::{EventNumber, Lane};

/// One row of the rail.
#[derive(Clone, Debug)]
pub(in crate::study::stepper) struct ChainRow {
    /// The event that it is about; 0 for none.
    pub(in crate::study::stepper) s: EventNumber,
}

impl Stepper {
    fn rail(&self) -> Option<Rail> {
        let d = self.selected?;
        // Only what it and those beside it did: the rest of a long run needs no drawing.
        let inner = self.state.chains().filter(|chain| chain.waiter == Some(d)).map(|chain| chain.id);
        let trace = self.timeline.trace();
        let places = self.index.about(inner.chain([d]), self.timeline.len_at(self.cursor));
        let about = places.into_iter().filter_map(|place| trace.nth(place));
        let words = Words::new(trace, &self.state, false).with_file_names();
        rail_of(about, &words, d)
    }

    /// Its rows, for the keys.
    pub(in crate::study::stepper) fn chain_rows(&self) -> Vec<ChainRow> {
        match self.rail() {
            Some(rail) => rail.rows.into_iter().map(|row| ChainRow { s: row.s }).collect(),
            None => self.waiting_targets().into_iter().map(|s| ChainRow { s }).collect(),
        }
    }

    /// The title and the rows of the pane. The row that is happening is always among them.
    pub(in crate::study::stepper) fn chain_pane(&self, width: usize, height: usize) -> (String, Vec<Line>) {
        let Some(rail) = self.rail() else {
            // Whether one was made, and none of them is what is happening.
            let title = if self.state.chains().next().is_some() { "no Deferred here" } else { "no Deferred yet" };
            return (format!("{title} == what waits"), self.waiting_pane(width, height));
        };
        let here = rail.rows.iter().rposition(|row| row.s != 0 && row.s <= self.cursor).unwrap_or(0);
        let is_focus = self.pane == Pane::Chain;
        let focus = if is_focus { self.row.min(rail.rows.len().saturating_sub(1)) } else { here };
        let body = height.saturating_sub(1);
        let mut all: Vec<Line> = Vec::new();
        let mut at = 0;
        for (i, row) in rail.rows.iter().enumerate() {
            let tone = match row.mark {
                _ if is_focus && i == focus => Tone::Here,
                _ if row.s == self.cursor => Tone::Here,
                Mark::NotYet { .. } => Tone::Dim,
                Mark::Value(Lane::Err) | Mark::Step(Lane::Err, _) | Mark::Pass(Lane::Err, _) => Tone::Err,
                Mark::Cross { to: Lane::Err } => Tone::Err,
                Mark::Rest | Mark::Pause(_) | Mark::Beside(..) | Mark::Back(_) => Tone::Warn,
                _ => Tone::Ok,
            };
            let sign = if i == focus { '>' } else { ' ' };
            all.extend(words_of(row, sign, width).into_iter().map(|text| Line::of(tone, text).fit(width)));
            if i <= focus {
                at = all.len();
            }
        }
        // What comes next is shown below, as far as there is room.
        let below = all.len() - at;
        let from = (at + below.min(body / 3)).saturating_sub(body);
        let mut lines = vec![Line::of(Tone::Dim, "     ok   err").fit(width)];
        lines.extend(all.into_iter().skip(from).take(body));
        lines.truncate(height);
        lines.resize(height, Line::default().fit(width));
        let name = rail.title;
        (format!("{name} == {}", rail.status), lines)
    }

    /// The other Deferreds there are, on one line.
    pub(in crate::study::stepper) fn others(&self, width: usize) -> Line {
        if self.state.chains().next().is_none() {
            return Line::default().fit(width);
        }
        let open: Vec<String> = self
            .state
            .chains()
            .filter(|chain| Some(chain.id) != self.selected && chain.is_open())
            .take(8)
            .map(|chain| chain_id(chain.id.1).to_string())
            .collect();
        let text = match open.is_empty() {
            true => " others open: none".to_owned(),
            false => format!(" others open: {}  (d shows the next)", open.join(" ")),
        };
        Line::of(Tone::Dim, cut(&text, width)).fit(width)
    }
}

/// A row on as many lines as its words need; the rail stands on the first.
fn words_of(row: &RailRow, sign: char, width: usize) -> Vec<String> {
    let start = format!("{sign} {}", row.rail);
    let indent = start.chars().count();
    let room = width.saturating_sub(indent).max(10);
    let (text, note) = (row.text.chars().count(), row.note.chars().count());
    if text + note + 2 <= room {
        // Notes stand in one column where they can.
        let column = (width * 3 / 5).saturating_sub(indent);
        let gap = column.saturating_sub(text).clamp(2, room - text - note);
        return vec![format!("{start}{}{}{}", row.text, " ".repeat(gap), row.note)];
    }
    let mut words = if row.text.is_empty() { Vec::new() } else { wrap(&row.text, room) };
    if note > 0 {
        let indent = if words.is_empty() { 0 } else { 2 };
        let lines = wrap(&row.note, room.saturating_sub(indent).max(8));
        words.extend(lines.into_iter().map(|line| format!("{}{line}", " ".repeat(indent))));
    }
    let lines = words.into_iter().enumerate();
    lines.map(|(i, words)| if i == 0 { format!("{start}{words}") } else { " ".repeat(indent) + &words }).collect()
}
