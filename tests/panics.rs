//! One failing callback is one failing callback: whatever kind it is, the report names the line that registered it, and
//! all others run. In a process of its own, since the logger is the process's.

use std::cell::RefCell;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use ropewalk::{EventLoop, Interest, Phase, SystemEvent};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push(record.args().to_string());
    }
    fn flush(&self) {}
}

#[test]
fn a_panic_in_each_kind_of_callback_is_reported_with_its_place_and_the_others_are_served() {
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    std::panic::set_hook(Box::new(|_| {})); // the report is what this is about
    let event_loop = EventLoop::new().unwrap();
    let served = Rc::new(RefCell::new(Vec::new()));
    let serve = |name: &'static str| {
        let served = served.clone();
        move || served.borrow_mut().push(name)
    };
    let mut expected = Vec::new();
    let mut expect = |kind: &str, line: u32| {
        expected.push((format!("{kind} panicked: expected"), format!("tests/panics.rs:{line}:")));
    };

    expect("a start-up or shutdown trigger", line!() + 1);
    event_loop.add_system_event_trigger(Phase::During, SystemEvent::Startup, |_| bad());
    let good = serve("trigger");
    event_loop.add_system_event_trigger(Phase::During, SystemEvent::Startup, move |_| good());

    expect("a call_soon callback", line!() + 1);
    event_loop.call_soon(|_| bad());
    let good = serve("soon");
    event_loop.call_soon(move |_| good());

    let remote = event_loop.remote();
    expect("a call posted from another thread", line!() + 1);
    remote.post(|_| bad()).unwrap();
    let served_here = event_loop.channel(1, {
        let good = serve("post");
        move |_, ()| good()
    });
    served_here.try_send(()).unwrap();

    let (ours_1, mut theirs_1) = UnixStream::pair().unwrap();
    let (ours_2, mut theirs_2) = UnixStream::pair().unwrap();
    expect("a source's callback", line!() + 1);
    let failing = event_loop.register(ours_1, Interest::READ, |_, _, _| bad()).unwrap();
    let good = serve("source");
    let working = event_loop
        .register(ours_2, Interest::READ, move |event_loop, _, _| {
            good();
            event_loop.stop();
        })
        .unwrap();
    theirs_1.write_all(b"x").unwrap();
    theirs_2.write_all(b"x").unwrap();

    expect("a delayed call", line!() + 1);
    event_loop.call_later(Duration::ZERO, |_| bad());
    let good = serve("timer");
    event_loop.call_later(Duration::ZERO, move |_| good());

    event_loop.run().unwrap();
    assert_eq!(*served.borrow(), ["trigger", "soon", "post", "source", "timer"]);
    assert!(!event_loop.is_registered(failing) && event_loop.is_registered(working));
    let lines = LINES.lock().unwrap();
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (what, place)) in lines.iter().zip(&expected) {
        assert!(line.contains(what) && line.contains(place), "{line:?} should say {what:?} and {place:?}");
    }
}

fn bad() {
    panic!("expected by this test");
}
