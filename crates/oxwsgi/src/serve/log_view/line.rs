//! One line of a server's access or error log. The servers' rooms take them apart.

#![forbid(unsafe_code)]

use crate::serve::log_view::READY_AGENT;

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
    /// What the client calls itself.
    pub agent: String,
}

impl AccessLine {
    /// Whether nobody but the server and this command asked.
    pub fn is_internal(&self) -> bool {
        self.agent == READY_AGENT || self.agent.ends_with("(internal dummy connection)")
    }
}

/// A line of the error log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLine {
    /// Local time, `09:15:02`.
    pub time: String,
    /// The server's word for the severity: `error`, `warn`, `notice`.
    pub level: String,
    /// What wrote it: a module of httpd without `_module`, such as `core`; `nginx`; or `wsgi`.
    pub module: String,
    /// The process that wrote it.
    pub pid: u32,
    /// What tells its writer from others in that process: httpd's name of a thread, nginx's of a connection.
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
    pub is_marked: bool,
}

impl ErrorLine {
    /// A line without client and cause; `text` still has its number and the prefixes, and is readable.
    pub fn of_parts(time: &str, level: &str, module: &str, pid: u32, thread: String, text: &str) -> Self {
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
            message: message.to_owned(),
            is_marked: message.len() < text.len(),
        }
    }

    /// Whether the application itself wrote it, to `sys.stderr` or `wsgi.errors`: the module's own messages are marked.
    pub fn is_output(&self) -> bool {
        self.module == "wsgi" && !self.is_marked && !self.is_end_of_process()
    }

    /// Whether it tells how a process of the application or of nginx has ended, or that it is ended now.
    pub fn is_end_of_process(&self) -> bool {
        let message = self.message.as_str();
        (message.starts_with("Process '") && message.contains(" has died;"))
            || message.starts_with("Shutdown timeout expired; aborting daemon process '")
            || (message.starts_with("worker process ") && message.contains(" exited on signal "))
    }

    /// Whether it only says that the server started, stopped or restarted, which the command says itself. The end of a child
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
