//! What the members of a chat share, and what one of them may say.
//!
//! A message is lines of text. The browser sends its name first, and then what it says. The server sends one of these, and
//! after the word what belongs to it, a line each:
//!
//! ```text
//! welcome NAME            it is in, under this name; what was said before comes next
//! name    WHY             the name will not do: it may send another
//! people  NAME, NAME      who is there
//! said    N NAME TEXT     somebody said it, oneself too; whoever comes again knows by the number what it has
//! note    TEXT            somebody came or went
//! ```

use ropewalk::http::{Response, Server};
use ropewalk::websocket::{CloseCode, Limits, Message, WebSocket, WebSocketProtocol, WebSocketServer};
use ropewalk::{DelayedCall, EventLoop, Failure};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// How many may be there. A text costs as many writes.
pub(crate) const MEMBERS: usize = 100;

/// The longest name and the longest text, in characters. The page has the same numbers.
const NAME: usize = 16;
pub(crate) const TEXT: usize = 500;

/// Four bytes for each character are the most that UTF-8 takes.
const MESSAGE: u64 = 4 * TEXT as u64;

/// So much of what was said is told to who comes later.
pub(crate) const HISTORY: usize = 50;

/// When so many bytes wait for a member it is dropped: the others do not wait for it, and it comes back by itself.
const BEHIND: usize = 256 * 1024;

/// So many texts in so much time, and who says more is closed: everybody has to read it.
pub(crate) const BURST: u32 = 20;
pub(crate) const BURST_TIME: Duration = Duration::from_secs(10);

/// How long a place is kept for somebody who gives no name.
pub(crate) const NAME_TIME: Duration = Duration::from_secs(10);

/// No other place than this server is needed, and no other place may show the page.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The room. Sending calls nobody, so all of this can be borrowed meanwhile.
pub(crate) struct Room {
    /// By name in small letters: nobody is to pass for somebody else.
    seats: RefCell<BTreeMap<String, (String, WebSocket)>>,
    /// All connections, those without a name too.
    connections: Cell<usize>,
    said: RefCell<VecDeque<String>>,
    /// The number of what is said next.
    next: Cell<u64>,
}

impl Room {
    /// With nobody in it. `first` is the number of what is said first.
    pub(crate) fn new(first: u64) -> Rc<Room> {
        let (seats, connections, said) = Default::default();
        Rc::new(Room { seats, connections, said, next: Cell::new(first) })
    }

    /// The page, and the WebSockets that it asks for.
    pub(crate) fn site(self: &Rc<Self>) -> Server {
        let room = self.clone();
        let sockets = WebSocketServer::new().same_origin().limits(Limits::of_message(MESSAGE));
        Server::new()
            .get("/", |_, _| {
                Response::html(include_str!("page.html"))
                    .header("Content-Security-Policy", POLICY)
                    .header("Cache-Control", "no-cache")
            })
            .get("/chat", move |_, request| sockets.accept(&request, |_| Member::new(&room)))
    }

    pub(crate) fn count(&self) -> usize {
        self.seats.borrow().len()
    }

    /// Tells all. Whoever is too far behind is dropped; the others hear of it when its connection is lost.
    fn tell(&self, text: &str) {
        for (_, socket) in self.seats.borrow().values() {
            // It may be gone, and the news of that on its way.
            let _ = socket.send_text(text);
            if socket.buffered() > BEHIND {
                socket.abort();
            }
        }
    }

    /// Tells all who is there.
    fn tell_people(&self) {
        log::info!("{} are here", self.count());
        let names: Vec<_> = self.seats.borrow().values().map(|(name, _)| name.clone()).collect();
        self.tell(&format!("people\n{}", names.join(", ")));
    }

