//! A request is given to another process as long as no application was called for it, yet not for ever.

use std::time::{Duration, Instant};

use oxwsgi_core::exchange::RetryReason;

use crate::problem::Problem;
use crate::settings::ClientSettings;

/// Between two attempts to reach a group that nobody is there for.
pub const PAUSE: Duration = Duration::from_millis(125);

/// Why a request may go to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The worker says so.
    GivenBack(RetryReason),
    /// The worker has closed the connection before it took the request.
    NotTaken,
}

/// Attempts that came to nothing.
#[derive(Debug, Default)]
pub struct Retries {
    given_back: u32,
    not_taken: u32,
    since: Option<Instant>,
}

impl Retries {
    /// Whether there were none.
    pub const fn is_none(&self) -> bool {
        self.given_back == 0 && self.not_taken == 0
    }

    /// Counts one more: how long to wait before the next, when there have been many; a problem when there have been too many,
    /// for longer than `patience`.
    pub fn count(
        &mut self,
        again: Again,
        settings: &ClientSettings,
        patience: Duration,
    ) -> Result<Option<Duration>, Problem> {
        let elapsed = self.since.get_or_insert_with(Instant::now).elapsed();
        let most = settings.processes.saturating_mul(2).saturating_add(1);
        match again {
            Again::GivenBack(RetryReason::TooOld) => return Err(Problem::TooOld(settings.dialect)),
            Again::GivenBack(reason) => {
                self.given_back += 1;
                // All of its processes may have to be replaced, and be found out one by one.
                let too_many = match reason {
                    RetryReason::Reload => self.given_back >= most,
                    _ => self.given_back >= most && elapsed >= patience,
                };
                if too_many {
                    return Err(Problem::GivenBack(self.given_back));
                }
            }
            Again::NotTaken => {
                self.not_taken += 1;
                if self.not_taken >= most && elapsed >= patience {
                    return Err(Problem::NotTaken(self.not_taken));
                }
            }
        }
        // They are being replaced; that takes its time.
        Ok((self.given_back + self.not_taken > most).then_some(PAUSE))
    }
}
