//! The Deferred model: each phase is a function that gives back a Deferred, and a chain says what follows what.
//!
//! An error of any phase runs past the phases behind it to whoever adds an errback: it needs no way of its own.

use super::request::Request;
use super::socket::Socket;
use ropewalk::{Deferred, EventLoop, Failure, Interest};
use std::io::{Read, Write};
use std::net::SocketAddr;

/// Gets the whole reply.
pub(crate) fn get(event_loop: &EventLoop, address: SocketAddr, request: Request) -> Deferred<Vec<u8>> {
    let socket = match Socket::connecting(event_loop, address) {
        Ok(socket) => socket,
        Err(error) => return Deferred::fail(error),
    };
    (socket.ready(Interest::WRITE).named("get").step_named("connect"))
        .add_callback(move |()| connected(socket))
        .step_named("send")
        .add_callback(move |socket| send(socket, request))
        .step_named("read_to_end")
        .add_callback(|socket| read_to_end(socket, Vec::new()))
}

fn connected(socket: Socket) -> Result<Socket, Failure> {
    match socket.stream(|stream| stream.take_error())? {
        Ok(None) => Ok(socket),
        Ok(Some(error)) | Err(error) => Err(socket.error("connect to", error)),
    }
}

fn send(socket: Socket, mut request: Request) -> Deferred<Socket> {
    match socket.try_now("send to", |mut stream| stream.write(request.rest())) {
        Err(failure) => Deferred::fail(failure),
        Ok(sent) if request.advance(sent.unwrap_or(0)) => Deferred::succeed(socket),
        Ok(_) => socket.ready(Interest::WRITE).add_callback(move |()| send(socket, request)),
    }
}

fn read_to_end(socket: Socket, mut reply: Vec<u8>) -> Deferred<Vec<u8>> {
    socket.ready(Interest::READ).add_callback(move |()| {
        let mut buffer = [0; 16 * 1024];
        match socket.try_now("read from", |mut stream| stream.read(&mut buffer)) {
            Err(failure) => Deferred::fail(failure),
            Ok(Some(0)) => Deferred::succeed(reply),
            Ok(came) => {
                reply.extend_from_slice(&buffer[..came.unwrap_or(0)]);
                read_to_end(socket, reply)
            }
        }
    })
}
