//! The model of futures: each page is a task, which reads as the blocking model does, and all of them run at once.

use crate::LONGEST;
use ropewalk::http::get as ask;
use ropewalk::{Deferred, EventLoop, Failure, Handle};

pub(crate) fn get(urls: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
    let event_loop = EventLoop::new()?;
    let tasks: Vec<Deferred<Vec<u8>>> =
        urls.iter().map(|url| event_loop.spawn(get_page(event_loop.handle(), url.clone()))).collect();
    event_loop.block_on(async {
        let mut pages = Vec::new();
        for task in tasks {
            pages.push(task.await?);
        }
        Ok(pages)
    })
}

async fn get_page(event_loop: Handle, url: String) -> Result<Vec<u8>, Failure> {
    let response = event_loop.with(|event_loop| ask(event_loop, url))?.await?;
    response.error_for_status()?.bytes(LONGEST).await
}
