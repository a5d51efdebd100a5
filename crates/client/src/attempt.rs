//! One request on one connection: sent, and its reply and its body moved on until the reply is over.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::Duration;

use oxwsgi_core::daemon::board::Board;
use oxwsgi_core::exchange::Outcome;
use oxwsgi_core::request::RequestView;
use oxwsgi_core::wire::{HEADER, LONGEST_REQUEST, encode_request};
use rustix::net::{Shutdown, shutdown};

use crate::body::{Body, Pause};
use crate::connection::Connection;
use crate::departure::Departure;
use crate::ending::Ending;
use crate::exchange::ServerExchange;
use crate::patience::{LOOK, Patience, look};
use crate::problem::Problem;
use crate::received::Received;
use crate::relief::Relief;
use crate::reply::{Fault, Reply, Stage, Step};
use crate::retries::Again;
use crate::settings::ClientSettings;
use crate::socket::{Awaited, Socket, Wait, is_broken, wait};

/// A process says that it will close a connection before it does so, and before it sends its last word.
const GRACE: Duration = Duration::from_millis(50);

/// Between two looks for more of a body that nothing announces, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(32);

/// Of a turn without frames.
const NOTHING_NEW: Result<Step, Fault> = Ok(Step::More { taken: 0, needed: 0 });

/// How often a body may be announced without coming before it is looked for as if nothing announced it.
const MOST_FALSE_ALARMS: u32 = 2;

/// What came of it.
#[derive(Debug)]
pub enum Answer {
    /// The request has its answer, and the connection can take another one when it is there.
    Over(Outcome, Option<Connection<Socket>>),
    /// The application was not called.
    Again(Again),
    /// The request has no answer, or not all of it; the outcome for the server.
    Failed(Problem, Outcome),
}

/// A request on its way over a connection.
#[derive(Debug)]
pub struct Attempt<'a> {
    settings: &'a ClientSettings,
    board: Option<&'a Board>,
    connection: Connection<Socket>,
    /// The ticket taken for it is the worker's to give back once it has seen the request.
    has_ticket: bool,
    reply: Reply,
    patience: Patience,
}

impl<'a> Attempt<'a> {
    /// An attempt on `connection`; `has_ticket` when it was taken for one, which a new connection is not.
    pub fn new(
        settings: &'a ClientSettings,
        board: Option<&'a Board>,
        mut connection: Connection<Socket>,
        has_ticket: bool,
    ) -> Self {
        connection.sequence += 1;
        let reply = Reply::new(connection.hello, settings);
        let patience = Patience::new(settings.socket_timeout);
        Self { settings, board, connection, has_ticket, reply, patience }
    }

    /// Sends the request and moves its reply on, to the end of it.
    pub fn run<E: ServerExchange>(
        mut self,
        view: &RequestView<'_>,
        exchange: &mut E,
        body: &mut Body<'_>,
        frame: &mut Vec<u8>,
        input: &mut Vec<u8>,
    ) -> Answer {
        self.reply.is_head_request = view.head;
        self.reply.is_filtered = view.content_filters;
        self.reply.may_ask = !body.is_inline();
        frame.clear();
        encode_request(frame, view, self.connection.sequence, body.inline());
        if frame.len() > HEADER + LONGEST_REQUEST {
            self.return_unused_ticket();
            return self.failed(Problem::LongRequest(frame.len()));
        }
        match self.send(frame) {
            Ok(()) => self.receive(exchange, body, input),
            Err(answer) => answer,
        }
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), Answer> {
        let mut sent = 0;
        while sent < frame.len() {
            match self.connection.socket.send(&frame[sent..]) {
                Ok(count) => {
                    sent += count;
                    self.patience.renew();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let awaited =
                        Awaited { worker: &self.connection.socket, reply: false, room: true, body: None };
                    let _ = wait(awaited, self.look());
                    if self.patience.is_over() {
                        return Err(self.timed_out());
                    }
                    if self.has_ended() {
                        self.return_ticket();
                        return Err(Answer::Again(Again::NotTaken));
                    }
                }
                // Nobody calls an application for a part of a request.
                Err(_) => {
                    if sent == 0 {
                        self.return_unused_ticket();
                    } else {
                        self.return_ticket();
                    }
                    return Err(Answer::Again(Again::NotTaken));
                }
            }
        }
        Ok(())
    }

