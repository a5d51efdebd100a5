//! The answer of a home's Python: lines of `name=value` between two marks, untrusted.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::Reason;

/// The oldest Python that the runtime's stable ABI fits.
pub(super) const OLDEST: (u32, u32) = (3, 10);

/// The line that an answer begins with.
const FIRST: &str = "oxwsgi-python";

/// A Python that can run applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// `sys.executable`; of a virtual environment its own.
    pub executable: PathBuf,
    /// Major, minor, patch.
    pub version: (u32, u32, u32),
    /// The shared library, readable by the account that was asked; `None` when there is none, or nobody wanted to know.
    pub library: Option<PathBuf>,
    /// What a version-specific extension module's name ends in: `.cpython-313t-x86_64-linux-gnu.so`.
    pub extension_suffix: String,
}

impl Python {
    /// Whether it was built to run without the global interpreter lock: such a Python cannot load stable ABI modules.
    pub fn is_free_threaded(&self) -> bool {
        let tag = self.extension_suffix.split('-').nth(1).unwrap_or_default();
        tag.trim_start_matches(|digit: char| digit.is_ascii_digit()).contains('t')
    }

    /// What [`Python::from_text`] reads.
    pub fn to_text(&self) -> Vec<u8> {
        let (major, minor, patch) = self.version;
        let mut text =
            format!("{FIRST}\nimplementation=cpython\nversion={major}.{minor}.{patch}\n").into_bytes();
        let library = self.library.iter().map(|library| ("library", library.as_os_str().as_bytes()));
        for (name, value) in library.chain([
            ("executable", self.executable.as_os_str().as_bytes()),
            ("extension_suffix", self.extension_suffix.as_bytes()),
        ]) {
            text.extend_from_slice(name.as_bytes());
            text.push(b'=');
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        text.extend_from_slice(b"end\n");
        text
    }

    /// What [`Python::to_text`] has written, for a process that cannot keep it in any other form.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        Self::parse(text).ok().map(|(python, _)| python)
    }

    /// Reads what the program wrote; anything before the first mark is a wrapper's chatter. Beside it are the places where
    /// there is no shared library.
    pub(super) fn parse(output: &[u8]) -> Result<(Self, Vec<PathBuf>), Reason> {
        let mut lines = output.split(|byte| *byte == b'\n');
        if !lines.any(|line| line == FIRST.as_bytes()) {
            return Err(Reason::NotPython);
        }
        let mut answer = Answer::default();
        for line in lines {
            if line == b"end" {
                return answer.into_python();
            }
            answer.take(line)?;
        }
        Err(Reason::Garbled)
    }
}

#[derive(Default)]
struct Answer {
    implementation: Option<String>,
    version: Option<(u32, u32, u32)>,
    executable: Option<PathBuf>,
    extension_suffix: Option<String>,
    library: Option<PathBuf>,
    looked: Vec<PathBuf>,
}

impl Answer {
    fn take(&mut self, line: &[u8]) -> Result<(), Reason> {
        let equals = line.iter().position(|byte| *byte == b'=').ok_or(Reason::Garbled)?;
        let (name, value) = (&line[..equals], &line[equals + 1..]);
        match name {
            b"implementation" => self.implementation = Some(word(value)?),
            b"version" => self.version = Some(version(value).ok_or(Reason::Garbled)?),
            b"executable" => self.executable = Some(path(value)?),
            b"extension_suffix" => self.extension_suffix = Some(suffix(value)?),
            b"library" => self.library = Some(path(value)?),
            b"looked" => self.looked.push(path(value)?),
            _ => return Err(Reason::Garbled),
        }
        Ok(())
    }

    fn into_python(self) -> Result<(Python, Vec<PathBuf>), Reason> {
        let implementation = self.implementation.ok_or(Reason::Garbled)?;
        if implementation != "cpython" {
            return Err(Reason::OtherImplementation { implementation });
        }
        let version = self.version.ok_or(Reason::Garbled)?;
        if (version.0, version.1) < OLDEST {
            return Err(Reason::TooOld { version });
        }
        let python = Python {
            executable: self.executable.ok_or(Reason::Garbled)?,
            version,
            library: self.library,
            extension_suffix: self.extension_suffix.ok_or(Reason::Garbled)?,
        };
        Ok((python, self.looked))
    }
}

