//! Where a connection begins or ends, and what a program may say to name a place to connect to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use socket2::SockAddr;

/// One end of a connection.
///
/// ```
/// use ropewalk::Address;
/// use std::net::SocketAddr;
/// use std::path::Path;
///
/// let address = Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 8000)));
/// assert_eq!(address.to_string(), "127.0.0.1:8000");
/// assert_eq!((address.ip(), address.port()), (Some([127, 0, 0, 1].into()), 8000));
///
/// let address = Address::Unix(Some("/run/poems".into()));
/// assert_eq!(address.path(), Some(Path::new("/run/poems")));
/// assert_eq!((address.as_tcp(), address.port()), (None, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix socket, with its path. A socket that was not bound has none, and neither has a name of Linux's abstract
    /// kind that is no path.
    Unix(Option<PathBuf>),
    /// No socket at all, but a test's memory.
    Memory,
}

impl Address {
    /// The IP address and port, if it is one.
    pub fn as_tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            _ => None,
        }
    }

    /// The IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.as_tcp().map(|address| address.ip())
    }

    /// The port; 0 for what has none.
    pub fn port(&self) -> u16 {
        self.as_tcp().map_or(0, |address| address.port())
    }

    /// The path of a Unix socket, if it has one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Address::Unix(path) => path.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn of(any: &SockAddr) -> Address {
        match any.as_socket() {
            Some(address) => Address::Tcp(address),
            None => Address::Unix(any.as_pathname().map(PathBuf::from)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(Some(path)) => write!(f, "{}", path.display()),
            Address::Unix(None) => f.write_str("(a Unix socket without a name)"),
            Address::Memory => f.write_str("(memory)"),
        }
    }
}

/// A host and a port to connect to or to listen on: `"example.org:80"`, `"[::1]:80"`, `("example.org", 80)`, or an
/// address of the standard library.
///
/// A text without a port is found out when it is used, not when it is made, so that the error comes where the others
/// do.
///
/// ```
/// use ropewalk::Target;
/// use std::net::SocketAddr;
///
/// for target in [
///     Target::from("example.org:80"),
///     Target::from(("example.org", 80)),
///     Target::from(SocketAddr::from(([127, 0, 0, 1], 80))),
/// ] {
///     assert!(target.to_string().ends_with(":80"));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(pub(crate) Host);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Address(SocketAddr),
    Name(String, u16),
    /// No `host:port`.
    Unclear(String),
}

impl Target {
    fn new(host: &str, port: u16) -> Target {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(ip) => Target(Host::Address(SocketAddr::new(ip, port))),
            Err(_) => Target(Host::Name(host.to_owned(), port)),
        }
    }

    fn parse(text: &str) -> Target {
        if let Ok(address) = text.parse() {
            return Target(Host::Address(address));
        }
        match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            // A name has no colon: this would be an IPv6 address without its brackets.
            Some((host, Ok(port))) if !host.is_empty() && !host.contains(':') => Target::new(host, port),
            _ => Target(Host::Unclear(text.to_owned())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Host::Address(address) => write!(f, "{address}"),
            Host::Name(host, port) => write!(f, "{host}:{port}"),
            Host::Unclear(text) => f.write_str(text),
        }
    }
}

impl From<&str> for Target {
    fn from(text: &str) -> Target {
        Target::parse(text)
    }
}

impl From<&String> for Target {
    fn from(text: &String) -> Target {
        Target::parse(text)
    }
}

impl From<String> for Target {
    fn from(text: String) -> Target {
        Target::parse(&text)
    }
}

impl From<(&str, u16)> for Target {
    fn from((host, port): (&str, u16)) -> Target {
        Target::new(host, port)
    }
}

impl From<(String, u16)> for Target {
    fn from((host, port): (String, u16)) -> Target {
        Target::new(&host, port)
    }
}

impl From<(IpAddr, u16)> for Target {
    fn from((ip, port): (IpAddr, u16)) -> Target {
        Target(Host::Address(SocketAddr::new(ip, port)))
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Target {
        Target(Host::Address(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_literal_address_a_name_or_unclear() {
        let name = |host: &str, port| Target(Host::Name(host.into(), port));
        let address = |text: &str| Target(Host::Address(text.parse().unwrap()));
        assert_eq!(Target::from("example.org:80"), name("example.org", 80));
        assert_eq!(Target::from("127.0.0.1:80"), address("127.0.0.1:80"));
        assert_eq!(Target::from("[::1]:80"), address("[::1]:80"));
        assert_eq!(Target::from(("::1", 80)), address("[::1]:80"));
        assert_eq!(Target::from(("[::1]", 80)), address("[::1]:80"));
        for text in ["example.org", "example.org:", "example.org:99999", "::1:80", ":80", ""] {
            assert_eq!(Target::from(text), Target(Host::Unclear(text.into())), "{text}");
        }
    }
}
