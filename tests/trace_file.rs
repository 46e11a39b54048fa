//! A trace as JSON Lines: what is written is read again, whatever it holds; and what is no trace is refused.

use proptest::prelude::*;
use ropewalk::trace::{
    self, Asked, At, Cancel, ClockKind, Dropped, Ending, Event, Gave, Header, Id, JsonLines, Kind, Lane, Lanes,
    Loss, Mode, Object, Open, Out, Polled, Recorder, Slot, Stream, Trace, Val, Via, Woke,
};
use ropewalk::{Deferred, EventLoop, Failure, TestClock};
use std::time::Duration;

/// What the fields of events are made of.
struct Draw<'t> {
    numbers: &'t [u64],
    texts: &'t [String],
    ids: &'t [Id],
    asked: &'t [Asked],
    next: usize,
}

impl<'t> Draw<'t> {
    fn num(&mut self) -> u64 {
        self.next += 1;
        self.numbers[self.next % self.numbers.len()].rotate_left(self.next as u32 % 7)
    }
    fn small(&mut self) -> u32 {
        self.num() as u32
    }
    fn is(&mut self) -> bool {
        self.num() & 1 == 1
    }
    fn text(&mut self) -> &'t str {
        let n = self.num() as usize;
        &self.texts[n % self.texts.len()]
    }
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.num() as usize % all.len()]
    }
    fn id(&mut self, object: Object) -> Id {
        Id(object, self.small() >> 4)
    }
    fn may<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.is() { Some(make(self)) } else { None }
    }
    fn val(&mut self) -> Val<'t> {
        if self.is() { Val::Ok { text: self.text(), ty: self.text() } } else { Val::Err(self.id(Object::Failure)) }
    }
    fn gave(&mut self) -> Gave {
        match self.num() % 4 {
            0 => Gave::Bytes(self.num()),
            1 => Gave::Again,
            2 => Gave::Eof,
            _ => Gave::Errno(self.small()),
        }
    }
    fn ids(&mut self) -> &'t [Id] {
        let n = self.num() as usize;
        &self.ids[..n % (self.ids.len() + 1)]
    }
    fn asked(&mut self) -> &'t [Asked] {
        let n = self.num() as usize;
        &self.asked[..n % (self.asked.len() + 1)]
    }

    /// One event of each kind. A begin event lies at most as far back as the first one.
    fn kinds(&mut self) -> Vec<Kind<'t>> {
        use Object::{Deferred, Failure, Group, Post, Source, Task, Timer, Work};
        let (d, f, m, i) = (self.id(Deferred), self.id(Failure), self.id(Timer), self.id(Source));
        let (p, w, x, g) = (self.id(Post), self.id(Work), self.id(Task), self.id(Group));
        let (n, b) = (self.small(), 1);
        let mut any = |object| self.id(object);
        let (d2, f2, i2) = (any(Deferred), any(Failure), any(Source));
        vec![
            Kind::Note { msg: self.text() },
            Kind::Ask { q: self.text(), answer: self.text() },
            Kind::Out { text: self.text(), stream: self.of(Stream::ALL) },
            Kind::Gate { why: self.text(), held_w: self.num() },
            Kind::Drop { n: self.num() >> 8 },
            Kind::End {
                why: self.of(Ending::ALL),
                open: Open { d: self.small(), m: self.small(), i: self.small(), x: self.small() },
            },
            Kind::TurnBegin { n },
            Kind::PollBegin { timeout: self.may(Draw::num), next: self.may(|s| s.id(Timer)), watch: self.asked() },
            Kind::PollEnd { b, waited: self.num(), woke: self.of(Woke::ALL), ready: self.asked() },
            Kind::CbBegin { o: self.may(|s| s.id(Post)), slot: self.of(Slot::ALL) },
            Kind::CbEnd { b, out: self.of(Out::ALL) },
            Kind::TurnEnd { b, ran: n, busy: self.num() },
            Kind::LoopStop {},
            Kind::TimerArm { m, due: self.num(), every: self.may(Draw::num), late: self.is() },
            Kind::TimerFire { m, late: self.num() },
            Kind::TimerCancel { m },
            Kind::TimerReset { m, due: self.num() },
            Kind::Post { p, late: self.is() },
            Kind::IoOpen { i, what: self.text(), name: self.may(Draw::text), late: self.is() },
            Kind::IoWant { i, r: self.is(), w: self.is() },
            Kind::IoReady { i, r: self.is(), w: self.is(), hup: self.is() },
            Kind::IoRead { i, n: self.gave() },
            Kind::IoWrite { i, asked: self.num(), took: self.gave(), left: self.num() },
            Kind::IoAccept { i, new: i2 },
            Kind::IoClose { i, why: self.may(Draw::text) },
            Kind::FlowHigh { i, left: self.num(), limit: self.num() },
            Kind::FlowStop { src: self.may(|s| s.id(Source)), because: self.may(|s| s.id(Source)) },
            Kind::FlowGo { src: self.may(|s| s.id(Source)), because: self.may(|s| s.id(Source)) },
            Kind::FlowLow { i, left: self.num() },
            Kind::WorkQueue { w, late: self.is() },
            Kind::WorkBegin { w },
            Kind::WorkEnd { w, out: self.of(Out::ALL) },
            Kind::WorkDone { w },
            Kind::DNew { d, ty: self.text(), of: self.may(|s| s.id(Deferred)), late: self.is() },
            Kind::DName { d },
            Kind::DAdd { d, n, lanes: self.of(Lanes::ALL), names: [self.text(), ""], late: self.is() },
            Kind::DAdd { d, n, lanes: Lanes::Both, names: ["first", "second"], late: self.is() },
            Kind::DFire { d, val: self.val() },
            Kind::DStep { d, n, lane: self.of(Lane::ALL), val: self.val() },
            Kind::DRet { d, n, b, val: self.may(Draw::val), inner: self.may(|s| s.id(Deferred)) },
            Kind::DPass { d, n, lane: self.of(Lane::ALL) },
            Kind::DPause { d, on: d2 },
            Kind::DResume { d, from: d2, val: self.val() },
            Kind::DCancel { d, how: self.of(Cancel::ALL), to: self.may(|s| s.id(Deferred)) },
            Kind::CancellerBegin { d },
            Kind::CancellerEnd { b, fired: self.is(), out: self.of(Out::ALL) },
            Kind::DSwallow { d, val: self.may(Draw::val) },
            Kind::DTimeout { d, after: self.num(), m },
            Kind::DTake { d },
            Kind::DDrop { d, state: self.of(Dropped::ALL), left: self.small() },
            Kind::GNew { g, mode: self.of(Mode::ALL), of: self.ids(), d },
            Kind::GGot { g, i: n, lane: self.of(Lane::ALL) },
            Kind::FNew { f, ty: self.text(), msg: self.text(), via: self.of(Via::ALL) },
            Kind::FMoved { f, from: d, to: d2 },
            Kind::FReplaced { f, by: f2 },
            Kind::FHandled { f, d, n },
            Kind::FResting { f, d },
            Kind::FLost { f, d, why: self.of(Loss::ALL) },
            Kind::XSpawn { x, late: self.is() },
            Kind::XPoll { x, n },
            Kind::XRet { b, out: self.of(Polled::ALL), val: self.may(Draw::val) },
            Kind::XWait { x, on: self.may(|s| s.id(Timer)) },
            Kind::XWake { x, by: self.may(|s| s.id(Deferred)), own: self.is() },
            Kind::XDrop { x, state: self.of(Polled::ALL) },
            Kind::WakerClone { x },
            Kind::WakerDrop { x },
        ]
    }

    fn events(&mut self) -> Vec<Event<'t>> {
        let mut kinds = self.kinds();
        // Any order, but no end before the first event.
        let turn = self.num() as usize % kinds.len();
        kinds.rotate_left(turn);
        kinds.insert(0, Kind::LoopStop {});
        let events = kinds.into_iter().zip(1..).map(|(kind, s)| Event {
            t: self.num(),
            wall: self.may(Draw::num),
            turn: self.small(),
            th: self.may(|s| s.small() | 1),
            frame: self.small() % s,
            cause: self.small() % s,
            reg: self.small() % s,
            at: self.may(|s| At::new(s.text(), s.small(), s.small())),
            label: self.may(Draw::text),
            sys: self.is(),
            ..Event::new(s, kind)
        });
        events.collect()
    }
}

