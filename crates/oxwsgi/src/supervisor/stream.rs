//! What a worker, or a program that it has started, writes to its standard output and errors: lines for the group's log.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oxwsgi_core::report::Lines;

/// Read in one turn, in bytes and about in lines; then others have theirs. A line is written by a call, however short it is.
const TURN: usize = 64 * 1024;
const LINES: usize = 500;
/// Read at once, in bytes: as many lines more there may be.
const PIECE: usize = 1024;
/// Of a last line that explains an end, in bytes.
const LAST_WORDS: usize = 300;

/// Read end of a worker's output. It may outlive the worker, in a program that the worker has started.
#[derive(Debug)]
pub struct Stream {
    /// Index of its group.
    pub group: usize,
    /// The worker's number.
    pub pid: u32,
    pipe: File,
    lines: Lines,
    last: Vec<u8>,
}

impl Stream {
    /// The stream and the end that the worker gets; the number of the worker is not known yet.
    pub fn new(group: usize) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = io::pipe()?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let pipe = File::from(OwnedFd::from(ours));
        Ok((Self { group, pid: 0, pipe, lines: Lines::default(), last: Vec::new() }, theirs.into()))
    }

    /// Gives the lines that have come to `emit`; whether more may come.
    pub fn read(&mut self, mut emit: impl FnMut(&[u8])) -> bool {
        let mut buffer = [0; PIECE];
        let (mut left, mut lines) = (TURN, 0);
        while left > 0 && lines < LINES {
            let last = &mut self.last;
            let mut take = |line: Vec<u8>| {
                lines += 1;
                emit(&line);
                if !line.trim_ascii().is_empty() {
                    *last = line;
                    last.truncate(LAST_WORDS);
                }
            };
            match self.pipe.read(&mut buffer) {
                Ok(0) => {
                    self.lines.flush(take);
                    return false;
                }
                Ok(count) => {
                    self.lines.write(&buffer[..count], &mut take);
                    left = left.saturating_sub(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nothing there now; nothing else can fail on a pipe of ours.
                Err(_) => return true,
            }
        }
        true
    }

    /// Gives a line that has no end yet to `emit`: its writer has ended.
    pub fn flush(&mut self, mut emit: impl FnMut(&[u8])) {
        self.lines.flush(|line| emit(&line));
    }

    /// The last line with something in it, without control characters.
    pub fn last_words(&self) -> Option<String> {
        let text = String::from_utf8_lossy(self.last.trim_ascii());
        (!text.is_empty()).then(|| text.chars().filter(|c| !c.is_control()).collect())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_when_they_are_whole() {
        let (mut stream, writer) = Stream::new(0).unwrap();
        let mut writer = File::from(writer);
        let mut lines = Vec::new();
        let mut read = |stream: &mut Stream| {
            let open = stream.read(|line| lines.push(String::from_utf8(line.to_vec()).unwrap()));
            (open, std::mem::take(&mut lines))
        };
        writer.write_all(b"one\ntw").unwrap();
        assert_eq!(read(&mut stream), (true, vec!["one".to_owned()]));
        writer.write_all(b"o\n\n").unwrap();
        assert_eq!(read(&mut stream), (true, vec!["two".to_owned(), String::new()]));
        assert_eq!(stream.last_words().as_deref(), Some("two"));
        writer.write_all(b"rest").unwrap();
        drop(writer);
        assert_eq!(read(&mut stream), (false, vec!["rest".to_owned()]));
    }

    #[test]
    fn one_turn_is_bounded() {
        let (mut stream, writer) = Stream::new(0).unwrap();
        // One that never stops, until nobody reads.
        let noise = std::thread::spawn(move || {
            let mut writer = File::from(writer);
            while writer.write_all(&b"x\n".repeat(1000)).is_ok() {}
        });
        let mut count = 0;
        for _ in 0..10 {
            assert!(stream.read(|_| count += 1));
        }
        assert!(count <= 10 * (LINES + PIECE), "{count}");
        drop(stream);
        noise.join().unwrap();
    }

    #[test]
    fn many_short_lines_take_many_turns() {
        let (mut stream, writer) = Stream::new(0).unwrap();
        File::from(writer).write_all(&[b'\n'; 50_000]).unwrap();
        let mut turns = Vec::new();
        loop {
            let mut count = 0;
            let is_open = stream.read(|_| count += 1);
            turns.push(count);
            if !is_open {
                break;
            }
        }
        assert_eq!(turns.iter().sum::<usize>(), 50_000);
        assert!(turns.iter().all(|count| *count <= LINES + PIECE), "{turns:?}");
    }
}
