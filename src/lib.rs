//! A callback-based event loop in the spirit of early Twisted.
//!
//! * [`EventLoop`]: one thread, many callbacks. Sources (anything with a descriptor), timers, signals, other threads'
//!   calls and blocking work are registered with boxed callbacks. There is no global loop and no hidden thread.
//! * [`Deferred`]: a result that comes later, and the chain of callbacks and errbacks that it runs through. A
//!   [`Resolver`] fires it, once. A [`Failure`] is any error on its way.
//! * [`Protocol`] and [`Transport`]: a connection is a struct whose methods are called, and a handle to write with.
//!   [`protocols`] find the messages in the bytes. HTTP, WebSockets and TLS are [features](#features).
//! * [`bridge`]: the same loop with `async` and `await`.
//! * [`task`]: time and Deferreds together. Limits, calls on the beat, further attempts.
//! * [`trace`] records what happens, `study` (feature `study`) draws it, [`testing`] looks into Deferreds without a loop.
//!
//! What holds: a panic in a callback harms only what it belongs to. An error that nobody handled is reported. Nothing
//! recurses with the length of a chain. No code of yours runs while anything of the library is borrowed or locked.
//!
//! Linux is run and tested; macOS and the BSDs are kept compiling where `polling` has them. The code that needs `unsafe`
//! (registering a descriptor with the poller) is one small module; the crate denies it elsewhere.
//!
//! ```
//! use ropewalk::{Deferred, EventLoop, Failure};
//! use std::time::Duration;
//!
//! /// A slow poem: the result comes 20 ms later.
//! fn fetch_poem(event_loop: &EventLoop) -> Deferred<String> {
//!     let (resolver, poem) = Deferred::new();
//!     event_loop.call_later(Duration::from_millis(20), |_| resolver.succeed("If I were".to_owned()));
//!     poem
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let event_loop = EventLoop::new()?;
//!     let loud = fetch_poem(&event_loop)
//!         .map(|poem| poem.to_uppercase())
//!         .add_callback(|poem| {
//!             if poem.is_empty() {
//!                 return Err(Failure::msg("an empty poem"));
//!             }
//!             Ok(poem)
//!         })
//!         .add_errback(|failure| Ok(format!("no poem: {failure}")));
//!     assert_eq!(event_loop.run_until(loud)?, "IF I WERE");
//!     Ok(())
//! }
//! ```
//!
//! # Which item answers which question
//!
//! | question | item |
//! |---|---|
//! | Call me when a socket is ready | [`EventLoop::register`], [`EventLoop::register_with_id`] |
//! | Serve connections; make one | [`EventLoop::listen_tcp`], [`EventLoop::connect_tcp`], [`Protocol`] |
//! | Write, close, pause a connection | [`Transport`] |
//! | Send a file, or a part of it | [`Transport::send_file`], [`Transport::send_file_range`] |
//! | Call me in a second; in the next turn | [`EventLoop::call_later`], [`EventLoop::call_soon`] |
//! | Fail unless it comes within 5 s; do it in 5 s | [`Deferred::add_timeout`], [`EventLoop::defer_later`] |
//! | Do it every 5 s | [`task::LoopingCall`] |
//! | Do long work in slices, so that all else goes on | [`task::Cooperator`] |
//! | Try again, with growing waits | [`task::Retry`], [`task::Backoff`] |
//! | Run this blocking function elsewhere; read this file | [`EventLoop::defer_to_thread`], [`fs`] |
//! | Reach the loop from another thread | [`EventLoop::remote`], [`EventLoop::channel`], [`EventLoop::remote_deferred`] |
//! | Stop on Ctrl-C; be told of SIGHUP | [`EventLoop::stop_on_signals`], [`EventLoop::on_signal`] |
//! | Do something before the loop ends | [`EventLoop::add_system_event_trigger`] |
//! | What does the loop still wait for? | [`EventLoop::still_registered`] |
//! | Give somebody a result later | [`Deferred::new`] |
//! | Wait for many; for the first of many | [`DeferredList`], [`gather_results`]; [`race`] |
//! | End the others when one of many fails | [`DeferredList::cancel_others`] |
//! | Use the loop in a step of a chain | [`EventLoop::handle`], [`Handle::with_deferred`] |
//! | Give one result to many | [`Deferred::share`] |
//! | One at a time; five at a time | [`DeferredLock`]; [`DeferredSemaphore`] |
//! | Hand values from one to the other | [`DeferredQueue`] |
//! | Write it with `async` and `await` | [`EventLoop::spawn`], [`EventLoop::block_on`], `deferred.await` ([`bridge`]) |
//! | Await a connection, a file, some time | [`bridge`] |
//! | Who gets the errors that nobody handled? | [`set_unhandled_hook`] |
//! | Ignore an error on purpose | [`Deferred::log_errors`] |
//! | Say in `connection_lost` that it ended badly | [`report_unexpected`] |
//! | Where does this Deferred stand? | [`Deferred::describe`] |
//! | Read lines, or strings with their length in front | [`protocols::LineReceiver`], [`protocols::StringReceiver`] |
//! | Close a connection that is silent; connect again | [`protocols::TimeoutProtocol`], [`protocols::ReconnectingClient`] |
//! | Put TLS under a protocol | [`tls`](tls/index.html) (feature `tls`) |
//! | Get what is at a URL; keep connections; download it into a file | [`http::get`](http/fn.get.html), [`http::ClientRequest`](http/struct.ClientRequest.html); [`http::Client`](http/struct.Client.html); [`http::download`](http/fn.download.html) (feature `http-client`) |
//! | Serve HTTP/1.1; read and write its messages | [`http::Server`](http/struct.Server.html), [`http`](http/index.html) (feature `http-server`) |
//! | Serve WebSockets; be a client of one | [`websocket`](websocket/index.html) (feature `websocket`) |
//! | Test a protocol without sockets | [`testing::MemoryLoop`] |
//! | Test without waiting | [`TestClock`], [`testing`] |
//! | Record a run; write it into a file | [`trace::record`]; [`EventLoop::record`] |
//! | See a chain run, as text | [`study::text_chain`](study/fn.text_chain.html) (feature `study`) |
//! | What is probably wrong in a run? | [`study::lints`](study/lints/fn.lints.html) (feature `study`) |
//! | Step through a run, forward and back | [`study::page`](study/fn.page.html) (feature `study`; a program obeys `ROPEWALK=` with `trace-env`) |
//!
//! # Features
//!
//! None is there unless it is asked for.
//!
//! | feature | what it brings |
//! |---|---|
//! | `tls` | TLS under any protocol, both sides (rustls, with ring) |
//! | `http-server`, `http-client`; `http` | HTTP/1.1: one side; both |
//! | `websocket` | WebSockets, both sides, and `http-server` |
//! | `study` | what shows a recorded run; to record needs no feature |
//! | `stepper` | the stepper on a terminal, and `study` |
//! | `trace-env` | a program obeys the variable `ROPEWALK`, and `study` |
//! | `futures-io`, `futures-core`, `hyper` | traits of those crates, for streams, files and messages |