fn header(trace: &Trace) -> (String, String, ClockKind, Vec<String>) {
    (trace.prog().to_owned(), trace.lib().to_owned(), trace.clock(), trace.args().to_vec())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    let hostile = prop_oneof![
        any::<String>(),
        "\\PC*",
        Just("</script><!-- ]]>".to_owned()),
        Just("\u{1b}[2J\u{0}\u{7f}\u{85}\u{202e}\u{2028}\"\\\n\r\t".to_owned()),
        Just(String::new()),
        Just("\u{1f9f5}".repeat(200)),
    ];
    prop::collection::vec(hostile, 1..6)
}

proptest! {
    // Each of them writes and reads all kinds of events.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_kind_of_event_comes_back_from_memory_and_from_a_file(
        numbers in prop::collection::vec(any::<u64>(), 3..40),
        texts in texts(),
        prog in any::<String>(),
        clock in prop::sample::select(ClockKind::ALL),
    ) {
        let ids = [Id(Object::Deferred, 1), Id(Object::Deferred, u32::MAX), Id(Object::Task, 70_000)];
        let asked = [
            Asked { i: Id(Object::Source, 1), r: true, w: false },
            Asked { i: Id(Object::Source, 900), r: false, w: true },
            Asked { i: Id(Object::Source, 2), r: true, w: true },
        ];
        let events = Draw { numbers: &numbers, texts: &texts, ids: &ids, asked: &asked, next: 0 }.events();
        let mut trace = Trace::with_limit(1000);
        let args: Vec<&str> = texts.iter().map(String::as_str).collect();
        trace.begin(&Header { prog: &prog, lib: "ropewalk 0", clock, args: &args });
        events.iter().for_each(|event| trace.event(event));
        for (kept, event) in trace.events().zip(&events) {
            prop_assert_eq!(kept, *event);
        }
        prop_assert_eq!(trace.events().rev().map(|event| event.s).max(), Some(events.len() as u32));

        let mut bytes = Vec::new();
        trace.write_json(&mut bytes).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        for line in text.lines() {
            prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
            prop_assert!(line.parse::<tinyjson::JsonValue>().is_ok(), "{:?}", line);
        }
        let read = Trace::read_json(&bytes[..]).unwrap();
        for event in &events {
            prop_assert_eq!(read.get(event.s), Some(*event));
        }
        prop_assert_eq!(read.len(), events.len());
        prop_assert_eq!(header(&read), header(&trace));

        let mut again = Vec::new();
        read.write_json(&mut again).unwrap();
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>(), cut in any::<prop::sample::Index>(), put in any::<u8>()) {
        let _ = Trace::read_json(text.as_bytes());
        let mut bytes = file();
        let at = cut.index(bytes.len());
        bytes[at] = put;
        let _ = Trace::read_json(&bytes[..]);
    }
}