    /// Gives somebody a name. An error is why not.
    fn sit_down(&self, name: &str, socket: &WebSocket) -> Result<(), String> {
        let fits = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.chars().count() > NAME || !name.chars().all(fits) {
            return Err(format!("A name has 1 to {NAME} letters, digits, - and _."));
        }
        let key = name.to_lowercase();
        if self.seats.borrow().contains_key(&key) {
            return Err(format!("Somebody here is called {name}."));
        }
        self.tell(&format!("note\n{name} has come."));
        self.seats.borrow_mut().insert(key, (name.to_owned(), socket.clone()));
        // What cannot be sent is told of by `connection_lost`.
        let _ = socket.send_text(&format!("welcome\n{name}"));
        self.said.borrow().iter().all(|said| socket.send_text(said).is_ok());
        self.tell_people();
        Ok(())
    }

    fn stand_up(&self, name: &str) {
        self.seats.borrow_mut().remove(&name.to_lowercase());
        self.tell(&format!("note\n{name} has left."));
        self.tell_people();
    }

    fn say(&self, name: &str, text: &str) {
        let number = self.next.replace(self.next.get() + 1);
        let said = format!("said\n{number}\n{name}\n{text}");
        self.tell(&said);
        let mut history = self.said.borrow_mut();
        history.push_back(said);
        if history.len() > HISTORY {
            history.pop_front();
        }
    }
}

/// One browser window.
struct Member {
    room: Rc<Room>,
    /// There once it has a name.
    name: Option<String>,
    /// Closes it, unless it has a name by then.
    nameless: Option<DelayedCall>,
    /// How many texts it said since when.
    burst: (u32, Duration),
}

impl Member {
    fn new(room: &Rc<Room>) -> Member {
        Member { room: room.clone(), name: None, nameless: None, burst: (0, Duration::ZERO) }
    }

    fn is_too_fast(&mut self, event_loop: &EventLoop) -> bool {
        let now = event_loop.time();
        if now.saturating_sub(self.burst.1) > BURST_TIME {
            self.burst = (0, now);
        }
        self.burst.0 += 1;
        self.burst.0 > BURST
    }

    fn has_a_name(&mut self) {
        if let Some(nameless) = self.nameless.take() {
            // An error says that it is over already.
            let _ = nameless.cancel();
        }
    }
}

impl WebSocketProtocol for Member {
    fn connection_made(&mut self, event_loop: &EventLoop, socket: &WebSocket) -> Result<(), Failure> {
        self.room.connections.set(self.room.connections.get() + 1);
        if self.room.connections.get() > MEMBERS {
            socket.close(CloseCode::POLICY_VIOLATION, "the room is full");
            return Ok(());
        }
        let socket = socket.clone();
        let late = move |_: &EventLoop| socket.close(CloseCode::POLICY_VIOLATION, "no name was given");
        self.nameless = Some(event_loop.call_later(NAME_TIME, late).named("no name"));
        Ok(())
    }

    fn message_received(
        &mut self,
        event_loop: &EventLoop,
        socket: &WebSocket,
        message: Message<'_>,
    ) -> Result<(), Failure> {
        let Message::Text(text) = message else {
            socket.close(CloseCode::UNSUPPORTED_DATA, "text only");
            return Ok(());
        };
        if self.is_too_fast(event_loop) {
            socket.close(CloseCode::POLICY_VIOLATION, "too many messages at once");
            return Ok(());
        }
        // A line break would be the next part of a message.
        let text = text.trim().replace(char::is_control, " ");
        match &self.name {
            None => match self.room.sit_down(&text, socket) {
                Ok(()) => {
                    self.name = Some(text);
                    self.has_a_name();
                }
                Err(why) => socket.send_text(&format!("name\n{why}"))?,
            },
            Some(_) if text.is_empty() => {}
            Some(_) if text.chars().count() > TEXT => {
                socket.send_text(&format!("note\nNobody heard that: a text has at most {TEXT} characters."))?;
            }
            Some(name) => self.room.say(name, &text),
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &EventLoop, reason: Failure) {
        log::debug!("a window is gone: {reason}");
        self.has_a_name();
        self.room.connections.set(self.room.connections.get() - 1);
        if let Some(name) = self.name.take() {
            self.room.stand_up(&name);
        }
    }
}
