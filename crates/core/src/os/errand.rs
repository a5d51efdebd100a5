//! Runs a program of someone else's as the account it belongs to, and reads what it answers: never as root, with none
//! of our descriptors, bounded in output and time.
//!
//! What goes wrong before the program runs is found out by the child itself, for only it has the account's rights.

#![allow(unsafe_code, reason = "forks, and between fork and exec there is only the C library")]

use std::ffi::{CString, OsStr, c_char, c_int};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;
use std::time::{Duration, Instant};

use libc::pid_t;

use super::account::{Account, errno};

/// Where the child keeps the pipe for its own notes: right after the three standard ones.
const NOTES: RawFd = 3;
/// Our ends of the pipes stay clear of the numbers that the child gives away.
const CLEAR: c_int = 10;
/// More than this from a program is no answer (bytes, each of output and errors).
const LONGEST_ANSWER: usize = 64 * 1024;
/// Longest path that the kernel takes, with its NUL (`limits.h`, `PATH_MAX`).
const LONGEST_PATH: usize = 4096;
/// As many links as the kernel follows in one path are enough here (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// A program to run.
#[derive(Clone, Debug)]
pub struct Errand {
    programs: Vec<CString>,
    arguments: Vec<CString>,
    account: Option<Account>,
    root: Option<CString>,
    files: Vec<CString>,
}

impl Errand {
    /// The first of `programs` that the account may execute, with `arguments` after its name.
    pub fn new(programs: Vec<CString>, arguments: Vec<CString>) -> Self {
        Self { programs, arguments, account: None, root: None, files: Vec::new() }
    }

    /// Runs as `account` instead of as ourselves.
    pub fn account(self, account: Option<Account>) -> Self {
        Self { account, ..self }
    }

    /// Sees `root` as the root of the file system.
    pub fn root(self, root: Option<CString>) -> Self {
        Self { root, ..self }
    }

    /// Has the account try to open each of `files` for reading first.
    pub fn try_reading(self, files: Vec<CString>) -> Self {
        Self { files, ..self }
    }