fn shout(poem: &str) -> Result<String, Failure> {
    Ok(poem.to_uppercase())
}

fn program() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().expect("a loop");
    let (resolver, d) = Deferred::new();
    d.named("poem").add_callback(shout).add_callback(|_| Err::<(), _>(Failure::msg("no paper"))).log_errors("poem");
    event_loop.call_later(Duration::from_millis(50), move |_| resolver.succeed("if I were")).named("post");
    clock.advance(Duration::from_millis(50)).expect("the loop can turn");
}

/// The file of a small program.
fn file() -> Vec<u8> {
    let ((), lines) = trace::record_with(JsonLines::new(Vec::new()).without_sources(), program);
    lines.finish().expect("memory takes everything")
}

#[test]
fn a_file_written_while_the_program_runs_is_the_one_written_from_memory() {
    let ((), lines) = trace::record_with(JsonLines::new(Vec::new()).stable(), program);
    let ((), trace) = trace::record(program);
    let mut bytes = Vec::new();
    trace.write_json_to(JsonLines::new(&mut bytes).stable()).unwrap();
    assert_eq!(String::from_utf8(lines.finish().unwrap()), String::from_utf8(bytes));
}

#[test]
fn the_texts_of_the_source_files_travel_with_the_trace() {
    let ((), trace) = trace::record(program);
    let mut bytes = Vec::new();
    trace.write_json(&mut bytes).unwrap();
    let read = Trace::read_json(&bytes[..]).unwrap();
    assert_eq!(read.files(), [file!()]);
    assert_eq!(read.source(file!()).as_deref(), Some(include_str!("trace_file.rs")));
    let line = read.events().find_map(|event| event.at).unwrap().line();
    assert!(include_str!("trace_file.rs").lines().nth(line as usize - 1).is_some());
}

