//! One request on its way to a worker and back: what is kept with it while nginx's upstream module moves its bytes. Made by
//! the content handler, found by each function that nginx calls for the request, and dropped with the request's memory.

#![allow(unsafe_code, reason = "found by address by functions that nginx calls")]

use std::time::{Duration, Instant};

use oxwsgi_client::ending::{self, Ending};
use oxwsgi_client::received::Enclosed;
use oxwsgi_client::reply::{Fault, Stage, Step};
use oxwsgi_client::retries::{Again, Retries};
use oxwsgi_client::{Problem, ReplySink};
use oxwsgi_core::exchange::{FlowError, Outcome};
use oxwsgi_core::report::Level;

use super::attempt::{Attempt, Lost, State};
use super::event::Event;
use super::group::Group;
use super::lines::Lines;
use super::upload::Upload;
use crate::nginx::config::{Application, LocationConfig};
use crate::nginx::ffi;
use crate::nginx::log::Log;
use crate::nginx::measures::Measures;
use crate::nginx::record::Request;

/// A request and what has become of it.
#[derive(Debug)]
pub struct Exchange {
    request: *mut ffi::ngx_http_request_t,
    /// The group that answers it.
    pub group: &'static Group,
    /// Its frame, as it goes to a worker.
    pub frame: Vec<u8>,
    /// No body reaches the client, whatever comes.
    pub is_head_request: bool,
    /// Its body on the way to the worker.
    pub upload: Upload,
    /// The worker that has it, and its reply.
    pub attempt: Option<Attempt>,
    /// Attempts that came to nothing.
    pub retries: Retries,
    /// What is to be done about the attempt, once nginx's functions have returned.
    pub failure: Option<Failure>,
    /// Does it: see [`super::refusal`].
    pub posted: Event,
    /// Waits for a connection, or for the supervisor to learn of an end.
    pub timer: Event,
    /// Since when it waits.
    pub since: Option<Instant>,
    /// How long the next attempt is to wait before it begins.
    pub pause: Option<Duration>,
    /// nginx is told that the connection has failed, for it has an answer of its own.
    pub is_left_to_nginx: bool,
    /// nginx has the head of its reply.
    pub is_answered: bool,
    /// What nginx's upstream module has finished with.
    pub finished: Option<ffi::ngx_int_t>,
    /// The filters have taken what was read behind the head.
    pub is_body_begun: bool,
    times: Times,
    /// Its place among those that are looked after: see [`super::watch`].
    pub watched: Option<usize>,
    /// Status of the reply.
    pub status: Option<u16>,
}

/// When it went on.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// It was given to the group.
    given: Option<Instant>,
    /// A thread took it.
    taken: Option<Instant>,
    /// Its reply was complete.
    complete: Option<Instant>,
}

/// What is known of the request so far; none before it is given to its group. Read by the variables, also when the request
/// is logged.
pub fn measures(request: Request<'_>) -> Option<Measures> {
    let exchange = request.context::<Exchange>();
    // SAFETY: null, or the exchange of the request, which lives as long as it; nobody changes it during the call.
    let exchange = unsafe { exchange.as_ref() }?;
    let Times { given, taken, complete } = exchange.times;
    Some(Measures {
        queue_time: given.zip(taken).map(|(from, to)| to - from),
        application_time: taken.zip(complete).map(|(from, to)| to - from),
        status: exchange.status,
    })
}

/// What is to be done with a request that has no head yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Another worker may take it.
    Again(Again),
    /// The server answers with this status; and says after how many seconds to come again, where that helps.
    Status(u16, Option<u64>),
}

impl Exchange {
    /// That of a request. Its events are not bound yet.
    pub fn new(request: Request<'_>, group: &'static Group) -> Self {
        group.enter();
        Self {
            request: request.as_raw(),
            group,
            frame: Vec::new(),
            is_head_request: false,
            upload: Upload::new(),
            attempt: None,
            retries: Retries::default(),
            failure: None,
            posted: Event::new(),
            timer: Event::new(),
            since: None,
            pause: None,
            is_left_to_nginx: false,
            is_answered: false,
            finished: None,
            is_body_begun: false,
            times: Times::default(),
            watched: None,
            status: None,
        }
    }

    /// That of a request whose upstream is ours.
    ///
    /// # Safety
    /// The request is alive, and its upstream was made by [`super::handler`].
    #[inline]
    pub unsafe fn of(request: *mut ffi::ngx_http_request_t) -> *mut Self {
        // SAFETY: the caller's word; nginx does not touch a filter's context that is set beforehand.
        unsafe { (*(*request).upstream).output.filter_ctx.cast() }
    }

    /// The request, which lives as long as this.
    #[inline]
    pub fn request<'r>(&self) -> Request<'r> {
        // SAFETY: this lies in the request's memory.
        unsafe { Request::from_raw(self.request) }
    }

