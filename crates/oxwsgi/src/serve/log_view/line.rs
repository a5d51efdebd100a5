//! One line of httpd's access or error log, taken apart into its fields.

#![forbid(unsafe_code)]

use crate::serve::log_view::READY_AGENT;
use crate::serve::log_view::text::readable;

/// A finished request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLine {
    /// Local time, `09:15:02`.
    pub time: String,
    /// Client address.
    pub client: String,
    /// Status of the final response.
    pub status: u16,
    /// Bytes of the body.
    pub bytes: u64,
    /// Microseconds from the request's first byte to the response's last.
    pub micros: u64,
    /// `GET /path HTTP/1.1`, readable.
    pub request: String,
    agent: String,
}

impl AccessLine {
    /// Takes a line apart; `None` when it is not one of httpd's, but of a program that shares its output.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.strip_prefix("oxwsgi-access\t")?.splitn(7, '\t');
        let mut next = || fields.next();
        Some(Self {
            time: next()?.to_owned(),
            client: next()?.to_owned(),
            status: next()?.parse().ok()?,
            bytes: next()?.parse().ok()?,
            micros: next()?.parse().ok()?,
            request: readable(next()?),
            agent: next()?.to_owned(),
        })
    }

    /// Whether nobody but httpd and this command asked.
    pub fn is_internal(&self) -> bool {
        self.agent == READY_AGENT || self.agent.ends_with("(internal dummy connection)")
    }
}

/// A line of the error log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLine {
    /// Local time, `09:15:02`.
    pub time: String,
    /// httpd's word for the severity: `error`, `warn`, `notice`.
    pub level: String,
    /// The httpd module that wrote it, without `_module`: `core`, `wsgi`.
    pub module: String,
    /// The process that wrote it.
    pub pid: u32,
    /// httpd's name of the thread that wrote it.
    pub thread: String,
    /// Client address and port, when the line belongs to a connection.
    pub client: Option<String>,
    /// httpd's number, such as `AH00484`, and ours, such as `WSGI0174`.
    pub number: Option<String>,
    /// The system's error, `(13)Permission denied`.
    pub cause: Option<String>,
    /// The message without number and prefixes, readable.
    pub message: String,
    /// Whether it has one of those numbers or prefixes, which only programs give their messages.
    is_marked: bool,
}

impl ErrorLine {
    /// Takes a line apart; `None` when it is not one of httpd's log: its start-up errors, and what programs write to
    /// the standard error they inherit.
    pub fn parse(line: &str) -> Option<Self> {
        Self::of_httpd(line).or_else(|| Self::of_daemon(line))
    }

    /// In [`ERROR_FORMAT`](super::ERROR_FORMAT).
    fn of_httpd(line: &str) -> Option<Self> {
        let mut fields = line.strip_prefix("oxwsgi-error\t")?.splitn(8, '\t');
        let mut next = || fields.next();
        let given = |field: &str| (field != "-").then(|| field.to_owned());
        let (time, level, module) = (next()?, next()?, next()?);
        let (pid, thread) = (next()?.parse().ok()?, next()?.to_owned());
        let (client, cause) = (given(next()?), given(next()?));
        let text = next()?;
        Some(Self { client, cause, ..Self::of_parts(time, level, module, pid, thread, text) })
    }

    /// In httpd's default format, in which daemon processes log what belongs to no request:
    /// `[Sat Nov 21 11:46:35.123456 2026] [wsgi:error] [pid 12:tid 34] text`. httpd itself has no such lines here but
    /// before its start, and these are left alone.
    fn of_daemon(line: &str) -> Option<Self> {
        let (date, rest) = line.strip_prefix('[')?.split_once("] [wsgi:")?;
        let (level, rest) = rest.split_once("] [pid ")?;
        let (writer, text) = rest.split_once("] ").or_else(|| Some((rest.strip_suffix(']')?, "")))?;
        let (pid, thread) = writer.split_once(":tid ").unwrap_or((writer, writer));
        let time = date.split(' ').find(|word| word.contains(':'))?;
        let seconds = time.split('.').next().unwrap_or(time);
        Some(Self::of_parts(seconds, level, "wsgi", pid.parse().ok()?, thread.to_owned(), text))
    }

    fn of_parts(time: &str, level: &str, module: &str, pid: u32, thread: String, text: &str) -> Self {
        let unprefixed = without_process(text);
        let (number, message) = split_number(unprefixed);
        Self {
            time: time.rsplit(' ').next().unwrap_or(time).to_owned(),
            level: level.to_owned(),
            module: module.to_owned(),
            pid,
            thread,
            client: None,
            number: number.map(str::to_owned),
            cause: None,
            message: readable(message),
            is_marked: message.len() < text.len(),
        }
    }

    /// Whether the application itself wrote it, to `sys.stderr` or `wsgi.errors`: the module's own messages are marked.
    pub fn is_output(&self) -> bool {
        self.module == "wsgi" && !self.is_marked && !self.is_end_of_process()
    }

    /// Whether it tells how a daemon process has ended, or that it is ended now.
    pub fn is_end_of_process(&self) -> bool {
        let message = self.message.as_str();
        (message.starts_with("Process '") && message.contains(" has died;"))
            || message.starts_with("Shutdown timeout expired; aborting daemon process '")
    }

    /// Whether it only says that httpd started, stopped or restarted, which the command says itself. The end of a child
    /// process is a notice too (AH00051, AH00052), and no noise.
    pub fn is_noise(&self) -> bool {
        let level = self.level.as_str();
        let quiet = matches!(level, "notice" | "info" | "debug") || level.starts_with("trace");
        quiet && !self.is_output() && !matches!(self.number.as_deref(), Some("AH00051" | "AH00052"))
    }
}

