//! Open frames: what is told between a begin event and its end is called from it.

use super::kind::Kind;
use super::marks::Mark;
use super::slot::{Links, More, current, tell, with};

/// An open frame: a begin event whose end is still to come. Events emitted meanwhile are "called from" it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Frame {
    b: Mark,
}

impl Frame {
    /// Records a begin event and opens its frame. A frame of mark 0 is one that nobody records.
    pub(crate) fn open(kind: Kind<'_>, links: Links<'_>) -> Frame {
        Frame::open_more(kind, links, More::default())
    }

    /// The same with what few events have.
    pub(crate) fn open_more(kind: Kind<'_>, links: Links<'_>, more: More) -> Frame {
        Frame::open_here(kind, links, more)
    }

    /// The same as `emit_here` is for `emit`.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn open_here(mut kind: Kind<'_>, links: Links<'_>, more: More) -> Frame {
        let Some(current) = current() else { return Frame { b: 0 } };
        match current.keep(&mut kind, &links, more) {
            Some(b) => {
                current.frames.borrow_mut().push(b);
                Frame { b }
            }
            None => Frame { b: Frame::open_told(kind, &links, more) },
        }
    }

    #[inline(never)]
    fn open_told(kind: Kind<'_>, links: &Links<'_>, more: More) -> Mark {
        // The recorder may end its recording, or begin another, where nobody knows of this frame.
        let Some(current) = current() else { return 0 };
        let b = current.emit(kind, links, more);
        if b != 0 {
            current.frames.borrow_mut().push(b);
        }
        b
    }

    /// Records the end event that `kind` makes of the begin event's mark, and closes the frame.
    pub(crate) fn close<'k>(self, kind: impl FnOnce(Mark) -> Kind<'k>, links: Links<'_>) -> Mark {
        self.close_more(kind, links, More::default())
    }

    /// The same with what few events have.
    pub(crate) fn close_more<'k>(self, kind: impl FnOnce(Mark) -> Kind<'k>, links: Links<'_>, more: More) -> Mark {
        let kind = kind(self.b);
        self.close_as(kind, &links, more)
    }

    fn close_as(self, kind: Kind<'_>, links: &Links<'_>, more: More) -> Mark {
        self.close_here(kind, links, more)
    }

    /// The same for the end event itself, as `emit_here` is for `emit`.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn close_here(self, mut kind: Kind<'_>, links: &Links<'_>, more: More) -> Mark {
        if self.b == 0 {
            return 0;
        }
        // None that was opened in another recording. A turn that `run_one` left in its middle, inside this frame, does
        // not outlive it.
        let Some(current) = current() else { return 0 };
        let mut frames = current.frames.borrow_mut();
        if frames.last() != Some(&self.b) {
            let Some(i) = frames.iter().rposition(|b| *b == self.b) else { return 0 };
            frames.truncate(i + 1);
        }
        // Its end belongs to the frame around it.
        frames.pop();
        drop(frames);
        current.keep(&mut kind, links, more).unwrap_or_else(|| tell(kind, links, more))
    }

    /// The begin event.
    pub(crate) fn begin(&self) -> Mark {
        self.b
    }
}

/// The frame that runs now; 0 for none. What is registered now can name it as its reason.
pub(crate) fn frame() -> Mark {
    with(|current| current.frames.borrow().last().copied()).flatten().unwrap_or(0)
}
