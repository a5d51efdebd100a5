//! Turns written text into whole log lines.

/// The longest entry; httpd cuts a message at 8192 bytes with what it puts before it, so longer lines go on in another.
const LONGEST: usize = 7800;

/// An incomplete line, kept until its end is written.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Adds `text` and gives every line that it completes to `emit`.
    pub fn write(&mut self, text: &[u8], mut emit: impl FnMut(Vec<u8>)) {
        let mut pieces = text.split(|byte| *byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.rest.extend_from_slice(piece);
            self.emit_rest(&mut emit);
        }
        self.rest.extend_from_slice(last);
        while self.rest.len() > LONGEST {
            let tail = self.rest.split_off(LONGEST);
            emit(printable(&std::mem::replace(&mut self.rest, tail)));
        }
    }

    /// Gives an incomplete line to `emit` as it is.
    pub fn flush(&mut self, mut emit: impl FnMut(Vec<u8>)) {
        if !self.rest.is_empty() {
            self.emit_rest(&mut emit);
        }
    }

    fn emit_rest(&mut self, emit: &mut impl FnMut(Vec<u8>)) {
        let line = std::mem::take(&mut self.rest);
        let mut pieces = line.chunks(LONGEST);
        emit(printable(pieces.next().unwrap_or_default()));
        pieces.for_each(|piece| emit(printable(piece)));
    }
}

/// The server's log takes C strings: a NUL would hide the rest of the line.
fn printable(line: &[u8]) -> Vec<u8> {
    if !line.contains(&0) {
        return line.to_vec();
    }
    line.iter()
        .flat_map(|byte| if *byte == 0 { b"\\x00".as_slice() } else { std::slice::from_ref(byte) })
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(texts: &[&str]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        let mut emit = |line| out.push(String::from_utf8(line).unwrap());
        texts.iter().for_each(|text| lines.write(text.as_bytes(), &mut emit));
        lines.flush(&mut emit);
        out
    }

    #[test]
    fn whole_lines_come_out_and_the_rest_waits() {
        assert_eq!(written(&["a", "b\nc", "\n", "\n", "d"]), ["ab", "c", "", "d"]);
        assert_eq!(written(&["a\n"]), ["a"]);
    }

    #[test]
    fn nothing_of_a_long_line_is_lost() {
        let long = "x".repeat(LONGEST * 2 + 5);
        assert_eq!(written(&[&long]).concat(), long);
        assert_eq!(written(&[&(long.clone() + "\n")]).concat(), long);
    }

    #[test]
    fn a_nul_is_spelled_out() {
        assert_eq!(written(&["a\0b\n"]), ["a\\x00b"]);
    }
}
