//! `wss`: WebSockets over TLS, over sockets: good servers, bad ones, and attempts that are given up.
#![cfg(feature = "tls")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ropewalk::http::{Server, Site};
use ropewalk::tls::{TlsClient, TlsError, TlsServer};
use ropewalk::websocket::{
    Close, CloseCode, Message, WebSocket, WebSocketClient, WebSocketProtocol, WebSocketServer, WebSocketStream,
};
use ropewalk::{
    CancelHandle, CancelledError, ConnectError, Deferred, EventLoop, Failure, ListenTcp, Protocol, Transport,
};

/// Says everything again, and closes at `close`.
struct Echo;

impl WebSocketProtocol for Echo {
    fn message_received(&mut self, _: &EventLoop, socket: &WebSocket, message: Message<'_>) -> Result<(), Failure> {
        match message {
            Message::Text("close") => socket.close(CloseCode::NORMAL, "bye"),
            message => socket.send_message(message)?,
        }
        Ok(())
    }
}

/// A server whose certificate is good for `localhost` and 127.0.0.1, or another one; and its URL.
fn serve(event_loop: &EventLoop, certificate: &str) -> (Site, String) {
    let path = |end: &str| format!("{}/tests/data/tls/{certificate}.{end}", env!("CARGO_MANIFEST_DIR"));
    let (chain, key) = (std::fs::read(path("pem")).unwrap(), std::fs::read(path("key")).unwrap());
    let sockets = WebSocketServer::new();
    let server = Server::new().any("/", move |_, request| sockets.accept(&request, |_| Echo));
    let site = server.start(event_loop).unwrap();
    let tls = TlsServer::from_pem(&chain, &key).unwrap();
    let port = site.listen_tls(event_loop, ListenTcp::new("127.0.0.1:0"), &tls).unwrap();
    (site, format!("wss://127.0.0.1:{}/", port.address().port()))
}

fn connect(event_loop: &EventLoop, url: &str) -> Deferred<WebSocketStream> {
    let roots = TlsClient::with_roots_pem(include_bytes!("data/tls/root.pem")).unwrap();
    WebSocketClient::new(url).unwrap().tls(&roots).connect_stream(event_loop)
}

#[test]
fn a_client_of_wss_talks_over_tls() {
    let event_loop = EventLoop::new().unwrap();
    let (site, url) = serve(&event_loop, "localhost");
    let close = event_loop.block_on(async {
        let mut stream = connect(&event_loop, &url).await?;
        stream.send("hello").await?;
        assert_eq!(stream.next().await?.unwrap().text(), Some("hello"));
        stream.send(&vec![7; 70_000]).await?;
        assert_eq!(stream.next().await?.unwrap().as_message(), Message::Binary(&[7; 70_000]));
        stream.send("close").await?;
        assert_eq!(stream.next().await?, None);
        stream.socket().closed().await
    });
    assert_eq!(close.unwrap(), Close::new(CloseCode::NORMAL, "bye"));
    let stream = event_loop.run_until(connect(&event_loop, &url)).unwrap();
    let broken = event_loop.run_until(site.shutdown(&event_loop, Duration::from_secs(60)));
    assert_eq!(broken.unwrap(), 0, "the server was answered");
    let close = event_loop.run_until(stream.socket().closed());
    assert_eq!(close.unwrap(), Close::new(CloseCode::GOING_AWAY, ""));
}

#[test]
fn a_server_that_is_not_to_be_trusted_or_speaks_no_tls_fails_the_attempt() {
    let event_loop = EventLoop::new().unwrap();
    let fails = |url: &str| {
        let failed = connect(&event_loop, url).add_both(|opened| Ok(opened.map(drop)));
        event_loop.run_until(failed).unwrap().unwrap_err()
    };
    let (_other, url) = serve(&event_loop, "other");
    let failure = fails(&url);
    assert!(matches!(TlsError::of(&failure), Some(TlsError::Handshake(_))), "{failure}");
    let (_expired, url) = serve(&event_loop, "expired");
    assert!(fails(&url).to_string().contains("xpired"));
    let plain = WebSocketServer::new().listen(&event_loop, "127.0.0.1:0", |_, _| Echo).unwrap();
    let address = plain.address().unwrap();
    let failure = fails(&format!("wss://{address}/"));
    assert!(TlsError::of(&failure).is_some(), "{failure}");
    event_loop.run_until(plain.shutdown(&event_loop, Duration::ZERO)).unwrap();
    let failure = fails(&format!("wss://{address}/"));
    assert!(failure.check::<ConnectError>().is_some(), "{failure}");
}

/// A server that takes connections, says nothing, and tells when one is lost.
struct Silent {
    attempt: Rc<RefCell<Option<CancelHandle>>>,
}

impl Protocol for Silent {
    fn data_received(&mut self, _: &EventLoop, _: &Transport, _: &[u8]) -> Result<(), Failure> {
        // The client shakes hands, in vain.
        self.attempt.take().unwrap().cancel();
        Ok(())
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, _: Failure) {
        event_loop.stop();
    }
}

#[test]
fn an_attempt_that_is_cancelled_while_tls_shakes_hands_is_broken_off() {
    let event_loop = EventLoop::new().unwrap();
    let attempt = Rc::<RefCell<Option<CancelHandle>>>::default();
    let mut silent = Some(Silent { attempt: attempt.clone() });
    let port = event_loop.listen_tcp("127.0.0.1:0", move |_, _| silent.take()).unwrap();
    let url = format!("wss://{}/", port.address());
    let opened = connect(&event_loop, &url);
    attempt.replace(Some(opened.cancel_handle()));
    // The client's own time is longer than that.
    let kept = Rc::<Cell<bool>>::default();
    let own = kept.clone();
    event_loop.call_later(Duration::from_secs(10), move |event_loop| {
        own.set(true);
        event_loop.stop();
    });
    event_loop.run().unwrap();
    assert!(!kept.get(), "nobody broke it off");
    assert!(opened.try_result().unwrap().unwrap_err().check::<CancelledError>().is_some());
}
