//! One line of a log, in the format of its server, so that the lines of all processes look alike.

#![forbid(unsafe_code)]

use std::fmt::Display;

use oxwsgi_core::daemon::SyslogServer;
use oxwsgi_core::os::LocalTime;
use oxwsgi_core::report::Level;

/// The format of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// httpd's default `ErrorLogFormat`.
    Httpd,
    /// The same without the time, which the system's log adds.
    HttpdUntimed,
    /// nginx's.
    Nginx,
    /// nginx's, as a message to a server of the system's log (RFC 3164, 4.1). No line feed ends it.
    NginxSyslog(SyslogServer),
}

/// Calls `emit` with each whole line that `text` makes: more than one when it is longer than `longest` bytes.
pub fn format(
    format: &Format,
    level: Level,
    pid: u32,
    text: &[u8],
    longest: usize,
    mut emit: impl FnMut(&[u8]),
) {
    let mut line = format.head(level, pid);
    let head = line.len();
    let end: &[u8] = if matches!(format, Format::NginxSyslog(_)) { b"" } else { b"\n" };
    format.escape(text, |piece| {
        if line.len() + piece.len() + end.len() > longest && line.len() > head {
            line.extend_from_slice(end);
            emit(&line);
            line.truncate(head);
        }
        line.extend_from_slice(piece);
    });
    line.extend_from_slice(end);
    emit(&line);
}

impl Format {
    /// What a line begins with.
    fn head(&self, level: Level, pid: u32) -> Vec<u8> {
        let now = LocalTime::now();
        match self {
            Self::Httpd => Self::httpd_head(format_args!("[{now}] "), level, pid),
            Self::HttpdUntimed => Self::httpd_head(format_args!(""), level, pid),
            Self::Nginx => Self::nginx_head(now, level, pid).into_bytes(),
            Self::NginxSyslog(server) => {
                let priority = u32::from(server.facility) * 8 + severity(level);
                let mut head = format!("<{priority}>{} ", now.by_month()).into_bytes();
                if let Some(hostname) = &server.hostname {
                    head.extend_from_slice(hostname);
                    head.push(b' ');
                }
                head.extend_from_slice(&server.tag);
                head.extend_from_slice(b": ");
                head.extend_from_slice(Self::nginx_head(now, level, pid).as_bytes());
                head
            }
        }
    }

    fn httpd_head(stamp: impl Display, level: Level, pid: u32) -> Vec<u8> {
        let name = match level {
            Level::Emergency => "emerg",
            Level::Alert => "alert",
            Level::Critical => "crit",
            Level::Error => "error",
            Level::Warning => "warn",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace1",
        };
        // A process's messages come from its first thread, whose number is the process's.
        format!("{stamp}[wsgi:{name}] [pid {pid}:tid {pid}] ").into_bytes()
    }

    fn nginx_head(now: LocalTime, level: Level, pid: u32) -> String {
        let name =
            ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"][severity(level) as usize];
        format!("{} [{name}] {pid}#{pid}: ", now.by_year())
    }

    /// Calls `emit` with the text, piece by piece, so that nothing in it can end its line or colour a terminal.
    fn escape(&self, text: &[u8], mut emit: impl FnMut(&[u8])) {
        match self {
            Self::Httpd | Self::HttpdUntimed => {
                text.iter().for_each(|byte| emit(Escaped::new(*byte).bytes()));
            }
            // nginx writes texts as they are, so what can be read stays, tabs included.
            Self::Nginx | Self::NginxSyslog(_) => {
                for chunk in text.utf8_chunks() {
                    for character in chunk.valid().chars() {
                        let mut bytes = [0; 4];
                        let bytes = character.encode_utf8(&mut bytes).as_bytes();
                        if character.is_control() && character != '\t' {
                            bytes.iter().for_each(|byte| emit(Escaped::new(*byte).bytes()));
                        } else {
                            emit(bytes);
                        }
                    }
                    chunk.invalid().iter().for_each(|byte| emit(Escaped::new(*byte).bytes()));
                }
            }
        }
    }
}

/// As the system's log has it, from 0 to 7.
fn severity(level: Level) -> u32 {
    level.min(Level::Debug) as u32
}

/// A byte as httpd shows it in its error log (`ap_escape_errorlog_item`): printable ASCII as it is, but the backslash.
struct Escaped {
    bytes: [u8; 4],
    length: usize,
}

