//! Validators of a file, and whether the client has it already (RFC 9110, 8.8 and 13).

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

use crate::http::head::RequestHead;
use crate::http::method::Method;
use crate::http::response::Response;

/// What tells one state of a file from another.
pub(super) struct Validators {
    etag: String,
    /// To the second, as dates are in HTTP.
    modified: Option<SystemTime>,
}

/// What a request's conditions come to.
pub(super) enum Answer<'r> {
    Whole,
    Range(&'r str),
    NotModified,
    Failed,
}

impl Validators {
    pub(super) fn of(metadata: &Metadata) -> Validators {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let modified = since.map(|since| SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()));
        let nanos = since.unwrap_or_default().as_nanos();
        Validators { etag: format!("\"{nanos:x}-{:x}\"", metadata.len()), modified }
    }

    /// Adds the fields that say it.
    pub(super) fn describe(&self, response: Response) -> Response {
        let response = response.header("ETag", &self.etag);
        match self.modified {
            Some(modified) => response.header("Last-Modified", httpdate::fmt_http_date(modified)),
            None => response,
        }
    }

    /// In the order of RFC 9110, 13.2.2.
    pub(super) fn check<'r>(&self, request: &'r RequestHead) -> Answer<'r> {
        let headers = &request.headers;
        let date = |name: &str| headers.get(name).and_then(|text| httpdate::parse_http_date(text).ok());
        if headers.contains("If-Match") {
            if !self.matches(request, "If-Match", false) {
                return Answer::Failed;
            }
        } else if let (Some(since), Some(modified)) = (date("If-Unmodified-Since"), self.modified)
            && modified > since
        {
            return Answer::Failed;
        }
        if headers.contains("If-None-Match") {
            if self.matches(request, "If-None-Match", true) {
                return Answer::NotModified;
            }
        } else if let (Some(since), Some(modified)) = (date("If-Modified-Since"), self.modified)
            && modified <= since
        {
            return Answer::NotModified;
        }
        match headers
            .get("Range")
            .filter(|_| request.method == Method::Get && self.is_same(headers.get("If-Range")))
        {
            Some(range) => Answer::Range(range),
            None => Answer::Whole,
        }
    }

    /// Whether a list of entity tags has ours, or is `*`. `weak`: whether `W/` does not matter.
    fn matches(&self, request: &RequestHead, name: &str, weak: bool) -> bool {
        request.headers.list(name).any(|tag| {
            let bare = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
            bare == "*" || bare == self.etag
        })
    }

    /// Whether the part that a client has is of this state (RFC 9110, 13.1.5).
    fn is_same(&self, if_range: Option<&str>) -> bool {
        match if_range {
            None => true,
            Some(tag) if tag.starts_with('"') => tag == self.etag,
            Some(date) => httpdate::parse_http_date(date).ok().is_some_and(|date| Some(date) == self.modified),
        }
    }
}
