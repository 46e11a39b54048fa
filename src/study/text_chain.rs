//! The text chain: a finished run's Deferreds as rails in plain text.

use super::chains::{Chain, Chains, Row, chain_id};
use super::rail::{self, Mark};
use super::state::State;
use super::words::Words;
use crate::trace::{Event, EventNumber, Id, Lane, Trace};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// Where the columns of a row begin, and where the last one ends.
const NOTE: usize = 41;
const RIGHT: usize = 79;

/// Draws the Deferreds of a recorded run as text.
///
/// ```
/// use ropewalk::{Deferred, Failure, study, trace};
///
/// fn shout(text: &str) -> Result<String, Failure> {
///     Ok(text.to_uppercase())
/// }
/// fn print(_text: String) -> Result<(), Failure> {
///     Err(Failure::msg("no paper"))
/// }
/// fn complain(_failure: Failure) -> Result<(), Failure> {
///     Ok(())
/// }
///
/// let ((), trace) = trace::record(|| {
///     let (resolver, poem) = Deferred::new();
///     let poem = poem.named("poem").add_callback(shout).add_callback(print).add_errback(complain);
///     resolver.succeed("if I were");
///     drop(poem);
/// });
/// let line = study::text_chain(&trace).one_line().stable().to_string();
/// assert_eq!(
///     line,
///     "d1 poem: ok\"if I were\" >0 shout ok\"IF I WERE\" >1 print x f1\"no paper\" [2 complain] ok()\n"
/// );
/// println!("{}", study::text_chain(&trace)); // the rail, several lines
/// ```
///
/// See [`TextChain`] for what the rail shows.
pub fn text_chain(trace: &Trace) -> TextChain<'_> {
    TextChain { trace, stable: false, one_line: false, only: Only::All }
}

/// The Deferreds of a run as text: its `Display` draws them. Made by [`text_chain`].
///
/// ```text
/// d1 get_poem  Deferred<&str>  made poem.rs:14                       done, ok ()
///    ok   err
///    o         ok "If I were..."           fired :16 by m1 deliver poem    t1 s18
///   [0]        try_to_cummingsify          :40                             t1 s19
///    =         gave back d3, chain paused 30.0 ms                       t1..3 s23
///    =    .--  d3 cummingsify              made :22
///    =    x    err f2 "engine down"        raised and fired :24            t3 s44
///    =----'    resumed with err f2                                         t3 s46
///     \___
///         x
///         |1   shout                       :41  no errback, passed by      t3 s48
///        [2]   keep_original               :42  handled f2                 t3 s49
///      __/
///    o         ok "original poem"
///   [3]        got_poem                    :43                             t3 s52
///    o         ok ()
/// ```
///
/// | mark | meaning |
/// |---|---|
/// | `o` `x` | a value, an error; the left column is the callbacks' lane, the right one the errbacks' |
/// | `[n]` | step `n` ran, on the lane in which it stands |
/// | `\|n` | step `n` had nothing for this lane and was passed by |
/// | `(n)` | step `n` has not run yet |
/// | `=` | the chain is paused; what it waits for is drawn beside it |
/// | `!` | an error rests: there is no errback yet |
/// | `\___` `__/` | the result changed lanes |
/// | `->` `->\|` | somebody asked to cancel; a result that came after a cancel was swallowed |
///
/// `:40` is a line in the file of the title. At the right edge stand the loop's turn and the number of the event.
/// A Deferred that another one waited for is drawn beside the pause, and not once more.
#[derive(Clone, Debug)]
#[must_use = "its Display is the text"]
pub struct TextChain<'t> {
    trace: &'t Trace,
    stable: bool,
    one_line: bool,
    only: Only,
}

#[derive(Clone, Debug)]
enum Only {
    All,
    Id(Id),
    Name(String),
}

