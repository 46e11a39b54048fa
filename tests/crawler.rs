//! The crawler of `examples/crawler`: a site in memory, and a clock that stands still. Feature `http-client`.

#![cfg(feature = "http-client")]

#[path = "../examples/crawler/crawl.rs"]
mod crawl;
#[path = "../examples/crawler/page.rs"]
mod page;

use crawl::{Fetch, Limits, Visit, crawl};
use page::{Robots, links};
use ropewalk::testing::{MemoryLoop, assert_no_result, failure_of, success_of};
use ropewalk::{CancelledError, Deferred, EventLoop, Failure};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

const LIMITS: Limits = Limits { depth: 9, pages: 100, at_once: 2, interval: Duration::from_secs(1) };

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn paths(visits: &[Visit]) -> Vec<(&str, usize)> {
    visits.iter().map(|visit| (visit.url.path(), visit.depth)).collect()
}

/// Pages by their paths, each of which takes so long.
struct Site {
    pages: HashMap<&'static str, &'static str>,
    takes: Duration,
    /// When each was asked for.
    asked: RefCell<Vec<(String, Duration)>>,
    under_way: Cell<usize>,
    most: Cell<usize>,
}

impl Site {
    fn new(pages: &[(&'static str, &'static str)], takes: Duration) -> Rc<Site> {
        let pages = pages.iter().copied().collect();
        Rc::new(Site { pages, takes, asked: RefCell::default(), under_way: Cell::new(0), most: Cell::new(0) })
    }

    fn fetch(self: &Rc<Site>) -> Fetch {
        let site = self.clone();
        Rc::new(move |event_loop: &EventLoop, url: &Url| site.clone().answer(event_loop, url))
    }

    fn answer(self: Rc<Site>, event_loop: &EventLoop, url: &Url) -> Deferred<String> {
        self.asked.borrow_mut().push((url.path().to_owned(), event_loop.time()));
        let path = url.path().to_owned();
        if path == "/robots.txt" {
            return Deferred::from_result(self.page(&path));
        }
        self.under_way.set(self.under_way.get() + 1);
        self.most.set(self.most.get().max(self.under_way.get()));
        event_loop.defer_later(self.takes, move |_| {
            self.under_way.set(self.under_way.get() - 1);
            self.page(&path)
        })
    }

    fn page(&self, path: &str) -> Result<String, Failure> {
        self.pages.get(path).map(|text| (*text).to_owned()).ok_or_else(|| Failure::msg(format!("404: {path}")))
    }
}

const POEMS: &[(&str, &str)] = &[
    ("/robots.txt", "User-agent: *\nDisallow: /private/\n"),
    ("/", "<a href=/a>a</a> <a href=/b>b</a> <a href=/private/c>c</a> <a href='http://example.org/'>away</a>"),
    ("/a", "<a href=/b>b</a> <a href=lost>lost</a>"),
    ("/b", "<a href='/'>home</a> <a href=/d#part>d</a>"),
    ("/d", ""),
];

#[test]
fn each_page_is_visited_once_level_by_level_and_what_fails_is_a_visit_too() {
    let test = MemoryLoop::new().unwrap();
    let site = Site::new(POEMS, Duration::from_millis(1));
    let visits = crawl(&test, url("http://poems.test/"), LIMITS, site.fetch());
    test.advance(Duration::from_secs(60));
    let visits = success_of(visits);
    assert_eq!(paths(&visits), [("/", 0), ("/a", 1), ("/b", 1), ("/lost", 2), ("/d", 2)]);
    assert_eq!(visits[3].result.as_ref().unwrap_err().to_string(), "404: /lost");
    assert_eq!(visits[0].result.as_ref().unwrap(), &3, "what robots.txt forbids is a link, but not visited");
    test.assert_clean();
}

#[test]
fn requests_keep_their_distance_whatever_the_pages_take() {
    let test = MemoryLoop::new().unwrap();
    let site = Site::new(POEMS, Duration::from_millis(1));
    let visits = crawl(&test, url("http://poems.test/"), LIMITS, site.fetch());
    test.advance(Duration::from_secs(5));
    assert_no_result(&visits);
    let seconds: Vec<u64> = site.asked.borrow().iter().map(|(_, at)| at.as_secs()).collect();
    assert_eq!(seconds, [0, 1, 2, 3, 4, 5]);
    test.advance(Duration::from_secs(1));
    assert_eq!(success_of(visits).len(), 5);
}

