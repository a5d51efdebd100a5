//! What stopped a forked child, as it writes it down itself and its parent reads it: only the child has the rights that
//! it was refused something for. The writing half allocates nothing.

#![allow(unsafe_code, reason = "runs between fork and exec, where there is only the C library")]

use std::ffi::{CString, OsStr, c_int};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Longest path that the kernel takes, with its NUL (`limits.h`, `PATH_MAX`).
const LONGEST_PATH: usize = 4096;
/// As many links as the kernel follows in one path (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// What the child was at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Changing the root folder.
    Root,
    /// Becoming the account.
    Identity,
    /// Setting the limit of that index.
    Limit(usize),
    /// Setting the nice value.
    Priority,
    /// Making a folder the working one.
    Folder,
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

/// Writes a note to `descriptor`; `path` is what was refused.
pub(super) fn note(descriptor: RawFd, step: Step, reason: c_int, path: Option<&CString>) {
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
        Step::Limit(index) => (4, index),
        Step::Priority => (5, 0),
        Step::Folder => (6, 0),
    };
    let note = Note { step, index: index as u32, errno: reason, folder: folder as u32 };
    // SAFETY: a note is plain numbers without padding.
    unsafe { libc::write(descriptor, (&raw const note).cast(), size_of::<Note>()) };
    // SAFETY: `folder` bytes of the buffer are written.
    unsafe { libc::write(descriptor, buffer.as_ptr().cast(), folder) };
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

/// Reads the notes.
pub(super) fn obstacles(mut notes: &[u8]) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    while let Some((head, rest)) = notes.split_first_chunk::<{ size_of::<Note>() }>() {
        let number = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (index, length) = (number(4) as usize, number(12) as usize);
        let step = match number(0) {
            0 => Step::Root,
            1 => Step::Identity,
            2 => Step::Read(index),
            3 => Step::Execute(index),
            4 => Step::Limit(index),
            5 => Step::Priority,
            _ => Step::Folder,
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
