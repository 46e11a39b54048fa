//! What the server keeps: texts under keys, each for ever or for a while. It knows no connection.

use ropewalk::{DelayedCall, EventLoop};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::Duration;

/// So many keys are kept: with the longest line that is at most some megabytes.
pub(crate) const KEYS: usize = 10_000;

/// There is no room for another key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A store. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Store(Rc<RefCell<HashMap<String, Kept>>>);

struct Kept {
    value: String,
    /// Takes it away, if it is kept for a while only.
    end: Option<DelayedCall>,
}

impl Store {
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.0.borrow().get(key).map(|kept| kept.value.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Keeps a value. What was there before is forgotten, with its end.
    pub(crate) fn set(&self, key: &str, value: &str) -> Result<(), Full> {
        let kept = Kept { value: value.to_owned(), end: None };
        let mut all = self.0.borrow_mut();
        let room = all.len() < KEYS;
        match all.entry(key.to_owned()) {
            Entry::Occupied(mut there) => there.insert(kept).call_off(),
            Entry::Vacant(free) if room => drop(free.insert(kept)),
            Entry::Vacant(_) => return Err(Full),
        }
        Ok(())
    }

    /// Forgets a key. Whether it was there.
    pub(crate) fn remove(&self, key: &str) -> bool {
        let kept = self.0.borrow_mut().remove(key);
        kept.map(Kept::call_off).is_some()
    }

    /// Forgets a key after a while. Whether it is there.
    pub(crate) fn expire(&self, event_loop: &EventLoop, key: &str, after: Duration) -> bool {
        let mut all = self.0.borrow_mut();
        let Some(kept) = all.get_mut(key) else { return false };
        // The timer belongs to the value that is there now: whatever replaces that calls it off.
        let (store, name) = (self.clone(), key.to_owned());
        let end = event_loop.call_later(after, move |_| {
            store.remove(&name);
        });
        if let Some(before) = kept.end.replace(end.named("expire")) {
            let _ = before.cancel();
        }
        true
    }
}

impl Kept {
    fn call_off(self) {
        if let Some(end) = self.end {
            // Over already if it is the timer that calls.
            let _ = end.cancel();
        }
    }
}
