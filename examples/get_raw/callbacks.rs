//! The callback model: the loop calls when the socket is ready, and the program remembers by itself where it was.
//!
//! ```text
//! get -> Connecting -> Sending -> Reading -> done(reply)
//!            |            |          |
//!            +------------+----------+-----> done(error)
//! ```
//!
//! What was a line of the blocking model is a state here, and each error must find its own way to `done`.

use super::request::{GetError, Request, now_or_later, start_to_connect};
use ropewalk::{EventLoop, Interest};
use std::cell::{Cell, OnceCell};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;

/// Gets the whole reply, and calls `done` with it, once.
pub(crate) fn get(
    event_loop: &EventLoop,
    address: SocketAddr,
    request: Request,
    done: impl FnOnce(&EventLoop, Result<Vec<u8>, GetError>) + 'static,
) {
    let stream = match start_to_connect(address) {
        Ok(stream) => stream,
        Err(error) => return done(event_loop, Err(GetError::new("connect to", address, error))),
    };
    let mut conversation = Conversation { address, state: State::Connecting, request, reply: Vec::new() };
    // In cells that two share: `done` is for the callback or for the error below, and the id comes after the callback.
    let done = Rc::new(Cell::new(Some(done)));
    let own_id = Rc::new(OnceCell::new());
    let (finish, id) = (done.clone(), own_id.clone());
    let registered = event_loop.register(stream, Interest::WRITE, move |event_loop, stream, _| {
        let id = *id.get().expect("the callback runs after the registration");
        let result = match conversation.go_on(stream) {
            Ok(Next::When(interest)) => {
                let _ = event_loop.set_interest(id, interest);
                return;
            }
            Ok(Next::Done) => Ok(std::mem::take(&mut conversation.reply)),
            Err(error) => Err(error),
        };
        // From inside its own callback: the socket is closed when this returns.
        let _ = event_loop.remove(id);
        if let Some(done) = finish.take() {
            done(event_loop, result);
        }
    });
    match registered {
        Ok(id) => {
            let _ = own_id.set(id);
        }
        Err(error) => {
            let error = GetError::new("watch the socket to", address, error.to_string());
            if let Some(done) = done.take() {
                done(event_loop, Err(error));
            }
        }
    }
}

/// All that the blocking model kept in its local variables and in its place in the text.
struct Conversation {
    address: SocketAddr,
    state: State,
    request: Request,
    reply: Vec<u8>,
}

enum State {
    Connecting,
    Sending,
    Reading,
}

enum Next {
    When(Interest),
    Done,
}

impl Conversation {
    /// Does what can be done now.
    fn go_on(&mut self, stream: &TcpStream) -> Result<Next, GetError> {
        match self.state {
            State::Connecting => self.connected(stream),
            State::Sending => self.send(stream),
            State::Reading => self.read(stream),
        }
    }

    fn connected(&mut self, stream: &TcpStream) -> Result<Next, GetError> {
        match stream.take_error() {
            Ok(None) => {
                self.state = State::Sending;
                self.send(stream)
            }
            Ok(Some(error)) | Err(error) => Err(GetError::new("connect to", self.address, error)),
        }
    }

    fn send(&mut self, mut stream: &TcpStream) -> Result<Next, GetError> {
        let sent = now_or_later(|| stream.write(self.request.rest()))
            .map_err(GetError::in_phase("send to", self.address))?;
        if self.request.advance(sent.unwrap_or(0)) {
            self.state = State::Reading;
            return Ok(Next::When(Interest::READ));
        }
        Ok(Next::When(Interest::WRITE))
    }

    fn read(&mut self, mut stream: &TcpStream) -> Result<Next, GetError> {
        let mut buffer = [0; 16 * 1024];
        let came =
            now_or_later(|| stream.read(&mut buffer)).map_err(GetError::in_phase("read from", self.address))?;
        if came == Some(0) {
            return Ok(Next::Done);
        }
        self.reply.extend_from_slice(&buffer[..came.unwrap_or(0)]);
        Ok(Next::When(Interest::READ))
    }
}
