//! What happened, for a log.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::http::head::{RequestHead, Version};
use crate::http::status::Status;
use crate::transports::Address;

/// One request, as it is told to [`Server::access_log`](super::Server::access_log).
///
/// Its `Display` is the common log format that every analyser reads. Quotes, backslashes and whatever is not printable
/// are escaped, so that no client can write lines of its own.
///
/// ```
/// use ropewalk::http::Server;
/// use ropewalk::{Address, testing::MemoryLoop};
/// use std::{cell::RefCell, rc::Rc};
///
/// let test = MemoryLoop::new()?;
/// let log = Rc::new(RefCell::new(Vec::new()));
/// let lines = log.clone();
/// let site = Server::new().access_log(move |record| lines.borrow_mut().push(record.clone())).start(&test)?;
/// let peer = test.connected(site.protocol(&Address::Memory));
/// peer.send("GET /favicon.ico HTTP/1.1\r\nHost: a\r\nUser-Agent: \"me\"\r\n\r\n");
/// let record = &log.borrow()[0];
/// assert_eq!(record.status.unwrap().code(), 404);
/// assert!(record.complete);
/// // - - - [27/Nov/2026:04:02:40 +0000] "GET /favicon.ico HTTP/1.1" 404 14
/// assert!(record.to_string().ends_with(r#"] "GET /favicon.ico HTTP/1.1" 404 14"#));
/// assert!(record.combined().to_string().ends_with(r#"404 14 "-" "\"me\"""#));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccessRecord {
    /// Who asked.
    pub peer: Address,
    /// When the request's head had come.
    pub time: SystemTime,
    /// The method, the target and the version; `None` if the request was none.
    pub request: Option<(String, String, Version)>,
    /// The Referer field.
    pub referer: Option<String>,
    /// The User-Agent field.
    pub user_agent: Option<String>,
    /// What was answered; `None` if the connection was lost before.
    pub status: Option<Status>,
    /// How many bytes of a body were written.
    pub bytes: u64,
    /// How long it took to write the answer.
    pub duration: Duration,
    /// Whether the answer was written to its end.
    pub complete: bool,
}

impl AccessRecord {
    pub(super) fn new(peer: &Address, head: Option<&RequestHead>) -> AccessRecord {
        let field = |name: &str| {
            head.and_then(|head| head.headers.get_bytes(name))
                .map(|value| String::from_utf8_lossy(value).into_owned())
        };
        AccessRecord {
            peer: peer.clone(),
            time: SystemTime::now(),
            request: head.map(|head| (head.method.to_string(), head.target.clone(), head.version)),
            referer: field("Referer"),
            user_agent: field("User-Agent"),
            status: None,
            bytes: 0,
            duration: Duration::ZERO,
            complete: false,
        }
    }

    /// The combined format: the common one, with Referer and User-Agent.
    pub fn combined(&self) -> impl fmt::Display {
        let field = |field: &Option<String>| field.as_deref().map_or("-".to_owned(), escape);
        format!("{self} \"{}\" \"{}\"", field(&self.referer), field(&self.user_agent))
    }
}

fn escape(text: &str) -> String {
    text.escape_default().to_string()
}

impl fmt::Display for AccessRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer.ip() {
            Some(ip) => write!(f, "{ip}")?,
            None => f.write_str("-")?,
        }
        write!(f, " - - [{}] ", ClfTime(self.time))?;
        match &self.request {
            Some((method, target, version)) => write!(f, "\"{} {} {version}\" ", escape(method), escape(target))?,
            None => f.write_str("\"-\" ")?,
        }
        match self.status {
            Some(status) => write!(f, "{} {}", status.code(), self.bytes),
            None => write!(f, "- {}", self.bytes),
        }
    }
}

/// `25/Nov/2026:22:24:58 +0000`.
struct ClfTime(SystemTime);

impl fmt::Display for ClfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Wed, 25 Nov 2026 22:24:58 GMT`
        let text = httpdate::fmt_http_date(self.0);
        write!(f, "{}/{}/{}:{} +0000", &text[5..7], &text[8..11], &text[12..16], &text[17..25])
    }
}