#[test]
fn a_torn_last_line_is_left_out_wherever_it_was_torn() {
    let bytes = file();
    let all = Trace::read_json(&bytes[..]).unwrap().len();
    let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in first..bytes.len() {
        let trace = Trace::read_json(&bytes[..end]).unwrap();
        assert!(trace.len() <= all);
        assert!(trace.events().zip(1..).all(|(event, s)| event.s == s));
    }
    // Only the last one may be torn.
    let torn = [&bytes[..bytes.len() - 20], b"\n"].concat();
    assert!(Trace::read_json(&torn[..]).is_err());
}

#[test]
fn unknown_kinds_and_fields_are_left_out() {
    let text = concat!(
        "{\"k\":\"trace\",\"v\":1,\"prog\":\"p\",\"colour\":[{\"a\":-1.5e3}]}\n",
        "{\"s\":1,\"t\":1,\"turn\":0,\"k\":\"note\",\"msg\":\"a\",\"new\":null}\n",
        "{\"s\":2,\"t\":1,\"turn\":0,\"k\":\"tea.break\",\"with\":\"milk\"}\n",
        " { \"s\" : 7 , \"t\":1,\"turn\":0,\"k\":\"note\",\"msg\":\"\\ud83e\\uddf5\\/\"}\r\n",
    );
    let trace = Trace::read_json(text.as_bytes()).unwrap();
    let notes: Vec<_> = trace.events().map(|event| (event.s, event.kind)).collect();
    assert_eq!(notes, [(1, Kind::Note { msg: "a" }), (7, Kind::Note { msg: "\u{1f9f5}/" })]);
    assert_eq!(trace.get(7).map(|event| event.s), Some(7));
    assert_eq!(trace.get(2), None);
    assert_eq!(trace.get(8), None);
}

#[test]
fn what_is_no_trace_is_refused_with_its_line() {
    let header = "{\"k\":\"trace\",\"v\":1}\n";
    let refused = [
        (String::new(), "line 1 of the trace is no header"),
        ("hello\n".to_owned(), "line 1 of the trace is no header"),
        ("{\"s\":1,\"k\":\"note\",\"msg\":\"\"}\n".to_owned(), "line 1 of the trace is no header"),
        ("{\"k\":\"trace\",\"v\":2}\n".to_owned(), "line 1 of the trace says version 2"),
        (format!("{header}[]\n"), "line 2 of the trace is no JSON object"),
        (format!("{header}{}\n", "[".repeat(100_000)), "line 2 of the trace is no JSON object"),
        (format!("{header}{{\"s\":1,\"k\":\"note\",\"msg\":\"\",\"in\":1}}\n"), "is event 1 and refers to event 1"),
        (format!("{header}{{\"s\":0,\"k\":\"note\",\"msg\":\"\"}}\n"), "greater than the one before it, 0"),
    ];
    for (text, expected) in refused {
        let error = Trace::read_json(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn an_event_takes_little_room() {
    let ((), trace) = trace::record(|| (0..200).for_each(|_| program()));
    let (events, texts) = trace.size();
    assert!(trace.len() > 2000, "{}", trace.len());
    assert!(events / trace.len() <= 48, "{} bytes an event", events / trace.len());
    assert!(texts < 20_000, "each text is kept once: {texts} bytes");
}

/// A process may end without the destructors that end a recording: what came before the stop is in the file all the same.
#[test]
fn what_came_before_a_loop_was_stopped_is_in_the_file_while_it_is_still_recorded() {
    let path = std::env::temp_dir().join(format!("ropewalk-stopped-{}.jsonl", std::process::id()));
    let event_loop = EventLoop::builder().clock(&TestClock::new()).build().unwrap();
    let recording = event_loop.record(trace::TraceFile::create(&path).unwrap());
    event_loop.call_soon(|event_loop| event_loop.stop());
    event_loop.run().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    drop(recording);
    std::fs::remove_file(&path).unwrap();
    assert!(text.contains("\"loop.stop\"") && !text.contains("\"end\""), "{text}");
}
