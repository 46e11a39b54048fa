//! What a crawler has to know of pages: the links in them, and what `robots.txt` forbids. Texts in, URLs out.

use url::Url;

/// A page may have so many links. What a stranger writes has no end of its own.
const LINKS: usize = 1000;

/// The links of a page (`href="..."` of its `a` elements), against its own URL, in the order of the text. Of the same
/// server only, without fragments, each once.
pub(crate) fn links(base: &Url, html: &str) -> Vec<Url> {
    let mut found: Vec<Url> = Vec::new();
    for element in html.split('<').skip(1) {
        let name = element.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("a") {
            continue;
        }
        let element = element.split('>').next().unwrap_or_default();
        let Some(mut url) = attribute(element, "href").and_then(|href| base.join(href.trim()).ok()) else {
            continue;
        };
        url.set_fragment(None);
        if url.origin() == base.origin() && !found.contains(&url) {
            found.push(url);
        }
        if found.len() == LINKS {
            break;
        }
    }
    found
}

/// The value of an attribute: `name="value"`, `name='value'` or `name=value`.
fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = element;
    while let Some((before, behind)) = rest.split_once('=') {
        let behind = behind.trim_start();
        let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, next) = match quote {
            Some(quote) => behind[1..].split_once(quote)?,
            None => behind.split_once(char::is_whitespace).unwrap_or((behind, "")),
        };
        if before.split_whitespace().next_back().is_some_and(|last| last.eq_ignore_ascii_case(name)) {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// What `robots.txt` says to everybody (RFC 9309, without patterns).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Robots {
    /// Beginnings of paths, and whether they may be asked for.
    rules: Vec<(String, bool)>,
}

impl Robots {
    pub(crate) fn parse(text: &str) -> Robots {
        let (mut rules, mut for_all, mut in_head) = (Vec::new(), false, false);
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((field, value)) = line.split_once(':') else { continue };
            let (field, value) = (field.trim().to_ascii_lowercase(), value.trim());
            match field.as_str() {
                "user-agent" => {
                    // Several names in a row are one group's.
                    for_all = (in_head && for_all) || value == "*";
                    in_head = true;
                    continue;
                }
                "disallow" | "allow" if for_all && !value.is_empty() && rules.len() < LINKS => {
                    rules.push((value.to_owned(), field == "allow"));
                }
                _ => {}
            }
            in_head = false;
        }
        Robots { rules }
    }

    /// The longest rule that fits decides; of two that are equally long, the one that allows.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        let fitting = self.rules.iter().filter(|(start, _)| url.path().starts_with(start.as_str()));
        fitting.max_by_key(|(start, allowed)| (start.len(), *allowed)).is_none_or(|(_, allowed)| *allowed)
    }
}
