//! The turns of the loop on one line: how long each waited, what it ran, where the cursor is.
//!
//! ```text
//! setup | 1 ~~~~ 50.0 ms ~~~~ ##^| 2 ~~ 9.9 ms ~~ ##!| 3 ~~~ 20.0 ms ~~~ ####
//! ```

use super::{Line, Tone};
use crate::study::stepper::Stepper;
use crate::study::stepper::index::Turn;
use crate::study::words::duration;

impl Stepper {
    pub(in crate::study::stepper) fn strip(&self, width: usize) -> Line {
        let turns = &self.index.turns;
        // The turn of the cursor is the last one that began before it.
        let here = turns.partition_point(|turn| turn.s <= self.cursor).saturating_sub(1);
        let room = width.saturating_sub(2);
        let piece = |i: usize| piece(&turns[i], i == here, room);
        let mut pieces: Vec<(usize, String)> = Vec::new();
        let mut used = 0;
        if turns.is_empty() {
            return Line::of(Tone::Dim, " setup").fit(width);
        }
        let (mut low, mut high) = (here, here + 1);
        pieces.push((here, piece(here)));
        used += pieces[0].1.chars().count();
        // Turn by turn to both sides, as long as there is room.
        loop {
            let mut grew = false;
            if low > 0 {
                let text = piece(low - 1);
                if used + text.chars().count() <= room {
                    used += text.chars().count();
                    low -= 1;
                    pieces.insert(0, (low, text));
                    grew = true;
                }
            }
            if high < turns.len() {
                let text = piece(high);
                if used + text.chars().count() <= room {
                    used += text.chars().count();
                    pieces.push((high, text));
                    high += 1;
                    grew = true;
                }
            }
            if !grew {
                break;
            }
        }
        let mut line = Line::of(Tone::Dim, if low > 0 { "<" } else { " " });
        for (i, text) in pieces {
            let tone = match () {
                () if i == here => Tone::Strong,
                () if i > here => Tone::Dim,
                () => Tone::Plain,
            };
            line = line.with(tone, text);
        }
        let mut line = line.fit(width.saturating_sub(1));
        line = line.with(Tone::Dim, if high < turns.len() { ">" } else { " " });
        line
    }
}

/// One turn. Its wait is at most ten characters long, its callbacks at most eight.
fn piece(turn: &Turn, here: bool, room: usize) -> String {
    let mut text = if turn.n == 0 { "setup ".to_owned() } else { format!("{} ", turn.n) };
    if turn.waited > 0 {
        // One `~` for each power of ten.
        let waves = "~".repeat((turn.waited.ilog10() as usize).saturating_sub(5).clamp(1, 5));
        text.push_str(&format!("{waves}{}{waves} ", duration(turn.waited).replace(' ', "")));
    }
    text.push_str(&"#".repeat((turn.ran as usize).min(8)));
    if turn.error {
        text.push('!');
    }
    if here {
        text.push('^');
    }
    text.push_str("| ");
    super::cut(&text, room)
}
