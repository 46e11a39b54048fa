//! The rules, said as plainly as can be: a table of chains, and functions that call each other.

use crate::program::{Behaviour, Canceller, Lane, Op, Outcome, Ret};
use std::collections::VecDeque;

#[derive(Default)]
struct Chain {
    fired: bool,
    result: Option<Outcome>,
    steps: VecDeque<Step>,
    count: usize,
    running: bool,
    waits_for: Option<usize>,
    canceller: Option<Canceller>,
    asked: bool,
    /// The runner has its producing end, its consuming end.
    producer: bool,
    consumer: bool,
    /// Somebody can still see its result.
    owned: bool,
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    #[default]
    Plain,
    Acquire,
    /// Holds a place of the semaphore, or not.
    Run(bool),
    Get,
    Joined(usize),
    Group(Group),
}

struct Share {
    source: usize,
    result: Option<Outcome>,
    waiters: VecDeque<usize>,
    /// Somebody was given the failure.
    given: bool,
}

struct Group {
    members: Vec<usize>,
    results: Vec<Option<Outcome>>,
    one_callback: bool,
    one_errback: bool,
    consume: bool,
    race: bool,
    cancelled: bool,
    won: bool,
    winner: Option<(usize, i64)>,
    /// All members are in.
    all_in: bool,
}

enum Step {
    User(usize, Lane, Behaviour),
    Resume(usize),
    Member(usize, usize),
    TimeOut(usize),
    StopTimer(usize),
    Body(Behaviour),
    GiveBack,
    Share(usize),
}

#[derive(Default)]
struct Naive {
    chains: Vec<Chain>,
    /// When, and what it cancels; `None` when it is over.
    timers: Vec<Option<(u64, usize)>>,
    ran_out: Vec<bool>,
    now: u64,
    held: usize,
    taken: usize,
    line: VecDeque<usize>,
    queue: VecDeque<i64>,
    getters: VecDeque<usize>,
    shares: Vec<Share>,
    names: usize,
    events: Vec<String>,
    reports: Vec<String>,
    circle: bool,
}

/// The events of each operation, and of the end. `None` if a chain would wait for itself.
pub(crate) fn run(ops: &[Op]) -> Option<Vec<Vec<String>>> {
    let mut naive = Naive::default();
    let mut trace = Vec::new();
    for op in ops {
        naive.act(op);
        trace.push(naive.flush());
    }
    for d in 0..naive.chains.len() {
        naive.act(&Op::Drop(d));
        trace.push(naive.flush());
    }
    for d in 0..naive.chains.len() {
        naive.act(&Op::Abandon(d));
        trace.push(naive.flush());
    }
    while naive.held > 0 {
        naive.act(&Op::Release);
        trace.push(naive.flush());
    }
    for share in std::mem::take(&mut naive.shares) {
        if let Some(Err(name)) = share.result.filter(|_| !share.given) {
            naive.reports.push(name);
        }
        trace.push(naive.flush());
    }
    let left = naive.timers.iter().flatten().count();
    trace.push(vec![format!(
        "left {left} held {} line {} get {}",
        naive.held,
        naive.line.len(),
        naive.getters.len()
    )]);
    (!naive.circle).then_some(trace)
}

impl Naive {
    fn flush(&mut self) -> Vec<String> {
        self.reports.sort();
        let reports = std::mem::take(&mut self.reports);
        let mut events = std::mem::take(&mut self.events);
        events.extend(reports.into_iter().map(|name| format!("reported {name}")));
        events
    }

    fn say(&mut self, event: String) {
        self.events.push(event);
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("F{}", self.names)
    }

    fn outcome(&mut self, ok: bool) -> Outcome {
        if ok { Ok(7) } else { Err(self.name()) }
    }

    fn make(&mut self, chain: Chain) -> usize {
        self.chains.push(Chain { consumer: true, owned: true, ..chain });
        self.chains.len() - 1
    }

    fn find(&self, d: usize) -> Option<usize> {
        (!self.chains.is_empty()).then(|| d % self.chains.len())
    }

    fn take(&mut self, d: usize) -> Option<usize> {
        let d = self.find(d)?;
        let there = std::mem::take(&mut self.chains[d].consumer);
        if !there {
            self.say(format!("gone {d}"));
        }
        there.then_some(d)
    }