// On docs.rs each item says which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!("ropewalk runs on Unix systems. Windows is not supported: nobody has run it there yet.");

pub mod bridge;
mod event_loop;
mod family;
mod ground;
#[cfg(any(feature = "http-client", feature = "http-server"))]
pub mod http;
pub mod protocols;
#[cfg(feature = "study")]
pub mod study;
pub mod task;
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
mod transports;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use event_loop::{
    Builder, Closed, DelayedCall, EventLoop, Gone, Handle, InsertError, InsertReason, Interest, PanicPolicy, Phase,
    PoolError, PostError, Readiness, Registered, RegisteredKind, Remote, RemoteResolver, Removed, RunError, Sender,
    SourceId, SystemEvent, TestClock, TimerError, TriggerId, TriggerResult,
};
pub use event_loop::{fs, signals};
pub use family::{
    BacklogFull, DeferredList, DeferredLock, DeferredQueue, DeferredSemaphore, FirstOrAll, Members, OneOf2, OneOf3,
    OneOf4, OneOf5, OneOf6, OneOf7, OneOf8, Permit, QueueOverflow, QueueUnderflow, Shared, gather_results, race,
};
pub use ground::trace;
pub use ground::{
    AbandonedError, CallbackResult, CancelHandle, CancelledError, Deferred, DeferredState, Description, Failure,
    FailureGroup, FirstError, PanicError, Resolver, UnhandledError, UnhandledHook, WaitsFor, maybe_deferred,
    set_unhandled_hook,
};
pub use transports::{
    Address, ConnectError, ConnectPhase, ConnectTcp, ConnectionAborted, ConnectionDone, ConnectionLost,
    Disconnected, ListenTcp, Port, Producer, ProducerError, Protocol, ResolveError, SendFileError, Streaming,
    Target, Transport, report_unexpected,
};

pub use task::TimeoutError;

/// What the top of the crate does when a loop is about to be built. The loop's floor calls it, and does not know what
/// it is.
#[cfg(feature = "trace-env")]
pub(crate) const LOOP_IS_BUILT: fn() = study::env::init;

/// The chapters of the book, whose code is compiled and run with the tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/async.md")]
    mod async_await {}
    #[doc = include_str!("../docs/deferreds.md")]
    mod deferreds {}
    #[doc = include_str!("../docs/event-loop.md")]
    mod event_loop {}
    #[cfg(feature = "study")]
    #[doc = include_str!("../docs/glass-case.md")]
    mod glass_case {}
    #[cfg(feature = "http-server")]
    #[doc = include_str!("../docs/http.md")]
    mod http {}
    #[cfg(feature = "http")]
    #[doc = include_str!("../docs/http-client.md")]
    mod http_client {}
    #[doc = include_str!("../docs/history.md")]
    mod history {}
    #[doc = include_str!("../docs/models.md")]
    mod models {}
    #[doc = include_str!("../docs/performance.md")]
    mod performance {}
    #[doc = include_str!("../docs/protocols.md")]
    mod protocols {}
    #[doc = include_str!("../docs/reliability.md")]
    mod reliability {}
    #[doc = include_str!("../docs/testing.md")]
    mod testing {}
    #[doc = include_str!("../docs/time.md")]
    mod time {}
    #[doc = include_str!("../docs/transports.md")]
    mod transports {}
    #[doc = include_str!("../docs/twisted.md")]
    mod twisted {}
    #[cfg(feature = "websocket")]
    #[doc = include_str!("../docs/websocket.md")]
    mod websocket {}
}
