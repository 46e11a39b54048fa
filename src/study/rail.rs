//! The two-lane rail: what a mark looks like.
//!
//! ```text
//!    ok   err        column 3 = the callbacks' lane, column 8 = the errbacks'
//!    o    x          a value, an error
//!   [0]  [0]         step 0 ran on that lane          (0)  not yet
//!    |0   |0         step 0 had nothing for that lane: passed by
//!    =    =          the chain is paused              !    an error rests
//!     \___   __/     the result changed lanes
//!  ->  ->|           a cancel; a late result that is swallowed
//! ```
//!
//! A chain that another one waits for is drawn beside the pause, in the lane that is free there.

use crate::trace::Lane;

/// One row of a rail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Value(Lane),
    Step(Lane, u32),
    Pass(Lane, u32),
    NotYet {
        n: u32,
        ok: bool,
        err: bool,
    },
    Pause(Lane),
    /// Here the chain with this number is drawn beside the pause.
    Beside(Lane, u32),
    /// The pause is over.
    Back(Lane),
    Rest,
    Cross {
        to: Lane,
    },
    /// Somebody asks to cancel: a waiting chain (with the lane in which it waits), or one that waits for nothing.
    Ask(Option<Lane>),
    Swallow,
}

/// How wide a rail is drawn, unless step numbers are very long.
pub(super) const WIDTH: usize = 13;

fn column(lane: Lane) -> usize {
    match lane {
        Lane::Ok => 3,
        Lane::Err => 8,
    }
}

fn free_lane(taken: Lane) -> Lane {
    match taken {
        Lane::Ok => Lane::Err,
        Lane::Err => Lane::Ok,
    }
}

struct Canvas(Vec<char>);

impl Canvas {
    fn new() -> Canvas {
        Canvas(vec![' '; WIDTH])
    }

    fn put(&mut self, column: usize, text: &str) {
        for (i, c) in text.chars().enumerate() {
            match self.0.get_mut(column + i) {
                Some(place) => *place = c,
                None => self.0.push(c),
            }
        }
    }

    fn text(mut self) -> String {
        if self.0.last() != Some(&' ') {
            self.0.push(' ');
        }
        self.0.into_iter().collect()
    }
}

fn glyph(lane: Lane) -> &'static str {
    match lane {
        Lane::Ok => "o",
        Lane::Err => "x",
    }
}

/// The rail of a chain that is drawn by itself.
pub(super) fn own(mark: Mark) -> String {
    let mut canvas = Canvas::new();
    match mark {
        Mark::Value(lane) => canvas.put(column(lane), glyph(lane)),
        Mark::Step(lane, n) => canvas.put(column(lane) - 1, &format!("[{n}]")),
        Mark::Pass(lane, n) => canvas.put(column(lane), &format!("|{n}")),
        Mark::NotYet { n, ok, err } => {
            for lane in [ok.then_some(Lane::Ok), err.then_some(Lane::Err)].into_iter().flatten() {
                canvas.put(column(lane) - 1, &format!("({n})"));
            }
        }
        Mark::Pause(lane) => canvas.put(column(lane), "="),
        Mark::Beside(lane, _) => {
            canvas.put(column(lane), "=");
            match lane {
                Lane::Ok => canvas.put(column(Lane::Err), ".--"),
                Lane::Err => canvas.put(column(Lane::Ok), ".----"),
            }
        }
        Mark::Back(Lane::Ok) => canvas.put(column(Lane::Ok), "=----'"),
        Mark::Back(Lane::Err) => canvas.put(column(Lane::Ok), "'----="),
        Mark::Rest => canvas.put(column(Lane::Err), "!"),
        Mark::Cross { to: Lane::Err } => canvas.put(4, "\\___"),
        Mark::Cross { to: Lane::Ok } => canvas.put(5, "__/"),
        Mark::Ask(None) => canvas.put(column(Lane::Ok) - 2, "->"),
        Mark::Ask(Some(lane)) => canvas.put(column(lane) - 2, "->="),
        Mark::Swallow => canvas.put(column(Lane::Ok) - 2, "->|"),
    }
    canvas.text()
}

/// The rail of a chain that is drawn beside another, which is paused in the lane `outer`. There is one lane for both
/// kinds of results, so nothing crosses.
pub(super) fn beside(mark: Mark, outer: Lane) -> Option<String> {
    let here = column(free_lane(outer));
    let mut canvas = Canvas::new();
    canvas.put(column(outer), "=");
    match mark {
        Mark::Value(lane) => canvas.put(here, glyph(lane)),
        Mark::Step(_, n) => canvas.put(here - 1, &format!("[{n}]")),
        Mark::Pass(_, n) => canvas.put(here, &format!("|{n}")),
        Mark::NotYet { n, .. } => canvas.put(here - 1, &format!("({n})")),
        Mark::Pause(_) | Mark::Back(_) => canvas.put(here, "="),
        Mark::Rest => canvas.put(here, "!"),
        Mark::Ask(None) => canvas.put(here - 2, "->"),
        Mark::Ask(Some(_)) => canvas.put(here - 2, "->="),
        Mark::Swallow => canvas.put(here - 2, "->|"),
        Mark::Cross { .. } | Mark::Beside(..) => return None,
    }
    Some(canvas.text())
}
