//! `hyper` on ropewalk: a web server and clients of somebody else's making, on one loop and one thread.
//!
//! ```text
//! cargo run --example hyper_on_ropewalk            # serves, fetches a few pages of itself, and ends
//! cargo run --example hyper_on_ropewalk -- 8080    # serves until Ctrl-C: curl -i http://127.0.0.1:8080/poem
//! ```
//!
//! Nothing in `hyper` knows this loop. It is given a `bridge::TcpStream`, which has the traits it wants, and futures of
//! its own are spawned as any other. While it serves, a callback of the loop counts the requests: both ways of
//! writing are on the same loop.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use ropewalk::bridge::hyper::Timer;
use ropewalk::bridge::{TcpListener, TcpStream, sleep};
use ropewalk::task::LoopingCall;
use ropewalk::{CancelledError, Deferred, EventLoop, Failure, Handle, gather_results};

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let event_loop = EventLoop::new()?;
    event_loop.stop_on_signals()?;
    let port = std::env::args().nth(1).map(|port| port.parse::<u16>()).transpose()?;
    let listener = TcpListener::bind(&event_loop, ([127, 0, 0, 1], port.unwrap_or(0)).into())?;
    let address = listener.local_addr()?;
    println!("serving http://{address}/");

    let served = Rc::new(Cell::new(0));
    let server = serve(&event_loop, listener, served.clone());
    if port.is_some() {
        let (counted, last) = (served.clone(), Cell::new(0));
        let log = LoopingCall::new(move |_| {
            if last.replace(counted.get()) != counted.get() {
                println!("{} requests", counted.get());
            }
            Ok(())
        });
        log.start(&event_loop, Duration::from_secs(1), false).detach();
        event_loop.run()?;
        log.stop()?;
    } else {
        let handle = event_loop.handle();
        let pages = ["/", "/poem", "/nothing"].map(|path| handle.spawn(fetch(handle.clone(), address, path)));
        for (status, text) in event_loop.run_until(gather_results(pages))? {
            println!("{status}: {text}");
        }
    }
    println!("{} requests in all", served.get());
    server.cancel();
    server.add_errback(|failure| failure.trap::<CancelledError>().map(drop)).detach();
    Ok(())
}

/// Accepts connections for ever, each a task of its own.
fn serve(event_loop: &EventLoop, listener: TcpListener, served: Rc<Cell<u32>>) -> Deferred<()> {
    let handle = event_loop.handle();
    let timer = Timer::new(event_loop);
    event_loop.spawn(async move {
        loop {
            let stream = match listener.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: one that ends gives its back.
                    eprintln!("cannot accept: {error}");
                    sleep(&handle, Duration::from_millis(100)).await?;
                    continue;
                }
            };
            let (own, served) = (handle.clone(), served.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                served.set(served.get() + 1);
                answer(own.clone(), request)
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            let connection = http.timer(timer.clone()).serve_connection(stream, service);
            handle.spawn(async move { Ok(connection.await?) }).log_errors("a connection");
        }
    })
}

/// The handler: an `async fn` that waits on the loop.
async fn answer(handle: Handle, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Failure> {
    let (status, text) = match request.uri().path() {
        "/" => (StatusCode::OK, "see /poem"),
        "/poem" => {
            sleep(&handle, Duration::from_millis(5)).await?; // a slow poet
            (StatusCode::OK, "If I were a poem, I would come late")
        }
        _ => (StatusCode::NOT_FOUND, "there is nothing here"),
    };
    Ok(Response::builder().status(status).body(Full::new(Bytes::from(text)))?)
}

async fn fetch(
    handle: Handle,
    address: std::net::SocketAddr,
    path: &'static str,
) -> Result<(StatusCode, String), Failure> {
    let stream = TcpStream::connect(&handle, address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    handle.spawn(async move { Ok(connection.await?) }).log_errors("a client's connection");
    let request = Request::get(path).header("host", address.to_string()).body(Full::<Bytes>::default())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}
