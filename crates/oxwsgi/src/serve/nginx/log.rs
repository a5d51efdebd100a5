//! nginx's two logs. The access log is in our own form; the error log has nginx's only form, in which lines of the
//! application look like its own, so a reader keeps in mind which processes are nginx's.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::net::IpAddr;

use crate::serve::log_view::{AccessLine, ErrorLine, printable, readable};

/// For `log_format`: local time, client, status, body bytes, seconds, request line, user agent.
pub const ACCESS_FORMAT: &str = r"oxwsgi-access\t$time_iso8601\t$remote_addr\t$status\t$body_bytes_sent\t$request_time\t$request\t$http_user_agent";

/// Level of what the application says about a request (`wsgi_error_log_level`): at this one nginx itself says nothing of
/// requests, which tells them apart.
pub const APPLICATION_LEVEL: &str = "notice";

/// Takes a line of the access log apart; `None` when it is not one of nginx's.
pub fn access(line: &str) -> Option<AccessLine> {
    let mut fields = line.strip_prefix("oxwsgi-access\t")?.splitn(7, '\t');
    let mut next = || fields.next();
    Some(AccessLine {
        // 2026-11-21T09:09:22+01:00
        time: next()?.split_once('T')?.1.get(..8)?.to_owned(),
        client: next()?.to_owned(),
        status: next()?.parse().ok()?,
        bytes: next()?.parse().ok()?,
        micros: micros(next()?)?,
        request: readable(next()?),
        agent: next()?.to_owned(),
    })
}

/// From seconds with three digits behind the point.
fn micros(seconds: &str) -> Option<u64> {
    let (whole, millis) = seconds.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 1_000_000 + millis.parse::<u64>().ok()? * 1000)
}

/// Reads the error log.
#[derive(Debug, Default)]
pub struct Reader {
    /// nginx's processes as far as they have said something that only nginx says.
    own: HashSet<u32>,
}

impl Reader {
    /// Takes a line apart; `None` when it is not one of nginx's log, such as what programs write to the standard error
    /// they inherit.
    pub fn error(&mut self, line: &str) -> Option<ErrorLine> {
        // As it is before the log is open.
        if let Some((level, text)) = line.strip_prefix("nginx: [").and_then(|rest| rest.split_once("] ")) {
            return Some(ErrorLine::of_parts("", level, "nginx", 0, String::new(), &printable(text)));
        }
        // 2026/11/21 09:09:20 [error] 12#34: *5 text, client: 127.0.0.1, ...
        let (time, rest) = line.split_once(" [")?;
        let (date, clock) = time.split_once(' ')?;
        let is_time = |text: &str, mark: char| {
            text.split(mark).count() == 3 && text.chars().all(|c| c.is_ascii_digit() || c == mark)
        };
        if !is_time(date, '/') || !is_time(clock, ':') {
            return None;
        }
        let (level, rest) = rest.split_once("] ")?;
        let (writer, text) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, "")))?;
        let (pid, thread) = writer.split_once('#')?;
        let pid = pid.parse().ok()?;
        let connection = text.strip_prefix('*').and_then(|rest| rest.split_once(' '));
        Some(match connection.filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit())) {
            Some((number, text)) => of_connection(clock, level, pid, number, text),
            None => self.of_process(clock, level, pid, thread, text),
        })
    }

    fn of_process(&mut self, time: &str, level: &str, pid: u32, thread: &str, text: &str) -> ErrorLine {
        let line =
            |module, text: &str| ErrorLine::of_parts(time, level, module, pid, thread.to_owned(), text);
        if is_ours(text) {
            return line("wsgi", &readable(text));
        }
        if level == "notice" {
            self.own.insert(pid);
            let child =
                text.strip_prefix("start worker process ").and_then(|child| child.parse::<u32>().ok());
            self.own.extend(child);
        }
        // What the application prints is an error. Its text is as it was but for control characters; of these, colours are
        // wanted.
        match level == "error" && !self.own.contains(&pid) {
            true => line("wsgi", &printable(&coloured(text))),
            false => line("nginx", &printable(text)),
        }
    }
}

/// A line about a request. One process works on many requests on one thread: what belongs together is of one connection.
fn of_connection(time: &str, level: &str, pid: u32, number: &str, text: &str) -> ErrorLine {
    let (text, client) = without_request(text);
    let is_application = level == APPLICATION_LEVEL;
    let level = if is_application { "error" } else { level };
    let module = if is_application || is_ours(text) { "wsgi" } else { "nginx" };
    let line = ErrorLine::of_parts(time, level, module, pid, format!("*{number}"), &printable(text));
    ErrorLine { client: client.map(str::to_owned), ..line }
}

