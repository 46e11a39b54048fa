//! HTTP/1.1 (RFC 9110, RFC 9112). Feature `http`, which is `http-server` and `http-client`: each of them has the codec.
//!
//! | for | item |
//! |---|---|
//! | serving (feature `http-server`) | [`Server`](struct.Server.html), whose handlers are given a [`Request`](struct.Request.html) and answer a [`Response`](struct.Response.html); [`Site`](struct.Site.html) is one that runs |
//! | the files of a folder | [`Server::files`](struct.Server.html#method.files), [`Files`](struct.Files.html) |
//! | asking (feature `http-client`) | [`get`](fn.get.html), [`ClientRequest`](struct.ClientRequest.html); [`Client`](struct.Client.html) keeps connections; [`download`](fn.download.html) |
//! | bodies | [`Body`] comes in, [`BodyWriter`] goes out |
//! | messages out of bytes, and into them | [`RequestDecoder`], [`ResponseDecoder`], [`encode_request_head`], [`encode_response_head`], [`encode_chunk`] |
//! | how much a peer may send; what was wrong with it, and where | [`Limits`]; [`ParseError`] |
//!
//! The codec is sans-I/O: bytes in, events out, every way to cut the bytes gives the same events. The chapters are
//! `docs/http.md` and `docs/http-client.md`.

// | module | what it is |
// |---|---|
// | `method`, `status`, `headers`, `head` | what messages begin with |
// | `head_collector`, `head_parser` | heads out of bytes |
// | `framing`, `body_decoder`, `chunked` | how long a body is, and the bytes of it |
// | `decoder` | whole messages out of bytes, in both directions |
// | `encode` | messages into bytes |
// | `limits`, `error` | how much a peer may send; what was wrong with it, and where |
// | `body`, `outgoing` | bodies on their way in and out, with flow control |
// | `request`, `response`, `server` | servers (feature `http-server`) |
// | `successor` | what a connection of a server changes over to |
// | `files` | files of a folder, served (feature `http-server`) |
// | `client` | clients (feature `http-client`) |

mod body;
mod body_decoder;
mod chunked;
#[cfg(feature = "http-client")]
mod client;
mod decoder;
mod encode;
mod error;
#[cfg(feature = "http-server")]
mod files;
mod framing;
mod head;
mod head_collector;
mod head_parser;
mod headers;
mod limits;
mod method;
mod outgoing;
#[cfg(feature = "http-server")]
mod request;
#[cfg(feature = "http-server")]
mod response;
#[cfg(feature = "http-server")]
mod server;
mod status;
#[cfg(feature = "http-server")]
mod successor;

pub use body::{Body, BodyTooLarge};
pub use chunked::{ChunkHead, LAST_CHUNK, encode_chunk, encode_last_chunk};
#[cfg(feature = "http-client")]
pub use client::{
    Client, ClientError, ClientPhase, ClientProblem, ClientRequest, ClientResponse, Download, Downloaded, download,
    get,
};
pub use decoder::{Event, RequestDecoder, ResponseDecoder};
pub use encode::{encode_request_head, encode_response_head};
pub use error::{ParseError, Part, Problem};
#[cfg(feature = "http-server")]
pub use files::Files;
pub use framing::BodyLength;
pub use head::{RequestHead, ResponseHead, Version};
pub use headers::{Headers, InvalidHeader};
pub use limits::Limits;
#[cfg(feature = "websocket")]
pub(crate) use method::is_token;
pub use method::{InvalidMethod, Method};
pub use outgoing::BodyWriter;
#[cfg(feature = "http-server")]
pub use request::Request;
#[cfg(feature = "http-server")]
pub use response::{IntoReply, Response, StatusError};
#[cfg(feature = "http-server")]
pub use server::{AccessRecord, Server, ServerProtocol, Site};
pub use status::Status;
#[cfg(feature = "http-server")]
pub use successor::UpgradedProtocol;
