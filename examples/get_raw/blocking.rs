//! The blocking model: each line waits until it is done, and the next line goes on with what it got.
//!
//! Nothing else can happen meanwhile. For one thing at a time nothing is simpler.

use super::request::{GetError, Request};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Gets the whole reply.
pub(crate) fn get(address: SocketAddr, request: Request) -> Result<Vec<u8>, GetError> {
    let mut stream = TcpStream::connect(address).map_err(GetError::in_phase("connect to", address))?;
    stream.write_all(request.rest()).map_err(GetError::in_phase("send to", address))?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).map_err(GetError::in_phase("read from", address))?;
    Ok(reply)
}
