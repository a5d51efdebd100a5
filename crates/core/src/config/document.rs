//! `docs/directives.md`, written from the table.

use std::fmt::Write;

use crate::config::OPTIONS;
use crate::config::directive::{Directive, Notice, SECTIONS};

/// The documentation of all directives, in Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Directives\n\n\
         Written from the table in `crates/core/src/config/directive`; a test fails when the two differ, and\n\
         `UPDATE_DOCS=1 cargo test -p oxwsgi-core` writes this file anew.\n",
    );
    for section in SECTIONS {
        let _ = write!(text, "\n## {}\n", section.title);
        text.push_str(
            "\n| Directive | Arguments | Default | Where | What |\n| --- | --- | --- | --- | --- |\n",
        );
        for directive in section.directives {
            row(&mut text, directive);
        }
    }
    text.push_str(
        "\n## Options of `WSGIDaemonProcess`\n\n\
         Each is `name=value`. Numbers are whole unless said otherwise; `-` is no value at all.\n\n\
         | Option | Value | Default | What |\n| --- | --- | --- | --- |\n",
    );
    for option in OPTIONS {
        let cells = [option.form, option.default, option.help].map(cell);
        let _ = writeln!(text, "| `{}=` | {} |", option.name, cells.join(" | "));
    }
    text
}

fn row(text: &mut String, directive: &Directive) {
    let closing = if directive.name.starts_with('<') { ">" } else { "" };
    let _ = write!(
        text,
        "| `{}{closing}` | {} | {} | {} | {}",
        directive.name,
        code(directive.arguments.form),
        cell(directive.default),
        directive.context.text(),
        cell(directive.help),
    );
    match directive.notice {
        Some(Notice::Info(notice) | Notice::Warning(notice)) => {
            let _ = writeln!(text, "; {} |", cell(notice));
        }
        None => text.push_str(" |\n"),
    }
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", text.replace('|', "\\|")) }
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/directives.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == markdown(), "{path} differs from the table; run this test with UPDATE_DOCS=1");
    }
}
