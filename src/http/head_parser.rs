//! Complete heads into requests, responses and trailers. `httparse` reads them; what it refuses is looked at again, line
//! by line, to say what is wrong and where.

use std::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, Header, ParserConfig};

use super::error::{ParseError, Part, Problem};
use super::framing::{self, BodyLength};
use super::head::{RequestHead, ResponseHead, Version};
use super::headers::Headers;
use super::limits::Limits;
use super::method::{Method, is_token};
use super::status::Status;

/// So many fields fit on the stack, which is enough for browsers; more cost an allocation.
const USUAL: usize = 32;

/// Calls `parse` with room for the usual number of fields, and if that does not do, for as many as may be. The room is not
/// filled with anything first: that would cost as much as the parsing.
fn with_room<'h, R>(
    limit: usize,
    mut parse: impl FnMut(&mut [MaybeUninit<Header<'h>>]) -> Result<R, httparse::Error>,
) -> Result<R, httparse::Error> {
    match parse(&mut [const { MaybeUninit::uninit() }; USUAL][..limit.min(USUAL)]) {
        Err(httparse::Error::TooManyHeaders) if limit > USUAL => {
            let mut many: Vec<_> = std::iter::repeat_with(MaybeUninit::uninit).take(limit).collect();
            parse(&mut many)
        }
        parsed => parsed,
    }
}

/// What the parser found; its parts lie in the head.
fn headers(head: &[u8], found: &[Header<'_>]) -> Headers {
    // Only the lines of fields are kept: names lie in front of their values, and all in order.
    let Some(first) = found.first() else { return Headers::new() };
    let start = first.name.as_ptr() as usize - head.as_ptr() as usize;
    Headers::parsed(
        &head[start..head.len() - 2],
        found.iter().map(|field| (field.name.as_bytes(), field.value.trim_ascii())),
    )
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

/// A request's head.
pub(super) fn request(head: &[u8], limits: &Limits) -> Result<RequestHead, ParseError> {
    let parsed = with_room(limits.fields, |fields| {
        let mut request = httparse::Request::new(&mut []);
        let complete = request.parse_with_uninit_headers(head, fields)?.is_complete();
        let method = Method::of(request.method.unwrap_or_default());
        let target = request.path.unwrap_or_default().to_owned();
        let headers = headers(head, request.headers);
        Ok(complete.then_some((method, target, version(request.version), headers)))
    });
    let (method, target, version, headers) = match parsed {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Err(diagnose(head, Part::Head, request_line, Problem::RequestLine)),
        Err(httparse::Error::TooManyHeaders) => return Err(too_many(head, Part::Head, limits)),
        Err(error) => return Err(diagnose(head, Part::Head, request_line, fallback(error, Problem::RequestLine))),
    };
    if target.len() > limits.target {
        return Err(ParseError::head(Problem::TargetTooLong, 1, method.as_str().len() + 1 + limits.target));
    }
    let mut request = RequestHead { method, target, version, headers, body: BodyLength::Empty };
    framing::check_target(&request)
        .map_err(|problem| ParseError::head(problem, 1, request.method.as_str().len() + 1))?;
    framing::check_host(&request).map_err(|problem| at_field(head, &["Host"], problem))?;
    request.body = framing::of_request(request.version, &request.headers)
        .map_err(|problem| at_field(head, &["Content-Length", "Transfer-Encoding"], problem))?;
    Ok(request)
}

/// A response's head. `to` is the method of its request, which has a say in how long the body is.
pub(super) fn response(head: &[u8], limits: &Limits, to: &Method) -> Result<ResponseHead, ParseError> {
    let mut config = ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    let parsed = with_room(limits.fields, |fields| {
        let mut response = httparse::Response::new(&mut []);
        let complete = config.parse_response_with_uninit_headers(&mut response, head, fields)?.is_complete();
        let headers = headers(head, response.headers);
        let status = response.code.and_then(Status::new);
        let reason = response.reason.unwrap_or_default().to_owned();
        Ok(status.filter(|_| complete).map(|status| (status, reason, version(response.version), headers)))
    });
    let (status, reason, version, mut headers) = match parsed {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Err(diagnose(head, Part::Head, status_line, Problem::StatusLine)),
        Err(httparse::Error::TooManyHeaders) => return Err(too_many(head, Part::Head, limits)),
        Err(error) => return Err(diagnose(head, Part::Head, status_line, fallback(error, Problem::StatusLine))),
    };
    headers.unfold();
    let body = framing::of_response(version, status, &headers, to)
        .map_err(|problem| at_field(head, &["Content-Length", "Transfer-Encoding"], problem))?;
    Ok(ResponseHead { version, status, reason, headers, body })
}

/// Trailers, with the empty line behind them.
pub(super) fn trailers(lines: &[u8], limits: &Limits) -> Result<Headers, ParseError> {
    if lines == b"\r\n" {
        return Ok(Headers::new());
    }
    match httparse::parse_headers(lines, &mut vec![EMPTY_HEADER; limits.fields]) {
        Ok(httparse::Status::Complete((_, found))) => Ok(headers(lines, found)),
        Ok(httparse::Status::Partial) => Err(diagnose(lines, Part::Trailers, |_| None, Problem::NoColon)),
        Err(httparse::Error::TooManyHeaders) => Err(too_many(lines, Part::Trailers, limits)),
        Err(error) => Err(diagnose(lines, Part::Trailers, |_| None, fallback(error, Problem::NoColon))),
    }
}

/// What a kind of the parser's errors means, if nothing more is found out.
fn fallback(error: httparse::Error, first_line: Problem) -> Problem {
    match error {
        httparse::Error::HeaderName => Problem::FieldName,
        httparse::Error::HeaderValue => Problem::ControlCharacter,
        httparse::Error::NewLine => Problem::BareCr,
        httparse::Error::Version => Problem::Version,
        httparse::Error::TooManyHeaders => Problem::TooManyFields,
        _ => first_line,
    }
}

/// The lines of a head without their ends, each with where it starts.
fn lines(head: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    head.split_inclusive(|&byte| byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.strip_suffix(b"\r\n").unwrap_or(line))
    })
}

/// Finds out what is wrong with a head that the parser refused.
#[cold]
fn diagnose(
    head: &[u8],
    part: Part,
    first_line: impl Fn(&[u8]) -> Option<(Problem, usize)>,
    otherwise: Problem,
) -> ParseError {
    for (number, (start, line)) in lines(head).enumerate() {
        let first = number == 0 && part == Part::Head;
        let bare_cr = || line.iter().position(|&byte| byte == b'\r').map(|at| (Problem::BareCr, at));
        let wrong = if first { first_line(line) } else { field_line(line) };
        if let Some((problem, at)) = bare_cr().or(wrong) {
            return ParseError { problem, part, line: number + 1, offset: (start + at) as u64 };
        }
    }
    ParseError { problem: otherwise, part, line: 1, offset: 0 }
}

fn control(text: &[u8]) -> Option<usize> {
    text.iter().position(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
}

/// What is wrong with a field's line, and where in it.
fn field_line(line: &[u8]) -> Option<(Problem, usize)> {
    if line.is_empty() {
        return None;
    }
    if line[0] == b' ' || line[0] == b'\t' {
        return Some((Problem::FoldedLine, 0));
    }
    let Some(colon) = line.iter().position(|&byte| byte == b':') else { return Some((Problem::NoColon, 0)) };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let bare = name.trim_ascii_end();
    if bare.len() < name.len() && is_token(bare) {
        return Some((Problem::SpaceBeforeColon, bare.len()));
    }
    if !is_token(name) {
        let at = name.iter().position(|byte| !is_token(std::slice::from_ref(byte))).unwrap_or(0);
        return Some((Problem::FieldName, at));
    }
    control(value).map(|at| (Problem::ControlCharacter, colon + 1 + at))
}

/// Whether it is the version of another HTTP than 1.0 and 1.1.
fn other_version(text: &[u8]) -> bool {
    match text {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] => major.is_ascii_digit() && minor.is_ascii_digit(),
        [b'H', b'T', b'T', b'P', b'/', major] => major.is_ascii_digit(),
        _ => false,
    }
}

fn request_line(line: &[u8]) -> Option<(Problem, usize)> {
    if let Some(at) = control(line).or_else(|| line.iter().position(|&byte| byte == b'\t')) {
        return Some((Problem::ControlCharacter, at));
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let method = parts.next().unwrap_or_default();
    if !is_token(method) {
        return Some((Problem::RequestLine, 0));
    }
    let (target, version) = match (parts.next(), parts.next(), parts.next()) {
        (Some(target), Some(version), None) if !target.is_empty() => (target, version),
        _ => return Some((Problem::RequestLine, method.len())),
    };
    let at = method.len() + 1 + target.len() + 1;
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => Some((Problem::Target, method.len() + 1)).filter(|_| !target.is_ascii()),
        other if other_version(other) => Some((Problem::Version, at)),
        _ => Some((Problem::RequestLine, at)),
    }
}

fn status_line(line: &[u8]) -> Option<(Problem, usize)> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let version = parts.next().unwrap_or_default();
    if !matches!(version, b"HTTP/1.0" | b"HTTP/1.1") {
        let problem = if other_version(version) { Problem::Version } else { Problem::StatusLine };
        return Some((problem, 0));
    }
    let code = parts.next().unwrap_or_default();
    if code.len() != 3 || !code.iter().all(u8::is_ascii_digit) || code[0] == b'0' {
        return Some((Problem::StatusLine, version.len() + 1));
    }
    parts.next().and_then(control).map(|at| (Problem::ControlCharacter, version.len() + 5 + at))
}

#[cold]
fn too_many(head: &[u8], part: Part, limits: &Limits) -> ParseError {
    let first = usize::from(part == Part::Head);
    let (offset, _) = lines(head).nth(first + limits.fields).unwrap_or_default();
    ParseError { problem: Problem::TooManyFields, part, line: first + limits.fields + 1, offset: offset as u64 }
}

/// An error about the last field of these names; about the whole head if there is none.
#[cold]
fn at_field(head: &[u8], names: &[&str], problem: Problem) -> ParseError {
    let found = lines(head).enumerate().filter(|(_, (_, line))| {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes()))
    });
    match found.last() {
        Some((number, (start, _))) => ParseError::head(problem, number + 1, start),
        None => ParseError::head(problem, 1, 0),
    }
}
