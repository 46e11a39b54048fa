//! The response on its way into the file.
//!
//! One batch is written while the next one comes. When both are full nobody reads the body, and so the server waits.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::path::PathBuf;
use std::rc::Rc;

use super::note::{self, ContentRange, Note};
use super::part::{Part, Target};
use super::{Download, Downloaded, Progress};
use crate::bridge::DeferredFuture;
use crate::event_loop::fs::FsError;
use crate::event_loop::{EventLoop, Handle};
use crate::ground::{Deferred, Failure};
use crate::http::body::{Body, Seen};
use crate::http::client::answer::ClientResponse;
use crate::http::client::problem::{ClientPhase, ClientProblem};
use crate::http::client::{ClientError, ClientRequest};
use crate::http::framing::BodyLength;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::trace::Place;

/// So much is written in one job: a thread that is woken for less costs more than the writing.
const BATCH: usize = 256 * 1024;

pub(super) fn start(download: Download, event_loop: &EventLoop, place: Place) -> Deferred<Downloaded> {
    let Download { request, path, sha256, resume, progress } = download;
    let setup = |why: &str| {
        let error = request.error(ClientPhase::Setup, ClientProblem::Download(why.to_owned()));
        Deferred::fail(Failure::raised_at(error, place))
    };
    let sha256 = match sha256.as_deref().map(note::from_hex) {
        Some(None) => return setup("a SHA-256 has 64 hexadecimal digits"),
        known => known.flatten(),
    };
    if request.method != Method::Get && resume {
        return setup("only a GET can be resumed");
    }
    // What is written is what comes. `Range` counts these bytes too.
    let request = match request.headers.contains("Accept-Encoding") {
        true => request,
        false => request.header("Accept-Encoding", "identity"),
    };
    let run = Run { request, event_loop: event_loop.handle(), place, sha256, progress };
    event_loop.spawn_at(run.all(path, resume), place)
}

struct Run {
    request: ClientRequest,
    event_loop: Handle,
    place: Place,
    sha256: Option<[u8; 32]>,
    progress: Option<Progress>,
}

/// A response, and the part that its body goes into.
struct Found {
    response: ClientResponse,
    part: Held,
    total: Option<u64>,
}

impl Run {
    async fn all(mut self, path: PathBuf, resume: bool) -> Result<Downloaded, Failure> {
        let target = self.work(move || Target::look_at(path)).await?;
        let resume = resume && target.is_file();
        let (target, earlier) = match resume {
            false => (target, None),
            true => {
                let url = self.request.url.clone();
                self.work(move || Part::find(&target, &url).map(|earlier| (target, earlier))).await?
            }
        };
        let Found { mut response, part, total } = self.ask(target, earlier, resume).await?;
        let resumed = part.bytes();
        let body = response.take_body();
        let part = self.receive(body, part, total).await?;
        let bytes = part.bytes();
        if let Some(expected) = total.filter(|&total| total != bytes) {
            self.let_go(part).await;
            let problem = ClientProblem::Length { expected, found: bytes };
            return Err(self.raised(response.error(ClientPhase::Body, problem)));
        }
        let (part, sha256) = (part.into_part(), self.sha256);
        match self.work(move || part.finish(sha256)).await? {
            Ok(bytes) => Ok(Downloaded { url: response.url().to_owned(), bytes, resumed }),
            Err(problem) => Err(self.raised(response.error(ClientPhase::Body, problem))),
        }
    }

    /// Asks for all of it, or for what is missing.
    async fn ask(&self, target: Target, earlier: Option<(Part, Note)>, resume: bool) -> Result<Found, Failure> {
        if let Some((part, note)) = earlier {
            let (from, part) = (part.bytes(), Held::new(part, self));
            let request = self.request.clone().header("Range", format!("bytes={from}-"));
            let mut response = self.send(request.header("If-Range", note.validator())).await?;
            let range = ContentRange::of(response.headers()).filter(|_| note.agrees_with(response.headers()));
            match (response.status(), range) {
                (Status::PARTIAL_CONTENT, Some(range)) if range.is_rest(from) => {
                    return Ok(Found { response, part: self.hash(part).await?, total: range.total });
                }
                (Status::RANGE_NOT_SATISFIABLE, Some(range)) if range.total == Some(from) => {
                    // Nothing is missing. What the response says of it is no part of the file.
                    drop(response.take_body());
                    return Ok(Found { response, part: self.hash(part).await?, total: Some(from) });
                }
                (Status::OK, _) => {
                    // It has changed, or the server knows of no ranges: all of it comes, from the beginning.
                    self.forget(part).await?;
                    return self.begin(target, response, resume).await;
                }
                (Status::PARTIAL_CONTENT | Status::RANGE_NOT_SATISFIABLE, _) => self.forget(part).await?,
                // The part is kept for another time.
                (status, _) => return Err(self.refused(&response, status)),
            }
        }
        let response = self.send(self.request.clone()).await?;
        self.begin(target, response, resume).await
    }

    /// The whole comes with this response.
    async fn begin(&self, target: Target, response: ClientResponse, resume: bool) -> Result<Found, Failure> {
        let status = response.status();
        if !status.is_success() || status == Status::PARTIAL_CONTENT {
            return Err(self.refused(&response, status));
        }
        let note = resume.then(|| Note::of(&self.request.url, response.headers())).flatten();
        let hashes = self.sha256.is_some();
        let part = self
            .work(move || {
                let mut part = match note {
                    Some(note) => Part::create_kept(&target, &note)?,
                    None => Part::create(&target)?,
                };
                if hashes {
                    part.hash();
                }
                Ok(part)
            })
            .await?;
        let total = match response.head().body_length() {
            BodyLength::Empty => Some(0),
            length => length.exact(),
        };
        Ok(Found { part: Held::new(part, self), response, total })
    }