    /// Starts it. All that the child needs is laid out before the fork.
    pub fn launch(&self) -> io::Result<Running> {
        let (notes, child_notes) = pipe()?;
        let (output, child_output) = pipe()?;
        let (errors, child_errors) = pipe()?;
        let null = File::open("/dev/null")?;
        let arguments: Vec<Vec<*const c_char>> = self
            .programs
            .iter()
            .map(|program| {
                let rest = self.arguments.iter().map(|argument| argument.as_ptr());
                [program.as_ptr()].into_iter().chain(rest).chain([ptr::null()]).collect()
            })
            .collect();
        let standard =
            [null.as_raw_fd(), child_output.as_raw_fd(), child_errors.as_raw_fd(), child_notes.as_raw_fd()];
        // SAFETY: the child calls nothing but `Errand::run`, which keeps to functions that are allowed there.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => self.run(standard, &arguments),
            pid => Ok(Running { child: Child(pid), notes, output, errors }),
        }
    }

    /// The child, from fork to exec: no allocation, no lock (POSIX.1-2017, `fork`).
    fn run(&self, standard: [RawFd; 4], arguments: &[Vec<*const c_char>]) -> ! {
        self.prepare(standard);
        for (index, (program, arguments)) in self.programs.iter().zip(arguments).enumerate() {
            // SAFETY: both are C text and a list that ends in null, made before the fork.
            unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
            note(Step::Execute(index), errno(), Some(program));
        }
        // SAFETY: ends the child at once, without the exit handlers of the server it is a copy of.
        unsafe { libc::_exit(127) }
    }

    fn prepare(&self, standard: [RawFd; 4]) {
        for (number, descriptor) in standard.into_iter().enumerate() {
            // SAFETY: plain numbers; ours are all at or above `CLEAR` (see `pipe`), or are the null device, which is given
            // away first.
            unsafe { libc::dup2(descriptor, number as c_int) };
        }
        // SAFETY: plain numbers.
        unsafe { libc::fcntl(NOTES, libc::F_SETFD, libc::FD_CLOEXEC) };
        close_from(NOTES + 1);
        for signal in 1..32 {
            // SAFETY: plain numbers; handlers of the server must not run in here.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: a signal set is plain memory, and all zero bytes are one.
        let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: writes to our own set.
        unsafe { libc::sigemptyset(&raw mut none) };
        // SAFETY: reads our own set.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
        // Away from the server's terminal and process group, so that the whole errand can be ended at once.
        // SAFETY: takes nothing.
        unsafe { libc::setsid() };
        if let Some(root) = &self.root {
            // SAFETY: C text.
            if unsafe { libc::chroot(root.as_ptr()) } != 0 {
                give_up(Step::Root, errno());
            }
        }
        // SAFETY: C text.
        unsafe { libc::chdir(c"/".as_ptr()) };
        if let Some(account) = &self.account
            && let Err(reason) = account.assume()
        {
            give_up(Step::Identity, reason);
        }
        for (index, file) in self.files.iter().enumerate() {
            // SAFETY: C text.
            let opened = unsafe { libc::open(file.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
            if opened < 0 {
                note(Step::Read(index), errno(), Some(file));
            } else {
                // SAFETY: just opened.
                unsafe { libc::close(opened) };
            }
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = io::pipe()?;
    Ok((ours.into(), clear(&theirs)?))
}

/// A copy of a descriptor with a number of at least [`CLEAR`].
fn clear(descriptor: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let copy = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, CLEAR) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn close_from(first: RawFd) {
    #[cfg(target_os = "linux")]
    // SAFETY: plain numbers (`close_range(2)`, Linux 5.9).
    if unsafe { libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) } == 0 {
        return;
    }
    // SAFETY: a plain number.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    for descriptor in first..limit.clamp(0, 65_536) as c_int {
        // SAFETY: plain numbers; those that are not open are refused.
        unsafe { libc::close(descriptor) };
    }
}

/// What the child was at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Changing the root folder.
    Root,
    /// Becoming the account.
    Identity,
    /// Opening the file of that index for reading.
    Read(usize),
    /// Executing the program of that index.
    Execute(usize),
}

/// Why the child could not do something.
#[derive(Debug)]
pub struct Obstacle {
    /// What it was at.
    pub step: Step,
    /// The operating system's reason.
    pub reason: io::Error,
    /// The folder on the way that the account may not search, when that is why.
    pub folder: Option<PathBuf>,
}

/// A note, as the child writes it; the bytes of the folder's path follow.
#[repr(C)]
#[derive(Clone, Copy)]
struct Note {
    step: u32,
    index: u32,
    errno: c_int,
    folder: u32,
}

fn give_up(step: Step, reason: c_int) -> ! {
    note(step, reason, None);
    // SAFETY: as in `Errand::run`.
    unsafe { libc::_exit(127) }
}

fn note(step: Step, reason: c_int, path: Option<&CString>) {
    let mut buffer = [0; LONGEST_PATH];
    let folder = match path {
        Some(path) if reason == libc::EACCES => unsearchable(path.as_bytes_with_nul(), &mut buffer),
        _ => 0,
    };
    let (step, index) = match step {
        Step::Root => (0, 0),
        Step::Identity => (1, 0),
        Step::Read(index) => (2, index),
        Step::Execute(index) => (3, index),
    };
    let note = Note { step, index: index as u32, errno: reason, folder: folder as u32 };
    // SAFETY: a note is plain numbers without padding.
    unsafe { libc::write(NOTES, (&raw const note).cast(), size_of::<Note>()) };
    // SAFETY: `folder` bytes of the buffer are written.
    unsafe { libc::write(NOTES, buffer.as_ptr().cast(), folder) };
}

/// Puts the first folder on the way to `path`, or on the way that its links lead, that this process may not search into
/// `buffer`; its length, 0 when there is none.
fn unsearchable(path: &[u8], buffer: &mut [u8; LONGEST_PATH]) -> usize {
    if path.len() > LONGEST_PATH {
        return 0;
    }
    buffer[..path.len()].copy_from_slice(path);
    for _ in 0..MOST_LINKS {
        for at in 1..LONGEST_PATH {
            match buffer[at] {
                0 => break,
                b'/' => {
                    buffer[at] = 0;
                    // SAFETY: the buffer holds C text up to the NUL just put.
                    let searchable = unsafe { libc::access(buffer.as_ptr().cast(), libc::X_OK) } == 0;
                    if !searchable {
                        return at;
                    }
                    buffer[at] = b'/';
                }
                _ => {}
            }
        }
        let mut target = [0; LONGEST_PATH];
        // SAFETY: the buffer holds C text; the target is writable for the size given.
        let length =
            unsafe { libc::readlink(buffer.as_ptr().cast(), target.as_mut_ptr().cast(), LONGEST_PATH - 1) };
        let Ok(length) = usize::try_from(length) else { return 0 };
        // A relative target counts from the folder that holds the link.
        let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(0);
        let keep = match target[0] {
            b'/' => 0,
            _ => buffer[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1),
        };
        if keep + length >= LONGEST_PATH {
            return 0;
        }
        buffer[keep..keep + length].copy_from_slice(&target[..length]);
        buffer[keep + length] = 0;
    }
    0
}

/// An errand under way. Ended when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    notes: OwnedFd,
    output: OwnedFd,
    errors: OwnedFd,
}