fn is_ours(text: &str) -> bool {
    text.strip_prefix("WSGI")
        .and_then(|rest| rest.split_once(": "))
        .is_some_and(|(digits, _)| digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The text in front of `, client: ADDRESS, server: ...`, which nginx adds to lines of requests, and the address. The first
/// such place counts: what a client sends comes behind it.
fn without_request(text: &str) -> (&str, Option<&str>) {
    const MARK: &str = ", client: ";
    for (at, _) in text.match_indices(MARK) {
        let client = text[at + MARK.len()..].split(", ").next().unwrap_or_default();
        if client.parse::<IpAddr>().is_ok() {
            return (&text[..at], Some(client));
        }
    }
    (text, None)
}

/// `\x1b[1;31m` back to the colour it was.
fn coloured(text: &str) -> String {
    const ESCAPED: &str = "\\x1b[";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(ESCAPED) {
        let end = after.find(|c: char| !(c.is_ascii_digit() || c == ';'));
        let is_colour = end.is_some_and(|end| after[end..].starts_with('m'));
        out.push_str(before);
        out.push_str(if is_colour { "\x1b[" } else { ESCAPED });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> ErrorLine {
        Reader::default().error(line).expect("an error line")
    }

    #[test]
    fn an_access_line_is_taken_apart() {
        let line = "oxwsgi-access\t2026-11-21T09:09:22+01:00\t127.0.0.1\t500\t571\t1.023\tGET /\\xC3\\xA9?q=\\x22 HTTP/1.1\tcurl";
        let found = access(line).expect("an access line");
        assert_eq!((found.time.as_str(), found.status, found.bytes), ("09:09:22", 500, 571));
        assert_eq!((found.micros, found.request.as_str()), (1_023_000, "GET /é?q=\" HTTP/1.1"));
        assert_eq!(access("printed by a program"), None);
    }

    #[test]
    fn a_line_of_a_request_loses_what_nginx_adds() {
        let request = ", client: 127.0.0.1, server: , request: \"GET / HTTP/1.1\", referrer: \"x, client: ::1, server: \"";
        let open = error(&format!("2026/11/21 09:09:20 [error] 12#13: *5 open() \"/x\" failed{request}"));
        assert_eq!((open.time.as_str(), open.pid, open.thread.as_str()), ("09:09:20", 12, "*5"));
        assert_eq!(
            (open.message.as_str(), open.client.as_deref()),
            ("open() \"/x\" failed", Some("127.0.0.1"))
        );
        assert!(!open.is_output() && !open.is_noise());
        let printed =
            error(&format!("2026/11/21 09:09:20 [notice] 12#13: *5 my own, client: of mine{request}"));
        assert_eq!(printed.message, "my own, client: of mine");
        assert!(printed.is_output());
        let numbered =
            error(&format!("2026/11/21 09:09:20 [notice] 12#13: *5 WSGI0174: ValueError{request}"));
        assert_eq!((numbered.number.as_deref(), numbered.level.as_str()), (Some("WSGI0174"), "error"));
        assert!(!numbered.is_output());
    }

    #[test]
    fn lines_of_the_application_are_told_from_those_of_nginx() {
        let mut reader = Reader::default();
        let mut error = |line: &str| reader.error(line).expect("an error line");
        assert!(error("2026/11/21 09:09:20 [error] 7#7: imported \\x1b[31mred\\x1b[0m \\x1b[2J").is_output());
        assert!(error("2026/11/21 09:09:20 [notice] 1#1: start worker process 9").is_noise());
        assert!(!error("2026/11/21 09:09:20 [error] 9#9: its own").is_output());
        assert!(!error("2026/11/21 09:09:20 [error] 1#1: its own").is_output());
        assert!(error("2026/11/21 09:09:20 [error] 7#7:").is_output());
        let ended = error(
            "2026/11/21 09:09:20 [error] 4#4: WSGI1202: Process 'shop' (pid=7) has died; signal 9 (SIGKILL)",
        );
        assert!(ended.is_end_of_process());
        let alert = error("2026/11/21 09:09:20 [alert] 1#1: worker process 9 exited on signal 9");
        assert!(alert.is_end_of_process() && !alert.is_noise());
    }

    #[test]
    fn colours_come_back_and_nothing_else_does() {
        let line = error("2026/11/21 09:09:20 [error] 7#7: \\x1b[31mred\\x1b[0m \\x1b[2J C:\\new");
        assert_eq!(line.message, "\x1b[31mred\x1b[0m \\x1b[2J C:\\new");
        let line = error("2026/11/21 09:09:20 [notice] 7#7: *1 \x1b[2J\x1b]0;x\x07, client: ::1, server: ");
        assert_eq!(line.message, "\\x1b[2J\\x1b]0;x\\x07");
    }

    #[test]
    fn the_first_words_have_no_time() {
        let line = error("nginx: [emerg] unknown directive \"x\" in /tmp/nginx.conf:1");
        assert_eq!(
            (line.level.as_str(), line.message.as_str()),
            ("emerg", "unknown directive \"x\" in /tmp/nginx.conf:1")
        );
        assert_eq!(Reader::default().error("Traceback: [x] 1#1: no"), None);
    }
}
