//! One line of a log, as httpd's default `ErrorLogFormat` has it, so that the lines of all processes look alike.

#![forbid(unsafe_code)]

use std::fmt::Display;

use oxwsgi_core::os::LocalTime;
use oxwsgi_core::report::Level;

/// Calls `emit` with each whole line that `text` makes: more than one when it is longer than `longest` bytes.
pub fn format(
    time: Option<LocalTime>,
    level: Level,
    pid: u32,
    text: &[u8],
    longest: usize,
    mut emit: impl FnMut(&[u8]),
) {
    // A process's messages come from its first thread, whose number is the process's.
    let head = format!("{}[wsgi:{}] [pid {pid}:tid {pid}] ", Stamp(time), name(level));
    let mut line = Vec::with_capacity(head.len() + text.len() + 1);
    line.extend_from_slice(head.as_bytes());
    for byte in text {
        let escaped = Escaped::new(*byte);
        if line.len() + escaped.bytes().len() + 1 > longest {
            line.push(b'\n');
            emit(&line);
            line.truncate(head.len());
        }
        line.extend_from_slice(escaped.bytes());
    }
    line.push(b'\n');
    emit(&line);
}

/// httpd's names of levels.
const fn name(level: Level) -> &'static str {
    match level {
        Level::Emergency => "emerg",
        Level::Alert => "alert",
        Level::Critical => "crit",
        Level::Error => "error",
        Level::Warning => "warn",
        Level::Notice => "notice",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace1",
    }
}

struct Stamp(Option<LocalTime>);

impl Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |time| write!(f, "[{time}] "))
    }
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
    use super::*;

    fn lines(text: &[u8], longest: usize) -> Vec<String> {
        let mut lines = Vec::new();
        format(None, Level::Warning, 7, text, longest, |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        });
        lines
    }

    #[test]
    fn a_line_looks_like_one_of_httpd() {
        assert_eq!(lines(b"Hi \"you\"", 100), ["[wsgi:warn] [pid 7:tid 7] Hi \"you\"\n"]);
        let mut with_time = Vec::new();
        format(Some(LocalTime::now()), Level::Error, 7, b"x", 100, |line| with_time = line.to_vec());
        assert!(with_time.starts_with(b"[") && with_time.ends_with(b"] [wsgi:error] [pid 7:tid 7] x\n"));
    }

    #[test]
    fn nothing_in_a_text_can_end_its_line_or_colour_the_terminal() {
        assert_eq!(
            lines("a\n[fake]\r\t\u{1b}[1m\\ \0é".as_bytes(), 100),
            ["[wsgi:warn] [pid 7:tid 7] a\\n[fake]\\r\\t\\x1b[1m\\\\ \\x00\\xc3\\xa9\n"]
        );
    }

    #[test]
    fn a_long_text_makes_several_lines_of_bounded_length() {
        let head = "[wsgi:warn] [pid 7:tid 7] ";
        let lines = lines(b"aaaaaaaaa\nbb\n", head.len() + 11);
        assert_eq!(lines, ["aaaaaaaaa", "\\nbb\\n"].map(|text| format!("{head}{text}\n")));
    }
}