    fn act(&mut self, op: &Op) {
        match op {
            Op::New(canceller) => {
                let canceller = Some(*canceller);
                self.make(Chain { producer: true, canceller, ..Chain::default() });
            }
            Op::Settled(ok) => {
                let result = Some(self.outcome(*ok));
                self.make(Chain { fired: true, result, ..Chain::default() });
            }
            Op::Add(d, lane, does) => {
                let Some(d) = self.take(*d) else { return };
                let n = self.chains[d].count;
                self.chains[d].count += 1;
                self.chains[d].steps.push_back(Step::User(n, *lane, does.clone()));
                self.drive(d);
                self.chains[d].consumer = true;
            }
            Op::Fire(d, ok) => {
                let Some(d) = self.find(*d) else { return };
                let outcome = self.outcome(*ok);
                if std::mem::take(&mut self.chains[d].producer) {
                    self.fire(d, outcome);
                }
            }
            Op::Abandon(d) => {
                let Some(d) = self.find(*d) else { return };
                if std::mem::take(&mut self.chains[d].producer) {
                    self.fire(d, Err("Abandoned".to_owned()));
                }
            }
            Op::Cancel(d) => {
                let Some(d) = self.take(*d) else { return };
                self.cancel(d);
                self.chains[d].consumer = true;
            }
            Op::Drop(d) => {
                let Some(d) = self.take(*d) else { return };
                self.chains[d].owned = false;
                self.look_for_lost(d);
            }
            Op::List(of, one_callback, one_errback, consume) => {
                self.group(of, (*one_callback, *one_errback, *consume), false);
            }
            Op::Race(of) => self.group(of, (true, false, false), true),
            Op::Timeout(d, after) => {
                let Some(d) = self.take(*d) else { return };
                let timer = self.timers.len();
                self.timers.push(Some((self.now + after, d)));
                self.ran_out.push(false);
                self.chains[d].steps.extend([Step::TimeOut(timer), Step::StopTimer(timer)]);
                self.drive(d);
                self.chains[d].consumer = true;
            }
            Op::Advance(by) => {
                self.now += by;
                loop {
                    let due = self.timers.iter().enumerate().filter_map(|(i, t)| t.map(|(at, d)| (at, i, d))).min();
                    let Some((_, i, d)) = due.filter(|(at, ..)| *at <= self.now) else { break };
                    self.timers[i] = None;
                    self.ran_out[i] = true;
                    self.cancel(d);
                }
            }
            Op::Acquire => {
                let d = self.make(Chain { kind: Kind::Acquire, ..Chain::default() });
                if self.taken < 2 {
                    self.taken += 1;
                    self.let_in(d);
                } else {
                    self.line.push_back(d);
                }
            }
            Op::Release => {
                if self.held == 0 {
                    return;
                }
                self.held -= 1;
                self.give_back();
            }
            Op::Run(does) => {
                let steps = [Step::Body(does.clone()), Step::GiveBack].into();
                let d = self.make(Chain { kind: Kind::Run(false), steps, ..Chain::default() });
                self.chains[d].consumer = false; // not yet given out
                if self.taken < 2 {
                    self.taken += 1;
                    self.let_in(d);
                } else {
                    self.line.push_back(d);
                }
                self.chains[d].consumer = true;
            }
            Op::Share(d) => {
                let Some(d) = self.take(*d) else { return };
                let s = self.shares.len();
                self.shares.push(Share { source: d, result: None, waiters: VecDeque::new(), given: false });
                self.chains[d].steps.push_back(Step::Share(s));
                self.drive(d);
            }
            Op::Join(s) => {
                if self.shares.is_empty() {
                    return;
                }
                let s = s % self.shares.len();
                let d = self.make(Chain { kind: Kind::Joined(s), ..Chain::default() });
                self.chains[d].consumer = false; // not yet given out
                self.shares[s].waiters.push_back(d);
                self.serve(s);
                self.chains[d].consumer = true;
            }
            Op::CancelShared(s) => {
                if !self.shares.is_empty() {
                    let s = s % self.shares.len();
                    self.cancel(self.shares[s].source);
                }
            }
            Op::Put => match self.getters.pop_front() {
                Some(getter) => self.fire(getter, Ok(5)),
                None if self.queue.len() == 2 => self.say("overflow".to_owned()),
                None => self.queue.push_back(5),
            },
            Op::Get => match self.queue.pop_front() {
                Some(value) => {
                    self.make(Chain { fired: true, result: Some(Ok(value)), ..Chain::default() });
                }
                None if self.getters.len() == 2 => self.say("underflow".to_owned()),
                None => {
                    let d = self.make(Chain { kind: Kind::Get, ..Chain::default() });
                    self.getters.push_back(d);
                }
            },
        }
    }

    fn let_in(&mut self, d: usize) {
        match &mut self.chains[d].kind {
            Kind::Run(holds) => *holds = true,
            _ => self.held += 1,
        }
        self.fire(d, Ok(0));
    }

    fn give_back(&mut self) {
        match self.line.pop_front() {
            Some(next) => self.let_in(next),
            None => self.taken -= 1,
        }
    }

