//! What connections tell the recorder. Called only while somebody records, where a recorder may do what it likes with the
//! connection.

use std::os::fd::AsRawFd;
use std::rc::Rc;

use rustix::io::Errno;

use super::connection::Line;
use crate::event_loop::{EventLoop, upper};
use crate::ground::Failure;
use crate::ground::tell::failure_text;
use crate::trace::{self, Gave, Id, Kind, Links};

/// What a call of the system came to. 0 bytes are the end of what is read.
fn gave(result: Result<usize, Errno>, reading: bool) -> Gave {
    match result {
        Ok(0) if reading => Gave::Eof,
        Ok(n) => Gave::Bytes(n as u64),
        Err(Errno::AGAIN) => Gave::Again,
        Err(error) => Gave::Errno(error.raw_os_error().unsigned_abs()),
    }
}

/// Tells that a producer is to stop, or may go on.
pub(super) struct Flow {
    pub(super) stop: bool,
    pub(super) waiting: usize,
    pub(super) limit: usize,
    /// Whether there are water marks: not for a producer that is asked each time.
    pub(super) marks: bool,
}

impl Line {
    /// The id of its source, or of its end of a wire in memory.
    pub(super) fn trace_id(&self) -> Option<Id> {
        let Some(fd) = self.fd.as_ref() else { return self.own_medium()?.trace_id() };
        let event_loop = upper::upgrade(&self.lines.inner)?;
        let (index, serial) = event_loop.inner.find_shared(fd.as_raw_fd(), self)?;
        event_loop.source_id(index, serial)
    }

    #[cold]
    pub(super) fn tell_read(&self, came: Result<usize, Errno>) {
        if let Some(i) = self.trace_id() {
            trace::emit(Kind::IoRead { i, n: gave(came, true) }, Links::default());
        }
    }

    #[cold]
    pub(super) fn tell_write(&self, asked: usize, sent: Result<usize, Errno>) {
        if let Some(i) = self.trace_id() {
            let left = (asked - sent.unwrap_or(0)) as u64;
            let kind = Kind::IoWrite { i, asked: asked as u64, took: gave(sent, false), left };
            trace::emit(kind, Links::default());
        }
    }

    /// `src` is what is to stop, if it has an id.
    #[cold]
    pub(super) fn tell_flow(&self, flow: &Flow, src: Option<Id>) {
        let Some(i) = self.trace_id() else { return };
        let left = flow.waiting as u64;
        let mark = match (flow.marks, flow.stop) {
            (false, _) => 0,
            (true, true) => trace::emit(Kind::FlowHigh { i, left, limit: flow.limit as u64 }, Links::default()),
            (true, false) => trace::emit(Kind::FlowLow { i, left }, Links::default()),
        };
        let kind = match flow.stop {
            true => Kind::FlowStop { src, because: Some(i) },
            false => Kind::FlowGo { src, because: Some(i) },
        };
        trace::emit(kind, Links { cause: mark, ..Links::default() });
    }

    /// Lets the medium go, because of that.
    pub(super) fn detach_because(self: &Rc<Line>, event_loop: &EventLoop, reason: &Failure) {
        let why = if trace::on() { Some(failure_text(reason)) } else { None };
        let before = event_loop.inner.closing.replace(why);
        self.detach(event_loop);
        let told = event_loop.inner.closing.replace(before);
        drop(told);
    }
}
