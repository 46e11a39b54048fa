//! Compressed messages, `permessage-deflate` (RFC 7692): what is wanted, what is agreed upon, and the machines for it.
//!
//! ```text
//!  client  permessage-deflate; client_max_window_bits     offer
//!  server  permessage-deflate; server_max_window_bits=10  the first offer that it can do, or nothing
//! ```

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::{Compress, Compression, Decompress};

use super::extension::{Extension, extensions};
use super::handshake::HandshakeError;
use crate::http::Headers;

const NAME: &str = "permessage-deflate";

/// The largest window there is: 2^15 bytes.
const WIDEST: u8 = 15;

/// A wish for compressed messages, with its settings. Give it to
/// [`WebSocketServer::deflate`](super::WebSocketServer::deflate) or
/// [`WebSocketClient::deflate`](super::WebSocketClient::deflate); without it nothing is compressed.
///
/// It is off by default because of what it costs: 320 KiB for each connection that has sent a compressed message, and
/// 45 KiB for each that has received one, as long as the connection lasts. With
/// [`no_context_takeover`](Deflate::no_context_takeover) nothing is kept for a connection between its messages: all the
/// connections of one server use the same machines, one after the other. Messages compress less well then.
///
/// ```
/// use ropewalk::websocket::{Deflate, WebSocketServer};
///
/// // For many connections.
/// let sockets = WebSocketServer::new().deflate(Deflate::new().no_context_takeover());
/// # drop(sockets);
/// ```
#[derive(Clone)]
pub struct Deflate {
    level: u32,
    threshold: usize,
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    spare: Arc<Mutex<Spare>>,
}

/// What lies ready for the next message, of any connection with these settings: at most one of each.
#[derive(Default)]
struct Spare {
    compress: Option<Compress>,
    decompress: Option<Decompress>,
    block: Vec<u8>,
    packed: Vec<u8>,
}

/// How much a machine gives in one go. As large as its window: then nothing of it stays inside.
const BLOCK: usize = 32 * 1024;

impl Deflate {
    /// Level 6, messages from 64 bytes on, the context kept from message to message.
    pub fn new() -> Deflate {
        Deflate {
            level: Compression::default().level(),
            threshold: 64,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            spare: Arc::default(),
        }
    }

    /// How hard to try: 1 is fast, 9 is small, 0 does not compress. The default is 6; more than 9 counts as 9.
    pub fn level(mut self, level: u32) -> Deflate {
        self.level = level.min(9);
        // What lies ready is of another level.
        self.spare = Arc::default();
        self
    }

    /// Messages of fewer bytes are sent as they are. The default is 64: shorter ones gain little. With 0 every message is
    /// compressed, even one that gets larger by it.
    pub fn threshold(mut self, bytes: usize) -> Deflate {
        self.threshold = bytes;
        self
    }

    /// Neither side may refer back to earlier messages, so that neither has to keep them.
    pub fn no_context_takeover(self) -> Deflate {
        self.server_no_context_takeover(true).client_no_context_takeover(true)
    }

    /// Whether the server may not refer back to earlier messages (RFC 7692, 7.1.1.1).
    pub fn server_no_context_takeover(mut self, on: bool) -> Deflate {
        self.server_no_context_takeover = on;
        self
    }

    /// Whether the client may not refer back to earlier messages (RFC 7692, 7.1.1.2).
    pub fn client_no_context_takeover(mut self, on: bool) -> Deflate {
        self.client_no_context_takeover = on;
        self
    }

    /// What a client offers, as the value of `Sec-WebSocket-Extensions`.
    pub fn offer(&self) -> String {
        let mut offer = format!("{NAME}; client_max_window_bits");
        for (on, name) in [
            (self.server_no_context_takeover, "; server_no_context_takeover"),
            (self.client_no_context_takeover, "; client_no_context_takeover"),
        ] {
            if on {
                offer += name;
            }
        }
        offer
    }