    /// Gives a shared result to those who wait for it.
    fn serve(&mut self, s: usize) {
        while let Some(result) = self.shares[s].result.clone()
            && let Some(waiter) = self.shares[s].waiters.pop_front()
        {
            self.shares[s].given |= result.is_err();
            self.fire(waiter, result);
        }
    }

    fn fire(&mut self, d: usize, outcome: Outcome) {
        if self.chains[d].fired {
            return; // late, after a cancel
        }
        self.chains[d].fired = true;
        self.chains[d].result = Some(outcome);
        self.drive(d);
        self.look_for_lost(d);
    }

    fn look_for_lost(&mut self, d: usize) {
        let chain = &mut self.chains[d];
        if !chain.owned && !chain.running && chain.waits_for.is_none() && matches!(chain.result, Some(Err(_))) {
            let Some(Err(name)) = chain.result.take() else { return };
            self.reports.push(name);
        }
    }

    /// Runs the steps of a chain that has a result, until none is left or one waits.
    fn drive(&mut self, d: usize) {
        while !self.chains[d].running && self.chains[d].result.is_some() {
            let Some(step) = self.chains[d].steps.pop_front() else { break };
            let Some(result) = self.chains[d].result.take() else { break };
            self.chains[d].running = true;
            let next = self.step(d, step, result);
            self.chains[d].running = false;
            match next {
                Next::Result(outcome) => self.chains[d].result = Some(outcome),
                Next::Wait(on) => self.chains[d].waits_for = Some(on),
                Next::Moved => {}
            }
        }
        self.look_for_lost(d);
    }

    fn step(&mut self, d: usize, step: Step, result: Outcome) -> Next {
        match step {
            Step::User(n, lane, does) => {
                if lane != Lane::Both && result.is_ok() != (lane == Lane::Value) {
                    return Next::Result(result);
                }
                self.say(format!("step {d}.{n} {result:?}"));
                self.behave(d, &does, result)
            }
            Step::Body(does) => {
                if result.is_err() {
                    return Next::Result(result); // cancelled in the line
                }
                self.say(format!("body {d}"));
                self.behave(d, &does, result)
            }
            Step::GiveBack => {
                if let Kind::Run(holds) = &mut self.chains[d].kind
                    && std::mem::take(holds)
                {
                    self.give_back();
                }
                Next::Result(result)
            }
            Step::Share(s) => {
                self.shares[s].result = Some(result);
                self.serve(s);
                Next::Moved
            }
            Step::Resume(outer) => {
                self.chains[outer].waits_for = None;
                self.chains[outer].result = Some(result);
                self.drive(outer);
                Next::Moved
            }
            Step::Member(group, i) => {
                self.arrived(group, i, result);
                Next::Moved
            }
            Step::TimeOut(timer) => Next::Result(match result {
                Err(name) if name == "Cancelled" && self.ran_out[timer] => Err("TimedOut".to_owned()),
                other => other,
            }),
            Step::StopTimer(timer) => {
                self.timers[timer] = None;
                Next::Result(result)
            }
        }
    }

    fn behave(&mut self, d: usize, does: &Behaviour, result: Outcome) -> Next {
        does.acts.iter().for_each(|act| self.act(act));
        match does.ret {
            Ret::Pass => Next::Result(result),
            Ret::Const(value) => Next::Result(Ok(value)),
            Ret::Raise => Next::Result(Err(self.name())),
            Ret::Panic => Next::Result(Err(format!("panic {}", self.name()))),
            Ret::Await(on) => match self.take(on) {
                None => Next::Result(result),
                Some(on) => self.wait(d, on),
            },
        }
    }

    fn wait(&mut self, d: usize, on: usize) -> Next {
        if self.chains[on].running || self.needs(on, d) {
            self.circle = true;
            return Next::Result(Ok(0));
        }
        if let Some(result) = self.chains[on].result.take() {
            return Next::Result(result);
        }
        self.chains[on].steps.push_back(Step::Resume(d));
        Next::Wait(on)
    }

    /// Whether `d` cannot go on without `on`.
    fn needs(&self, d: usize, on: usize) -> bool {
        let members: &[usize] = match &self.chains[d].kind {
            Kind::Group(group) => &group.members,
            Kind::Joined(s) => std::slice::from_ref(&self.shares[*s].source),
            _ => &[],
        };
        d == on || self.chains[d].waits_for.iter().chain(members).any(|d| self.needs(*d, on))
    }

