//! A small site to be crawled: poems that name each other, one page that is nobody's business, and one that is broken.

use ropewalk::http::{Response, Server, Status};

/// The paths, and where they lead.
const PAGES: [(&str, &[&str]); 7] = [
    ("/", &["/poems/", "/about", "/private/diary", "https://example.org/"]),
    ("/about", &["/", "#top"]),
    ("/poems/", &["if", "rope", "../lost"]),
    ("/poems/if", &["/poems/", "/poems/rope"]),
    ("/poems/rope", &["/poems/rope/second"]),
    ("/poems/rope/second", &["third"]),
    ("/private/diary", &[]),
];

pub(crate) fn server() -> Server {
    let robots = |_: &_, _| Response::text("User-agent: *\nDisallow: /private/\n");
    let broken = |_: &_, _| Response::new(Status::INTERNAL_SERVER_ERROR);
    let server = Server::new().get("/robots.txt", robots).get("/lost", broken);
    PAGES.into_iter().fold(server, |server, (path, links)| {
        let list: String = links.iter().map(|link| format!("<li><a href=\"{link}\">{link}</a>\n")).collect();
        let page = format!("<!doctype html><title>{path}</title>\n<ul>\n{list}</ul>\n");
        server.get(path, move |_, _| Response::html(page.clone()))
    })
}