    /// What a server agrees upon with the client whose header fields these are: the first of its offers that can be
    /// done. `None`: there is none, and the messages are not compressed. What is agreed upon, written out, is the value of
    /// `Sec-WebSocket-Extensions` in the response.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Extensions`]: the fields are not of the grammar of RFC 6455, 9.1.
    ///
    /// # Examples
    ///
    /// ```
    /// use ropewalk::http::Headers;
    /// use ropewalk::websocket::Deflate;
    ///
    /// let mut headers = Headers::new();
    /// headers.append("Sec-WebSocket-Extensions", "permessage-deflate; unheard_of, permessage-deflate; server_max_window_bits=10")?;
    /// let agreed = Deflate::new().accept(&headers)?.expect("the second offer can be done");
    /// assert_eq!(agreed.to_string(), "permessage-deflate; server_max_window_bits=10");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accept(&self, headers: &Headers) -> Result<Option<DeflateParameters>, HandshakeError> {
        let offers = extensions(headers).map_err(HandshakeError::Extensions)?;
        let agreed = |offer: &Extension<'_>| {
            let named = Named::of(offer, true).ok()?;
            Some(DeflateParameters {
                server_no_context_takeover: named.server_no_context_takeover || self.server_no_context_takeover,
                client_no_context_takeover: named.client_no_context_takeover || self.client_no_context_takeover,
                server_max_window_bits: named.server_bits.unwrap_or(WIDEST),
                // Whatever the client can do: our window is the widest.
                client_max_window_bits: WIDEST,
            })
        };
        Ok(offers.iter().filter(|offer| offer.name == NAME).find_map(agreed))
    }

    /// What a client has agreed upon with the server whose header fields these are, behind [`offer`](Deflate::offer).
    /// `None`: messages are not compressed.
    ///
    /// # Errors
    ///
    /// The server says something that was not offered, or that makes no sense (RFC 7692, 5.1 and 7.1).
    pub fn agreed(&self, headers: &Headers) -> Result<Option<DeflateParameters>, HandshakeError> {
        let chosen = extensions(headers).map_err(HandshakeError::Extensions)?;
        let wrong = |why| HandshakeError::ExtensionParameters(NAME.to_owned(), why);
        if let Some(other) = chosen.iter().find(|chosen| chosen.name != NAME) {
            return Err(HandshakeError::Extension(other.name.to_owned()));
        }
        let [one] = &chosen[..] else {
            return if chosen.is_empty() { Ok(None) } else { Err(wrong("it is there more than once")) };
        };
        let named = Named::of(one, false).map_err(wrong)?;
        if self.server_no_context_takeover && !named.server_no_context_takeover {
            return Err(wrong("server_no_context_takeover is missing, which was asked for"));
        }
        Ok(Some(DeflateParameters {
            server_no_context_takeover: named.server_no_context_takeover,
            client_no_context_takeover: named.client_no_context_takeover || self.client_no_context_takeover,
            server_max_window_bits: named.server_bits.unwrap_or(WIDEST),
            client_max_window_bits: named.client_bits.flatten().unwrap_or(WIDEST),
        }))
    }

    pub(super) fn smallest(&self) -> usize {
        self.threshold
    }

    fn spare<R>(&self, with: impl FnOnce(&mut Spare) -> R) -> R {
        // Nothing in it can be half done.
        with(&mut self.spare.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take_compress(&self) -> Compress {
        self.spare(|spare| spare.compress.take())
            .unwrap_or_else(|| Compress::new(Compression::new(self.level), false))
    }

    pub(super) fn give_compress(&self, mut machine: Compress) {
        machine.reset();
        drop(self.spare(|spare| spare.compress.replace(machine)));
    }

    pub(super) fn take_decompress(&self) -> Decompress {
        self.spare(|spare| spare.decompress.take()).unwrap_or_else(|| Decompress::new(false))
    }

    pub(super) fn give_decompress(&self, mut machine: Decompress) {
        machine.reset(false);
        drop(self.spare(|spare| spare.decompress.replace(machine)));
    }

    /// [`BLOCK`] bytes to unpack into.
    pub(super) fn take_block(&self) -> Vec<u8> {
        let mut block = self.spare(|spare| std::mem::take(&mut spare.block));
        block.resize(BLOCK, 0);
        block
    }

    pub(super) fn give_block(&self, block: Vec<u8>) {
        drop(self.spare(|spare| std::mem::replace(&mut spare.block, block)));
    }

    /// An empty buffer to pack into.
    pub(super) fn take_packed(&self) -> Vec<u8> {
        let mut packed = self.spare(|spare| std::mem::take(&mut spare.packed));
        packed.clear();
        packed
    }

    pub(super) fn give_packed(&self, packed: Vec<u8>) {
        // One large message is no reason to keep so much.
        if packed.capacity() <= 2 * BLOCK {
            drop(self.spare(|spare| std::mem::replace(&mut spare.packed, packed)));
        }
    }
}

impl Default for Deflate {
    fn default() -> Deflate {
        Deflate::new()
    }
}

impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflate")
            .field("level", &self.level)
            .field("threshold", &self.threshold)
            .field("server_no_context_takeover", &self.server_no_context_takeover)
            .field("client_no_context_takeover", &self.client_no_context_takeover)
            .finish_non_exhaustive()
    }
}

