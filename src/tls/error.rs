//! Why there is no secure connection, or none any more.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::ground::Failure;
use crate::transports::ConnectionLost;

/// Why a TLS connection did not come to be, or broke off.
///
/// ```
/// use ropewalk::tls::TlsError;
/// use ropewalk::{ConnectionDone, Failure};
///
/// let failure = Failure::from(TlsError::HandshakeClosed);
/// assert!(matches!(TlsError::of(&failure), Some(TlsError::HandshakeClosed)));
/// assert_eq!(failure.to_string(), "the peer closed the connection during the TLS handshake");
/// assert!(TlsError::of(&Failure::from(ConnectionDone)).is_none());
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The two sides do not agree, or one does not trust the other: the certificate is expired, of another name, or of an
    /// unknown root; there is no common version; or the peer speaks something else.
    Handshake(rustls::Error),
    /// The hand-shake took too long.
    HandshakeTimeout(Duration),
    /// The peer closed while the hands were still being shaken.
    HandshakeClosed,
    /// What the peer sends is broken, or was changed on its way.
    Broken(rustls::Error),
    /// The connection ended without TLS's own end: what came may be only a part.
    Truncated,
}

impl TlsError {
    /// The TLS error in a failure, if there is one: of a hand-shake, or in the [`ConnectionLost`] that a connection ended
    /// by.
    pub fn of(failure: &Failure) -> Option<&TlsError> {
        let lost = || failure.check::<ConnectionLost>()?.io_error()?.get_ref()?.downcast_ref();
        failure.check::<TlsError>().or_else(lost)
    }

    /// As the end of a connection: the network's doing, which is no error of the protocol's own.
    pub(super) fn into_lost(self) -> Failure {
        let kind = match self {
            TlsError::Truncated | TlsError::HandshakeClosed => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        ConnectionLost::io("reading", io::Error::new(kind, self)).into()
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Handshake(error) => write!(f, "the TLS handshake failed: {error}"),
            TlsError::HandshakeTimeout(time) => write!(f, "the TLS handshake was not over after {time:?}"),
            TlsError::HandshakeClosed => f.write_str("the peer closed the connection during the TLS handshake"),
            TlsError::Broken(error) => write!(f, "the TLS connection is broken: {error}"),
            TlsError::Truncated => {
                f.write_str("the connection ended without a TLS close_notify: what came may be only a part")
            }
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TlsError::Handshake(error) | TlsError::Broken(error) => Some(error),
            _ => None,
        }
    }
}
