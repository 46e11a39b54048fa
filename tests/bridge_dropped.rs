//! Each future of the bridge is dropped while it is pending. After that the loop has nothing of it left, and what it
//! worked on is as good as before.

use std::future::{Future, poll_fn};
use std::io::{Read, SeekFrom, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::task::Poll;
use std::time::Duration;

use ropewalk::bridge::{
    File, Stdin, TcpListener, TcpStream, UnixListener, UnixStream, interval, sleep, timeout, yield_now,
};
use ropewalk::fs::OpenOptions;
use ropewalk::testing::assert_clean;
use ropewalk::{Deferred, EventLoop, Failure, RegisteredKind, TestClock};

const MINUTE: Duration = Duration::from_secs(60);

/// Polls it once, in the task that awaits this, and drops it.
async fn drop_pending<F: Future>(future: F) {
    let mut future = Box::pin(future);
    let pending = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await;
    assert!(pending, "it is ready at once");
}

/// Runs it, and looks whether anything is left.
fn leaves_nothing<F: Future<Output = Result<(), Failure>>>(event_loop: &EventLoop, future: F) {
    // The bound only makes a failure of what would wait for ever.
    event_loop.block_on(async { timeout(event_loop, 10 * MINUTE, future).await? }).unwrap();
    // A thread that looks up a name, or works at a file, cannot be called back: its job ends when it does.
    while event_loop.still_registered().iter().any(|left| left.kind == RegisteredKind::Job) {
        event_loop.turn(None).unwrap();
    }
    assert_clean(event_loop);
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// The descriptors that are open for sockets.
fn sockets() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket")))
        .count()
}

/// One after the other, so that nobody else opens a socket meanwhile.
#[test]
fn connections_listeners_and_streams_outlive_a_dropped_connect_accept_read_and_write() {
    let event_loop = EventLoop::new().unwrap();
    let before = sockets();
    a_connect(&event_loop);
    an_accept(&event_loop);
    a_unix_connect_and_accept(&event_loop);
    a_read(&event_loop);
    a_write(&event_loop);
    assert_eq!(sockets(), before, "a socket was left open");
}

fn a_connect(event_loop: &EventLoop) {
    leaves_nothing(event_loop, async {
        let listener = TcpListener::bind(event_loop, loopback())?;
        let address = listener.local_addr()?;
        drop_pending(TcpStream::connect(event_loop, address)).await;
        drop_pending(TcpStream::connect_host(event_loop, &format!("localhost:{}", address.port()))).await;
        let second = TcpStream::connect(event_loop, address).await?;
        second.write_all(b"second").await?;
        // The first one may have come as far as the queue; then it is at its end.
        loop {
            let stream = listener.accept().await?;
            let mut buffer = [0; 16];
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => {}
                Ok(n) => {
                    assert_eq!(&buffer[..n], b"second");
                    return Ok(());
                }
            }
        }
    });
}

fn an_accept(event_loop: &EventLoop) {
    leaves_nothing(event_loop, async {
        let listener = TcpListener::bind(event_loop, loopback())?;
        drop_pending(listener.accept()).await;
        let client = TcpStream::connect(event_loop, listener.local_addr()?).await?;
        let server = listener.accept().await?;
        drop_pending(listener.accept()).await;
        client.write_all(b"hello").await?;
        let mut buffer = [0; 5];
        server.read_exact(&mut buffer).await?;
        assert_eq!(&buffer, b"hello");
        Ok(())
    });
}

fn a_unix_connect_and_accept(event_loop: &EventLoop) {
    let path = std::env::temp_dir().join(format!("ropewalk-dropped-{}.sock", std::process::id()));
    leaves_nothing(event_loop, async {
        let listener = UnixListener::bind(event_loop, &path)?;
        drop_pending(listener.accept()).await;
        drop_pending(UnixStream::connect(event_loop, &path)).await;
        let first = listener.accept().await?;
        assert_eq!(first.read(&mut [0; 1]).await?, 0, "the one that was dropped");
        let client = UnixStream::connect(event_loop, &path).await?;
        client.write_all(b"x").await?;
        assert_eq!(listener.accept().await?.read(&mut [0; 8]).await?, 1);
        Ok(())
    });
    std::fs::remove_file(path).unwrap();
}

fn a_read(event_loop: &EventLoop) {
    leaves_nothing(event_loop, async {
        let (one, other) = UnixStream::pair(event_loop)?;
        let mut buffer = [0; 16];
        drop_pending(one.read(&mut buffer)).await;
        drop_pending(one.readable()).await;
        drop_pending(one.read_exact(&mut buffer)).await;
        drop_pending(one.read_to_end(100)).await;
        other.write_all(b"all of it").await?;
        let n = one.read(&mut buffer).await?;
        assert_eq!(&buffer[..n], b"all of it");
        Ok(())
    });
}

