//! What can happen while the server runs, from whichever thread notices it, in one queue for the main thread.

#![forbid(unsafe_code)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::problem::Problem;
use crate::serve::log_view::READY_AGENT;
use crate::serve::reload::Change;

/// Lines that may wait. A terminal that stands still makes the server wait, as it would without us.
const WAITING: usize = 1024;

/// Between two attempts to reach the server.
const ATTEMPT: Duration = Duration::from_millis(30);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line of the server's standard output: the access log, and what programs print.
    Out(String),
    /// A line of the server's standard error: the error log, and what programs print.
    Err(String),
    /// The server answered a request, so its first process has finished starting.
    Answered,
    /// Somebody wants us to stop.
    Stop,
    /// A child of ours may have ended.
    Child,
    /// The project changed.
    Changed(Change),
}

/// The queue and its writing end.
#[derive(Debug)]
pub struct Events {
    sender: SyncSender<Event>,
    /// The main thread's end.
    pub receiver: Receiver<Event>,
}

impl Events {
    /// An empty queue that already notes signals: from here on none ends the command unasked.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn open() -> Result<Self, Problem> {
        let (sender, receiver) = sync_channel(WAITING);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])
            .map_err(|error| Problem::new(format!("Signals cannot be handled: {error}")))?;
        let signal_sender = sender.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                let event = if signal == SIGCHLD { Event::Child } else { Event::Stop };
                if signal_sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { sender, receiver })
    }

    /// A function that tells of changes.
    pub fn change_teller(&self) -> impl Fn(Change) + Send + 'static {
        let sender = self.sender.clone();
        move |change| {
            let _ = sender.send(Event::Changed(change));
        }
    }

    /// Reads a stream to its end, line by line.
    pub fn read(&self, stream: impl Read + Send + 'static, event: fn(String) -> Event) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                line.clear();
                if sender.send(event(text)).is_err() {
                    return;
                }
            }
        });
    }

    /// Asks the server until it answers.
    pub fn await_answer(&self, ready: Ready) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            while ready.ask().is_err() {
                thread::sleep(ATTEMPT);
            }
            let _ = sender.send(Event::Answered);
        });
    }
}

/// Where a server answers as soon as it answers anybody.
#[derive(Clone, Debug)]
pub enum Ready {
    /// An address of its own.
    Address(SocketAddr),
    /// A socket that is there for this alone.
    Socket(PathBuf),
}

impl Ready {
    fn ask(&self) -> io::Result<()> {
        match self {
            // Answered by httpd itself, whatever is mounted where (RFC 9110 section 9.3.7).
            Self::Address(address) => {
                exchange(TcpStream::connect(address)?, "OPTIONS *", &address.to_string())
            }
            Self::Socket(path) => exchange(UnixStream::connect(path)?, "GET /", "localhost"),
        }
    }
}

fn exchange(mut stream: impl Read + Write, line: &str, host: &str) -> io::Result<()> {
    let request =
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {READY_AGENT}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut start = [0; 5];
    stream.read_exact(&mut start)?;
    if &start == b"HTTP/" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
