//! WebSockets that are asked for their messages: with Deferreds and with `await`, on both sides, over memory.

use std::cell::RefCell;
use std::rc::Rc;

use ropewalk::http::Server;
use ropewalk::testing::MemoryLoop;
use ropewalk::websocket::{
    CloseCode, OwnedMessage, WebSocketClient, WebSocketEnd, WebSocketServer, WebSocketStream,
};
use ropewalk::{Address, CancelledError, Deferred, EventLoop, Failure};

/// A client's stream, and what the server's handler ended with.
fn pair<H>(test: &MemoryLoop, handler: H) -> WebSocketStream
where
    H: Fn(&EventLoop, WebSocketStream) -> Deferred<()> + Clone + 'static,
{
    let sockets = WebSocketServer::new();
    let site = Server::new()
        .any("/", move |_, request| sockets.accept_stream(&request, handler.clone()))
        .start(test)
        .unwrap();
    let (protocol, opened) = WebSocketClient::new("ws://example.org/").unwrap().stream_protocol().unwrap();
    test.pair(site.protocol(&Address::Memory), protocol);
    test.settle();
    opened.try_result().unwrap().unwrap()
}

async fn answer(mut stream: WebSocketStream) -> Result<(), Failure> {
    while let Some(message) = stream.next().await? {
        match message {
            OwnedMessage::Text(text) if text == "close" => return Ok(()),
            OwnedMessage::Text(text) => stream.send(&format!("{text}/answer")).await?,
            OwnedMessage::Binary(data) => stream.send(&data).await?,
        }
    }
    Ok(())
}

fn answering(event_loop: &EventLoop, stream: WebSocketStream) -> Deferred<()> {
    event_loop.spawn(answer(stream))
}

/// What has come, which has to be there.
fn now<T: 'static>(test: &MemoryLoop, deferred: Deferred<T>) -> Result<T, Failure> {
    test.settle();
    deferred.try_result().unwrap_or_else(|_| panic!("nothing came"))
}

#[test]
fn messages_are_asked_for_and_answered_in_order_and_a_handler_that_returns_closes() {
    let test = MemoryLoop::new().unwrap();
    let stream = pair(&test, answering);
    for text in ["one", "two"] {
        stream.send(text).detach();
    }
    stream.send(&[7u8; 70_000][..]).detach();
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(now(&test, stream.next_message()).unwrap().unwrap());
    }
    assert_eq!(got[0].text(), Some("one/answer"));
    assert_eq!(got[1].text(), Some("two/answer"));
    assert_eq!(got[2], OwnedMessage::Binary(vec![7; 70_000]));
    stream.send("close").detach();
    assert_eq!(now(&test, stream.next_message()).unwrap(), None);
    let close = now(&test, stream.socket().closed()).unwrap();
    assert_eq!(close.code, Some(CloseCode::NORMAL));
    drop(stream);
    test.settle();
    test.assert_clean();
}

#[test]
fn who_asks_first_is_served_first_and_a_cancelled_question_loses_no_message() {
    let test = MemoryLoop::new().unwrap();
    let stream = pair(&test, answering);
    let (first, second, third) = (stream.next_message(), stream.next_message(), stream.next_message());
    second.cancel_handle().cancel();
    stream.send("a").detach();
    stream.send("b").detach();
    test.settle();
    assert!(now(&test, second).unwrap_err().check::<CancelledError>().is_some());
    assert_eq!(now(&test, first).unwrap().unwrap().text(), Some("a/answer"));
    assert_eq!(now(&test, third).unwrap().unwrap().text(), Some("b/answer"));
    drop(stream);
    test.settle();
    test.assert_clean();
}