/// A process of ours that nobody has waited for; killed, with all that it started, when dropped.
#[derive(Debug)]
struct Child(pid_t);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit status; 127 also when it never ran.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It took too long, or said too much, and was ended.
    Stopped,
}

/// What came of an errand.
#[derive(Debug)]
pub struct Report {
    /// What went wrong on the way, in order.
    pub obstacles: Vec<Obstacle>,
    /// What the program wrote to its standard output: someone else's words.
    pub output: Vec<u8>,
    /// What it wrote to its standard error.
    pub errors: Vec<u8>,
    /// How it ended.
    pub end: End,
}

impl Running {
    /// Waits for the end, at most for `limit`; then the program is killed.
    pub fn collect(self, limit: Duration) -> io::Result<Report> {
        let deadline = Instant::now() + limit;
        let mut flows: [Vec<u8>; 3] = Default::default();
        let in_time = self.read_until(deadline, &mut flows)?;
        let ended = if in_time { self.child.wait_until(deadline)? } else { None };
        let end = match ended {
            None => End::Stopped,
            Some(status) if libc::WIFEXITED(status) => End::Exited(libc::WEXITSTATUS(status)),
            Some(status) => End::Signalled(libc::WTERMSIG(status)),
        };
        if ended.is_some() {
            // Waited for, so the number may be someone else's by now.
            std::mem::forget(self.child);
        }
        let [notes, output, errors] = flows;
        Ok(Report { obstacles: obstacles(&notes), output, errors, end })
    }

