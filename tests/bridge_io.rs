//! Connections, listeners and files that are awaited.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, SeekFrom, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ropewalk::bridge::{
    File, Stdin, Stream, TcpListener, TcpStream, UnixListener, UnixStream, sleep, timeout, yield_now,
};
use ropewalk::fs::OpenOptions;
use ropewalk::testing::assert_clean;
use ropewalk::trace::{Kind, record};
use ropewalk::{EventLoop, Failure, gather_results};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A path that is this test's own, and its removal.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("ropewalk-{name}-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Echoes until the end; answers how much.
async fn echo(stream: TcpStream) -> Result<usize, Failure> {
    let mut buffer = vec![0; 16 * 1024];
    let mut sum = 0;
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(sum);
        }
        stream.write_all(&buffer[..n]).await?;
        sum += n;
    }
}

#[test]
fn megabytes_go_to_an_echo_and_back_by_many_tasks_at_once() {
    const LENGTH: usize = 1 << 20;
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let sum = event_loop
        .block_on(async {
            let listener = TcpListener::bind(&event_loop, loopback())?;
            let address = listener.local_addr()?;
            let mut clients = Vec::new();
            let mut servers = Vec::new();
            for n in 0..4_u8 {
                let handle = handle.clone();
                clients.push(event_loop.spawn(async move {
                    let stream = Rc::new(TcpStream::connect(&handle, address).await?);
                    let writing = stream.clone();
                    // One task writes while the other one reads.
                    let written = handle.spawn(async move {
                        writing.write_all(&vec![n; LENGTH]).await?;
                        Ok(writing.shutdown()?)
                    });
                    let echoed = stream.read_to_end(LENGTH).await?;
                    written.await?;
                    assert!(echoed.len() == LENGTH && echoed.iter().all(|byte| *byte == n));
                    Ok(())
                }));
                servers.push(event_loop.spawn(echo(listener.accept().await?)));
            }
            gather_results(clients).await?;
            Ok(gather_results(servers).await?.into_iter().sum::<usize>())
        })
        .unwrap();
    assert_eq!(sum, 4 * LENGTH);
    assert_clean(&event_loop);
}

#[test]
fn a_read_that_is_dropped_halfway_loses_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = UnixStream::pair(&event_loop).unwrap();
    event_loop
        .block_on(async {
            let mut buffer = [0; 16];
            for text in [b"first", b"other"] {
                let read = timeout(&event_loop, Duration::from_micros(100), one.read(&mut buffer)).await;
                assert!(read.is_err());
                other.write_all(text).await?;
                let n = one.read(&mut buffer).await?;
                assert_eq!(&buffer[..n], text);
            }
            Ok(())
        })
        .unwrap();
    drop((one, other));
    assert_clean(&event_loop);
}