    fn receive<E: ServerExchange>(
        mut self,
        exchange: &mut E,
        body: &mut Body<'_>,
        input: &mut Vec<u8>,
    ) -> Answer {
        let mut filled = 0;
        let mut flow = Flow { pause: FIRST_PAUSE, false_alarms: 0 };
        let mut has_ended = false;
        let mut sent = 0;
        loop {
            let wait = if has_ended {
                // What it sent before its end is still there.
                Some(Wait::Never)
            } else if self.reply.asked && body.is_pending() {
                match self.move_body(exchange, body, &mut flow) {
                    Ok(wait) => wait,
                    Err(error) => return self.unreadable(error),
                }
            } else {
                Some(Wait::Bounded)
            };
            let received = match wait.map(|wait| self.connection.socket.receive(&mut input[filled..], wait)) {
                Some(Ok(received)) => received,
                Some(Err(error)) if error.kind() == ErrorKind::ConnectionReset => return self.broken(),
                Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => return self.unreadable(error),
                // Nothing has come.
                None | Some(Err(_)) => {
                    if has_ended {
                        return self.broken();
                    }
                    if self.patience.is_over() {
                        return self.timed_out();
                    }
                    if let Some(outcome) = self.unwanted(exchange) {
                        return self.leave(outcome, NOTHING_NEW, exchange, input, filled);
                    }
                    has_ended = self.has_ended();
                    continue;
                }
            };
            if received.count == 0 {
                return self.broken();
            }
            filled += received.count;
            let before = self.reply.progress;
            let bytes = &input[..filled];
            let mut has_gone = false;
            let step = self.reply.add_descriptor(received.enclosed).and_then(|()| {
                if body.is_in_the_way() && !self.reply.asked && exchange.body_descriptor().is_some() {
                    let mut relief = Relief::new(exchange, body, &mut sent);
                    self.reply.take(bytes, &mut Departure::new(&mut relief, &mut has_gone))
                } else {
                    self.reply.take(bytes, &mut Departure::new(exchange, &mut has_gone))
                }
            });
            self.connection.hello = self.reply.hello;
            if has_gone {
                return self.leave(Outcome::ClientGone, step, exchange, input, filled);
            }
            match step {
                Ok(Step::More { .. }) if !exchange.wants_more() => {
                    return self.leave(Outcome::Sent, step, exchange, input, filled);
                }
                Ok(Step::More { taken, needed }) => {
                    if self.reply.progress != before {
                        self.patience.renew();
                    } else if self.patience.is_over() {
                        return self.timed_out();
                    }
                    filled = keep_rest(input, taken..filled, needed);
                }
                Ok(Step::End(outcome)) => return self.over(outcome, body),
                Ok(Step::EndAndMore(outcome)) => return Answer::Over(outcome, None),
                Ok(Step::Retry(reason)) => return Answer::Again(Again::GivenBack(reason)),
                Err(Fault::Problem(problem)) => return self.failed(problem),
                Err(Fault::Flow(_)) => {
                    return Answer::Failed(Problem::Write(exchange.error_text()), Outcome::Broken);
                }
            }
        }
    }

    /// Nobody wants the rest of the reply. Nothing more is taken from the worker, which learns so when it writes, and then logs
    /// for itself; lines among what it has sent until now are logged here.
    fn leave<E: ServerExchange>(
        mut self,
        outcome: Outcome,
        mut step: Result<Step, Fault>,
        exchange: &mut E,
        input: &mut Vec<u8>,
        mut filled: usize,
    ) -> Answer {
        // A worker that has ended need not be told.
        let _ = shutdown(&self.connection.socket, Shutdown::Read);
        while let Ok(Step::More { taken, needed }) = step {
            filled = keep_rest(input, taken..filled, needed);
            match self.connection.socket.receive(&mut input[filled..], Wait::Never) {
                Ok(Received { count: 0, .. }) | Err(_) => break,
                Ok(Received { count, enclosed }) => {
                    filled += count;
                    step = self.reply.add_descriptor(enclosed).and_then(|()| {
                        self.reply.take(&input[..filled], &mut Departure::new(exchange, &mut true))
                    });
                }
            }
        }
        Answer::Over(outcome, None)
    }

    /// Moves the body on and waits until either direction can go on; how the worker is to be read then, or none when there is
    /// nothing to be read.
    fn move_body<E: ServerExchange>(
        &mut self,
        exchange: &mut E,
        body: &mut Body<'_>,
        flow: &mut Flow,
    ) -> io::Result<Option<Wait>> {
        let (flowed, gone) = (body.flowed(), body.gone());
        let pause = body.pump(&self.connection.socket, exchange);
        if body.flowed() != flowed {
            *flow = Flow { pause: FIRST_PAUSE, false_alarms: 0 };
        }
        if body.gone() != gone {
            self.patience.renew();
        }
        let socket = &self.connection.socket;
        let ready = match pause {
            Pause::Done => return Ok(Some(Wait::Bounded)),
            Pause::Room => {
                wait(Awaited { worker: socket, reply: true, room: true, body: None }, self.look())?
            }
            Pause::More => {
                let descriptor = exchange.body_descriptor().filter(|_| flow.false_alarms < MOST_FALSE_ALARMS);
                let limit = if descriptor.is_some() { LOOK } else { flow.next_pause() };
                let ready =
                    wait(Awaited { worker: socket, reply: true, room: false, body: descriptor }, limit)?;
                flow.false_alarms += u32::from(ready.body);
                // It was the client who took its time.
                self.patience.renew();
                ready
            }
        };
        Ok(ready.reply.then_some(Wait::Never))
    }