fn word(value: &[u8]) -> Result<String, Reason> {
    let is_plain =
        value.len() <= 100 && value.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let text = str::from_utf8(value).ok().filter(|_| is_plain && !value.is_empty());
    text.map(str::to_owned).ok_or(Reason::Garbled)
}

fn version(value: &[u8]) -> Option<(u32, u32, u32)> {
    let mut numbers = str::from_utf8(value).ok()?.split('.').map(|number| number.parse().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(version)
}

/// It becomes part of a file's name.
fn suffix(value: &[u8]) -> Result<String, Reason> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let text = str::from_utf8(value).ok().filter(|_| value.len() <= 100 && value.iter().all(is_plain));
    text.filter(|text| text.starts_with('.') && text.ends_with(".so"))
        .map(str::to_owned)
        .ok_or(Reason::Garbled)
}

fn path(value: &[u8]) -> Result<PathBuf, Reason> {
    let path = Path::new(OsStr::from_bytes(value));
    let is_printable = !value.iter().any(u8::is_ascii_control);
    if path.is_absolute() && value.len() < 4096 && is_printable {
        Ok(path.to_owned())
    } else {
        Err(Reason::Garbled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "shim: hello\noxwsgi-python\nimplementation=cpython\nversion=3.13.1\n\
        executable=/v/bin/python3\nextension_suffix=.cpython-313-x86_64-linux-gnu.so\n\
        looked=/u/lib/libpython3.13.so\nlibrary=/u/lib64/libpython3.13.so.1.0\nend\nafter";

    fn parse(text: &str) -> Result<Python, Reason> {
        Python::parse(text.as_bytes()).map(|(python, _)| python)
    }

    #[test]
    fn an_answer_is_read() {
        let python = parse(GOOD).unwrap();
        assert_eq!(python.version, (3, 13, 1));
        assert_eq!(python.executable, Path::new("/v/bin/python3"));
        assert_eq!(python.library.as_deref(), Some(Path::new("/u/lib64/libpython3.13.so.1.0")));
        assert!(!python.is_free_threaded());
        assert!(parse(&GOOD.replace("313-", "313t-")).unwrap().is_free_threaded());
        assert!(!parse(&GOOD.replace("313-", "313d-")).unwrap().is_free_threaded());
    }

    #[test]
    fn it_can_be_written_down() {
        let python = parse(GOOD).unwrap();
        assert_eq!(Python::from_text(&python.to_text()), Some(python.clone()));
        let without = Python { library: None, ..python };
        assert_eq!(Python::from_text(&without.to_text()), Some(without));
        assert_eq!(Python::from_text(b""), None);
    }

    #[test]
    fn what_cannot_be_used_is_told_apart() {
        assert!(matches!(parse("hello\n"), Err(Reason::NotPython)));
        assert!(matches!(parse(&GOOD.replace("=cpython", "=pypy")), Err(Reason::OtherImplementation { .. })));
        assert!(matches!(
            parse(&GOOD.replace("3.13.1", "3.9.20")),
            Err(Reason::TooOld { version: (3, 9, 20) })
        ));
        let (python, looked) = Python::parse(GOOD.replace("library=", "looked=").as_bytes()).unwrap();
        assert_eq!((python.library, looked.len()), (None, 2));
    }

    #[test]
    fn nothing_odd_is_believed() {
        let odd = [
            ("end\n", ""),
            ("version=3.13.1", "version=3.13"),
            ("version=3.13.1", "version=3.13.1.2"),
            ("version=3.13.1", "version 3.13.1"),
            ("version=", "weather="),
            ("=/v/bin", "=bin"),
            ("/v/bin", "/v/\x1b[2J"),
            ("=.cpython", "=../../x"),
            ("linux-gnu.so", "linux/gnu.so"),
            ("executable=/v/bin/python3\n", ""),
        ];
        for (good, bad) in odd {
            assert!(matches!(parse(&GOOD.replace(good, bad)), Err(Reason::Garbled)), "{bad}");
        }
    }
}