impl TextChain<'_> {
    /// Leaves out what changes from run to run and from machine to machine: times, event numbers, folders. For
    /// documents and for tests.
    pub fn stable(mut self) -> Self {
        self.stable = true;
        self
    }

    /// One line for each Deferred, for logs.
    pub fn one_line(mut self) -> Self {
        self.one_line = true;
        self
    }

    /// Draws one Deferred, and beside its pauses what it waited for.
    pub fn only(mut self, d: Id) -> Self {
        self.only = Only::Id(d);
        self
    }

    /// Draws the Deferreds that were given this name.
    ///
    /// ```
    /// use ropewalk::{Deferred, study, trace};
    ///
    /// let ((), trace) = trace::record(|| {
    ///     Deferred::succeed(1).named("one").detach();
    ///     Deferred::succeed(2).named("two").detach();
    /// });
    /// assert_eq!(study::text_chain(&trace).only_named("two").one_line().to_string(), "d2 two: ok2\n");
    /// ```
    pub fn only_named(mut self, name: impl Into<String>) -> Self {
        self.only = Only::Name(name.into());
        self
    }

    /// The chains that are drawn by themselves, in order.
    fn chosen<'c>(&self, chains: &'c Chains<'_>) -> Vec<&'c Chain<'c>> {
        let beside = if self.one_line { BTreeSet::new() } else { drawn_beside(chains) };
        let chosen = |chain: &&Chain<'_>| match &self.only {
            Only::All => !beside.contains(&chain.id.1),
            Only::Id(d) => chain.id == *d,
            Only::Name(name) => chain.name.as_deref() == Some(name),
        };
        chains.all.values().filter(chosen).collect()
    }

    fn rail(
        &self,
        f: &mut fmt::Formatter<'_>,
        chain: &Chain<'_>,
        chains: &Chains<'_>,
        words: &Words<'_>,
    ) -> fmt::Result {
        let mut title = chain.title();
        if !chain.ty.is_empty() {
            title.push_str(&format!("  Deferred<{}>", chain.ty));
        }
        if let Some(made) = chain.made {
            title.push_str(&format!("  made {}", words.whole_place(made)));
        }
        line(f, title, &chain.status())?;
        writeln!(f, "   ok   err")?;
        for row in &chain.rows {
            self.row(f, rail::own(row.mark), row)?;
            let Mark::Beside(lane, inner) = row.mark else { continue };
            if let Some(inner) = chains.all.get(&inner) {
                self.beside(f, inner, lane)?;
            }
        }
        Ok(())
    }

    /// The rows of a chain that another one waits for.
    fn beside(&self, f: &mut fmt::Formatter<'_>, inner: &Chain<'_>, lane: Lane) -> fmt::Result {
        for row in &inner.rows {
            if let Some(rail) = rail_beside(row, lane) {
                self.row(f, rail, row)?;
            }
        }
        Ok(())
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, rail: String, row: &Row) -> fmt::Result {
        let mut left = rail;
        left.push_str(&row.text);
        if !row.note.is_empty() {
            column(&mut left, NOTE);
            left.push_str(&row.note);
        }
        let (first, last, s) = row.when;
        let right = match (self.stable || s == 0, first, last) {
            (true, ..) => String::new(),
            (_, 0, 0) => format!("s{s}"),
            (_, first, last) if first == last => format!("t{first} s{s}"),
            (_, first, last) => format!("t{first}..{last} s{s}"),
        };
        line(f, left, &right)
    }

    fn brief(f: &mut fmt::Formatter<'_>, chain: &Chain<'_>) -> fmt::Result {
        write!(f, "{}:", chain.title())?;
        for row in chain.rows.iter().filter(|row| !row.brief.is_empty()) {
            write!(f, " {}", row.brief)?;
        }
        writeln!(f)
    }
}

impl fmt::Display for TextChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = State::after(self.trace);
        let words = Words::new(self.trace, &state, self.stable);
        let mut chains = Chains::of(self.trace.events(), &words);
        name_what_is_beside(&mut chains, &words);
        for (i, chain) in self.chosen(&chains).into_iter().enumerate() {
            if self.one_line {
                TextChain::brief(f, chain)?;
                continue;
            }
            if i > 0 {
                writeln!(f)?;
            }
            self.rail(f, chain, &chains, &words)?;
        }
        if chains.dropped > 0 {
            writeln!(f, "({} more events found no room in the recording)", chains.dropped)?;
        }
        Ok(())
    }
}

