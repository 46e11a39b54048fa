//! The error in a failure: its own, or one that several failures have in common.

use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::Arc;

type Boxed = Box<dyn Error + Send + Sync>;

pub(super) enum Payload {
    Own(Boxed),
    Shared(Arc<Boxed>),
}

impl Payload {
    pub(super) fn get(&self) -> &(dyn Error + Send + Sync + 'static) {
        match self {
            Payload::Own(error) => &**error,
            Payload::Shared(error) => &***error,
        }
    }

    /// The error to change, if no other failure has it.
    pub(super) fn get_mut(&mut self) -> Option<&mut (dyn Error + Send + Sync + 'static)> {
        match self {
            Payload::Own(error) => Some(&mut **error),
            Payload::Shared(error) => Arc::get_mut(error).map(|error| &mut **error),
        }
    }

    /// A second one with the same error.
    pub(super) fn share(&mut self) -> Payload {
        let error = match mem::replace(self, Payload::Own(Box::new(fmt::Error))) {
            Payload::Own(error) => Arc::new(error),
            Payload::Shared(error) => error,
        };
        *self = Payload::Shared(error.clone());
        Payload::Shared(error)
    }

    /// The error by value, if no other failure has it.
    pub(super) fn into_own(self) -> Result<Boxed, Payload> {
        match self {
            Payload::Own(error) => Ok(error),
            Payload::Shared(error) => Arc::try_unwrap(error).map_err(Payload::Shared),
        }
    }

    pub(super) fn into_box(self) -> Boxed {
        match self.into_own() {
            Ok(error) | Err(Payload::Own(error)) => error,
            Err(Payload::Shared(error)) => Box::new(SharedError(error)),
        }
    }
}

/// Stands for an error that other failures have as well.
struct SharedError(Arc<Boxed>);

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
