//! The signals of a worker. Those that end it are for the main thread; those for the application are told to it on a thread of
//! their own, for its callbacks may take their time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use oxwsgi_core::boundary::guard;
use oxwsgi_core::daemon::{Limits, Reason};
use oxwsgi_core::os::signals;

use crate::wsgi;

/// The signals of the process.
#[derive(Debug)]
pub struct Signals {
    pipe: OwnedFd,
    /// What `SIGUSR1` asks for.
    eviction: Reason,
    teller: Option<(Sender<i32>, JoinHandle<()>)>,
}

impl Signals {
    /// Catches them, from now on. Without a time of its own an eviction is as graceful as other ends.
    pub fn catch(limits: &Limits) -> io::Result<Self> {
        let caught = [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1, libc::SIGXCPU, libc::SIGHUP, libc::SIGUSR2];
        let eviction = limits.eviction.map_or(Reason::GracefulSignal, |_| Reason::EvictionSignal);
        Ok(Self { pipe: signals::catch(&caught)?, eviction, teller: None })
    }

    /// The reasons to end that have come. What is the application's is told to it.
    pub fn take(&mut self) -> Vec<Reason> {
        let mut bytes = [0; 64];
        let count = rustix::io::read(&self.pipe, &mut bytes).unwrap_or(0);
        let mut reasons = Vec::new();
        for number in bytes[..count].iter().map(|byte| i32::from(*byte)) {
            match number {
                libc::SIGTERM | libc::SIGINT => reasons.push(Reason::ShutdownSignal),
                libc::SIGUSR1 => reasons.push(self.eviction),
                libc::SIGXCPU => reasons.push(Reason::CpuTimeLimit),
                number => self.tell(number),
            }
        }
        reasons
    }

    fn tell(&mut self, number: i32) {
        if self.teller.is_none() {
            let (sender, receiver) = channel();
            let thread = std::thread::Builder::new().name("wsgi-signals".to_owned());
            let work = move || {
                receiver.into_iter().for_each(publish);
                wsgi::leave_thread();
            };
            // Without a thread nobody is told; there is none for requests then, either.
            self.teller =
                signals::with_all_blocked(|| thread.spawn(work)).ok().map(|handle| (sender, handle));
        }
        if let Some((sender, _)) = &self.teller {
            // It listens until it is told to stop.
            let _ = sender.send(number);
        }
    }

    /// No more is told. Waits for callbacks that are still running.
    pub fn stop(self) {
        if let Some((sender, handle)) = self.teller {
            drop(sender);
            let _ = handle.join();
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn publish(number: i32) {
    let name = if number == libc::SIGHUP { "SIGHUP" } else { "SIGUSR2" };
    // A panic has been reported by the panic hook.
    guard(|| wsgi::publish(wsgi::Event::ProcessSignal(name, number)), |_| ());
}