    /// Reads all three pipes to their ends; whether that came in time and within bounds.
    fn read_until(&self, deadline: Instant, flows: &mut [Vec<u8>; 3]) -> io::Result<bool> {
        let mut polled = [&self.notes, &self.output, &self.errors].map(|descriptor| libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
        while polled.iter().any(|entry| entry.fd >= 0) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let left = c_int::try_from(left.as_millis() + 1).unwrap_or(c_int::MAX);
            // SAFETY: three entries of our own.
            if unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, left) } < 0 {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            }
            for (entry, flow) in polled.iter_mut().zip(flows.iter_mut()) {
                if entry.revents == 0 {
                    continue;
                }
                let mut piece = [0; 4096];
                match read(entry.fd, &mut piece)? {
                    // poll skips negative descriptors.
                    0 => entry.fd = -1,
                    count => flow.extend_from_slice(&piece[..count]),
                }
                if flow.len() > LONGEST_ANSWER {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Child {
    /// Its status, when it ends in time. It has closed its output, so it is about to.
    fn wait_until(&self, deadline: Instant) -> io::Result<Option<c_int>> {
        let mut status = 0;
        loop {
            // SAFETY: writes the status to our own variable.
            match unsafe { libc::waitpid(self.0, &raw mut status, libc::WNOHANG) } {
                0 if Instant::now() < deadline => std::thread::sleep(Duration::from_micros(200)),
                0 => return Ok(None),
                -1 if errno() == libc::EINTR => {}
                -1 => return Err(io::Error::last_os_error()),
                _ => return Ok(Some(status)),
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: plain numbers. The child leads its own group; before it does, only itself can be named.
        unsafe { libc::kill(-self.0, libc::SIGKILL) };
        // SAFETY: our own child, not yet waited for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        // SAFETY: the status is not wanted.
        while unsafe { libc::waitpid(self.0, ptr::null_mut(), 0) } < 0 && errno() == libc::EINTR {}
    }
}

fn read(descriptor: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the descriptor is open and owned elsewhere: the file is taken apart again before it could close it.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    let count = file.read(buffer);
    let _still_open = file.into_raw_fd();
    match count {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => read(descriptor, buffer),
        count => count,
    }
}

fn obstacles(mut notes: &[u8]) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    while let Some((head, rest)) = notes.split_first_chunk::<{ size_of::<Note>() }>() {
        let number = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (index, length) = (number(4) as usize, number(12) as usize);
        let step = match number(0) {
            0 => Step::Root,
            1 => Step::Identity,
            2 => Step::Read(index),
            _ => Step::Execute(index),
        };
        let Some((folder, rest)) = rest.split_at_checked(length) else { break };
        obstacles.push(Obstacle {
            step,
            reason: io::Error::from_raw_os_error(number(8).cast_signed()),
            folder: (length > 0).then(|| OsStr::from_bytes(folder).into()),
        });
        notes = rest;
    }
    obstacles
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn text(text: &str) -> CString {
        CString::new(text).unwrap()
    }

    fn shell(script: &str) -> Errand {
        Errand::new(vec![text("/bin/sh")], vec![text("-c"), text(script)])
    }

    fn run(errand: &Errand) -> Report {
        errand.launch().unwrap().collect(Duration::from_secs(20)).unwrap()
    }

    #[test]
    fn output_errors_and_status_come_back() {
        let report = run(&shell("echo out; echo err >&2; exit 3"));
        assert_eq!(report.output, b"out\n");
        assert_eq!(report.errors, b"err\n");
        assert_eq!(report.end, End::Exited(3));
        assert!(report.obstacles.is_empty());
    }

    #[test]
    fn the_first_program_that_runs_is_run() {
        let errand =
            Errand::new(vec![text("/no/such"), text("/etc/passwd"), text("/bin/echo")], vec![text("x")]);
        let report = run(&errand);
        assert_eq!(report.output, b"x\n");
        let steps: Vec<_> = report.obstacles.iter().map(|o| (o.step, o.reason.raw_os_error())).collect();
        assert_eq!(steps, [(Step::Execute(0), Some(libc::ENOENT)), (Step::Execute(1), Some(libc::EACCES))]);
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let before = Instant::now();
        let running = shell("sleep 100 & sleep 100").launch().unwrap();
        let report = running.collect(Duration::from_millis(200)).unwrap();
        assert_eq!(report.end, End::Stopped);
        assert!(before.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn too_much_output_is_no_answer() {
        assert_eq!(run(&shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxx; done")).end, End::Stopped);
    }

    #[test]
    fn none_of_our_descriptors_is_handed_on() {
        let held = File::open("/etc/passwd").unwrap();
        let copy = clear(&held).unwrap();
        // SAFETY: plain numbers; the copy would survive an exec.
        unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_SETFD, 0) };
        let report =
            run(&shell("for f in 3 4 5 6 7 8 9; do (eval \"true <&$f\") 2>/dev/null && echo $f; done"));
        assert_eq!(report.output, b"");
    }

    #[test]
    fn what_the_account_may_not_reach_is_named() {
        let folder = std::env::temp_dir().join(format!("oxwsgi-errand-{}", std::process::id()));
        let closed = folder.join("closed");
        fs::create_dir_all(&closed).unwrap();
        fs::write(closed.join("file"), "x").unwrap();
        symlink(closed.join("file"), folder.join("link")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        // Root is refused nothing, so it becomes somebody; anyone else is refused already.
        let nobody = Account::may_change().then(|| Account::new(65_534, 65_534, None));
        let files = ["closed/file", "link"].map(|name| text(folder.join(name).to_str().unwrap()));
        let report = run(&shell("id -u").account(nobody.clone()).try_reading(files.to_vec()));
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        if nobody.is_some() {
            assert_eq!(report.output, b"65534\n");
        }
        let found: Vec<_> = report.obstacles.iter().map(|o| (o.step, o.folder.clone())).collect();
        assert_eq!(found, [(Step::Read(0), Some(closed.clone())), (Step::Read(1), Some(closed))]);
    }
}