/// The rail of one Deferred, for those who draw it themselves.
pub(super) struct Rail {
    pub(super) title: String,
    pub(super) status: String,
    pub(super) rows: Vec<RailRow>,
}

/// One row of it.
pub(super) struct RailRow {
    /// The two lanes.
    pub(super) rail: String,
    // Colours, for the terminal.
    #[cfg_attr(not(feature = "stepper"), allow(dead_code))]
    pub(super) mark: Mark,
    pub(super) text: String,
    pub(super) note: String,
    /// The event; 0 for none.
    pub(super) s: EventNumber,
}

/// The rail of `d` after these events, with what it waits for beside it.
pub(super) fn rail_of<'t>(events: impl Iterator<Item = Event<'t>>, words: &Words<'t>, d: Id) -> Option<Rail> {
    let mut chains = Chains::of(events, words);
    name_what_is_beside(&mut chains, words);
    let chain = chains.all.get(&d.1)?;
    let rail_row = |rail: String, row: &Row| RailRow {
        rail,
        mark: row.mark,
        text: row.text.clone(),
        note: row.note.clone(),
        s: row.when.2,
    };
    let mut rows = Vec::new();
    for row in &chain.rows {
        rows.push(rail_row(rail::own(row.mark), row));
        let Mark::Beside(lane, inner) = row.mark else { continue };
        let inner = chains.all.get(&inner).map(|inner| &inner.rows[..]).unwrap_or_default();
        rows.extend(inner.iter().filter_map(|row| Some(rail_row(rail_beside(row, lane)?, row))));
    }
    Some(Rail { title: chain.title(), status: chain.status(), rows })
}

/// The rail of a row that is drawn beside another chain; an error without words came with the row before.
fn rail_beside(row: &Row, lane: Lane) -> Option<String> {
    let bare = row.text.is_empty() && row.note.is_empty();
    rail::beside(row.mark, lane).filter(|_| !(bare && matches!(row.mark, Mark::Value(_))))
}

/// Gives the row that opens a chain beside a pause its title.
fn name_what_is_beside(chains: &mut Chains<'_>, words: &Words<'_>) {
    let titles: BTreeMap<u32, _> = chains.all.values().map(|c| (c.id.1, (c.title(), c.made))).collect();
    for chain in chains.all.values_mut() {
        let home = chain.made;
        for row in &mut chain.rows {
            let Mark::Beside(_, inner) = row.mark else { continue };
            let (title, made) = titles.get(&inner).cloned().unwrap_or_else(|| (chain_id(inner).to_string(), None));
            row.text = title;
            row.note = made.map(|made| format!("made {}", words.place(made, home))).unwrap_or_default();
        }
    }
}

/// The chains that have their place beside another: each that was waited for by one that is drawn by itself.
///
/// From the outermost in, with a queue: there may be a million, one inside the other.
fn drawn_beside(chains: &Chains<'_>) -> BTreeSet<u32> {
    let mut inner: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut queue = VecDeque::new();
    for chain in chains.all.values() {
        match chain.waiter {
            Some(waiter) => inner.entry(waiter.1).or_default().push(chain.id.1),
            None => queue.push_back((chain.id.1, false)),
        }
    }
    let mut beside = BTreeSet::new();
    while let Some((n, is_beside)) = queue.pop_front() {
        if is_beside {
            beside.insert(n);
        }
        queue.extend(inner.remove(&n).unwrap_or_default().into_iter().map(|n| (n, !is_beside)));
    }
    beside
}

/// Fills up with spaces to `column`, at least two.
fn column(text: &mut String, column: usize) {
    let width = text.chars().count();
    text.extend(std::iter::repeat_n(' ', column.saturating_sub(width).max(2)));
}

/// One line with something at its right edge.
fn line(f: &mut fmt::Formatter<'_>, mut left: String, right: &str) -> fmt::Result {
    if !right.is_empty() {
        column(&mut left, RIGHT.saturating_sub(right.chars().count()));
        left.push_str(right);
    }
    writeln!(f, "{}", left.trim_end())
}
