//! The same fetch with async and await: it reads as the blocking one does, and the loop is free while it waits.

use super::request::Request;
use ropewalk::bridge::TcpStream;
use ropewalk::{Failure, Handle};
use std::net::SocketAddr;

/// More than any reply of the tour's server.
const LIMIT: usize = 64 * 1024;

/// Gets the whole reply.
pub(crate) async fn get(handle: Handle, address: SocketAddr, request: Request) -> Result<Vec<u8>, Failure> {
    let stream = TcpStream::connect(&handle, address).await?;
    stream.write_all(request.rest()).await?;
    Ok(stream.read_to_end(LIMIT).await?)
}
