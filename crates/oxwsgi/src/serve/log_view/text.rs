//! Readable text from a log. Servers write bytes beyond printable ASCII as `\xhh`, some everywhere and some not; what is
//! text becomes text again, what could steer a terminal is or stays escaped, except colours.

#![forbid(unsafe_code)]

/// Undoes the escapes of a log field.
pub fn readable(escaped: &str) -> String {
    of_bytes(&unescape(escaped.as_bytes()))
}

/// A text without what could steer a terminal.
pub fn printable(text: &str) -> String {
    of_bytes(text.as_bytes())
}

fn of_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(c) = rest.chars().next() {
            let length = colour(rest).unwrap_or(0);
            if length > 0 {
                out.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            match c {
                '\n' | '\t' => out.push(c),
                c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => out.push(c),
            }
            rest = &rest[c.len_utf8()..];
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out
}

fn unescape(escaped: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    loop {
        rest = match rest {
            [] => return out,
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(*low));
                after
            }
            [b'\\', letter, after @ ..] if plain(*letter).is_some() => {
                out.extend(plain(*letter));
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
}

/// The letters httpd writes after a backslash (`ap_escape_errorlog_item`).
fn plain(letter: u8) -> Option<u8> {
    match letter {
        b'b' => Some(0x08),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(0x0b),
        b'"' | b'\\' => Some(letter),
        _ => None,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// The length of a colour sequence (`ESC [ digits and semicolons m`) at the start of `text`. It can only colour.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    parameters[end..].starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(readable(r#"caf\xc3\xa9 \"x\" C:\\new\tend"#), "café \"x\" C:\\new\tend");
        assert_eq!(readable("é \\q \\x4"), "é \\q \\x4");
    }

    #[test]
    fn colours_pass_and_other_controls_do_not() {
        assert_eq!(readable(r"\x1b[1;31mred\x1b[0m"), "\x1b[1;31mred\x1b[0m");
        assert_eq!(readable(r"\x1b[2J\x1b]0;title\x07\r"), "\\x1b[2J\\x1b]0;title\\x07\\x0d");
        assert_eq!(readable(r"\xff\x9b"), "\\xff\\x9b");
    }
}
