//! The terminal: what the application and the access log say, and the few lines of the command itself.
//!
//! Standard output gets requests and the command's own lines, standard error gets what goes wrong and what the
//! application prints. Colours go to terminals only, and not where `NO_COLOR` is set.

#![forbid(unsafe_code)]

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// The command's own lines stand out from the application's.
const OWN: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green))).bold();

/// Where everything is written.
#[derive(Debug, Default)]
pub struct Terminal {
    /// Nobody reads any more: the other side of a pipe has gone.
    pub closed: bool,
}

impl Terminal {
    /// A line of the command itself; `emphasis` is its coloured beginning.
    pub fn say(&mut self, emphasis: &str, text: &str) {
        self.out(&format!("{OWN}{emphasis}{OWN:#}{text}"));
    }

    /// A line for standard output.
    pub fn out(&mut self, text: &str) {
        let mut stream = anstream::stdout().lock();
        self.note(writeln!(stream, "{text}").and_then(|()| stream.flush()));
    }

    /// Lines for standard error.
    pub fn err(&mut self, text: &str) {
        let mut stream = anstream::stderr().lock();
        self.note(writeln!(stream, "{text}").and_then(|()| stream.flush()));
    }

    fn note(&mut self, written: io::Result<()>) {
        self.closed |= written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    }
}
