//! The client of one daemon group: gives each request to a process that has a thread for it, and to another one as long
//! as no application was called for it. Called by the server on the threads of requests, by many at once.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::exchange::Outcome;
use oxwsgi_core::report::Level;
use oxwsgi_core::request::{RequestView, Variable};
use rustix::net::SocketAddrUnix;

use crate::attempt::{Answer, Attempt};
use crate::body::Body;
use crate::buffers::Buffers;
use crate::connecting::ConnectError;
use crate::connection::Connection;
use crate::exchange::ServerExchange;
use crate::ownership;
use crate::patience::look;
use crate::pool::Pool;
use crate::problem::Problem;
use crate::retries::{PAUSE, Retries};
use crate::root::seen_below;
use crate::settings::ClientSettings;
use crate::socket::Socket;

/// One for each group and process of the server.
#[derive(Debug)]
pub struct GroupClient {
    settings: ClientSettings,
    address: Result<SocketAddrUnix, rustix::io::Errno>,
    board: Option<Board>,
    pool: Arc<Pool>,
}

impl GroupClient {
    /// The client of a group. Without its board no connection is used twice, and no request is sent twice once a process
    /// has taken the connection.
    pub fn new(settings: ClientSettings, board: Option<Board>) -> Self {
        let address = SocketAddrUnix::new(&settings.socket);
        Self { settings, address, board, pool: Pool::new() }
    }

    /// Serves a request on the calling thread, start to finish. What it answers is never [`Outcome::Retry`]; a failure
    /// has been logged on the request.
    pub fn serve<E: ServerExchange>(&self, view: &RequestView<'_>, exchange: &mut E) -> Outcome {
        if self.board.as_ref().is_some_and(|board| board.threads() == 0) {
            return self.refuse(&Problem::NoThreads, view, exchange);
        }
        if let Some(owner) = self.settings.script_owner
            && let Err(offence) = ownership::check(owner, &view.target, self.settings.dialect)
        {
            return self.refuse(&Problem::Owner(offence), view, exchange);
        }
        let seen;
        let view = match &self.settings.root {
            None => view,
            Some(root) => {
                let Some(below) = seen_below(root, view) else {
                    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
                    let (script, root) = (text(&view.target.script), text(root));
                    return self.refuse(&Problem::OutsideRoot { script, root }, view, exchange);
                };
                seen = below;
                &seen
            }
        };
        let _visit = self.pool.visit();
        let mut buffers = Buffers::take();
        let outcome = self.serve_with(view, exchange, &mut buffers);
        buffers.put_back();
        outcome
    }

    fn serve_with<E: ServerExchange>(
        &self,
        view: &RequestView<'_>,
        exchange: &mut E,
        buffers: &mut Buffers,
    ) -> Outcome {
        let Buffers { request, ahead, piece, input } = buffers;
        // No thread is kept waiting for a slow client: tickets are taken after this.
        let mut body = Body::new(view, exchange, ahead, piece);
        // The limit is the client's socket's, so it would have been one for reads too.
        if let Some(limit) = self.settings.response_socket_timeout {
            exchange.set_send_timeout(limit);
        }
        let view = &RequestView { queue_start: now(), ..*view };
        let mut retries = Retries::default();
        loop {
            let (connection, has_ticket) = match self.connect(&retries) {
                Ok(connection) => connection,
                Err(problem) => return self.refuse(&problem, view, exchange),
            };
            let attempt = Attempt::new(&self.settings, self.board.as_ref(), connection, has_ticket);
            let again = match attempt.run(view, exchange, &mut body, request, input) {
                Answer::Over(outcome, connection) => {
                    if let Some(connection) = connection {
                        self.pool.put(connection);
                    }
                    return outcome;
                }
                Answer::Failed(problem, outcome) => {
                    self.log(&problem, view, exchange);
                    return outcome;
                }
                Answer::Again(again) => again,
            };
            match retries.count(again, &self.settings, self.settings.connect_timeout) {
                Ok(pause) => std::thread::sleep(pause.unwrap_or_default()),
                Err(problem) => return self.refuse(&problem, view, exchange),
            }
        }
    }

    /// A connection, and whether a ticket was taken for it.
    fn connect(&self, retries: &Retries) -> Result<(Connection<Socket>, bool), Problem> {
        // After a disappointment the queue is the safer way.
        if retries.is_none()
            && let Some(connection) = self.board.as_ref().and_then(|board| self.pool.take(board))
        {
            return Ok((connection, true));
        }
        let unconnected = |error| Problem::unconnected(error, &self.settings, self.settings.connect_timeout);
        let address =
            self.address.as_ref().map_err(|error| unconnected(ConnectError::Other((*error).into())))?;
        let bound = look(self.settings.socket_timeout);
        let mut since = None;
        loop {
            match Socket::connect(address, bound) {
                Ok(socket) => return Ok((Connection::new(socket), false)),
                Err(ConnectError::Refused) => {
                    let limit = self.settings.connect_timeout;
                    let rest = limit.saturating_sub(since.get_or_insert_with(Instant::now).elapsed());
                    if rest.is_zero() {
                        return Err(unconnected(ConnectError::Refused));
                    }
                    std::thread::sleep(rest.min(PAUSE));
                }
                Err(error) => return Err(unconnected(error)),
            }
        }
    }

    /// Logs why the server has to answer itself, and says with what.
    fn refuse<E: ServerExchange>(
        &self,
        problem: &Problem,
        view: &RequestView<'_>,
        exchange: &mut E,
    ) -> Outcome {
        self.log(problem, view, exchange);
        if let Some(delay) = problem.retry_after() {
            exchange.set_retry_after(delay);
        }
        Outcome::Refused(problem.status())
    }

    fn log<E: ServerExchange>(&self, problem: &Problem, view: &RequestView<'_>, exchange: &mut E) {
        if exchange.wants(Level::Error) {
            let text = |variable| String::from_utf8_lossy(view.variables.get(variable).unwrap_or_default());
            let line = format!(
                "{}: Daemon process '{}': {problem}: {} {}",
                problem.number(),
                String::from_utf8_lossy(&self.settings.name),
                text(Variable::RequestMethod),
                text(Variable::RequestUri),
            );
            exchange.log(Level::Error, line.as_bytes());
        }
    }
}

/// In microseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
