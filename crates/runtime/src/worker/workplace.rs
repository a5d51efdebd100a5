//! What the threads of a worker share, and the way of a request through it to its application.

use std::time::{Duration, Instant};

use oxwsgi_core::boundary::guard;
use oxwsgi_core::daemon::board::{Board, Process, State};
use oxwsgi_core::daemon::{Limits, Reason};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::exchange::{Exchange, Outcome, RemoteExchange, RetryReason};
use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::os::{process, withheld};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::RequestView;
use oxwsgi_core::worker::Crew;

use crate::worker::connections::Connections;
use crate::worker::control::Control;
use crate::worker::exchange::SocketExchange;
use crate::worker::orders::Orders;
use crate::worker::poller::Poller;
use crate::worker::queue::Queue;
use crate::worker::tally::{Admission, Tally};
use crate::wsgi;

/// What the threads share. Lives as long as the process.
#[derive(Debug)]
pub struct Workplace {
    /// Name of the group.
    pub group: String,
    /// The limits of the group.
    pub limits: Limits,
    /// The users that may connect.
    pub peers: Vec<u32>,
    /// The group's counters.
    pub board: Board,
    /// The slot that is this process's.
    pub slot: u32,
    /// Where threads wait.
    pub poller: Poller,
    /// Where requests wait.
    pub queue: Queue,
    /// The connections.
    pub connections: Connections,
    /// The threads.
    pub crew: Crew,
    /// Their counts.
    pub tally: Tally,
    /// The socket to the supervisor.
    pub control: &'static Control,
    /// Whose words messages use.
    pub dialect: Dialect,
}

impl Workplace {
    /// For these orders.
    pub fn new(orders: Orders, control: &'static Control) -> std::io::Result<&'static Self> {
        let Orders { group, server, slot, peers, listener, board, .. } = orders;
        let queue = Queue::new(listener)?;
        let place = Self {
            group: String::from_utf8_lossy(&group.name).into_owned(),
            tally: Tally::new(&group.limits)?,
            limits: group.limits,
            peers,
            board,
            slot,
            poller: Poller::new(&queue)?,
            queue,
            connections: Connections::new(),
            crew: Crew::default(),
            control,
            dialect: server.dialect,
        };
        Ok(Box::leak(Box::new(place)))
    }

    /// The process's slot.
    #[inline]
    pub fn process(&self) -> Process<'_> {
        self.board.process(self.slot).expect("the orders were checked when they came")
    }

    /// No request is taken from now on; another process may begin to.
    pub fn close(&self) {
        self.process().withdraw(State::Ending);
        self.tally.close();
    }

    /// The process is to end, in an orderly way: the main thread sees to that.
    pub fn end(&self, reason: Reason) {
        self.close();
        self.tally.want_end(reason);
    }

    /// Serves a request that has come at `now`. `admitted` says whether it counts, and whether it is the last that does.
    pub fn answer(
        &self,
        view: &RequestView<'_>,
        exchange: &mut SocketExchange<'_>,
        now: Instant,
        admitted: &mut Option<bool>,
    ) -> Outcome {
        if self.limits.queue.is_some_and(|limit| age(view) > limit) {
            let text = format!("WSGI0084: Queue timeout expired for WSGI daemon process '{}'.", self.group);
            exchange.log(Level::Warning, text.as_bytes());
            return Outcome::Retry(RetryReason::TooOld);
        }
        let Admission::Granted { is_last } = self.tally.admit(now, !view.target.ignore_activity) else {
            return Outcome::Retry(RetryReason::Stopping);
        };
        *admitted = Some(is_last);
        if is_last {
            self.end(Reason::MaximumRequests);
        }
        self.process().count_request();
        let served = guard(
            || Ok(wsgi::serve(view, &mut RemoteExchange::new(exchange))),
            |panic| Err(panic.to_owned()),
        );
        if withheld::is_in_forked_child() {
            let text = format!(
                "WSGI1025: A process that the application has forked came back from it, and ends here: it must call \
                 os._exit(). Daemon process '{}' itself goes on.",
                self.group
            );
            self.control.log(Level::Error, text.as_bytes(), Wait::Never);
            process::end_now(0);
        }
        match served {
            Ok(outcome) => {
                if outcome == Outcome::Retry(RetryReason::Reload) {
                    self.end(Reason::ScriptReload);
                }
                outcome
            }
            Err(panic) => {
                let text = format!("WSGI1006: Internal error of oxwsgi: {panic}");
                exchange.log(Level::Critical, text.as_bytes());
                Outcome::Broken
            }
        }
    }
}

/// How long a request has waited for a thread.
fn age(view: &RequestView<'_>) -> Duration {
    let waited = if view.queue_start > 0 { view.daemon_start - view.queue_start } else { 0 };
    Duration::from_micros(u64::try_from(waited).unwrap_or(0))
}
