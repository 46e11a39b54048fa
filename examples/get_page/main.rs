//! Gets pages by HTTP, all of them at the same time where the model can, and writes them in the order asked for.
//!
//! ```text
//! cargo run --features http-client --example get_page -- --model blocking  http://127.0.0.1:8000/ http://127.0.0.1:8000/b
//! cargo run --features http-client --example get_page -- --model callbacks http://127.0.0.1:8000/ http://127.0.0.1:8000/b
//! cargo run --features http-client --example get_page -- --model deferreds http://127.0.0.1:8000/ http://127.0.0.1:8000/b
//! cargo run --features http-client --example get_page -- --model futures   http://127.0.0.1:8000/ http://127.0.0.1:8000/b
//! ```
//!
//! Read the models in this order: `blocking.rs`, `callbacks.rs`, `deferreds.rs`, `futures.rs`. Each writes the same bytes.
//! The first error ends it: what else is under way is closed.

mod blocking;
mod callbacks;
mod deferreds;
mod futures;
#[path = "../support/program.rs"]
mod program;

use program::{Usage, put};
use ropewalk::Failure;
use std::process::ExitCode;

/// A page may be so long.
const LONGEST: usize = 64 << 20;

type Get = fn(&[String]) -> Result<Vec<Vec<u8>>, Failure>;

fn main() -> ExitCode {
    env_logger::init();
    program::run("get_page --model blocking|callbacks|deferreds|futures URL ..", |arguments| {
        let [flag, model, urls @ ..] = arguments else { return Err(Usage.into()) };
        let get: Get = match (flag.as_str(), model.as_str()) {
            ("--model", "blocking") => blocking::get,
            ("--model", "callbacks") => callbacks::get,
            ("--model", "deferreds") => deferreds::get,
            ("--model", "futures") => futures::get,
            _ => return Err(Usage.into()),
        };
        if urls.is_empty() {
            return Err(Usage.into());
        }
        Ok(put(&get(urls)?.concat())?)
    })
}
