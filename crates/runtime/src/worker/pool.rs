//! The threads that serve requests, from their start to their end.

use std::io;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use oxwsgi_core::boundary::guard;
use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::os::process;
use oxwsgi_core::report::Level;

use crate::worker::attendant::Attendant;
use crate::worker::workplace::Workplace;
use crate::wsgi::{self, Watch};

/// What the process exits with when its own code is at fault.
const DEFECT: i32 = 70;

/// The threads.
#[derive(Debug)]
pub struct Pool {
    place: &'static Workplace,
    handles: Vec<JoinHandle<()>>,
    watches: Vec<&'static Watch>,
}

impl Pool {
    /// Starts as many threads, each with a stack of so many bytes.
    pub fn start(place: &'static Workplace, threads: u32, stack_size: Option<u64>) -> io::Result<Self> {
        let mut handles = Vec::new();
        let (sender, receiver) = channel();
        for number in 1..=threads {
            let mut thread = std::thread::Builder::new().name(format!("wsgi-{number}"));
            if let Some(size) = stack_size.and_then(|size| usize::try_from(size).ok()) {
                thread = thread.stack_size(size);
            }
            let sender = sender.clone();
            // Its signal mask is that of the main thread: processes that an application starts inherit it.
            handles.push(thread.spawn(move || {
                let mut attendant = Attendant::new(place);
                // Received below, before this function returns.
                let _ = sender.send(attendant.watch());
                drop(sender);
                guard(|| attendant.work(), |panic| give_up(place, panic));
                wsgi::leave_thread();
            })?);
        }
        drop(sender);
        Ok(Self { place, handles, watches: receiver.into_iter().collect() })
    }

    /// What the threads do.
    pub fn watches(&self) -> &[&'static Watch] {
        &self.watches
    }

    /// Has the threads end, each when it is done with its request.
    pub fn stop(&self) {
        self.place.crew.stop();
        self.place.poller.wake();
    }

    /// Waits for the end of all threads.
    pub fn wait(self) {
        for handle in self.handles {
            // A thread that has panicked has ended the process.
            let _ = handle.join();
        }
    }
}

/// A panic of an application's request is caught where it is served. This one has left nobody knows what behind.
fn give_up(place: &Workplace, panic: &str) {
    let text = format!("WSGI1006: Internal error of oxwsgi: {panic}. Daemon process '{}' ends.", place.group);
    place.control.log(Level::Critical, text.as_bytes(), Wait::Never);
    process::end_now(DEFECT);
}
