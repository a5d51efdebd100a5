//! What a list of processes shows of this one: the memory of its command line, written over.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;

/// Replaces the command line that others see by `title`, cut to the room that there is. The kernel writes it, as it would for a
/// debugger; whoever reads the words of the command line in place afterwards finds it there.
pub fn set(title: &[u8]) -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/stat")?;
    let (start, end) =
        command_line(&status).ok_or_else(|| io::Error::other("/proc/self/stat has no command line"))?;
    let mut line = vec![0; end - start];
    // The last byte stays 0: the kernel takes anything else for a title that goes on in the environment (`proc(5)`).
    let length = title.len().min(line.len() - 1);
    line[..length].copy_from_slice(&title[..length]);
    OpenOptions::new().write(true).open("/proc/self/mem")?.write_all_at(&line, start as u64)
}

/// Fields 48 and 49 of `stat` (`proc(5)`): `arg_start` and `arg_end`.
fn command_line(status: &str) -> Option<(usize, usize)> {
    // The second field, the name, is in parentheses and may hold anything.
    let mut fields = status.rsplit_once(')')?.1.split_whitespace().skip(45);
    let mut number = || fields.next()?.parse::<usize>().ok();
    let (start, end) = (number()?, number()?);
    (start != 0 && start < end).then_some((start, end))
}

#[cfg(test)]
#[allow(unsafe_code, reason = "forks")]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_found_and_replaced() {
        let before = std::fs::read("/proc/self/cmdline").unwrap();
        // SAFETY: takes no argument; a forked child is the only one that sees the change.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let done = set(b"(wsgi:x)").is_ok()
                && std::fs::read("/proc/self/cmdline").is_ok_and(|line| line.starts_with(b"(wsgi:x)\0"));
            crate::os::process::end_now(i32::from(!done));
        }
        let mut status = 0;
        // SAFETY: writes the status to our own variable.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
        assert_eq!(std::fs::read("/proc/self/cmdline").unwrap(), before);
    }

    #[test]
    fn a_name_with_parentheses_is_no_trap() {
        let fields: Vec<String> = (3..=52).map(|number| (number * 100).to_string()).collect();
        let line = format!("1 (a) b) {}", fields.join(" "));
        assert_eq!(command_line(&line), Some((4800, 4900)));
        assert_eq!(command_line("1 (a) S 1 2"), None);
    }
}
