//! Writes log lines for people. Colours are always in the text; the stream they go to removes them where they do not
//! belong (not a terminal, `NO_COLOR`).

#![forbid(unsafe_code)]

use anstyle::{AnsiColor, Style};

use crate::serve::log_view::Capacity;
use crate::serve::log_view::block::Block;
use crate::serve::log_view::line::AccessLine;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

const fn coloured(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(colour)))
}

/// `09:15:02  200  GET /path  1.2 kB  3 ms`, and the client when it is not this machine.
pub fn access(line: &AccessLine) -> String {
    let status = match line.status {
        ..300 => coloured(AnsiColor::Green),
        300..400 => coloured(AnsiColor::Cyan),
        400..500 => coloured(AnsiColor::Yellow),
        500.. => coloured(AnsiColor::Red).bold(),
    };
    let request = line.request.rsplit_once(" HTTP/").map_or(line.request.as_str(), |(request, _)| request);
    let request = request.replace(['\n', '\t'], " ");
    let local = matches!(line.client.as_str(), "127.0.0.1" | "::1");
    let client = if local { String::new() } else { format!("  {}", line.client) };
    format!(
        "{DIM}{}{DIM:#}  {status}{}{status:#}  {request}  {DIM}{}  {}{client}{DIM:#}",
        line.time,
        line.status,
        size(line.bytes),
        duration(line.micros)
    )
}

/// What the application printed, as it is; a message of httpd or its module with time and level; a traceback with its
/// exception in colour. Several lines, without the last line break.
pub fn block(block: &Block, capacity: Capacity) -> String {
    let mut lines: Vec<String> = Vec::with_capacity(block.more.len() + 1);
    let exception = block.exception();
    let mut body = block.messages();
    if !block.first.is_output() {
        lines.push(headline(block, capacity));
        body.next();
    }
    let error = coloured(AnsiColor::Red).bold();
    lines.extend(body.map(|message| match exception {
        Some(exception) if message == exception => format!("{error}{message}{error:#}"),
        _ => message.to_owned(),
    }));
    lines.join("\n")
}

fn headline(block: &Block, capacity: Capacity) -> String {
    let line = &block.first;
    let (word, style) = match line.level.as_str() {
        "emerg" | "alert" | "crit" => ("critical", coloured(AnsiColor::Red).bold()),
        "error" => ("error", coloured(AnsiColor::Red).bold()),
        "warn" => ("warning", coloured(AnsiColor::Yellow).bold()),
        other => (other, BOLD),
    };
    let message = match line.number.as_deref() {
        // "server reached MaxRequestWorkers setting", for event, prefork and worker: nobody here has set that.
        Some("AH00484" | "AH00161" | "AH00286") => {
            let more =
                if capacity.is_embedded { "--threads gives" } else { "--processes and --threads give" };
            format!("all threads are busy ({capacity}), and requests wait; {more} more")
        }
        _ => line.message.replace('\n', "\n    "),
    };
    let cause = line.cause.as_ref().map(|cause| format!("{cause}: ")).unwrap_or_default();
    let number = line.number.as_ref().map(|number| format!("  {DIM}{number}{DIM:#}")).unwrap_or_default();
    format!("{DIM}{}{DIM:#}  {style}{word}{style:#}  {cause}{message}{number}", line.time)
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1000.0, 0);
    while value >= 999.95 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    format!("{value:.1} {}", UNITS[unit])
}

fn duration(micros: u64) -> String {
    match micros {
        // nginx counts milliseconds.
        0 => "<1 ms".to_owned(),
        1..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::serve::httpd;
    use crate::serve::log_view::block::{Blocks, Piece};

    const CAPACITY: Capacity = Capacity { processes: 2, threads: 8, is_embedded: false };

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn shown(lines: &[&str]) -> String {
        let mut blocks = Blocks::default();
        for line in lines {
            let line = format!("oxwsgi-error\t2026-11-21 09:09:20\t{line}");
            blocks.add(httpd::log::error(&line).expect("an error line"), Instant::now());
        }
        let painted = blocks.rest().into_iter().map(|piece| match piece {
            Piece::Block(found) => block(&found, CAPACITY),
            Piece::Request(line) => access(&line),
        });
        plain(&painted.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_request_is_one_short_line() {
        let line = "oxwsgi-access\t09:09:22\t127.0.0.1\t200\t12\t1263\tGET /a?b=1 HTTP/1.1\tcurl";
        let access_line = httpd::log::access(line).expect("an access line");
        assert_eq!(plain(&access(&access_line)), "09:09:22  200  GET /a?b=1  12 B  1.3 ms");
        let line = "oxwsgi-access\t09:09:22\t192.0.2.7\t404\t12345\t2500000\tGET / HTTP/1.1\tcurl";
        let access_line = httpd::log::access(line).expect("an access line");
        assert_eq!(plain(&access(&access_line)), "09:09:22  404  GET /  12.3 kB  2.5 s  192.0.2.7");
    }

    #[test]
    fn a_traceback_follows_its_message() {
        let text = shown(&[
            "error\twsgi\t1\t2\t-\t-\tWSGI0174: ValueError exception raised",
            "error\twsgi\t1\t2\t-\t-\tTraceback (most recent call last):",
            "error\twsgi\t1\t2\t-\t-\t  File \\\"a.py\\\", line 1, in application",
            "error\twsgi\t1\t2\t-\t-\tValueError: no",
        ]);
        let expected = "09:09:20  error  ValueError exception raised  WSGI0174\nTraceback (most recent call last):\n  \
            File \"a.py\", line 1, in application\nValueError: no";
        assert_eq!(text, expected);
    }

    #[test]
    fn output_is_shown_as_it_was_printed() {
        assert_eq!(shown(&["error\twsgi\t1\t2\t-\t-\tINFO:shop:hello"]), "INFO:shop:hello");
    }

    #[test]
    fn httpd_speaks_of_options_the_user_knows() {
        let text =
            shown(&["error\tmpm_event\t1\t2\t-\t-\tAH00484: server reached MaxRequestWorkers setting"]);
        assert!(text.contains("all threads are busy (2 processes with 8 threads each)"), "{text}");
    }

    #[test]
    fn sizes_and_durations_are_rounded() {
        let sizes = [(999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB")];
        sizes.iter().for_each(|(bytes, text)| assert_eq!(size(*bytes), *text));
        let durations =
            [(0, "<1 ms"), (40, "0.0 ms"), (9_999, "10.0 ms"), (12_345, "12 ms"), (1_000_000, "1.0 s")];
        durations.iter().for_each(|(micros, text)| assert_eq!(duration(*micros), *text));
    }
}
