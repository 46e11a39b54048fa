//! `async-tungstenite` on ropewalk: an echo server and clients of somebody else's making, on one loop and one thread.
//!
//! ```text
//! cargo run --example websocket_on_ropewalk            # serves, talks to itself, and ends
//! cargo run --example websocket_on_ropewalk -- 9001    # serves until Ctrl-C
//! ```
//!
//! Nothing in `async-tungstenite` knows this loop. It is given a `bridge::TcpStream`, which has the `AsyncRead` and
//! `AsyncWrite` of `futures-io` (feature `futures-io`).

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use async_tungstenite::tungstenite::{self, Message};
use async_tungstenite::{accept_async, client_async};
use futures::StreamExt;
use ropewalk::bridge::{TcpListener, TcpStream, sleep};
use ropewalk::{CancelledError, EventLoop, Failure, Handle, gather_results};

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let event_loop = EventLoop::new()?;
    event_loop.stop_on_signals()?;
    let port = std::env::args().nth(1).map(|port| port.parse::<u16>()).transpose()?;
    let listener = TcpListener::bind(&event_loop, ([127, 0, 0, 1], port.unwrap_or(0)).into())?;
    let address = listener.local_addr()?;
    println!("serving ws://{address}/");

    let server = event_loop.spawn(serve(event_loop.handle(), listener));
    if port.is_some() {
        event_loop.run()?;
    } else {
        let clients =
            ["one", "two", "three"].map(|name| event_loop.spawn(talk(event_loop.handle(), address, name)));
        for echoed in event_loop.run_until(gather_results(clients))? {
            println!("{echoed}");
        }
    }
    server.cancel();
    server.add_errback(|failure| failure.trap::<CancelledError>().map(drop)).detach();
    Ok(())
}

/// Accepts connections for ever, each a task of its own.
async fn serve(handle: Handle, listener: TcpListener) -> Result<(), Failure> {
    loop {
        match listener.accept().await {
            Ok(stream) => drop(handle.spawn(echo(stream)).log_errors("a connection")),
            Err(error) => {
                // Out of descriptors, most likely: one that ends gives its back.
                eprintln!("cannot accept: {error}");
                sleep(&handle, Duration::from_millis(100)).await?;
            }
        }
    }
}

/// Sends every message back, until the peer closes or goes.
async fn echo(stream: TcpStream) -> Result<(), Failure> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        match message {
            Ok(message) if message.is_text() || message.is_binary() => socket.send(message).await?,
            Ok(_) => {} // pings and the closing are answered by the crate
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn talk(handle: Handle, address: SocketAddr, name: &'static str) -> Result<String, Failure> {
    let stream = TcpStream::connect(&handle, address).await?;
    let (mut socket, response) = client_async(format!("ws://{address}/"), stream).await?;
    socket.send(Message::text(format!("If I were {name}"))).await?;
    let echoed = socket.next().await.ok_or_else(|| Failure::msg("the server closed"))??;
    socket.close(None).await?;
    while socket.next().await.is_some() {} // the server closes, too
    Ok(format!("{}: {}", response.status(), echoed.into_text()?))
}