#[test]
fn so_many_are_on_their_way_at_a_time_and_no_more() {
    let test = MemoryLoop::new().unwrap();
    let site = Site::new(POEMS, Duration::from_secs(30));
    let visits = crawl(&test, url("http://poems.test/"), LIMITS, site.fetch());
    test.advance(Duration::from_secs(1000));
    assert_eq!(site.most.get(), LIMITS.at_once);
    assert_eq!(success_of(visits).len(), 5);
}

#[test]
fn depth_and_number_of_pages_have_an_end() {
    for (limits, expected) in [
        (Limits { depth: 0, ..LIMITS }, &["/"][..]),
        (Limits { depth: 1, ..LIMITS }, &["/", "/a", "/b"]),
        (Limits { pages: 2, ..LIMITS }, &["/", "/a"]),
    ] {
        let test = MemoryLoop::new().unwrap();
        let site = Site::new(POEMS, Duration::from_millis(1));
        let visits = crawl(&test, url("http://poems.test/"), limits, site.fetch());
        test.advance(Duration::from_secs(60));
        let visits = success_of(visits);
        assert_eq!(visits.iter().map(|visit| visit.url.path()).collect::<Vec<_>>(), expected, "{limits:?}");
    }
}

#[test]
fn without_robots_txt_all_is_allowed_and_a_page_that_is_forbidden_is_not_begun_with() {
    for (pages, expected) in [(&[("/private/x", "")][..], 1), (POEMS, 0)] {
        let test = MemoryLoop::new().unwrap();
        let site = Site::new(pages, Duration::from_millis(1));
        let visits = crawl(&test, url("http://poems.test/private/x"), LIMITS, site.fetch());
        test.advance(Duration::from_secs(60));
        assert_eq!(success_of(visits).len(), expected);
    }
}

#[test]
fn a_crawl_that_is_cancelled_asks_no_more() {
    let test = MemoryLoop::new().unwrap();
    let site = Site::new(POEMS, Duration::from_millis(1));
    let visits = crawl(&test, url("http://poems.test/"), LIMITS, site.fetch());
    test.advance(Duration::from_secs(2));
    visits.cancel();
    let asked = site.asked.borrow().len();
    test.advance(Duration::from_secs(60));
    assert_eq!((site.asked.borrow().len(), site.under_way.get()), (asked, 0));
    assert!(failure_of(visits).check::<CancelledError>().is_some());
    test.assert_clean();

    // Before it has begun.
    let (_slow, robots) = Deferred::new();
    let robots = RefCell::new(Some(robots));
    let visits = crawl(&test, url("http://poems.test/"), LIMITS, Rc::new(move |_, _| robots.take().unwrap()));
    visits.cancel();
    assert!(failure_of(visits).check::<CancelledError>().is_some());
    test.assert_clean();
}

#[test]
fn links_are_those_of_the_same_server_and_each_once() {
    let base = url("http://poems.test/poems/if?x=1#y");
    let html = "<A class='a b' HREF = \"rope\">1</A><a href=../up>2</a><a\nhref='/top#part'>3</a><a href=/top>again</a>
        <abbr href=/no><link href=/no><a name=x><a href='mailto:a@b'><a href=http://poems.test:81/><a href='unended";
    let found: Vec<String> = links(&base, html).iter().map(Url::to_string).collect();
    assert_eq!(found, ["http://poems.test/poems/rope", "http://poems.test/up", "http://poems.test/top"]);
    let many: String = (0..5000).map(|n| format!("<a href={n}>")).collect();
    assert_eq!(links(&base, &many).len(), 1000);
}

#[test]
fn robots_are_obeyed_by_the_longest_rule_for_everybody() {
    let robots = Robots::parse(
        "# hello\nUser-agent: other\nDisallow: /\n\nUser-Agent: mine\nuser-agent: *\nDISALLOW: /a # why\n\
         Allow: /a/b\nDisallow:\n",
    );
    for (path, allowed) in [("/", true), ("/a", false), ("/a/x", false), ("/a/b/c", true), ("/b", true)] {
        assert_eq!(robots.allows(&url("http://poems.test").join(path).unwrap()), allowed, "{path}");
    }
    assert_eq!(Robots::parse("nonsense"), Robots::default());
}
