//! The descriptors that the supervisor waits for, as the numbers that the system knows them by.

#![forbid(unsafe_code)]

/// Where something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A signal: a child has ended.
    Child,
    /// A signal: end.
    End,
    /// The server's parent process speaks.
    Control,
    /// The server has ended.
    Lifeline,
    /// No process of this generation is left.
    Drain,
    /// The server's parent process has ended.
    Parent,
    /// A process of ours.
    Worker(u32, Part),
}

/// One of a process's descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its control socket.
    Control,
    /// Its output and errors.
    Output,
    /// Its notes on the way to `exec`.
    Notes,
}

const SINGLE: [Source; 6] =
    [Source::Child, Source::End, Source::Control, Source::Lifeline, Source::Drain, Source::Parent];
const PARTS: [Part; 3] = [Part::Control, Part::Output, Part::Notes];

impl Source {
    /// As a number.
    pub fn token(self) -> u64 {
        match self {
            Self::Worker(id, part) => SINGLE.len() as u64 + PARTS.len() as u64 * u64::from(id) + part as u64,
            single => SINGLE.iter().position(|one| *one == single).unwrap_or(0) as u64,
        }
    }

    /// Of a number.
    pub fn of(token: u64) -> Option<Self> {
        if let Some(single) = usize::try_from(token).ok().and_then(|index| SINGLE.get(index)) {
            return Some(*single);
        }
        let rest = token - SINGLE.len() as u64;
        let part = PARTS[(rest % PARTS.len() as u64) as usize];
        Some(Self::Worker(u32::try_from(rest / PARTS.len() as u64).ok()?, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for source in SINGLE {
            assert_eq!(Source::of(source.token()), Some(source));
        }
        for id in [0, 1, 77, u32::MAX] {
            for part in PARTS {
                let source = Source::Worker(id, part);
                assert_eq!(Source::of(source.token()), Some(source));
            }
        }
        assert_eq!(Source::of(u64::MAX), None);
    }
}