#[test]
fn what_nobody_reads_costs_no_turns_and_is_there_when_somebody_does() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = UnixStream::pair(&event_loop).unwrap();
    event_loop.block_on(async { Ok(other.write_all(b"hello").await?) }).unwrap();
    let turn = || event_loop.turn(Some(Duration::ZERO)).unwrap();
    while turn() > 0 {}
    for _ in 0..3 {
        assert_eq!(turn(), 0);
    }
    let mut buffer = [0; 2];
    let mut text = Vec::new();
    event_loop
        .block_on(async {
            // With a buffer that it fills it goes on without asking; then it waits anew.
            while text.len() < 8 {
                if text.len() == 5 {
                    other.write_all(b"bye").await?;
                }
                let n = one.read(&mut buffer).await?;
                text.extend_from_slice(&buffer[..n]);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(text, b"hellobye");
}

#[test]
fn a_message_there_and_back_changes_no_interest() {
    let event_loop = EventLoop::new().unwrap();
    let rounds = || async {
        let (one, other) = UnixStream::pair(&event_loop)?;
        let echo = event_loop.spawn(async move {
            let mut buffer = [0; 64];
            loop {
                match other.read(&mut buffer).await? {
                    0 => return Ok(()),
                    n => other.write_all(&buffer[..n]).await?,
                }
            }
        });
        let mut buffer = [0; 64];
        for _ in 0..100 {
            one.write_all(b"ping").await?;
            assert_eq!(one.read(&mut buffer).await?, 4);
        }
        drop(one);
        echo.await
    };
    let (result, trace) = record(|| event_loop.block_on(rounds()));
    result.unwrap();
    let wants = trace.events().filter(|event| matches!(event.kind, Kind::IoWant { .. })).count();
    assert!(wants <= 2, "{wants} changes of interest");
    let closed: Vec<_> = trace.events().filter(|event| matches!(event.kind, Kind::IoClose { .. })).collect();
    assert_eq!(closed.len(), 2);
    assert!(
        closed.iter().all(|event| event.at.is_none()),
        "a line of the library is none of the program's: {closed:?}"
    );
}

#[test]
fn a_stream_that_is_dropped_is_closed_and_one_whose_peer_is_gone_says_so() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = UnixStream::pair(&event_loop).unwrap();
    drop(other);
    let (end, error) = event_loop
        .block_on(async {
            let end = one.read(&mut [0; 8]).await?;
            Ok((end, one.write_all(b"x").await.unwrap_err()))
        })
        .unwrap();
    assert_eq!(end, 0);
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn cancelling_a_task_closes_the_connection_it_held() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = UnixStream::pair(&event_loop).unwrap();
    let task = event_loop.spawn(async move {
        other.read(&mut [0; 8]).await?;
        Ok(())
    });
    let end = event_loop.block_on(async {
        yield_now().await;
        task.cancel();
        Ok(one.read(&mut [0; 8]).await?)
    });
    assert_eq!(end.unwrap(), 0);
    drop((one, task.add_errback(|_| Ok(()))));
    assert_clean(&event_loop);
}

#[test]
fn a_full_connection_waits_for_room_and_is_watched_for_it_only_then() {
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = UnixStream::pair(&event_loop).unwrap();
    let written = Rc::new(Cell::new(0));
    let count = written.clone();
    let writer = event_loop.spawn(async move {
        let chunk = [7; 8192];
        while count.get() < 4 << 20 {
            count.set(count.get() + one.write(&chunk).await?);
        }
        Ok(())
    });
    let settle = || while event_loop.turn(Some(Duration::ZERO)).unwrap() > 0 {};
    settle();
    let full = written.get();
    assert!(full > 0 && full < 4 << 20 && !writer.has_result());
    settle();
    assert_eq!(written.get(), full);
    let read = event_loop.block_on(async { Ok(other.read_to_end(16 << 20).await?.len()) }).unwrap();
    assert_eq!(read, written.get());
    event_loop.run_until(writer).unwrap();
}

#[test]
fn a_connection_that_is_refused_is_an_error_and_names_are_looked_up() {
    let event_loop = EventLoop::new().unwrap();
    let free = std::net::TcpListener::bind(loopback()).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let error =
        event_loop.block_on(async { Ok(TcpStream::connect(&event_loop, address).await.unwrap_err()) }).unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_clean(&event_loop);
    let greeting = event_loop.block_on(async {
        let listener = TcpListener::bind(&event_loop, loopback())?;
        let target = format!("localhost:{}", listener.local_addr()?.port());
        let client = TcpStream::connect_host(&event_loop, &target).await?;
        let server = listener.accept().await?;
        server.write_all(b"hello").await?;
        let mut buffer = [0; 5];
        client.read_exact(&mut buffer).await?;
        drop(server);
        assert_eq!(client.read_exact(&mut [0]).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(TcpStream::connect_host(&event_loop, "no port").await.is_err());
        Ok(buffer)
    });
    assert_eq!(&greeting.unwrap(), b"hello");
}

#[test]
fn unix_sockets_listen_and_connect() {
    let event_loop = EventLoop::new().unwrap();
    let path = Scratch::new("bridge-unix");
    let text = event_loop.block_on(async {
        let listener = UnixListener::bind(&event_loop, &path.0)?;
        let client = UnixStream::connect(&event_loop, &path.0).await?;
        let server = listener.accept().await?;
        client.write_all(b"over a file").await?;
        client.shutdown()?;
        Ok(server.read_to_end(100).await?)
    });
    assert_eq!(text.unwrap(), b"over a file");
    let error = event_loop.block_on(async { Ok(UnixStream::connect(&event_loop, "/nowhere").await.unwrap_err()) });
    assert_eq!(error.unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn reading_to_the_end_has_a_limit() {
    let event_loop = EventLoop::new().unwrap();
    for (length, fits) in [(100, true), (101, false)] {
        let (one, other) = UnixStream::pair(&event_loop).unwrap();
        let read = event_loop.block_on(async {
            one.write_all(&vec![1; length]).await?;
            one.shutdown()?;
            Ok(other.read_to_end(100).await)
        });
        match read.unwrap() {
            Ok(data) => assert!(fits && data.len() == 100),
            Err(error) => assert!(!fits && error.kind() == ErrorKind::FileTooLarge),
        }
    }
}

#[test]
fn a_stream_whose_loop_is_gone_says_so() {
    let event_loop = EventLoop::new().unwrap();
    let (one, _other) = UnixStream::pair(&event_loop).unwrap();
    drop(event_loop);
    let second = EventLoop::new().unwrap();
    let error = second.block_on(async { Ok(one.read(&mut [0; 8]).await.unwrap_err()) }).unwrap();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
}

#[test]
fn a_stream_may_be_dropped_by_the_callback_that_it_wakes() {
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Wake, Waker};
    thread_local!(static KEPT: std::cell::RefCell<Option<UnixStream>> = const { std::cell::RefCell::new(None) });
    struct Dropper(Mutex<u32>);
    impl Wake for Dropper {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() += 1;
            drop(KEPT.take());
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (one, other) = UnixStream::pair(&event_loop).unwrap();
    let dropper = Arc::new(Dropper(Mutex::new(0)));
    let waker = Waker::from(dropper.clone());
    assert!(one.poll_read(&mut Context::from_waker(&waker), &mut [0; 8]).is_pending());
    KEPT.set(Some(one));
    event_loop.block_on(async { Ok(other.write_all(b"x").await?) }).unwrap();
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(*dropper.0.lock().unwrap(), 1);
    drop(other);
    assert_clean(&event_loop);
}

#[test]
fn a_pipe_is_a_stream_too() {
    let event_loop = EventLoop::new().unwrap();
    let (read, write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK | rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let (read, write) = (std::fs::File::from(read), std::fs::File::from(write));
    let text = event_loop.block_on(async {
        let (read, write) = (Stream::new(&event_loop, read)?, Stream::new(&event_loop, write)?);
        write.write_all(b"through a pipe").await?;
        write.shutdown()?; // no socket: nothing to do
        drop(write);
        Ok(read.read_to_end(100).await?)
    });
    assert_eq!(text.unwrap(), b"through a pipe");
}

fn all_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).read(true).write(true);
    options
}

#[test]
fn a_file_is_written_and_read_in_order_and_in_chunks() {
    let event_loop = EventLoop::new().unwrap();
    let path = Scratch::new("bridge-file");
    let data: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    event_loop
        .block_on(async {
            let mut file = File::open(&event_loop, &path.0, all_options()).await?;
            file.write_all(&data).await?;
            assert_eq!(file.seek(SeekFrom::Start(0)).await?, 0);
            let (mut all, mut buffer) = (Vec::new(), vec![0; 100_000]);
            loop {
                match file.read(&mut buffer).await? {
                    0 => break,
                    n => all.extend_from_slice(&buffer[..n]),
                }
            }
            assert!(all == data);
            Ok(())
        })
        .unwrap();
    assert!(std::fs::read(&path.0).unwrap() == data);
}

#[test]
fn a_file_read_that_is_dropped_halfway_loses_nothing_and_a_write_goes_where_the_program_believes_it_is() {
    let event_loop = EventLoop::new().unwrap();
    let path = Scratch::new("bridge-file-drop");
    std::fs::write(&path.0, b"0123456789").unwrap();
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    event_loop
        .block_on(async {
            let mut file = File::open(&event_loop, &path.0, options).await?;
            // Begun, and given up at once.
            let mut first = true;
            poll_fn(|context| {
                if std::mem::replace(&mut first, false) {
                    assert!(file.poll_read(context, &mut [0; 6]).is_pending());
                }
                Poll::Ready(())
            })
            .await;
            let mut buffer = [0; 4];
            assert_eq!(file.read(&mut buffer).await?, 4);
            assert_eq!(&buffer, b"0123");
            // Two bytes were read ahead: the write goes behind what was given.
            file.write_all(b"xy").await?;
            assert_eq!(file.read(&mut buffer).await?, 4);
            assert_eq!(&buffer, b"6789");
            Ok(())
        })
        .unwrap();
    assert_eq!(std::fs::read(&path.0).unwrap(), b"0123xy6789");
}

#[test]
fn a_file_that_cannot_be_opened_says_which() {
    let event_loop = EventLoop::new().unwrap();
    let opened = event_loop.block_on(async {
        let mut options = OpenOptions::new();
        options.read(true);
        Ok(File::open(&event_loop, "/nowhere/at all", options).await.unwrap_err())
    });
    let error: io::Error = opened.unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("/nowhere/at all"));
}

/// Runs in a process of its own, by the test below.
#[test]
#[ignore = "the child of another test"]
fn child_reads_standard_input() {
    let event_loop = EventLoop::new().unwrap();
    let text = event_loop.block_on(async {
        let stdin = Stdin::new(&event_loop)?;
        let (mut text, mut buffer) = (Vec::new(), [0; 4]);
        loop {
            match stdin.read(&mut buffer).await? {
                0 => break,
                n => text.extend_from_slice(&buffer[..n]),
            }
        }
        sleep(&event_loop, Duration::from_micros(10)).await?;
        Ok(String::from_utf8(text)?)
    });
    println!("read: {}", text.unwrap());
}

#[test]
fn standard_input_is_read_from_a_pipe_and_from_a_file() {
    let path = Scratch::new("bridge-stdin");
    std::fs::write(&path.0, "out of a file").unwrap();
    for from_file in [false, true] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_reads_standard_input", "--ignored", "--nocapture"])
            .stdin(if from_file { Stdio::from(std::fs::File::open(&path.0).unwrap()) } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(b"out of a pipe").unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let expected = if from_file { "read: out of a file" } else { "read: out of a pipe" };
        assert!(text.contains(expected), "{text}");
    }
}
