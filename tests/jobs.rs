//! The worker pool and files: results come back to the loop, bounds hold, nothing is left.

use ropewalk::testing::{assert_no_result, failure_of};
use ropewalk::{CancelledError, EventLoop, Failure, PanicError, RunError, fs};
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

/// A folder of this test's own, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("ropewalk-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn a_job_runs_elsewhere_and_its_result_comes_back() {
    let event_loop = EventLoop::new().unwrap();
    let here = std::thread::current().id();
    let job = event_loop.defer_to_thread(move || Ok(std::thread::current().id() != here));
    assert_no_result(&job);
    assert!(event_loop.run_until(job).unwrap());
    assert!(event_loop.still_registered().is_empty());
}

#[test]
fn failures_and_panics_of_jobs_come_back() {
    let event_loop = EventLoop::new().unwrap();
    let job = event_loop.defer_to_thread(|| Ok("x".parse::<i32>()?));
    assert!(event_loop.run_until(job).unwrap_err().check::<std::num::ParseIntError>().is_some());
    let job = event_loop.defer_to_thread(|| -> Result<(), Failure> { panic!("boom") });
    let failure = event_loop.run_until(job).unwrap_err();
    assert_eq!(failure.check::<PanicError>().map(PanicError::message), Some("boom"));
    // The thread lives on.
    let job = event_loop.defer_to_thread(|| Ok(1));
    assert_eq!(event_loop.run_until(job).unwrap(), 1);
}

#[test]
fn no_more_threads_than_asked_for_and_jobs_start_in_order() {
    let event_loop = EventLoop::builder().worker_threads(1).build().unwrap();
    let order = Arc::new(AtomicUsize::new(0));
    let jobs: Vec<_> = (0..100)
        .map(|n| {
            let order = order.clone();
            event_loop.defer_to_thread(move || Ok((n, order.fetch_add(1, Ordering::SeqCst))))
        })
        .collect();
    assert_eq!(event_loop.still_registered().len(), 100);
    for job in jobs {
        let (n, place) = event_loop.run_until(job).unwrap();
        assert_eq!(n, place);
    }
}

#[test]
fn a_cancelled_job_that_did_not_start_is_left_out() {
    let event_loop = EventLoop::builder().worker_threads(1).build().unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let first = event_loop.defer_to_thread(move || Ok(wait.recv()?));
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let second = event_loop.defer_to_thread(move || Ok(count.fetch_add(1, Ordering::SeqCst)));
    second.cancel();
    assert!(failure_of(second).check::<CancelledError>().is_some());
    go.send(()).unwrap();
    event_loop.run_until(first).unwrap();
    let third = event_loop.defer_to_thread(|| Ok(()));
    event_loop.run_until(third).unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn a_full_pool_fails_the_deferred_and_drops_the_job() {
    let event_loop = EventLoop::builder().worker_threads(1).build().unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel::<()>();
    let first = event_loop.defer_to_thread(move || {
        started.send(())?;
        Ok(wait.recv()?)
    });
    has_started.recv().unwrap();
    let queued: Vec<_> = (0..65_536).map(|_| event_loop.defer_to_thread(|| Ok(()))).collect();
    let one_more = event_loop.defer_to_thread(|| Ok(()));
    let failure = failure_of(one_more);
    assert!(matches!(failure.check::<ropewalk::PoolError>(), Some(ropewalk::PoolError::Full)), "{failure}");
    go.send(()).unwrap();
    event_loop.run_until(first).unwrap();
    for job in queued {
        event_loop.run_until(job).unwrap();
    }
    assert!(matches!(event_loop.run(), Err(RunError::Idle(_))));
}

#[test]
fn dropping_the_loop_waits_for_the_running_job_and_drops_the_others() {
    let event_loop = EventLoop::builder().worker_threads(1).build().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let (started, has_started) = mpsc::channel::<()>();
    let first = done.clone();
    event_loop
        .defer_to_thread(move || {
            started.send(())?;
            first.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .add_errback(|_| Ok(()))
        .detach();
    has_started.recv().unwrap();
    drop(event_loop);
    assert_eq!(done.load(Ordering::SeqCst), 1);
    assert_eq!(Arc::strong_count(&done), 1);
}

#[test]
fn timers_tick_while_jobs_run() {
    let event_loop = EventLoop::new().unwrap();
    let (tick, ticked) = mpsc::channel::<()>();
    let ticks = Rc::new(Cell::new(0));
    let count = ticks.clone();
    event_loop.call_later(std::time::Duration::from_millis(1), move |_| {
        count.set(count.get() + 1);
        tick.send(()).unwrap();
    });
    // This job ends only when the timer has run.
    let job = event_loop.defer_to_thread(move || Ok(ticked.recv()?));
    event_loop.run_until(job).unwrap();
    assert_eq!(ticks.get(), 1);
}

#[test]
fn files_are_written_read_whole_and_in_chunks_and_errors_name_the_path() {
    let dir = Dir::new("jobs");
    let event_loop = EventLoop::new().unwrap();
    let path = dir.0.join("poem");
    event_loop.run_until(fs::write(&event_loop, &path, b"If I were".to_vec())).unwrap();
    assert_eq!(event_loop.run_until(fs::read(&event_loop, &path)).unwrap(), b"If I were");
    assert_eq!(event_loop.run_until(fs::stat(&event_loop, &path)).unwrap().len(), 9);
    let mut options = fs::OpenOptions::new();
    options.read(true);
    let file = event_loop.run_until(fs::open(&event_loop, &path, options)).unwrap();
    assert_eq!(event_loop.run_until(file.read(&event_loop, 4)).unwrap(), b"If I");
    assert_eq!(event_loop.run_until(file.read(&event_loop, 99)).unwrap(), b" were");
    assert_eq!(event_loop.run_until(file.read(&event_loop, 99)).unwrap(), b"");
    assert_eq!(event_loop.run_until(file.read_at(&event_loop, 3, 1)).unwrap(), b"I");
    let moved = dir.0.join("moved");
    event_loop.run_until(fs::rename(&event_loop, &path, &moved)).unwrap();
    let failure = event_loop.run_until(fs::read_to_string(&event_loop, &path)).unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("cannot read ") && text.contains("poem"), "{text}");
    event_loop.run_until(fs::remove(&event_loop, moved)).unwrap();
}
