//! What the transport tells the connection. Once it has changed over, all of that is the other protocol's.

use super::{AT_A_TIME, ServerProtocol, Stage};
use crate::event_loop::EventLoop;
use crate::ground::Failure;
use crate::protocols::Piece;
use crate::transports::{Protocol, Transport, report_unexpected};

impl Protocol for ServerProtocol {
    fn connection_made(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        // What is small goes at once: all that is written in one callback is one write anyway.
        if transport.set_tcp_nodelay(true).is_err() {
            // Lost already, which is told next.
        }
        self.watched = Some(self.site.add(event_loop, transport));
        if self.site.closing.get() {
            transport.lose_connection();
        }
        self.arm();
        Ok(())
    }

    #[inline]
    fn data_received(&mut self, event_loop: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
        if let Stage::Upgraded(successor) = &mut self.stage
            && self.kept.is_empty()
        {
            return successor.get_mut().data_received(event_loop, transport, data);
        }
        self.run(event_loop, transport, data)
    }

    fn woken(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        if let Stage::Upgraded(successor) = &mut self.stage {
            if self.site.closing.get() {
                successor.shut_down(event_loop, transport)?;
            }
            successor.get_mut().woken(event_loop, transport)?;
        } else {
            if self.watched.as_ref().is_some_and(|(_, watched)| watched.expired.take()) {
                self.expire(event_loop, transport)?;
            }
            self.look(event_loop, transport, &mut Piece::new(b""))?;
            if self.site.closing.get() && matches!(self.stage, Stage::Idle) && self.decoder.is_idle() {
                transport.lose_connection();
            }
        }
        self.run(event_loop, transport, b"")
    }

    fn resume_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &mut self.stage {
            Stage::Upgraded(successor) => return successor.get_mut().resume_producing(event_loop, transport),
            Stage::Busy(exchange) => {
                if let Some(outgoing) = &exchange.outgoing {
                    outgoing.tell_writer(false);
                }
            }
            _ => {}
        }
        if std::mem::take(&mut self.blocked) {
            transport.unregister_producer();
        }
        self.look(event_loop, transport, &mut Piece::new(b""))?;
        self.run(event_loop, transport, b"")
    }

    fn pause_producing(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &mut self.stage {
            Stage::Upgraded(successor) => successor.get_mut().pause_producing(event_loop, transport),
            _ => Ok(()),
        }
    }

    fn half_close(&self) -> bool {
        match &self.stage {
            Stage::Upgraded(successor) => successor.get().half_close(),
            // A client that has sent its last request still gets the answer.
            _ => true,
        }
    }

    fn read_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        self.ended = true;
        match &mut self.stage {
            Stage::Upgraded(successor) => return successor.get_mut().read_connection_lost(event_loop, transport),
            Stage::Lingering => transport.lose_connection(),
            Stage::Idle => match self.decoder.end_of_data() {
                Ok(()) if self.kept.is_empty() => transport.lose_connection(),
                Ok(()) => {}
                Err(error) => self.refuse(transport, error),
            },
            Stage::Busy(exchange) => {
                if let Some(incoming) = exchange.incoming.take() {
                    exchange.keep_alive = false;
                    incoming.fail(match self.decoder.end_of_data() {
                        Err(error) => error.into(),
                        Ok(()) => Failure::msg("the client closed"),
                    });
                    self.look(event_loop, transport, &mut Piece::new(b""))?;
                }
            }
        }
        self.arm();
        Ok(())
    }

    fn write_connection_lost(&mut self, event_loop: &EventLoop, transport: &Transport) -> Result<(), Failure> {
        match &mut self.stage {
            Stage::Upgraded(successor) => successor.get_mut().write_connection_lost(event_loop, transport),
            _ => Ok(()),
        }
    }

    fn connection_lost(&mut self, event_loop: &EventLoop, mut reason: Failure) {
        if let Some((key, _)) = self.watched.take() {
            self.site.remove(key);
        }
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Upgraded(mut successor) => return successor.get_mut().connection_lost(event_loop, reason),
            Stage::Busy(mut exchange) => {
                if let Some(incoming) = exchange.incoming.take() {
                    incoming.fail(reason.share());
                }
                exchange.cancel();
                if self.site.logs {
                    self.log(event_loop, &exchange, false);
                }
            }
            Stage::Idle | Stage::Lingering => {}
        }
        report_unexpected(&reason);
    }
}

/// Gives another protocol what came before it was there.
pub(super) fn pass_on(
    protocol: &mut dyn Protocol,
    event_loop: &EventLoop,
    transport: &Transport,
    piece: &mut Piece<'_>,
) -> Result<(), Failure> {
    while !piece.rest().is_empty() && !transport.is_disconnecting() {
        if transport.is_paused() {
            transport.wake_on_resume();
            return Ok(());
        }
        protocol.data_received(event_loop, transport, piece.take(AT_A_TIME))?;
    }
    Ok(())
}