/// mod_wsgi before version 6 begins its messages with `mod_wsgi (pid=12): ` and gives them no number.
fn without_process(message: &str) -> &str {
    let Some((pid, rest)) = message.strip_prefix("mod_wsgi (pid=").and_then(|rest| rest.split_once("): "))
    else {
        return message;
    };
    if pid.bytes().all(|byte| byte.is_ascii_digit()) { rest } else { message }
}

/// `AH00484: text` and `WSGI0174: text`, apart.
fn split_number(message: &str) -> (Option<&str>, &str) {
    let Some((number, text)) = message.split_once(": ") else { return (None, message) };
    let digits = number.strip_prefix("AH").or_else(|| number.strip_prefix("WSGI")).unwrap_or_default();
    if digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        (Some(number), text)
    } else {
        (None, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_line_is_taken_apart() {
        let line = "oxwsgi-access\t09:09:22\t127.0.0.1\t500\t571\t1263\tGET /\\xc3\\xa9?q=\\\" HTTP/1.1\tcurl/7.88.1";
        let access = AccessLine::parse(line).expect("an access line");
        assert_eq!((access.status, access.bytes, access.micros), (500, 571, 1263));
        assert_eq!(access.request, "GET /é?q=\" HTTP/1.1");
        assert!(!access.is_internal());
        assert_eq!(AccessLine::parse("printed by a program"), None);
    }

    #[test]
    fn the_ready_request_is_internal() {
        let line =
            format!("oxwsgi-access\t09:09:22\t127.0.0.1\t200\t0\t9\tOPTIONS * HTTP/1.1\t{READY_AGENT}");
        assert!(AccessLine::parse(&line).expect("an access line").is_internal());
    }

    #[test]
    fn an_error_line_loses_its_prefixes() {
        let line = "oxwsgi-error\t2026-11-21 09:09:20\terror\tcore\t167\t139\t127.0.0.1:60404\t(13)Permission denied\t\
            AH00035: access to / denied";
        let error = ErrorLine::parse(line).expect("an error line");
        assert_eq!((error.time.as_str(), error.pid, error.thread.as_str()), ("09:09:20", 167, "139"));
        assert_eq!(error.number.as_deref(), Some("AH00035"));
        assert_eq!(error.cause.as_deref(), Some("(13)Permission denied"));
        assert_eq!(error.message, "access to / denied");
        assert!(!error.is_output() && !error.is_noise());
        assert_eq!(ErrorLine::parse("AH00526: Syntax error on line 3"), None);
    }

    #[test]
    fn a_line_of_a_daemon_process_is_in_the_default_format() {
        let line =
            "[Sat Nov 21 11:46:35.123456 2026] [wsgi:error] [pid 12:tid 34] WSGI0174: ValueError raised";
        let error = ErrorLine::parse(line).expect("an error line");
        assert_eq!((error.time.as_str(), error.pid, error.thread.as_str()), ("11:46:35", 12, "34"));
        assert_eq!((error.module.as_str(), error.level.as_str()), ("wsgi", "error"));
        assert_eq!(
            (error.number.as_deref(), error.message.as_str()),
            (Some("WSGI0174"), "ValueError raised")
        );
        let empty = ErrorLine::parse("[Sat Nov 21 11:46:35.123456 2026] [wsgi:error] [pid 12:tid 34] ");
        assert!(empty.expect("an error line").is_output());
        let of_httpd = "[Sat Nov 21 11:46:35.123456 2026] [core:error] [pid 12:tid 34] AH00102: no";
        assert_eq!(ErrorLine::parse(of_httpd), None);
        assert_eq!(ErrorLine::parse("[x] [wsgi:error] [pid 12] y"), None);
    }

    #[test]
    fn the_end_of_a_process_is_no_output() {
        let text = "Process 'shop' (pid=12) has died; signal 9 (SIGKILL), restarting it.";
        let numbered = message("wsgi", "error", &format!("WSGI1202: {text}"));
        assert!(numbered.is_end_of_process() && !numbered.is_noise());
        let expected = message("wsgi", "info", text);
        assert!(expected.is_end_of_process() && !expected.is_output() && expected.is_noise());
        assert!(!message("wsgi", "error", "Process 'shop' is my own").is_end_of_process());
    }

    fn message(module: &str, level: &str, text: &str) -> ErrorLine {
        ErrorLine::parse(&format!("oxwsgi-error\t2026-11-21 09:09:20\t{level}\t{module}\t1\t2\t-\t-\t{text}"))
            .expect("an error line")
    }

    #[test]
    fn output_messages_and_noise_are_told_apart() {
        let printed = message("wsgi", "error", "Ready: steady");
        assert!(printed.is_output());
        let numbered = message("wsgi", "error", "WSGI0174: ValueError exception raised");
        assert_eq!((numbered.is_output(), numbered.message.as_str()), (false, "ValueError exception raised"));
        let started =
            message("mpm_event", "notice", "AH00489: Apache/2.4 configured -- resuming normal operations");
        assert!(started.is_noise());
        let crashed = message("core", "notice", "AH00052: child pid 7 exit signal Segmentation fault (11)");
        assert!(!crashed.is_noise());
    }

    #[test]
    fn the_process_prefix_of_old_modules_goes() {
        let line = message("wsgi", "error", "mod_wsgi (pid=16725): Failed to exec");
        assert_eq!((line.is_output(), line.message.as_str()), (false, "Failed to exec"));
        assert_eq!(message("wsgi", "error", "mod_wsgi (pid=x): kept").message, "mod_wsgi (pid=x): kept");
    }
}
