//! Bytes that wait: a reader that is faster than its writer.

use super::{Found, Rule, Watch, Weight};
use crate::study::state::State;
use crate::trace::{Ending, Event, EventNumber, Id, Kind};
use std::collections::HashMap;

/// How many times its limit may wait before it is told. One large write may be twice the limit; four times, and more
/// than when the producer was asked to stop, is one that goes on.
const TIMES: u64 = 4;

/// A source that is over its limit.
struct High {
    s: EventNumber,
    limit: u64,
    /// What waited when it went over the limit.
    left: u64,
    told: bool,
}

#[derive(Default)]
pub(super) struct Flow {
    high: HashMap<Id, High>,
}

impl Watch for Flow {
    fn event(&mut self, before: &State, event: &Event<'_>, found: &mut Found<'_>) {
        match event.kind {
            Kind::FlowHigh { i, left, limit } => {
                self.high.entry(i).or_insert(High { s: event.s, limit, left, told: false });
            }
            Kind::FlowLow { i, .. } | Kind::IoClose { i, .. } => {
                self.high.remove(&i);
            }
            Kind::IoWrite { i, left, .. } => {
                let Some(high) = self.high.get_mut(&i).filter(|high| !high.told) else { return };
                let much = high.limit.max(1).saturating_mul(TIMES);
                if left >= much && left >= high.left.saturating_mul(2) {
                    high.told = true;
                    let text = format!(
                        "{} has {left} bytes to write, {} times its limit of {}: whoever gives them goes on though \
                         it was full at s{}.",
                        before.title(i),
                        left / high.limit.max(1),
                        high.limit,
                        high.s
                    );
                    let s = high.s;
                    found.add(Rule::FastReader, Weight::Problem, event.s, vec![s], text);
                }
            }
            _ => {}
        }
    }

    fn end(&self, _state: &State, _ending: Option<Ending>, _found: &mut Found<'_>) {}
}
