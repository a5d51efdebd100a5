//! httpd's two logs, which the configuration has it write in a form that is easy to take apart.

#![forbid(unsafe_code)]

use crate::serve::log_view::{AccessLine, ErrorLine, readable};

/// For `LogFormat`: local time, client, status, body bytes, microseconds, request line, user agent.
pub const ACCESS_FORMAT: &str = r"oxwsgi-access\t%{%H:%M:%S}t\t%a\t%>s\t%B\t%D\t%r\t%{User-Agent}i";

/// For `ErrorLogFormat`: local time, level, module, process, thread, client, system error, message.
pub const ERROR_FORMAT: &str = r"oxwsgi-error\t%{c}t\t%l\t%-m\t%P\t%-T\t%-a\t%-E\t%M";

/// Takes a line of the access log apart; `None` when it is not one of httpd's, but of a program that shares its output.
pub fn access(line: &str) -> Option<AccessLine> {
    let mut fields = line.strip_prefix("oxwsgi-access\t")?.splitn(7, '\t');
    let mut next = || fields.next();
    Some(AccessLine {
        time: next()?.to_owned(),
        client: next()?.to_owned(),
        status: next()?.parse().ok()?,
        bytes: next()?.parse().ok()?,
        micros: next()?.parse().ok()?,
        request: readable(next()?),
        agent: next()?.to_owned(),
    })
}

/// Takes a line of the error log apart; `None` when it is not one of httpd's log: its start-up errors, and what programs
/// write to the standard error they inherit.
pub fn error(line: &str) -> Option<ErrorLine> {
    of_httpd(line).or_else(|| of_daemon(line))
}

/// In [`ERROR_FORMAT`].
fn of_httpd(line: &str) -> Option<ErrorLine> {
    let mut fields = line.strip_prefix("oxwsgi-error\t")?.splitn(8, '\t');
    let mut next = || fields.next();
    let given = |field: &str| (field != "-").then(|| field.to_owned());
    let (time, level, module) = (next()?, next()?, next()?);
    let (pid, thread) = (next()?.parse().ok()?, next()?.to_owned());
    let (client, cause) = (given(next()?), given(next()?));
    let text = readable(next()?);
    Some(ErrorLine { client, cause, ..ErrorLine::of_parts(time, level, module, pid, thread, &text) })
}

/// In httpd's default format, in which daemon processes log what belongs to no request:
/// `[Sat Nov 21 11:46:35.123456 2026] [wsgi:error] [pid 12:tid 34] text`. httpd itself has no such lines here but
/// before its start, and these are left alone.
fn of_daemon(line: &str) -> Option<ErrorLine> {
    let (date, rest) = line.strip_prefix('[')?.split_once("] [wsgi:")?;
    let (level, rest) = rest.split_once("] [pid ")?;
    let (writer, text) = rest.split_once("] ").or_else(|| Some((rest.strip_suffix(']')?, "")))?;
    let (pid, thread) = writer.split_once(":tid ").unwrap_or((writer, writer));
    let time = date.split(' ').find(|word| word.contains(':'))?;
    let seconds = time.split('.').next().unwrap_or(time);
    let text = readable(text);
    Some(ErrorLine::of_parts(seconds, level, "wsgi", pid.parse().ok()?, thread.to_owned(), &text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::log_view::READY_AGENT;

    #[test]
    fn an_access_line_is_taken_apart() {
        let line = "oxwsgi-access\t09:09:22\t127.0.0.1\t500\t571\t1263\tGET /\\xc3\\xa9?q=\\\" HTTP/1.1\tcurl/7.88.1";
        let found = access(line).expect("an access line");
        assert_eq!((found.status, found.bytes, found.micros), (500, 571, 1263));
        assert_eq!(found.request, "GET /é?q=\" HTTP/1.1");
        assert!(!found.is_internal());
        assert_eq!(access("printed by a program"), None);
    }

    #[test]
    fn the_ready_request_is_internal() {
        let line =
            format!("oxwsgi-access\t09:09:22\t127.0.0.1\t200\t0\t9\tOPTIONS * HTTP/1.1\t{READY_AGENT}");
        assert!(access(&line).expect("an access line").is_internal());
    }

    #[test]
    fn an_error_line_loses_its_prefixes() {
        let line = "oxwsgi-error\t2026-11-21 09:09:20\terror\tcore\t167\t139\t127.0.0.1:60404\t(13)Permission denied\t\
            AH00035: access to / denied";
        let found = error(line).expect("an error line");
        assert_eq!((found.time.as_str(), found.pid, found.thread.as_str()), ("09:09:20", 167, "139"));
        assert_eq!(found.number.as_deref(), Some("AH00035"));
        assert_eq!(found.cause.as_deref(), Some("(13)Permission denied"));
        assert_eq!(found.message, "access to / denied");
        assert!(!found.is_output() && !found.is_noise());
        assert_eq!(error("AH00526: Syntax error on line 3"), None);
    }

    #[test]
    fn a_line_of_a_daemon_process_is_in_the_default_format() {
        let line =
            "[Sat Nov 21 11:46:35.123456 2026] [wsgi:error] [pid 12:tid 34] WSGI0174: ValueError raised";
        let found = error(line).expect("an error line");
        assert_eq!((found.time.as_str(), found.pid, found.thread.as_str()), ("11:46:35", 12, "34"));
        assert_eq!((found.module.as_str(), found.level.as_str()), ("wsgi", "error"));
        assert_eq!(
            (found.number.as_deref(), found.message.as_str()),
            (Some("WSGI0174"), "ValueError raised")
        );
        let empty = error("[Sat Nov 21 11:46:35.123456 2026] [wsgi:error] [pid 12:tid 34] ");
        assert!(empty.expect("an error line").is_output());
        let of_httpd = "[Sat Nov 21 11:46:35.123456 2026] [core:error] [pid 12:tid 34] AH00102: no";
        assert_eq!(error(of_httpd), None);
        assert_eq!(error("[x] [wsgi:error] [pid 12] y"), None);
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
        error(&format!("oxwsgi-error\t2026-11-21 09:09:20\t{level}\t{module}\t1\t2\t-\t-\t{text}"))
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