impl Escaped {
    fn new(byte: u8) -> Self {
        let short = |letter| Self { bytes: [b'\\', letter, 0, 0], length: 2 };
        let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
        match byte {
            b'\\' => short(b'\\'),
            0x08 => short(b'b'),
            b'\n' => short(b'n'),
            b'\r' => short(b'r'),
            b'\t' => short(b't'),
            0x0b => short(b'v'),
            b' '..=b'~' => Self { bytes: [byte, 0, 0, 0], length: 1 },
            _ => Self { bytes: [b'\\', b'x', digit(byte >> 4), digit(byte & 15)], length: 4 },
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use oxwsgi_core::daemon::SyslogAddress;

    use super::*;

    fn lines_as(as_: &Format, text: &[u8], longest: usize) -> Vec<String> {
        let mut lines = Vec::new();
        format(as_, Level::Warning, 7, text, longest, |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        });
        lines
    }

    fn lines(text: &[u8], longest: usize) -> Vec<String> {
        lines_as(&Format::HttpdUntimed, text, longest)
    }

    /// Digits of dates and times become 0.
    fn shape(text: &str) -> String {
        text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
    }

    #[test]
    fn a_line_looks_like_one_of_httpd() {
        assert_eq!(lines(b"Hi \"you\"", 100), ["[wsgi:warn] [pid 7:tid 7] Hi \"you\"\n"]);
        let with_time = &lines_as(&Format::Httpd, b"x", 100)[0];
        assert!(with_time.starts_with('[') && with_time.ends_with("] [wsgi:warn] [pid 7:tid 7] x\n"));
    }

    #[test]
    fn a_line_looks_like_one_of_nginx() {
        let line = &lines_as(&Format::Nginx, "caf\u{e9} a\\b".as_bytes(), 100)[0];
        assert_eq!(shape(line), "0000/00/00 00:00:00 [warn] 0#0: caf\u{e9} a\\b\n");
        let mut trace = Vec::new();
        format(&Format::Nginx, Level::Trace, 7, b"x", 100, |line| trace = line.to_vec());
        assert!(trace.ends_with(b" [debug] 7#7: x\n"));
    }

    #[test]
    fn a_message_looks_like_one_of_nginx() {
        let mut server = SyslogServer {
            address: SyslogAddress::Unix(b"/dev/log".to_vec()),
            facility: 23,
            tag: b"nginx".to_vec(),
            hostname: Some(b"box".to_vec()),
        };
        let message =
            |server: &SyslogServer| lines_as(&Format::NginxSyslog(server.clone()), b"x", 200).remove(0);
        let whole = message(&server);
        let (head, rest) = whole.split_once(" box nginx: ").unwrap();
        assert!(head.starts_with("<188>") && head.len() == "<188>Nov 21 15:00:00".len(), "{head}");
        assert_eq!(shape(rest), "0000/00/00 00:00:00 [warn] 0#0: x");
        server.hostname = None;
        assert!(message(&server)["<188>Nov 21 15:00:00".len()..].starts_with(" nginx: "));
    }

    #[test]
    fn nothing_in_a_text_can_end_its_line_or_colour_the_terminal() {
        let text = "a\n[fake]\r\t\u{1b}[1m\\ \0é".as_bytes();
        assert_eq!(
            lines(text, 100),
            ["[wsgi:warn] [pid 7:tid 7] a\\n[fake]\\r\\t\\x1b[1m\\\\ \\x00\\xc3\\xa9\n"]
        );
        let text = [text, "\u{9b}1m".as_bytes(), b"\xff"].concat();
        let line = &lines_as(&Format::Nginx, &text, 100)[0];
        assert!(line.ends_with(": a\\n[fake]\\r\t\\x1b[1m\\ \\x00é\\xc2\\x9b1m\\xff\n"), "{line}");
    }

    #[test]
    fn a_long_text_makes_several_lines_of_bounded_length() {
        let head = "[wsgi:warn] [pid 7:tid 7] ";
        let lines = lines(b"aaaaaaaaa\nbb\n", head.len() + 11);
        assert_eq!(lines, ["aaaaaaaaa", "\\nbb\\n"].map(|text| format!("{head}{text}\n")));
    }
}