/// What both sides agreed upon. Written out, it is what a server answers.
///
/// ```
/// use ropewalk::http::Headers;
/// use ropewalk::websocket::Deflate;
///
/// let mut offer = Headers::new();
/// offer.append("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover")?;
/// let agreed = Deflate::new().accept(&offer)?.expect("it can be done");
/// assert!(agreed.client_no_context_takeover);
/// assert_eq!(agreed.server_max_window_bits, 15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateParameters {
    /// The server does not refer back to earlier messages.
    pub server_no_context_takeover: bool,
    /// The client does not refer back to earlier messages.
    pub client_no_context_takeover: bool,
    /// The server does not refer back by more than 2 to the power of this, 8 to 15, bytes.
    pub server_max_window_bits: u8,
    /// The client does not refer back by more than 2 to the power of this, 8 to 15, bytes.
    pub client_max_window_bits: u8,
}

impl fmt::Display for DeflateParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        for (name, bits) in [("server", self.server_max_window_bits), ("client", self.client_max_window_bits)] {
            if bits != WIDEST {
                write!(f, "; {name}_max_window_bits={bits}")?;
            }
        }
        Ok(())
    }
}

/// The parameters of one offer, or of a response.
#[derive(Default)]
struct Named {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_bits: Option<u8>,
    /// A client may say that it can do it, without a number.
    client_bits: Option<Option<u8>>,
}

impl Named {
    /// What is wrong with them otherwise: each is there once, is known, and has a value that is right (7.1).
    fn of(extension: &Extension<'_>, offer: bool) -> Result<Named, &'static str> {
        let mut named = Named::default();
        for (key, value) in &extension.parameters {
            let again = match *key {
                "server_no_context_takeover" | "client_no_context_takeover" if value.is_some() => {
                    return Err("a parameter has a value that takes none");
                }
                "server_no_context_takeover" => std::mem::replace(&mut named.server_no_context_takeover, true),
                "client_no_context_takeover" => std::mem::replace(&mut named.client_no_context_takeover, true),
                "server_max_window_bits" => {
                    let bits = bits(value.as_deref().ok_or("server_max_window_bits has no value")?)?;
                    named.server_bits.replace(bits).is_some()
                }
                "client_max_window_bits" => {
                    let bits = value.as_deref().map(bits).transpose()?;
                    if bits.is_none() && !offer {
                        return Err("client_max_window_bits has no value");
                    }
                    named.client_bits.replace(bits).is_some()
                }
                _ => return Err("a parameter is unknown"),
            };
            if again {
                return Err("a parameter is there twice");
            }
        }
        Ok(named)
    }
}

/// A number from 8 to 15, without zeros before it (7.1.2).
fn bits(value: &str) -> Result<u8, &'static str> {
    match value.parse() {
        Ok(bits @ 8..=WIDEST) if bits.to_string() == value => Ok(bits),
        _ => Err("a number of window bits is not 8 to 15"),
    }
}