    fn refused(&self, response: &ClientResponse, status: Status) -> Failure {
        self.raised(response.error(ClientPhase::Response, ClientProblem::Status(status)))
    }

    /// Hashes what is there, a part of it at a time.
    async fn hash(&self, part: Held) -> Result<Held, Failure> {
        if self.sha256.is_none() {
            return Ok(part);
        }
        let bytes = part.bytes();
        let (mut part, mut from) = (part.into_part(), 0);
        part.hash();
        while from < bytes {
            (part, from) = self.work(move || part.hash_existing(from)).await?;
        }
        Ok(Held::new(part, self))
    }

    async fn receive(&mut self, mut body: Body, part: Held, total: Option<u64>) -> Result<Held, Failure> {
        let seen = self.seen(part.bytes(), total);
        let mut sink = Sink { buffer: Vec::new(), state: State::Idle(part) };
        loop {
            let (buffer, ended) = match body.fill(std::mem::take(&mut sink.buffer), BATCH, &seen).await {
                Ok(filled) => filled,
                Err(failure) => {
                    // Another error on top of this one changes nothing.
                    if let Ok(part) = sink.settle(self).await {
                        self.let_go(part).await;
                    }
                    return Err(failure);
                }
            };
            sink.write(self, buffer).await?;
            if ended {
                return sink.settle(self).await;
            }
        }
    }

    /// What is told of each piece: it tells the program.
    fn seen(&mut self, before: u64, total: Option<u64>) -> Seen {
        let Some(mut progress) = self.progress.take() else { return Rc::new(|_| {}) };
        progress(before, total);
        let (progress, bytes) = (RefCell::new(progress), Cell::new(before));
        Rc::new(move |more| {
            bytes.set(bytes.get() + more as u64);
            // It is called by the body alone, and not from inside itself.
            if let Ok(mut progress) = progress.try_borrow_mut() {
                progress(bytes.get(), total);
            }
        })
    }

    async fn send(&self, request: ClientRequest) -> Result<ClientResponse, Failure> {
        self.event_loop.with(|event_loop| request.send_at(event_loop, self.place))?.await
    }

    /// Nobody needs the part: when this is over, its file is removed, or kept if it is to be.
    async fn let_go(&self, part: Held) {
        let part = part.into_part();
        let _ = self.work(move || part.let_go()).await;
    }

    /// What there is does not fit: it is removed.
    async fn forget(&self, part: Held) -> Result<(), Failure> {
        let part = part.into_part();
        self.work(move || part.forget()).await
    }

    fn raised(&self, error: ClientError) -> Failure {
        Failure::raised_at(error, self.place)
    }

    /// Does something on the worker pool.
    async fn work<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> Result<T, FsError> + Send + 'static,
    ) -> Result<T, Failure> {
        self.job(f)?.await.map_err(|failure| self.failed(failure))
    }

    fn job<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> Result<T, FsError> + Send + 'static,
    ) -> Result<DeferredFuture<T>, Failure> {
        let job = self.event_loop.with(|event_loop| {
            let place = self.place;
            event_loop.defer_to_thread_at(place, move || f().map_err(|error| Failure::raised_at(error, place)))
        })?;
        Ok(job.into_future())
    }

    fn failed(&self, failure: Failure) -> Failure {
        let source: Box<dyn Error + Send + Sync> = match failure.downcast::<FsError>() {
            Ok(error) => error.into(),
            Err(other) => other.into(),
        };
        self.raised(self.request.error(ClientPhase::File, source))
    }
}

/// A part between two jobs. Dropped with the task, it is let go of on the worker pool.
struct Held {
    part: Option<Part>,
    event_loop: Handle,
    place: Place,
}

impl Held {
    fn new(part: Part, run: &Run) -> Held {
        Held { part: Some(part), event_loop: run.event_loop.clone(), place: run.place }
    }

    fn into_part(mut self) -> Part {
        self.part.take().expect("only this takes it")
    }

    fn bytes(&self) -> u64 {
        self.part.as_ref().map_or(0, Part::bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            let place = self.place;
            // Without a loop, or if the pool takes no more, the part goes here.
            let _ = self.event_loop.with(|event_loop| {
                event_loop.defer_to_thread_at(place, move || Ok(part.let_go()?)).detach();
            });
        }
    }
}

/// What takes the batches. One is written while the next comes; their buffers change places.
struct Sink {
    buffer: Vec<u8>,
    state: State,
}

enum State {
    Idle(Held),
    Writing(DeferredFuture<(Part, Vec<u8>)>),
    /// An error came before.
    Over,
}

impl Sink {
    /// Begins to write a batch, when the one before is written.
    async fn write(&mut self, run: &Run, mut batch: Vec<u8>) -> Result<(), Failure> {
        let part = self.settle(run).await?.into_part();
        self.state = State::Writing(run.job(move || {
            let part = part.write(&batch)?;
            batch.clear();
            Ok((part, batch))
        })?);
        Ok(())
    }

    /// Waits until what has been begun is written.
    async fn settle(&mut self, run: &Run) -> Result<Held, Failure> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Idle(part) => Ok(part),
            State::Writing(writing) => match writing.await {
                Ok((part, buffer)) => {
                    self.buffer = buffer;
                    Ok(Held::new(part, run))
                }
                Err(failure) => Err(run.failed(failure)),
            },
            State::Over => Err(run.failed(Failure::msg("it is over"))),
        }
    }
}
