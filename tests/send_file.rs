//! A file into a transport: whole and in part, with a peer that reads slowly or not at all, and every way to fail.

#[path = "support/peer.rs"]
mod peer;

use std::cell::RefCell;
use std::fs::File as StdFile;
use std::io::{self, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::rc::Rc;

use peer::{Acting, Diary, Told, accepted, read_some, read_to_end, reset, some_turns, turn_until};
use ropewalk::testing::{assert_clean, capture_unhandled, failure_of};
use ropewalk::{
    CancelledError, Deferred, EventLoop, Failure, Producer, ProducerError, RegisteredKind, SendFileError,
    Streaming, Transport, fs,
};

/// The most that one piece holds.
const PIECE: usize = 65_536;

/// More than the buffers of two sockets take, so that a peer that does not read stops it.
const MUCH: usize = 16 << 20;

/// A loop with a connection, and a file in a folder of its own.
struct Scene {
    event_loop: EventLoop,
    diary: Rc<Diary>,
    transport: Transport,
    peer: Option<TcpStream>,
    path: PathBuf,
    file: fs::File,
    data: Vec<u8>,
}

impl Scene {
    #[track_caller]
    fn new(size: usize) -> Scene {
        let here = std::panic::Location::caller();
        let name = format!("ropewalk-send-file-{}-{}-{size}", std::process::id(), here.line());
        let path = std::env::temp_dir().join(name);
        let mut data = (0..251).collect::<Vec<u8>>().repeat(size.div_ceil(251));
        data.truncate(size);
        std::fs::write(&path, &data).unwrap();
        let event_loop = EventLoop::new().unwrap();
        let diary = Diary::new();
        let peer = accepted(&event_loop, Acting::half_closing(&diary, |_, _, _| Ok(())));
        let file = open(&event_loop, &path);
        let transport = diary.transport();
        Scene { event_loop, diary, transport, peer: Some(peer), path, file, data }
    }

    fn peer(&mut self) -> &mut TcpStream {
        self.peer.as_mut().unwrap()
    }

    fn read_to_end(&mut self) -> (Vec<u8>, Option<io::ErrorKind>) {
        read_to_end(&self.event_loop, self.peer.as_mut().unwrap())
    }

    fn read_some(&mut self, n: usize) -> Vec<u8> {
        read_some(&self.event_loop, self.peer.as_mut().unwrap(), n)
    }

    /// Turns until no more of the file can be sent. The system may still move what it has from one socket to the other.
    fn stuck(&self) {
        let mut still = 0;
        turn_until(&self.event_loop, || {
            still = if self.transport.buffered() > 0 && self.working() == 0 { still + 1 } else { 0 };
            still == 10
        });
    }

    fn working(&self) -> usize {
        let all = self.event_loop.still_registered();
        all.iter().filter(|one| matches!(one.kind, RegisteredKind::Job)).count()
    }

    fn result(&self, sent: Deferred<u64>) -> Result<u64, Failure> {
        turn_until(&self.event_loop, || sent.has_result());
        sent.try_result().unwrap()
    }

    /// Nothing may be left, and the transport takes another producer. Then the connection is over.
    #[track_caller]
    fn leaves_nothing(self) {
        if !self.transport.is_disconnected() {
            self.transport.register_producer(&self.event_loop, Idle, Streaming::Push).unwrap();
            self.transport.unregister_producer();
            self.transport.abort();
            turn_until(&self.event_loop, || self.diary.is_lost());
        }
        turn_until(&self.event_loop, || self.working() == 0);
        assert_clean(&self.event_loop);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Idle;

impl Producer for Idle {
    fn pause_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
        Ok(())
    }

    fn resume_producing(&mut self, _: &EventLoop) -> Result<(), Failure> {
        Ok(())
    }

    fn stop_producing(&mut self, _: &EventLoop) {}
}

fn open(event_loop: &EventLoop, path: &std::path::Path) -> fs::File {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    event_loop.run_until(fs::open(event_loop, path, options)).unwrap()
}

#[test]
fn a_whole_file_arrives_and_the_answer_is_its_size() {
    for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 7] {
        let mut scene = Scene::new(size);
        let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
        let came = scene.read_some(size);
        assert!(came == scene.data, "{size} bytes");
        assert_eq!(scene.result(sent).unwrap(), size as u64);
        let position = scene.event_loop.run_until(scene.file.seek(&scene.event_loop, io::SeekFrom::Current(0)));
        assert_eq!(position.unwrap(), 0, "the position stays as it is");
        scene.leaves_nothing();
    }
}

#[test]
fn a_part_of_a_file_arrives_and_nothing_of_the_rest() {
    let mut scene = Scene::new(3 * PIECE);
    let parts = [(0, 10), (10, 0), (3, 2 * PIECE), (3 * PIECE - 1, 1), (3 * PIECE, 0), (u64::MAX as usize, 0)];
    let mut expected = Vec::new();
    for (offset, length) in parts {
        let sent = scene.transport.send_file_range(&scene.event_loop, &scene.file, offset as u64, length as u64);
        assert_eq!(scene.result(sent).unwrap(), length as u64);
        expected.extend_from_slice(scene.data.get(offset..offset + length).unwrap_or(&[]));
    }
    scene.transport.lose_connection();
    assert!(scene.read_to_end() == (expected, None));
    turn_until(&scene.event_loop, || scene.diary.is_lost());
    scene.leaves_nothing();
}

#[test]
fn a_connection_that_is_to_be_lost_waits_for_its_file() {
    let mut scene = Scene::new(MUCH);
    let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
    scene.transport.lose_connection();
    let (came, ended) = scene.read_to_end();
    assert!(came == scene.data);
    assert_eq!(ended, None);
    assert_eq!(scene.result(sent).unwrap(), MUCH as u64);
    turn_until(&scene.event_loop, || scene.diary.is_lost());
    assert_eq!(scene.diary.take(), ["made", "lost: done"]);
    scene.leaves_nothing();
}

#[test]
fn the_answer_comes_when_the_system_has_taken_the_last_byte() {
    let mut scene = Scene::new(MUCH);
    let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
    let buffered = Rc::new(RefCell::new(None));
    let (noted, transport) = (buffered.clone(), scene.transport.clone());
    let sent = sent.map(move |n| {
        noted.replace(Some(transport.buffered()));
        n
    });
    let came = scene.read_some(MUCH);
    assert!(came == scene.data);
    assert_eq!(scene.result(sent).unwrap(), MUCH as u64);
    assert_eq!(buffered.take(), Some(0));
    scene.leaves_nothing();
}

#[test]
fn a_slow_reader_costs_one_piece_that_waits_and_one_that_is_read() {
    for high in [PIECE, 4 * PIECE, 1000] {
        let piece = high.min(PIECE);
        let mut scene = Scene::new(MUCH);
        scene.transport.set_water_marks(high, 0);
        let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
        let (mut most, mut came, mut some) = (0, Vec::new(), vec![0; 100_000]);
        while came.len() < MUCH / 4 {
            // The peer reads a little only when nothing moves any more.
            scene.stuck();
            most = most.max(scene.transport.buffered());
            while let Ok(n) = scene.peer().read(&mut some) {
                came.extend_from_slice(&some[..n]);
            }
        }
        let mut peer = scene.peer.take().unwrap();
        turn_until(&scene.event_loop, || {
            most = most.max(scene.transport.buffered());
            assert!(scene.working() <= 1, "one piece is read at a time");
            while let Ok(n @ 1..) = peer.read(&mut some) {
                came.extend_from_slice(&some[..n]);
            }
            came.len() == MUCH
        });
        assert!(came == scene.data);
        assert!(0 < most && most <= piece, "{most} bytes waited, with a high-water mark of {high}");
        assert_eq!(scene.result(sent).unwrap(), MUCH as u64);
        scene.leaves_nothing();
    }
}

#[test]
fn one_file_after_another_from_inside_the_answer_of_the_first() {
    let mut scene = Scene::new(PIECE + 1);
    let (file, transport, handle) = (scene.file.clone(), scene.transport.clone(), scene.event_loop.handle());
    let both = scene.transport.send_file(&scene.event_loop, &scene.file).add_callback(move |first| {
        handle.with(|event_loop| transport.send_file(event_loop, &file)).unwrap().map(move |second| first + second)
    });
    let came = scene.read_some(2 * (PIECE + 1));
    assert!(came == scene.data.repeat(2));
    assert_eq!(scene.result(both).unwrap(), 2 * (PIECE + 1) as u64);
    scene.leaves_nothing();
}

#[test]
fn what_is_appended_meanwhile_is_not_sent() {
    let mut scene = Scene::new(MUCH);
    let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
    scene.stuck();
    StdFile::options()
        .append(true)
        .open(&scene.path)
        .and_then(|mut f| io::Write::write_all(&mut f, b"more"))
        .unwrap();
    scene.transport.lose_connection();
    assert_eq!(scene.read_to_end().0.len(), MUCH);
    assert_eq!(scene.result(sent).unwrap(), MUCH as u64);
    scene.leaves_nothing();
}

#[test]
fn a_file_that_shrinks_is_a_failure_that_says_where_it_ended() {
    let mut scene = Scene::new(MUCH);
    let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
    scene.stuck();
    let new_end = MUCH as u64 - 100_000;
    StdFile::options().write(true).open(&scene.path).and_then(|f| f.set_len(new_end)).unwrap();
    let came = scene.read_some(new_end as usize);
    assert!(came == scene.data[..new_end as usize], "what was there arrives");
    let failure = scene.result(sent).unwrap_err();
    let path = scene.path.clone();
    assert_eq!(
        failure.check::<SendFileError>(),
        Some(&SendFileError::Ended { path, written: new_end, length: MUCH as u64 })
    );
    assert!(failure.to_string().ends_with("16777216 bytes were to be sent, and the file ended after 16677216"));
    assert!(!scene.transport.is_disconnecting(), "the connection stays as it is");
    scene.leaves_nothing();
}

#[test]
fn a_part_that_the_file_does_not_have_is_a_failure() {
    let mut scene = Scene::new(10);
    let sent = scene.transport.send_file_range(&scene.event_loop, &scene.file, 4, 10);
    assert_eq!(scene.read_some(6), &scene.data[4..]);
    let failure = scene.result(sent).unwrap_err();
    assert!(matches!(failure.check(), Some(SendFileError::Ended { written: 6, length: 10, .. })), "{failure}");
    scene.leaves_nothing();
}

#[test]
fn a_file_that_cannot_be_read_is_the_failure_of_the_read() {
    for range in [false, true] {
        let mut scene = Scene::new(10);
        // A folder can be opened and asked for its size, and not be read.
        scene.file = open(&scene.event_loop, &std::env::temp_dir());
        let sent = match range {
            false => scene.transport.send_file(&scene.event_loop, &scene.file),
            true => scene.transport.send_file_range(&scene.event_loop, &scene.file, 0, 7),
        };
        let failure = scene.result(sent).unwrap_err();
        let error = failure.check::<fs::FsError>().expect("a file's error");
        assert_eq!((error.operation(), error.io_error().kind()), ("read", io::ErrorKind::IsADirectory));
        assert_eq!(failure.raised().file(), file!(), "it names the program's line");
        scene.leaves_nothing();
    }
}

#[test]
fn a_lost_connection_is_a_failure_whoever_ends_it() {
    for how in ["reset", "abort", "shutdown"] {
        let mut scene = Scene::new(MUCH);
        let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
        scene.stuck();
        match how {
            "reset" => reset(scene.peer.take().unwrap()),
            "abort" => scene.transport.abort(),
            _ => {
                scene.event_loop.call_soon(|event_loop| event_loop.stop());
                scene.event_loop.run().unwrap();
            }
        }
        let failure = scene.result(sent).unwrap_err();
        let written = match failure.check() {
            Some(SendFileError::Disconnected { written, .. }) => *written,
            _ => panic!("{how}: {failure:?}"),
        };
        assert!((1..MUCH as u64).contains(&written), "{how}: {written}");
        assert!(scene.diary.is_lost(), "{how}");
        scene.leaves_nothing();
    }
}

#[test]
fn a_connection_lost_while_a_worker_reads_is_the_same() {
    for after_turns in 0..6 {
        let scene = Scene::new(MUCH);
        let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
        for _ in 0..after_turns {
            scene.event_loop.turn(None).unwrap();
        }
        scene.transport.abort();
        let failure = scene.result(sent).unwrap_err();
        assert!(matches!(failure.check(), Some(SendFileError::Disconnected { .. })), "{failure:?}");
        scene.leaves_nothing();
    }
}

#[test]
fn a_connection_that_is_lost_already_is_a_failure_at_once() {
    let scene = Scene::new(10);
    scene.transport.abort();
    turn_until(&scene.event_loop, || scene.diary.is_lost());
    for sent in [
        scene.transport.send_file(&scene.event_loop, &scene.file),
        scene.transport.send_file_range(&scene.event_loop, &scene.file, 0, 1),
    ] {
        let failure = failure_of(sent);
        assert!(matches!(failure.check(), Some(SendFileError::Disconnected { written: 0, .. })), "{failure:?}");
    }
    scene.leaves_nothing();
}

#[test]
fn a_writing_half_that_is_closed_meanwhile_is_a_failure() {
    let mut scene = Scene::new(MUCH);
    let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
    scene.stuck();
    scene.transport.lose_write_connection();
    let (came, ended) = scene.read_to_end();
    assert_eq!(ended, None);
    assert!(came == scene.data[..came.len()] && came.len() < MUCH);
    let failure = scene.result(sent).unwrap_err();
    let path = scene.path.clone();
    let written = came.len() as u64;
    assert_eq!(failure.check(), Some(&SendFileError::Disconnected { path, written }));
    scene.leaves_nothing();
}

#[test]
fn a_cancelled_one_ends_at_once_and_the_connection_goes_on() {
    let mut scene = Scene::new(MUCH);
    let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
    scene.stuck();
    sent.cancel();
    let failure = failure_of(sent);
    assert!(failure.check::<CancelledError>().is_some(), "{failure:?}");
    scene.transport.write(b"the end").unwrap();
    scene.transport.lose_connection();
    let (came, ended) = scene.read_to_end();
    assert_eq!(ended, None);
    let sent = came.len() - b"the end".len();
    assert!(came[..sent] == scene.data[..sent] && sent < MUCH && came.ends_with(b"the end"));
    turn_until(&scene.event_loop, || scene.diary.is_lost());
    scene.leaves_nothing();
}

#[test]
fn one_that_is_cancelled_while_a_worker_reads_leaves_nothing() {
    for after_turns in 0..6 {
        let scene = Scene::new(MUCH);
        let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
        for _ in 0..after_turns {
            scene.event_loop.turn(None).unwrap();
        }
        sent.cancel();
        let failure = failure_of(sent);
        assert!(failure.check::<CancelledError>().is_some(), "{failure:?}");
        scene.leaves_nothing();
    }
}

#[test]
fn beside_another_producer_it_is_refused_and_that_one_stays() {
    let mut scene = Scene::new(MUCH);
    let first = scene.transport.send_file(&scene.event_loop, &scene.file);
    let second = failure_of(scene.transport.send_file(&scene.event_loop, &scene.file));
    assert_eq!(second.check(), Some(&ProducerError::AlreadyRegistered));
    let came = scene.read_some(MUCH);
    assert!(came == scene.data);
    assert_eq!(scene.result(first).unwrap(), MUCH as u64);
    scene.leaves_nothing();
}

#[test]
fn one_that_is_unregistered_fails_later_never_inside_the_method() {
    let scene = Scene::new(MUCH);
    let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
    scene.stuck();
    scene.transport.unregister_producer();
    assert!(!sent.has_result(), "no method of a transport calls anybody");
    let failure = scene.result(sent).unwrap_err();
    assert!(matches!(failure.check(), Some(SendFileError::Unregistered { .. })), "{failure:?}");
    scene.leaves_nothing();
}

#[test]
fn a_dropped_answer_lets_it_go_on_and_its_failure_is_reported() {
    let unhandled = capture_unhandled();
    let mut scene = Scene::new(10);
    scene.transport.send_file(&scene.event_loop, &scene.file).detach();
    assert_eq!(scene.read_some(10), scene.data);
    some_turns(&scene.event_loop);
    scene.transport.send_file_range(&scene.event_loop, &scene.file, 10, 1).detach();
    let mut reports = Vec::new();
    turn_until(&scene.event_loop, || {
        reports.extend(unhandled.flush_unhandled());
        !reports.is_empty()
    });
    assert_eq!(reports.len(), 1);
    scene.leaves_nothing();
}

#[test]
fn a_loop_that_is_dropped_meanwhile_abandons_it() {
    let scene = Scene::new(MUCH);
    let sent = scene.transport.send_file(&scene.event_loop, &scene.file);
    let ended = Rc::new(RefCell::new(None));
    let noted = ended.clone();
    sent.add_both(move |result| {
        noted.replace(Some(result.is_err()));
        Ok(())
    })
    .detach();
    scene.stuck();
    drop(scene);
    assert_eq!(ended.take(), Some(true));
}

#[test]
fn two_connections_send_one_open_file_at_once() {
    let event_loop = EventLoop::new().unwrap();
    let scene = Scene::new(20 * PIECE);
    let file = open(&event_loop, &scene.path);
    let mut ends = Vec::new();
    for _ in 0..2 {
        let (diary, file) = (Diary::new(), file.clone());
        let peer = accepted(
            &event_loop,
            Acting::new(&diary, move |event_loop, transport, told| {
                if let Told::Made = told {
                    transport.send_file(event_loop, &file).detach();
                    transport.lose_connection();
                }
                Ok(())
            }),
        );
        ends.push(peer);
    }
    for peer in &mut ends {
        assert!(read_to_end(&event_loop, peer) == (scene.data.clone(), None));
    }
}