    fn group(&mut self, of: &[usize], (one_callback, one_errback, consume): (bool, bool, bool), race: bool) {
        let members: Vec<usize> = of.iter().filter_map(|d| self.take(*d)).collect();
        if (race || one_callback) && members.is_empty() {
            return;
        }
        let results = vec![None; members.len()];
        let of = members.clone();
        let group = Group {
            members,
            results,
            one_callback,
            one_errback,
            consume,
            race,
            cancelled: false,
            won: false,
            winner: None,
            all_in: false,
        };
        // Its number comes last, when all is known that the members have already.
        let g = self.chains.len();
        self.make(Chain { kind: Kind::Group(group), ..Chain::default() });
        self.chains[g].consumer = false; // not yet given out
        for (i, member) in of.iter().enumerate() {
            self.chains[*member].steps.push_back(Step::Member(g, i));
            self.drive(*member);
        }
        if let Kind::Group(group) = &mut self.chains[g].kind {
            group.all_in = true;
        }
        if race {
            self.end_race(g);
        }
        if of.is_empty() {
            self.say(format!("result {g} []"));
            self.fire(g, Ok(0));
        }
        self.chains[g].consumer = true;
    }

    fn arrived(&mut self, g: usize, i: usize, outcome: Outcome) {
        let fired = self.chains[g].fired;
        let Kind::Group(group) = &mut self.chains[g].kind else { return };
        if fired {
            if let Err(name) = outcome
                && !group.consume
                && !(group.cancelled && name == "Cancelled")
            {
                self.reports.push(name);
            }
            return;
        }
        group.results[i] = Some(outcome.clone());
        let all = group.results.iter().all(Option::is_some);
        let race = group.race;
        if group.won {
            return;
        }
        match outcome {
            Ok(value) if group.one_callback => {
                if race {
                    group.won = true; // the others' answers change nothing any more
                    group.winner = Some((i, value));
                    return if group.all_in {
                        self.end_race(g)
                    };
                }
                if !group.consume {
                    // It promised to deliver them.
                    self.reports.extend(group.results.iter().flatten().filter_map(|r| r.clone().err()));
                }
                self.say(format!("result {g} {i} {value}"));
                self.fire(g, Ok(value));
            }
            Err(name) if group.one_errback => self.fire(g, Err(format!("First({i},{name})"))),
            _ if all && race => {
                let names: Vec<String> = group.results.iter().flatten().filter_map(|r| r.clone().err()).collect();
                self.fire(g, Err(format!("Group({})", names.join(","))));
            }
            _ if all => {
                let results: Vec<Outcome> = group.results.iter().flatten().cloned().collect();
                self.say(format!("result {g} {results:?}"));
                self.fire(g, Ok(results.into_iter().flatten().sum()));
            }
            _ => {}
        }
    }

    /// The others are cancelled, and then the winner's value is the race's.
    fn end_race(&mut self, g: usize) {
        let Kind::Group(group) = &self.chains[g].kind else { return };
        let Some((i, value)) = group.winner else { return };
        let others: Vec<usize> = group.members.clone();
        self.group_cancels(g);
        others.iter().enumerate().filter(|(j, _)| *j != i).for_each(|(_, d)| self.cancel(*d));
        if !self.chains[g].fired {
            self.say(format!("result {g} {i} {value}"));
            self.fire(g, Ok(value));
        }
    }

    fn group_cancels(&mut self, g: usize) {
        if let Kind::Group(group) = &mut self.chains[g].kind {
            group.cancelled = true;
        }
    }

    fn cancel(&mut self, d: usize) {
        if self.chains[d].fired {
            if let Some(on) = self.chains[d].waits_for {
                self.cancel(on);
            }
            return;
        }
        if let Kind::Group(group) = &mut self.chains[d].kind {
            group.cancelled = true;
            let members = group.members.clone();
            let race = group.race;
            members.iter().for_each(|member| self.cancel(*member));
            // A list waits for what its members answer. A race is over.
            if race {
                self.fire(d, Err("Cancelled".to_owned()));
            }
            return;
        }
        self.line.retain(|waiter| *waiter != d);
        self.getters.retain(|waiter| *waiter != d);
        self.shares.iter_mut().for_each(|share| share.waiters.retain(|waiter| *waiter != d));
        if let Some(canceller) = self.chains[d].canceller.filter(|c| *c != Canceller::None)
            && !std::mem::replace(&mut self.chains[d].asked, true)
        {
            self.say(format!("canceller {d}"));
            if canceller != Canceller::Silent {
                let outcome = self.outcome(canceller == Canceller::Succeeds);
                if std::mem::take(&mut self.chains[d].producer) {
                    self.fire(d, outcome);
                }
            }
        }
        self.fire(d, Err("Cancelled".to_owned()));
    }
}

enum Next {
    Result(Outcome),
    Wait(usize),
    /// The result went elsewhere.
    Moved,
}
