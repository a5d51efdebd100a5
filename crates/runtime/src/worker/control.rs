//! The socket to the supervisor. Lines outside of requests go over it; when the supervisor is gone, to standard error.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use oxwsgi_core::abi::{Log, LogSink};
use oxwsgi_core::daemon::bootstrap::CONTROL as CONTROL_NUMBER;
use oxwsgi_core::daemon::{FromWorker, LONGEST_MESSAGE, encode};
use oxwsgi_core::os::packet::{self, Wait};
use oxwsgi_core::os::withheld;
use oxwsgi_core::report::Level;

static CONTROL: OnceLock<Control> = OnceLock::new();

/// The socket to the supervisor. Used by all threads.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
    gone: AtomicBool,
}

/// The log of a daemon process.
struct ProcessLog;

impl Log for ProcessLog {
    fn write(level: Level, line: &[u8]) {
        if let Some(control) = CONTROL.get() {
            control.log(level, line, Wait::Socket);
        }
    }
}

impl Control {
    /// Takes the socket over, once.
    pub fn begin(socket: OwnedFd) -> &'static Self {
        for number in [socket.as_raw_fd(), CONTROL_NUMBER] {
            // Otherwise what a forked child of the application logs looks like this process's: no great harm.
            let _ = withheld::withhold(number);
        }
        CONTROL.get_or_init(|| Self { socket, gone: AtomicBool::new(false) })
    }

    /// The log that goes over the socket.
    pub const fn sink() -> LogSink {
        LogSink::of::<ProcessLog>()
    }

    /// Says something to the supervisor, if there still is one.
    pub fn say(&self, message: &FromWorker) {
        // Its end is noticed where it is listened to.
        let _ = self.send(message, Wait::Socket);
    }

    /// Writes a line to the group's log.
    pub fn log(&self, level: Level, line: &[u8], wait: Wait) {
        let line = &line[..line.len().min(LONGEST_MESSAGE / 2)];
        if !self.send(&FromWorker::Log(level, line.to_vec()), wait) {
            // There is nobody left to tell when this fails too.
            let _ = std::io::stderr().write_all(&[line, b"\n"].concat());
        }
    }

    fn send(&self, message: &FromWorker, wait: Wait) -> bool {
        !self.gone.load(Ordering::Relaxed) && packet::send(&self.socket, &encode(message), &[], wait).is_ok()
    }

    /// Whether the supervisor has ended; never waits.
    pub fn is_gone(&self) -> bool {
        // After its orders it says nothing any more, but by signals: what there is to read is the end.
        match packet::receive(&self.socket, &mut [0; 1], 0, Wait::Never) {
            Ok(packet) if packet.length > 0 => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => self.gone.store(true, Ordering::Relaxed),
        }
        self.gone.load(Ordering::Relaxed)
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