#[test]
fn a_future_that_is_dropped_while_it_waits_leaves_its_message_to_the_next() {
    let test = MemoryLoop::new().unwrap();
    let mut stream = pair(&test, answering);
    let task = test.spawn(async move {
        {
            // Polled once, and dropped.
            let mut next = Box::pin(stream.next());
            std::future::poll_fn(|context| {
                assert!(next.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        stream.send("kept").await?;
        stream.next().await
    });
    assert_eq!(now(&test, task).unwrap().unwrap().text(), Some("kept/answer"));
    test.settle();
    test.assert_clean();
}

#[test]
fn a_side_that_does_not_ask_stops_reading_and_all_of_it_comes_when_it_asks() {
    const COUNT: usize = 2_000;
    let test = MemoryLoop::new().unwrap();
    let stream = pair(&test, |event_loop, stream| {
        event_loop.spawn(async move {
            for n in 0..COUNT {
                stream.send(&format!("{n:01000}")).await?;
            }
            Ok(())
        })
    });
    test.settle();
    assert!(format!("{stream:?}").contains("waiting: 64,"), "{stream:?}");
    for n in 0..COUNT {
        let message = now(&test, stream.next_message()).unwrap().unwrap();
        assert_eq!(message.text(), Some(format!("{n:01000}").as_str()));
    }
    assert_eq!(now(&test, stream.next_message()).unwrap(), None);
    drop(stream);
    test.settle();
    test.assert_clean();
}

#[test]
fn a_stream_that_is_dropped_says_that_it_goes_away() {
    let test = MemoryLoop::new().unwrap();
    let ended = Rc::<RefCell<Option<String>>>::default();
    let log = ended.clone();
    let stream = pair(&test, move |event_loop, mut stream| {
        let log = log.clone();
        event_loop.spawn(async move {
            assert_eq!(stream.next().await?, None);
            let close = stream.socket().closed().await?;
            log.replace(Some(format!("{:?}", close.code)));
            Ok(())
        })
    });
    drop(stream);
    test.settle();
    assert_eq!(ended.take(), Some(format!("{:?}", Some(CloseCode::GOING_AWAY))));
    test.assert_clean();
}

#[test]
fn a_handler_that_fails_closes_with_1011_and_its_failure_is_reported() {
    let test = MemoryLoop::new().unwrap();
    let stream = pair(&test, |_, _stream| Deferred::fail(Failure::msg("the handler is broken")));
    assert_eq!(now(&test, stream.next_message()).unwrap(), None);
    let close = now(&test, stream.socket().closed()).unwrap();
    assert_eq!(close.code, Some(CloseCode::INTERNAL_ERROR));
    drop(stream);
    test.settle();
    let reported = test.flush_unhandled();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(reported[0].to_string().contains("the handler is broken"), "{reported:?}");
    test.assert_clean();
}

#[test]
fn a_connection_that_breaks_is_told_once_and_then_the_stream_is_at_its_end() {
    let test = MemoryLoop::new().unwrap();
    let stream = pair(&test, |event_loop, mut stream| {
        event_loop.spawn(async move {
            stream.next().await?;
            stream.socket().abort();
            Ok(())
        })
    });
    stream.send("break").detach();
    let error = now(&test, stream.next_message()).unwrap_err();
    assert!(!matches!(error.check(), Some(WebSocketEnd::Closed { .. })), "{error}");
    assert_eq!(now(&test, stream.next_message()).unwrap(), None);
    assert!(now(&test, stream.send("late")).is_err());
    assert!(now(&test, stream.socket().closed()).is_err());
    drop(stream);
    test.settle();
    test.assert_clean();
}

#[test]
fn a_server_that_shuts_down_ends_the_streams_of_both_sides_in_order() {
    let test = MemoryLoop::new().unwrap();
    let ended = Rc::<RefCell<Vec<&'static str>>>::default();
    let (own, sockets) = (ended.clone(), WebSocketServer::new());
    let site = Server::new()
        .any("/", move |_, request| {
            let ended = own.clone();
            sockets.accept_stream(&request, move |event_loop, stream| {
                answering(event_loop, stream).map(move |()| ended.borrow_mut().push("in order"))
            })
        })
        .start(&test)
        .unwrap();
    let (protocol, opened) = WebSocketClient::new("ws://example.org/").unwrap().stream_protocol().unwrap();
    test.pair(site.protocol(&Address::Memory), protocol);
    let stream = now(&test, opened).unwrap();
    stream.send("hello").detach();
    assert_eq!(now(&test, stream.next_message()).unwrap().unwrap().text(), Some("hello/answer"));
    let broken = site.shutdown(&test, std::time::Duration::from_secs(5));
    assert_eq!(now(&test, stream.next_message()).unwrap(), None);
    assert_eq!(now(&test, stream.socket().closed()).unwrap().code, Some(CloseCode::GOING_AWAY));
    assert_eq!(now(&test, broken).unwrap(), 0);
    assert_eq!(ended.borrow()[..], ["in order"]);
    test.assert_clean();
}

#[test]
fn who_waits_for_the_end_hears_of_it_though_nobody_keeps_the_stream() {
    let test = MemoryLoop::new().unwrap();
    let stream = pair(&test, answering);
    let closed = stream.close(CloseCode::NORMAL, "");
    drop(stream);
    assert_eq!(now(&test, closed).unwrap().code, Some(CloseCode::NORMAL));
    test.assert_clean();
}

#[test]
fn what_came_before_a_close_frame_is_answered_though_a_task_runs_later() {
    const ASK: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const FRAMES: &[u8] = b"\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b\x88\x82\0\0\0\0\x03\xe8";
    for ends in [false, true] {
        let test = MemoryLoop::new().unwrap();
        let sockets = WebSocketServer::new();
        let ended = Rc::<RefCell<Vec<Option<CloseCode>>>>::default();
        let own = ended.clone();
        let site = Server::new()
            .any("/", move |_, request| {
                let ended = own.clone();
                sockets.accept_stream(&request, move |event_loop, stream| {
                    let closed = stream.socket().closed();
                    closed.map(move |close| ended.borrow_mut().push(close.code)).detach();
                    answering(event_loop, stream)
                })
            })
            .start(&test)
            .unwrap();
        let peer = test.connected(site.protocol(&Address::Memory));
        peer.send(ASK);
        peer.clear();
        peer.send(FRAMES);
        if ends {
            peer.send_end();
        }
        test.settle();
        assert_eq!(peer.value(), b"\x81\x08a/answer\x81\x08b/answer\x88\x02\x03\xe8");
        assert!(peer.sees_end() && !peer.sees_reset());
        if !ends {
            peer.send_end();
        }
        assert!(peer.is_disconnected());
        test.settle();
        assert_eq!(ended.borrow()[..], [Some(CloseCode::NORMAL)]);
        test.assert_clean();
    }
}
