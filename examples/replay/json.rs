//! JSON values as the programs' events are written.

use crate::program::{Input, Name};
use tinyjson::JsonValue;

pub(crate) fn show(value: &JsonValue) -> String {
    value.stringify().unwrap_or_else(|error| error.to_string())
}

pub(crate) fn event<const N: usize>(name: &str, rest: [JsonValue; N]) -> JsonValue {
    JsonValue::Array([JsonValue::String(name.to_owned())].into_iter().chain(rest).collect())
}

pub(crate) fn json_name(d: Name) -> JsonValue {
    JsonValue::Number(f64::from(d))
}

pub(crate) fn json_text(text: &str) -> JsonValue {
    JsonValue::String(text.to_owned())
}

pub(crate) fn json_number(n: impl TryInto<i32>) -> JsonValue {
    JsonValue::Number(n.try_into().map_or(f64::NAN, f64::from))
}

pub(crate) fn json_input(input: &Input) -> JsonValue {
    match input {
        Ok(value) => JsonValue::Number(*value as f64),
        Err(kind) => JsonValue::String(kind.clone()),
    }
}

pub(crate) fn json_object<const N: usize>(entries: [(&str, JsonValue); N]) -> JsonValue {
    JsonValue::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// `{"index": i, "value": v}`
pub(crate) fn json_one((index, value): (usize, i64)) -> JsonValue {
    json_object([("index", json_number(index)), ("value", JsonValue::Number(value as f64))])
}
