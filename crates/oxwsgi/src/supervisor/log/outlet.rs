//! One place that a log is written to.
//!
//! One that takes nothing, a pipe to a program that stands still, holds up nobody: its lines are counted and lost.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use oxwsgi_core::daemon::{LogTarget, NginxLog, NginxPlace};
use oxwsgi_core::os::{inherited, syslog};
use oxwsgi_core::report::{Level, Number};
use rustix::fs::{FileType, Mode, OFlags};

use super::line::{self, Format};
use super::pipe::Pipe;
use super::syslog_server::SyslogSocket;

/// httpd's own bound of a line (`MAX_STRING_LEN`), in bytes.
const LONGEST: usize = 8192;
/// What several processes can write to one pipe without mixing (`PIPE_BUF`, `pipe(7)`), and what it takes whole or not at all.
const LONGEST_IN_PIPE: usize = 4096;
/// nginx's own bound of a message to the system's log (`NGX_MAX_ERROR_STR`), in bytes.
const LONGEST_MESSAGE: usize = 2048;

/// One place.
#[derive(Debug)]
pub struct Outlet {
    level: Level,
    format: Format,
    place: Place,
    lost: u64,
}

#[derive(Debug)]
enum Place {
    File(OwnedFd),
    /// A file that may be rotated, and its path, which is looked at before each text: nobody says when.
    Rotated(OwnedFd, PathBuf),
    Pipe(Pipe),
    System(i32),
    Server(SyslogSocket),
}

impl Outlet {
    /// The places of a log.
    ///
    /// # Errors
    /// A descriptor is not open.
    pub fn of(target: &LogTarget) -> Result<Vec<Self>, String> {
        let new = |level, format, place| Self { level, format, place, lost: 0 };
        match target {
            LogTarget::Descriptor(number, level) => {
                Ok(vec![new(*level, Format::Httpd, Place::inherited(*number)?)])
            }
            LogTarget::Syslog(facility, level) => {
                Ok(vec![new(*level, Format::HttpdUntimed, Place::System(*facility))])
            }
            LogTarget::Nginx(logs) => logs
                .iter()
                .map(|NginxLog { level, place }| {
                    Ok(match place {
                        NginxPlace::File(number, path) => {
                            let place = match (Place::inherited(*number)?, path) {
                                (Place::File(file), Some(path)) => {
                                    Place::Rotated(file, OsStr::from_bytes(path).into())
                                }
                                (place, _) => place,
                            };
                            new(*level, Format::Nginx, place)
                        }
                        NginxPlace::Syslog(server) => {
                            let socket = SyslogSocket::new(server.address.clone());
                            new(*level, Format::NginxSyslog(server.clone()), Place::Server(socket))
                        }
                    })
                })
                .collect(),
        }
    }

    /// Whether texts of this level go there.
    pub fn takes(&self, level: Level) -> bool {
        level <= self.level
    }

    /// Writes a text of process `pid`.
    pub fn write(&mut self, level: Level, pid: u32, text: &[u8]) {
        let Self { format, lost, .. } = self;
        match &mut self.place {
            Place::System(facility) => line::format(format, level, pid, text, LONGEST, |line| {
                // The levels of the system's log are httpd's, up to `debug`.
                syslog::write(*facility, (level as u8).min(Level::Debug as u8), line.trim_ascii_end());
            }),
            Place::File(file) => put(file, format, level, pid, text),
            Place::Rotated(file, path) => {
                if let Some(successor) = successor(file, path) {
                    *file = successor;
                }
                put(file, format, level, pid, text);
            }
            Place::Server(socket) => line::format(format, level, pid, text, LONGEST_MESSAGE, |line| {
                // As nginx does, which has no better place to say so.
                let _ = socket.send(line);
            }),
            Place::Pipe(pipe) => {
                if *lost > 0 && pipe.has_room() {
                    let text = format!(
                        "{}: The error log's program stood still; {lost} lines are lost.",
                        Number(1207)
                    );
                    let own = std::process::id();
                    line::format(format, Level::Warning, own, text.as_bytes(), LONGEST_IN_PIPE, |line| {
                        if pipe.put(line) {
                            *lost = 0;
                        }
                    });
                }
                line::format(format, level, pid, text, LONGEST_IN_PIPE, |line| {
                    if !pipe.put(line) {
                        *lost += 1;
                    }
                });
            }
        }
    }

    /// Lines that could not be written, since it was last said how many.
    #[cfg(test)]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Place {
    fn inherited(number: i32) -> Result<Self, String> {
        let descriptor = inherited(number)
            .map_err(|error| format!("descriptor {number} of an error log cannot be used: {error}"))?;
        let status = rustix::fs::fstat(&descriptor);
        Ok(match status.map(|status| FileType::from_raw_mode(status.st_mode)) {
            Ok(kind @ (FileType::Fifo | FileType::Socket | FileType::CharacterDevice)) => {
                Self::Pipe(Pipe::of(descriptor, kind))
            }
            _ => Self::File(descriptor),
        })
    }
}

fn put(file: &OwnedFd, format: &Format, level: Level, pid: u32, text: &[u8]) {
    line::format(format, level, pid, text, LONGEST, |line| {
        // A full disk has no better place to say so.
        let _ = rustix::io::write(file, line);
    });
}

/// The file that has taken the place of `file` at `path`: a regular one that is there already, for whoever may write to the
/// folder must not choose what is made, or where.
fn successor(file: &OwnedFd, path: &std::path::Path) -> Option<OwnedFd> {
    let known = rustix::fs::fstat(file).ok()?;
    let now = rustix::fs::lstat(path).ok()?;
    if (known.st_dev, known.st_ino) == (now.st_dev, now.st_ino)
        || FileType::from_raw_mode(now.st_mode) != FileType::RegularFile
    {
        return None;
    }
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let successor = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let opened = rustix::fs::fstat(&successor).ok()?;
    let is_file = FileType::from_raw_mode(opened.st_mode) == FileType::RegularFile && opened.st_nlink == 1;
    is_file.then_some(successor)
}
