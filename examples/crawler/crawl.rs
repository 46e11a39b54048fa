//! The crawl: from a page to those it names, so deep, so many at a time, so many in a second. It knows no socket.
//!
//! ```text
//!  on each beat:   queue --(allowed?)--> fetch ---> page ---> its links, once each --> queue
//!                          at most `at_once` on their way
//! ```

use crate::page::{Robots, links};
use ropewalk::task::{LoopingCall, Tick};
use ropewalk::{CancelledError, Deferred, EventLoop, Failure};
use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use url::Url;

/// How far, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many links lead from the first page to the last one.
    pub(crate) depth: usize,
    /// So many pages at the most.
    pub(crate) pages: usize,
    /// So many are on their way at a time.
    pub(crate) at_once: usize,
    /// From one request to the next one.
    pub(crate) interval: Duration,
}

/// What came of a page.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) url: Url,
    pub(crate) depth: usize,
    /// How many links it has, or why it did not come.
    pub(crate) result: Result<usize, Failure>,
}

/// Where pages come from: an HTTP client, or a test. A page that is no HTML has an empty text.
pub(crate) type Fetch = Rc<dyn Fn(&EventLoop, &Url) -> Deferred<String>>;

/// Crawls from `start` on, after asking for `/robots.txt`. Fires with all visits in the order of their ends. A page that
/// does not come is a visit with a failure, and no failure of the crawl.
pub(crate) fn crawl(event_loop: &EventLoop, start: Url, limits: Limits, fetch: Fetch) -> Deferred<Vec<Visit>> {
    let handle = event_loop.handle();
    let mut robots = start.clone();
    robots.set_path("/robots.txt");
    robots.set_query(None);
    fetch(event_loop, &robots)
        .map(|text| Robots::parse(&text))
        .add_errback(|failure| match failure.check::<CancelledError>() {
            Some(_) => Err(failure),
            None => Ok(Robots::default()), // Without one all is allowed.
        })
        .add_callback(move |robots| {
            let crawl = Rc::new(RefCell::new(Crawl::new(start, limits, robots)));
            let (beats, results) = (crawl.clone(), crawl);
            let beat = LoopingCall::new(move |tick| on_beat(&beats, &fetch, tick));
            let to_stop = beat.clone();
            beat.start(handle, limits.interval, false)
                // A cancel of this Deferred alone would not end the calls.
                .inspect_err(move |_| {
                    let _ = to_stop.stop();
                })
                .map(move |()| std::mem::take(&mut results.borrow_mut().visits))
        })
}

struct Crawl {
    limits: Limits,
    robots: Robots,
    /// What is to be fetched, with its depth.
    queue: VecDeque<(Url, usize)>,
    /// What was ever in the queue.
    seen: HashSet<Url>,
    under_way: usize,
    visits: Vec<Visit>,
}

impl Crawl {
    fn new(start: Url, limits: Limits, robots: Robots) -> Crawl {
        let mut crawl = Crawl {
            limits,
            robots,
            queue: VecDeque::new(),
            seen: HashSet::new(),
            under_way: 0,
            visits: Vec::new(),
        };
        crawl.remember(start, 0);
        crawl
    }

    /// Puts a page into the queue, if it is new, allowed, not too deep, and not one too many.
    fn remember(&mut self, url: Url, depth: usize) {
        if depth <= self.limits.depth
            && self.seen.len() < self.limits.pages
            && self.robots.allows(&url)
            && self.seen.insert(url.clone())
        {
            self.queue.push_back((url, depth));
        }
    }

    fn came(&mut self, url: Url, depth: usize, result: Result<String, Failure>) {
        self.under_way -= 1;
        let result = result.map(|html| {
            let links = links(&url, &html);
            let count = links.len();
            links.into_iter().for_each(|link| self.remember(link, depth + 1));
            count
        });
        self.visits.push(Visit { url, depth, result });
    }
}

/// At most one request on each beat.
fn on_beat(crawl: &Rc<RefCell<Crawl>>, fetch: &Fetch, tick: &Tick<'_>) -> Result<(), Failure> {
    let next = {
        let mut crawl = crawl.borrow_mut();
        if crawl.queue.is_empty() && crawl.under_way == 0 {
            tick.stop();
        }
        if crawl.under_way == crawl.limits.at_once {
            return Ok(());
        }
        crawl.queue.pop_front()
    };
    let Some((url, depth)) = next else { return Ok(()) };
    crawl.borrow_mut().under_way += 1;
    let crawl = crawl.clone();
    fetch(tick.event_loop(), &url)
        .add_both(move |result| {
            crawl.borrow_mut().came(url, depth, result);
            Ok(())
        })
        .log_errors("a visit");
    Ok(())
}
