//! `async-tungstenite`, unchanged, as echo server and client on this loop.

use async_tungstenite::tungstenite::Message;
use async_tungstenite::{accept_async, client_async};
use futures::StreamExt;
use ropewalk::bridge::{TcpListener, TcpStream};
use ropewalk::testing::assert_clean;
use ropewalk::{EventLoop, gather_results};

#[test]
fn messages_of_all_sizes_go_to_an_echo_server_and_back() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop
        .block_on(async {
            let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse()?)?;
            let address = listener.local_addr()?;
            let server = event_loop.spawn(async move {
                for _ in 0..4 {
                    let stream = listener.accept().await?;
                    let echo = handle.spawn(async move {
                        let mut socket = accept_async(stream).await?;
                        while let Some(message) = socket.next().await {
                            let message = message?;
                            if message.is_text() || message.is_binary() {
                                socket.send(message).await?;
                            }
                        }
                        Ok(())
                    });
                    echo.detach();
                }
                Ok(())
            });
            let handle = event_loop.handle();
            let clients: Vec<_> = (0..4_usize)
                .map(|n| {
                    let handle = handle.clone();
                    event_loop.spawn(async move {
                        let stream = TcpStream::connect(&handle, address).await?;
                        let (mut socket, _) = client_async(format!("ws://{address}/"), stream).await?;
                        for length in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
                            let sent = Message::binary(vec![n as u8; length]);
                            socket.send(sent.clone()).await?;
                            assert_eq!(socket.next().await.unwrap()?, sent);
                        }
                        socket.send(Message::text("If I were...")).await?;
                        assert_eq!(socket.next().await.unwrap()?, Message::text("If I were..."));
                        socket.close(None).await?;
                        while socket.next().await.is_some() {}
                        Ok(())
                    })
                })
                .collect();
            gather_results(clients).await?;
            server.await
        })
        .unwrap();
    assert_clean(&event_loop);
}
