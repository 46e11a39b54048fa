//! A type's name as a person would write it.

/// Without the paths: `Option<String>` for `core::option::Option<alloc::string::String>`.
pub(crate) fn short_type(name: &str) -> String {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let (mut short, mut rest) = (String::new(), name);
    while !rest.is_empty() {
        let (path, behind) = rest.split_at(rest.find(|c| !is_path(c)).unwrap_or(rest.len()));
        short.push_str(path.rsplit("::").next().unwrap_or(path));
        let (other, behind) = behind.split_at(behind.find(is_path).unwrap_or(behind.len()));
        short.push_str(other);
        rest = behind;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::short_type;

    #[test]
    fn types_lose_their_paths() {
        assert_eq!(short_type("i32"), "i32");
        assert_eq!(short_type("core::option::Option<alloc::string::String>"), "Option<String>");
        assert_eq!(short_type("(a::b::C, &d::E)"), "(C, &E)");
        assert_eq!(short_type("a::f::{{closure}}"), "{{closure}}");
        assert_eq!(short_type("<a::B as c::D>::E"), "<B as D>E");
    }
}
