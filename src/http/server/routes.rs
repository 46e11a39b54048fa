//! Which handler a request is for.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;

use matchit::Router;
use percent_encoding::percent_decode_str;

use crate::event_loop::EventLoop;
use crate::event_loop::upper::{drop_quietly, guard};
use crate::ground::Failure;
use crate::http::method::Method;
use crate::http::request::Request;
use crate::http::response::{Reply, Response};
use crate::http::status::Status;
use crate::trace::Place;

pub(super) type Handler = Box<dyn FnMut(&EventLoop, Request) -> Reply>;

/// A handler, out of its place while it is called.
pub(super) struct Endpoint {
    handler: Cell<Option<Handler>>,
    place: Place,
}

impl Endpoint {
    fn new(handler: Handler, place: Place) -> Rc<Endpoint> {
        Rc::new(Endpoint { handler: Cell::new(Some(handler)), place })
    }

    /// Asks it. A panic is a failure.
    pub(super) fn call(&self, event_loop: &EventLoop, request: Request) -> Reply {
        // Protocols are called by the loop, one after the other: nobody else has it.
        let Some(mut handler) = self.handler.take() else {
            return Reply::Now(Err(Failure::msg("a handler was called from inside itself")));
        };
        let reply = guard(|| handler(event_loop, request));
        drop_quietly(self.handler.replace(Some(handler)));
        reply.unwrap_or_else(|payload| Reply::Now(Err(Failure::panic(payload, self.place))))
    }
}

/// The handlers of one path.
struct Path {
    text: String,
    /// `None` is for every method.
    methods: Vec<(Option<Method>, Rc<Endpoint>)>,
}

#[derive(Default)]
pub(super) struct Routes {
    router: Router<usize>,
    paths: Vec<Path>,
    fallback: Option<Rc<Endpoint>>,
    /// The first path that made no sense.
    wrong: Option<String>,
}

/// What a path and a method lead to.
pub(super) enum Found {
    Endpoint(Rc<Endpoint>, Vec<(Box<str>, String)>),
    /// Nobody is asked.
    Answer(Response),
}

impl Routes {
    pub(super) fn add(&mut self, method: Option<Method>, path: &str, handler: Handler, place: Place) {
        let endpoint = Endpoint::new(handler, place);
        let known = self.paths.iter().position(|known| known.text == path);
        let at = known.unwrap_or(self.paths.len());
        if known.is_none() {
            if !path.starts_with('/') && path != "*" {
                self.is_wrong(format!("the route {path:?} does not begin with a slash (registered at {place})"));
            } else if let Err(error) = self.router.insert(path, at) {
                self.is_wrong(format!("the route {path:?} makes no sense: {error} (registered at {place})"));
            }
            self.paths.push(Path { text: path.to_owned(), methods: Vec::new() });
        }
        let methods = &mut self.paths[at].methods;
        if methods.iter().any(|(other, _)| *other == method) {
            let method = method.as_ref().map_or("every method", Method::as_str).to_owned();
            self.is_wrong(format!("the route {path:?} has a handler for {method} already (registered at {place})"));
            return;
        }
        methods.push((method, endpoint));
    }

    pub(super) fn set_fallback(&mut self, handler: Handler, place: Place) {
        self.fallback = Some(Endpoint::new(handler, place));
    }

    fn is_wrong(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    pub(super) fn check(&self) -> io::Result<()> {
        match &self.wrong {
            None => Ok(()),
            Some(what) => Err(io::Error::new(io::ErrorKind::InvalidInput, what.clone())),
        }
    }

    pub(super) fn find(&self, method: &Method, path: &str) -> Found {
        let Ok(found) = self.router.at(path) else { return self.nothing(method) };
        let methods = &self.paths[*found.value].methods;
        let mut endpoint = methods.iter().find(|(own, _)| own.as_ref() == Some(method));
        if endpoint.is_none() && *method == Method::Head {
            endpoint = methods.iter().find(|(own, _)| *own == Some(Method::Get));
        }
        let Some((_, endpoint)) = endpoint.or_else(|| methods.iter().find(|(own, _)| own.is_none())) else {
            return Found::Answer(Path::refuse(methods, method));
        };
        let mut params = Vec::new();
        for (name, value) in found.params.iter() {
            let Ok(value) = percent_decode_str(value).decode_utf8() else {
                return Found::Answer(Response::from(Status::BAD_REQUEST));
            };
            params.push((name.into(), value.into_owned()));
        }
        Found::Endpoint(endpoint.clone(), params)
    }

    fn nothing(&self, method: &Method) -> Found {
        match (&self.fallback, method) {
            (Some(endpoint), _) => Found::Endpoint(endpoint.clone(), Vec::new()),
            (None, Method::Other(_) | Method::Connect) => Found::Answer(Response::from(Status::NOT_IMPLEMENTED)),
            // RFC 9110, 9.3.7: of the server as a whole, as a ping.
            (None, Method::Options) => Found::Answer(Response::new(Status::NO_CONTENT)),
            (None, _) => Found::Answer(Response::from(Status::NOT_FOUND)),
        }
    }
}

impl Path {
    /// The answer to a method that the path has no handler for.
    fn refuse(methods: &[(Option<Method>, Rc<Endpoint>)], method: &Method) -> Response {
        let mut allow = Vec::new();
        for (method, _) in methods {
            allow.extend(method.as_ref().map(Method::as_str));
            if *method == Some(Method::Get) && !methods.iter().any(|(other, _)| *other == Some(Method::Head)) {
                allow.push("HEAD");
            }
        }
        allow.push("OPTIONS");
        let response = match method {
            Method::Options => Response::new(Status::NO_CONTENT),
            Method::Other(_) | Method::Connect => Response::from(Status::NOT_IMPLEMENTED),
            _ => Response::from(Status::METHOD_NOT_ALLOWED),
        };
        response.header("Allow", allow.join(", "))
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths.iter().map(|path| &path.text)).finish()
    }
}