fn a_write(event_loop: &EventLoop) {
    leaves_nothing(event_loop, async {
        let (one, other) = UnixStream::pair(event_loop)?;
        let mut written = 0;
        // Until there is no room.
        while let Poll::Ready(n) = poll_fn(|context| Poll::Ready(one.poll_write(context, &[7; 4096]))).await {
            written += n?;
        }
        drop_pending(one.write(&[8; 10])).await;
        drop_pending(one.write_all(&[8; 10])).await;
        let mut buffer = vec![0; 1 << 20];
        while written > 0 {
            let n = other.read(&mut buffer).await?;
            assert!(buffer[..n].iter().all(|byte| *byte == 7), "nothing of what was dropped");
            written -= n;
        }
        drop_pending(other.read(&mut buffer)).await;
        one.write_all(b"after").await?;
        assert_eq!(other.read(&mut buffer).await?, 5);
        Ok(())
    });
}

#[test]
fn a_dropped_sleep_timeout_tick_or_yield_leaves_no_timer() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().clock(&clock).build().unwrap();
    leaves_nothing(&event_loop, async {
        drop_pending(sleep(&event_loop, MINUTE)).await;
        drop_pending(yield_now()).await;
        let (resolver, deferred) = Deferred::<()>::new();
        drop_pending(timeout(&event_loop, MINUTE, deferred)).await;
        assert!(resolver.is_cancelled());
        let mut beats = interval(&event_loop, MINUTE);
        drop_pending(beats.tick()).await;
        assert_no_timer(&event_loop);
        assert_eq!(beats.tick().await?, 1, "the beat is not lost");
        Ok(())
    });
    assert_eq!(clock.now(), MINUTE);
}

/// Inside `block_on` the loop has that task; no timer may be beside it.
fn assert_no_timer(event_loop: &EventLoop) {
    let left = event_loop.still_registered();
    assert!(left.iter().all(|left| left.kind == RegisteredKind::Task), "{left:?}");
}

#[test]
fn a_dropped_open_read_write_or_seek_leaves_the_file_where_the_program_believes_it_is() {
    let event_loop = EventLoop::new().unwrap();
    let path = std::env::temp_dir().join(format!("ropewalk-dropped-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).read(true).write(true);
    leaves_nothing(&event_loop, async {
        drop_pending(File::open(&event_loop, &path, options.clone())).await;
        let mut file = File::open(&event_loop, &path, options.clone()).await?;
        drop_pending(file.write_all(b"0123456789")).await;
        file.flush().await?;
        drop_pending(file.seek(SeekFrom::Start(2))).await;
        assert_eq!(file.seek(SeekFrom::Current(0)).await?, 2, "a seek that was begun is done");
        let mut buffer = [0; 4];
        drop_pending(file.read(&mut buffer)).await;
        let n = file.read(&mut buffer).await?;
        assert_eq!(&buffer[..n], b"2345");
        drop_pending(file.read(&mut buffer)).await;
        drop(file); // with a read under way
        Ok(())
    });
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_dropped_deferred_is_cancelled_and_so_is_a_task_that_is_awaited() {
    let event_loop = EventLoop::new().unwrap();
    leaves_nothing(&event_loop, async {
        let (resolver, deferred) = Deferred::<()>::new();
        drop_pending(deferred.into_future()).await;
        assert!(resolver.is_cancelled());
        let (resolver, deferred) = Deferred::<()>::new();
        let task = event_loop.spawn(async move { deferred.await });
        yield_now().await; // the task waits
        drop_pending(task.into_future()).await;
        assert!(resolver.is_cancelled());
        Ok(())
    });
}

#[test]
#[ignore = "the other half of the test below"]
fn child_drops_a_read_of_standard_input() {
    let event_loop = EventLoop::new().unwrap();
    leaves_nothing(&event_loop, async {
        let stdin = Stdin::new(&event_loop)?;
        let mut buffer = [0; 64];
        drop_pending(stdin.read(&mut buffer)).await;
        println!("dropped");
        let n = stdin.read(&mut buffer).await?;
        println!("read: {}", String::from_utf8_lossy(&buffer[..n]));
        Ok(())
    });
}

#[test]
fn a_dropped_read_of_standard_input_takes_nothing() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_drops_a_read_of_standard_input", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = child.stdout.take().unwrap();
    let mut text = String::new();
    let mut buffer = [0; 256];
    // Written when the first read is gone, so that it was pending.
    while !text.contains("dropped") {
        let n = said.read(&mut buffer).unwrap();
        assert!(n > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    child.stdin.take().unwrap().write_all(b"out of a pipe").unwrap();
    said.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(text.contains("read: out of a pipe"), "{text}");
}
