//! `hyper`, unchanged, serving and fetching over this loop's connections.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use ropewalk::bridge::hyper::Timer;
use ropewalk::bridge::{TcpListener, TcpStream, sleep};
use ropewalk::testing::assert_clean;
use ropewalk::{Deferred, EventLoop, Failure, Handle, gather_results};

/// Serves `connections`, each with `served` counted for each request.
fn serve(
    event_loop: &EventLoop,
    listener: TcpListener,
    connections: usize,
    served: Rc<Cell<usize>>,
) -> Deferred<()> {
    let handle = event_loop.handle();
    let timer = Timer::new(event_loop);
    event_loop.spawn(async move {
        for _ in 0..connections {
            let stream = listener.accept().await?;
            let (handle, served) = (handle.clone(), served.clone());
            let own = handle.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let (handle, served) = (own.clone(), served.clone());
                async move {
                    served.set(served.get() + 1);
                    // A handler may wait, on this loop, for whatever it likes.
                    sleep(&handle, Duration::from_micros(100)).await?;
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await?.to_bytes();
                    let text = format!("{path}: {} bytes", body.len());
                    Ok::<_, Failure>(Response::new(Full::new(Bytes::from(text))))
                }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(timer.clone());
            let connection = server.serve_connection(stream, service);
            handle.spawn(async move { Ok(connection.await?) }).detach();
        }
        Ok(())
    })
}

/// A connection that is kept alive, and what sends requests over it.
async fn client(
    handle: &Handle,
    address: std::net::SocketAddr,
) -> Result<hyper::client::conn::http1::SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(handle, address).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    handle.spawn(async move { Ok(connection.await?) }).detach();
    Ok(sender)
}

#[test]
fn many_clients_fetch_over_kept_connections() {
    const CLIENTS: usize = 8;
    const EACH: usize = 5;
    let event_loop = EventLoop::new().unwrap();
    let served = Rc::new(Cell::new(0));
    let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve(&event_loop, listener, CLIENTS, served.clone());
    let handle = event_loop.handle();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let handle = handle.clone();
            event_loop.spawn(async move {
                let mut sender = client(&handle, address).await?;
                for round in 0..EACH {
                    // Up to 1 MB there, so that both ends meet a full connection.
                    let length = [0, 1, 1000, 100_000, 1_000_000][round];
                    let request = Request::post(format!("/{n}/{round}"))
                        .header("host", "loopback")
                        .body(Full::new(Bytes::from(vec![7; length])))?;
                    let response = sender.send_request(request).await?;
                    assert_eq!(response.status(), StatusCode::OK);
                    let body = response.into_body().collect().await?.to_bytes();
                    assert_eq!(body, format!("/{n}/{round}: {length} bytes"));
                }
                Ok(())
            })
        })
        .collect();
    event_loop.run_until(gather_results(clients)).unwrap();
    event_loop.run_until(server).unwrap();
    assert_eq!(served.get(), CLIENTS * EACH);
    while event_loop.turn(Some(Duration::from_millis(1))).unwrap() > 0 {}
    assert_clean(&event_loop);
}

#[test]
fn a_fetch_that_is_cancelled_halfway_leaves_the_server_sound() {
    let event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let _server = serve(&event_loop, listener, 2, Rc::default());
    let handle = event_loop.handle();
    let given_up = event_loop.spawn({
        let handle = handle.clone();
        async move {
            let mut sender = client(&handle, address).await?;
            let request = Request::get("/never").header("host", "loopback").body(Full::default())?;
            sender.send_request(request).await?;
            Ok(())
        }
    });
    let cancel = given_up.cancel_handle();
    given_up.add_errback(|_| Ok(())).detach();
    event_loop.call_later(Duration::from_micros(300), move |_| {
        cancel.cancel();
    });
    let status = event_loop.block_on(async {
        sleep(&event_loop, Duration::from_millis(1)).await?;
        let mut sender = client(&handle, address).await?;
        let request = Request::get("/second").header("host", "loopback").body(Full::default())?;
        Ok(sender.send_request(request).await?.status())
    });
    assert_eq!(status.unwrap(), StatusCode::OK);
}

#[test]
fn a_client_that_never_finishes_its_head_is_timed_out_by_hypers_own_timer() {
    let event_loop = EventLoop::new().unwrap();
    let error = event_loop.block_on(async {
        let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse()?)?;
        let silent = TcpStream::connect(&event_loop, listener.local_addr()?).await?;
        silent.write_all(b"GET / HTTP/1.1\r\nhost:").await?;
        let mut server = hyper::server::conn::http1::Builder::new();
        server.timer(Timer::new(&event_loop)).header_read_timeout(Duration::from_millis(2));
        let service = service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let served = server.serve_connection(listener.accept().await?, service).await;
        Ok(served.unwrap_err())
    });
    assert!(error.unwrap().is_timeout());
}
