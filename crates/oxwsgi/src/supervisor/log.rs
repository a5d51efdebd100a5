//! The logs that lines go to: descriptors of the server's error logs, or the system's log. No process of a site holds one.
//!
//! A log that takes nothing, a pipe to a program that stands still, holds up nobody: its lines are counted and lost.

#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;

use oxwsgi_core::daemon::LogTarget;
use oxwsgi_core::os::{LocalTime, inherited, syslog};
use oxwsgi_core::report::{Level, Number};
use rustix::fs::FileType;

use super::line;
use super::pipe::Pipe;

/// httpd's own bound of a line (`MAX_STRING_LEN`), in bytes.
const LONGEST: usize = 8192;
/// What several processes can write to one pipe without mixing (`PIPE_BUF`, `pipe(7)`), and what it takes whole or not at all.
const LONGEST_IN_PIPE: usize = 4096;

/// All logs of one server.
#[derive(Debug, Default)]
pub struct Logs {
    sinks: Vec<Sink>,
}

/// One of the [`Logs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log(usize);

#[derive(Debug)]
struct Sink {
    target: LogTarget,
    place: Place,
    lost: u64,
}

#[derive(Debug)]
enum Place {
    File(OwnedFd),
    Pipe(Pipe),
    System(i32),
}

impl Logs {
    /// The log that `target` names.
    ///
    /// # Errors
    /// Its descriptor is not open.
    pub fn open(&mut self, target: &LogTarget) -> Result<Log, String> {
        if let Some(known) = self.sinks.iter().position(|sink| sink.target == *target) {
            return Ok(Log(known));
        }
        let place = match target {
            LogTarget::Syslog(facility, _) => Place::System(*facility),
            LogTarget::Descriptor(number, _) => {
                let descriptor = inherited(*number).map_err(|error| {
                    format!("descriptor {number} of an error log cannot be used: {error}")
                })?;
                let status = rustix::fs::fstat(&descriptor);
                match status.map(|status| FileType::from_raw_mode(status.st_mode)) {
                    Ok(kind @ (FileType::Fifo | FileType::Socket | FileType::CharacterDevice)) => {
                        Place::Pipe(Pipe::of(descriptor, kind))
                    }
                    _ => Place::File(descriptor),
                }
            }
        };
        self.sinks.push(Sink { target: target.clone(), place, lost: 0 });
        Ok(Log(self.sinks.len() - 1))
    }

    /// Writes a text of process `pid`, if the log is to have such.
    pub fn write(&mut self, log: Log, level: Level, pid: u32, text: &[u8]) {
        let sink = &mut self.sinks[log.0];
        if sink.takes(level) {
            sink.write(level, pid, text);
        }
    }

    /// Writes a text of this process.
    pub fn say(&mut self, log: Log, level: Level, text: &str) {
        self.write(log, level, std::process::id(), text.as_bytes());
    }

    /// Writes a numbered text of this process.
    pub fn report(&mut self, log: Log, level: Level, number: u16, text: &str) {
        self.say(log, level, &format!("{}: {text}", Number(number)));
    }
}

impl Sink {
    fn takes(&self, level: Level) -> bool {
        let (LogTarget::Descriptor(_, least) | LogTarget::Syslog(_, least)) = self.target;
        level <= least
    }

    fn write(&mut self, level: Level, pid: u32, text: &[u8]) {
        let lost = &mut self.lost;
        match &self.place {
            Place::System(facility) => line::format(None, level, pid, text, LONGEST, |line| {
                // The levels of the system's log are httpd's, up to `debug`.
                syslog::write(*facility, (level as u8).min(Level::Debug as u8), line.trim_ascii_end());
            }),
            Place::File(file) => {
                line::format(Some(LocalTime::now()), level, pid, text, LONGEST, |line| {
                    // A full disk has no better place to say so.
                    let _ = rustix::io::write(file, line);
                });
            }
            Place::Pipe(pipe) => {
                let now = LocalTime::now();
                if *lost > 0 && pipe.has_room() {
                    let text = format!(
                        "{}: The error log's program stood still; {lost} lines are lost.",
                        Number(1207)
                    );
                    line::format(
                        Some(now),
                        Level::Warning,
                        std::process::id(),
                        text.as_bytes(),
                        LONGEST_IN_PIPE,
                        |line| {
                            if pipe.put(line) {
                                *lost = 0;
                            }
                        },
                    );
                }
                line::format(Some(now), level, pid, text, LONGEST_IN_PIPE, |line| {
                    if !pipe.put(line) {
                        *lost += 1;
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn lines_below_the_level_are_not_written() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut logs = Logs::default();
        let log = logs.open(&LogTarget::Descriptor(writer.as_raw_fd(), Level::Info)).unwrap();
        logs.write(log, Level::Debug, 1, b"no");
        logs.report(log, Level::Info, 1207, "yes");
        drop((logs, writer));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("] WSGI1207: yes\n") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_up_nobody() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut logs = Logs::default();
        let log = logs.open(&LogTarget::Descriptor(writer.as_raw_fd(), Level::Info)).unwrap();
        let long = vec![b'x'; 3000];
        for _ in 0..100 {
            logs.write(log, Level::Error, 1, &long);
        }
        let lost = logs.sinks[0].lost;
        assert!(lost > 0);
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let _ = reader.read_to_end(&mut Vec::new());
        logs.write(log, Level::Error, 1, b"again");
        drop((logs, writer));
        let mut text = String::new();
        File::from(OwnedFd::from(reader)).read_to_string(&mut text).unwrap();
        assert!(text.contains(&format!("{lost} lines are lost.")) && text.ends_with("again\n"), "{text}");
    }

    #[test]
    fn a_closed_descriptor_is_named() {
        let complaint = Logs::default().open(&LogTarget::Descriptor(1_000_000, Level::Info)).unwrap_err();
        assert!(complaint.contains("1000000"), "{complaint}");
    }
}