    /// nginx's record of the way to the worker.
    #[inline]
    pub fn upstream(&self) -> *mut ffi::ngx_http_upstream_t {
        // SAFETY: the request is alive; read by value.
        unsafe { (*self.request).upstream }
    }

    /// The application that is asked for. There is one, or no handler of ours would have been called.
    #[inline]
    pub fn application<'r>(&self) -> Option<&'r Application> {
        LocationConfig::of(self.request()).application.as_ref()
    }

    /// How long it is tried to hand it to a process (`wsgi_connect_timeout`).
    pub fn patience(&self) -> Duration {
        Duration::from_millis(LocationConfig::of(self.request()).upstream.connect_timeout as u64)
    }

    /// Lines of the application for the request's log.
    pub fn lines<'r>(&self) -> Lines<'r> {
        self.lines_to(self.request().log())
    }

    /// Lines of the application for another log.
    pub fn lines_to<'r>(&self, log: Log<'r>) -> Lines<'r> {
        Lines::new(log, self.application().map_or(Level::Error, |application| application.error_log_level))
    }

    /// Whether a reply of this status has a body at all (RFC 9110 section 6.4.1). nginx takes that for the upstream's to know.
    pub fn allows_body(&self) -> bool {
        !matches!(self.status, Some(204 | 304))
    }

    /// How far the reply is.
    pub fn stage(&self) -> Stage {
        self.attempt.as_ref().map_or(Stage::Silent, |attempt| attempt.reply.stage)
    }

    /// Whether nothing more is read for it.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.attempt.as_ref().is_none_or(|attempt| attempt.state != State::Open)
    }

    /// Whether there is nothing more to be read.
    #[inline]
    pub fn is_read(&self) -> bool {
        self.attempt.as_ref().is_none_or(|attempt| attempt.state != State::Open || attempt.lost.is_some())
    }

    /// What nginx gets instead of bytes when nothing more is read: an error once it is known that the rest of a reply will
    /// not come; before its head our own event does what there is to do.
    pub fn answer_when_over(&self, event: &mut ffi::ngx_event_t) -> isize {
        match self.attempt.as_ref().map(|attempt| attempt.state) {
            Some(State::Stopped) if self.stage() != Stage::Silent || self.is_left_to_nginx => {
                event.set_error(1);
                ffi::NGX_ERROR
            }
            _ => ffi::NGX_AGAIN,
        }
    }

    /// Whether a part of its reply is with the client, and the rest will not come.
    pub fn breaks_off(&self, result: ffi::ngx_int_t) -> bool {
        // SAFETY: the request is alive, and so is its upstream; both are read by value.
        let (header_only, is_sent) =
            unsafe { ((*self.request).header_only(), (*(*self.request).upstream).header_sent()) };
        let has_failed = result == ffi::NGX_ERROR || result >= ffi::NGX_HTTP_SPECIAL_RESPONSE;
        header_only == 0 && is_sent != 0 && has_failed
    }

    /// Begins with an attempt.
    pub fn begin(&mut self, attempt: Attempt) {
        let now = Instant::now();
        let given = self.times.given.get_or_insert(now);
        self.times = Times { given: Some(*given), taken: attempt.has_ticket.then_some(now), complete: None };
        self.attempt = Some(attempt);
        self.failure = None;
        self.since = None;
        self.is_left_to_nginx = false;
        self.is_answered = false;
        self.finished = None;
        self.is_body_begun = false;
    }

    /// Something has come from the worker.
    pub fn note_progress(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        if self.times.taken.is_none() && attempt.reply.hello.is_some() {
            self.times.taken = Some(Instant::now());
        }
        if self.times.complete.is_none() && attempt.reply.stage == Stage::Complete {
            self.times.complete = Some(Instant::now());
        }
    }

    /// Takes what came beside bytes.
    pub fn take_enclosed(&mut self, enclosed: Enclosed) {
        let Some(attempt) = &mut self.attempt else { return };
        if let Err(fault) = attempt.reply.add_descriptor(enclosed) {
            self.fault(fault);
        }
    }

    /// Takes frames behind the head. What they say is in [`Attempt::reply`] and [`Attempt::state`] afterwards.
    pub fn feed<S: ReplySink>(&mut self, bytes: &[u8], sink: &mut S) {
        let Some(attempt) = &mut self.attempt else { return };
        if attempt.state != State::Open {
            return;
        }
        let asked = attempt.reply.asked;
        let step = attempt.feed(bytes, sink);
        if attempt.reply.asked && !asked {
            self.ask_for_body();
        }
        self.note_progress();
        self.follow(step);
    }

    /// Does what a step of the reply means.
    pub fn follow(&mut self, step: Result<Step, Fault>) {
        let Some(attempt) = &mut self.attempt else { return };
        let is_clean = matches!(step, Ok(Step::End(_)));
        match step {
            Ok(Step::More { .. }) => {}
            Ok(Step::End(outcome) | Step::EndAndMore(outcome)) => {
                attempt.state = State::Ended { is_clean };
                match (outcome, attempt.reply.stage) {
                    (Outcome::Refused(status), Stage::Silent) => self.act(Failure::Status(status, None)),
                    (_, Stage::Silent) => self.act(Failure::Status(500, None)),
                    (_, Stage::Complete) => {}
                    // The application broke off; its own lines say why.
                    (_, Stage::Head) => attempt.state = State::Stopped,
                }
            }
            Ok(Step::Retry(reason)) => {
                attempt.state = State::Stopped;
                self.act(Failure::Again(Again::GivenBack(reason)));
            }
            Err(fault) => self.fault(fault),
        }
    }

    /// The worker has sent what it must not, or the server cannot go on.
    pub fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Problem(problem) => self.fail(&problem),
            Fault::Flow(FlowError::ClientGone) => self.stop(),
            Fault::Flow(FlowError::Failed) => {
                self.fail(&Problem::Write("the server has no memory left".to_owned()));
            }
        }
    }

    /// The connection has broken, which our own event will judge.
    pub fn lose(&mut self, why: Lost) {
        if let Some(attempt) = &mut self.attempt {
            attempt.lost = Some(why);
            self.posted.post();
        }
    }

    /// After the connection has broken, when all that was read of it has been seen.
    pub fn judge_loss(&mut self) {
        let board = self.group.board.as_ref();
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.state == State::Open) else {
            return;
        };
        let Some(why) = attempt.lost.take() else { return };
        let is_silent = attempt.reply.stage == Stage::Silent;
        if is_silent && !attempt.reply.asked && !attempt.connection.was_accepted(board) {
            self.not_taken();
            return;
        }
        match why {
            Lost::Unreadable(error) => {
                let problem = Problem::Read(attempt.reply.pid(), error);
                self.fail(&problem);
            }
            Lost::Closed => {
                attempt.state = State::Ending;
                self.since = Some(Instant::now());
                self.look_at_ending();
            }
        }
    }

    /// The worker has closed the connection before it took the request.
    pub fn not_taken(&mut self) {
        if let Some(attempt) = &self.attempt
            && attempt.has_ticket
            && let Some(board) = &self.group.board
        {
            if attempt.connection.socket.sent() == 0 {
                attempt.connection.return_unused_ticket(board);
            } else {
                attempt.connection.return_ticket(board);
            }
        }
        self.stop();
        self.act(Failure::Again(Again::NotTaken));
    }

    /// Looks what has become of the worker; again in a moment, when the supervisor may learn more. True when that is over.
    pub fn look_at_ending(&mut self) -> bool {
        let board = self.group.board.as_ref();
        let hello = self.attempt.as_ref().and_then(|attempt| attempt.reply.hello);
        // Before the look: however long this process is kept from it, the last one comes after all that was waited for.
        let has_time = self.since.is_some_and(|since| since.elapsed() < ending::PATIENCE);
        let found = Ending::look(board, hello);
        if found.may_change(board) && has_time {
            self.timer.start_timer(ending::LOOK);
            return false;
        }
        let problem = match self.stage() {
            Stage::Silent => Problem::GoneBeforeHead(found),
            _ => Problem::GoneAfterHead(found),
        };
        self.fail(&problem);
        true
    }

    /// Logs what is wrong. Without a head the server answers itself; else the client's connection will be broken.
    pub fn fail(&mut self, problem: &Problem) {
        self.log(problem);
        self.stop();
        if self.stage() == Stage::Silent {
            let delay = problem.retry_after().map(|delay| delay.as_secs());
            self.act(Failure::Status(problem.status(), delay));
        }
    }

    /// Writes a problem to the request's log.
    pub fn log(&self, problem: &Problem) {
        let (number, name) = (problem.number(), self.group.name());
        let line = format_args!("{number}: Daemon process '{name}': {problem}");
        self.request().log().without_action(|log| log.write(Level::Error, line));
    }

    fn stop(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.state = State::Stopped;
        }
    }

    /// Has something done once nginx's functions have returned: most of them go on with the request after a call.
    pub fn act(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.posted.post();
    }

    /// The worker wants the body: nginx is to call its output filter.
    pub fn ask_for_body(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        let event = attempt.connection.socket.write();
        // SAFETY: the event of a connection that is open, in the hands of nginx's upstream module.
        unsafe { ffi::shim_post_event(event, &raw mut ffi::ngx_posted_events) };
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.group.leave();
    }
}