    /// After a turn that has brought nothing: what becomes of a reply that is of no use any more.
    fn unwanted<E: ServerExchange>(&self, exchange: &E) -> Option<Outcome> {
        if !exchange.wants_more() {
            return Some(Outcome::Sent);
        }
        // Whoever has all of the reply may go; lines of the log may follow.
        let has_gone =
            self.reply.stage != Stage::Complete && exchange.body_descriptor().is_some_and(is_broken);
        has_gone.then_some(Outcome::ClientGone)
    }

    /// The reply is over; whether the connection can be used again shows here.
    fn over(self, outcome: Outcome, body: &Body<'_>) -> Answer {
        // A worker that means to close a connection closes it, whatever is thought of it here.
        let is_reusable =
            self.board.is_some() && body.is_settled(self.reply.asked) && outcome != Outcome::ClientGone;
        Answer::Over(outcome, is_reusable.then_some(self.connection))
    }

    /// The worker has closed the connection, or has ended.
    fn broken(self) -> Answer {
        match self.reply.stage {
            Stage::Complete => Answer::Over(Outcome::Sent, None),
            Stage::Silent if !self.reply.asked && !self.connection.was_accepted(self.board) => {
                self.return_ticket();
                Answer::Again(Again::NotTaken)
            }
            Stage::Silent => {
                let ending = Ending::find(self.board, self.connection.hello);
                self.failed(Problem::GoneBeforeHead(ending))
            }
            Stage::Head => {
                let ending = Ending::find(self.board, self.connection.hello);
                self.failed(Problem::GoneAfterHead(ending))
            }
        }
    }

    fn unreadable(&self, error: io::Error) -> Answer {
        self.failed(Problem::Read(self.reply.pid(), error))
    }

    fn timed_out(&self) -> Answer {
        let (limit, dialect) = (self.settings.socket_timeout.unwrap_or_default(), self.settings.dialect);
        match self.reply.stage {
            Stage::Silent => self.failed(Problem::NoHead(self.reply.pid(), limit, dialect)),
            Stage::Head => self.failed(Problem::NoMore(self.reply.pid(), limit, dialect)),
            // The client has the whole of it.
            Stage::Complete => Answer::Over(Outcome::Sent, None),
        }
    }

    fn failed(&self, problem: Problem) -> Answer {
        let outcome =
            if self.reply.is_under_way() { Outcome::Broken } else { Outcome::Refused(problem.status()) };
        Answer::Failed(problem, outcome)
    }

    fn look(&self) -> Duration {
        look(self.settings.socket_timeout)
    }

    /// Whether the process is seen to have ended, or to have closed the connection. What it sent before is there then.
    fn has_ended(&self) -> bool {
        let has_ended = self.board.is_some_and(|board| self.connection.has_ended(board));
        if has_ended {
            let _ = wait(self.await_reply(), GRACE);
        }
        has_ended
    }

    fn await_reply(&self) -> Awaited<'_> {
        Awaited { worker: &self.connection.socket, reply: true, room: false, body: None }
    }

    /// Gives back the ticket of a request that the worker has got nothing of.
    fn return_unused_ticket(&self) {
        if let Some(board) = self.board.filter(|_| self.has_ticket) {
            self.connection.return_unused_ticket(board);
        }
    }

    /// Gives back the ticket of a request that the worker may have got, if it has not.
    fn return_ticket(&self) {
        if let Some(board) = self.board.filter(|_| self.has_ticket) {
            self.connection.return_ticket(board);
        }
    }
}

/// Moves what is not done with to the start of the buffer, and sees that the frame there finds its place; how much it is.
fn keep_rest(input: &mut Vec<u8>, rest: Range<usize>, needed: usize) -> usize {
    let left = rest.len();
    input.copy_within(rest, 0);
    if needed > input.len() {
        input.resize(needed, 0);
    }
    left
}

/// How a body that nothing announces is looked for.
#[derive(Debug)]
struct Flow {
    pause: Duration,
    /// How often it was announced since more of it came.
    false_alarms: u32,
}

impl Flow {
    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LAST_PAUSE);
        pause
    }
}
