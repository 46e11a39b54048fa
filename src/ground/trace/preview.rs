//! Values as text.

use super::event::Val;
use std::any::type_name;

/// The text of a value, for as long as an event is told.
#[derive(Debug, Default)]
pub(crate) struct Shown(String);

impl Shown {
    /// A value as an event shows it.
    pub(crate) fn val<T: 'static>(&mut self, value: &T) -> Val<'_> {
        self.0 = preview(value);
        Val::Ok { text: &self.0, ty: type_name::<T>() }
    }
}

/// A value as text, for the types everybody uses; for others the type's name in angle brackets.
///
/// At most 80 characters; control characters are escaped.
pub(crate) fn preview<T: 'static>(value: &T) -> String {
    use std::any::Any;
    let any: &dyn Any = value;
    macro_rules! debug {
        ($($t:ty),*) => { $( if let Some(v) = any.downcast_ref::<$t>() { return cut(format!("{v:?}")); } )* };
    }
    debug!((), bool, char, i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64);
    if let Some(v) = any.downcast_ref::<String>() {
        return cut(format!("{:?}", v.chars().take(80).collect::<String>()));
    }
    if let Some(v) = any.downcast_ref::<&'static str>() {
        return cut(format!("{:?}", v.chars().take(80).collect::<String>()));
    }
    if let Some(v) = any.downcast_ref::<Vec<u8>>() {
        return format!("<{} bytes>", v.len());
    }
    cut(format!("<{}>", type_name::<T>()))
}

fn cut(text: String) -> String {
    if text.chars().count() <= 80 {
        return text;
    }
    let mut short: String = text.chars().take(77).collect();
    short.push_str("...");
    short
}
