//! Memory that several processes map: words that each of them may change at any time.

#![allow(unsafe_code, reason = "maps a file, and reads the mapping as atomic words")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

/// A mapping of a sealed memory file; unmapped when dropped.
#[derive(Debug)]
pub struct SharedWords {
    start: NonNull<AtomicU32>,
    count: usize,
}

// SAFETY: atomic words, which any thread may use; the mapping belongs to the value.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

/// Neither shorter nor longer, by anybody: a mapping of it cannot fault.
const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

impl SharedWords {
    /// New memory of `count` words, all 0, and the descriptor to give to other processes.
    pub fn create(count: usize) -> io::Result<(Self, OwnedFd)> {
        // SAFETY: C text and plain numbers.
        let descriptor = unsafe {
            libc::memfd_create(c"oxwsgi-board".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING)
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, and nobody else's.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let length = libc::off_t::try_from(count * size_of::<AtomicU32>()).map_err(io::Error::other)?;
        // SAFETY: plain numbers.
        check(unsafe { libc::ftruncate(descriptor.as_raw_fd(), length) })?;
        // SAFETY: plain numbers.
        check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_ADD_SEALS, SEALS) })?;
        Ok((Self::map(&descriptor, count)?, descriptor))
    }

    /// The memory behind a descriptor that [`create`](Self::create) made, whole.
    pub fn open(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: plain numbers.
        let seals = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & SEALS != SEALS {
            return Err(io::Error::other("not a sealed memory file"));
        }
        let size = super::file::regular_size(descriptor.as_raw_fd())?.unwrap_or(0);
        let count = usize::try_from(size).map_err(io::Error::other)? / size_of::<AtomicU32>();
        Self::map(&descriptor, count)
    }

    fn map(descriptor: &impl AsRawFd, count: usize) -> io::Result<Self> {
        let length = count * size_of::<AtomicU32>();
        // SAFETY: a new mapping at a place of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                descriptor.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at null"))?;
        Ok(Self { start, count })
    }

    /// The words.
    #[inline]
    pub const fn words(&self) -> &[AtomicU32] {
        // SAFETY: `count` words are mapped for as long as `self` lives, the file cannot shrink, every bit pattern is a word,
        // and they are changed by atomic operations only, here and in the other processes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `map`, of which no reference is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * size_of::<AtomicU32>()) };
    }
}

fn check(code: libc::c_int) -> io::Result<()> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn two_mappings_share_their_words() {
        let (one, descriptor) = SharedWords::create(100).unwrap();
        let two = SharedWords::open(descriptor.as_fd()).unwrap();
        one.words()[99].store(7, Ordering::Release);
        assert_eq!((two.words().len(), two.words()[99].load(Ordering::Acquire)), (100, 7));
    }

    #[test]
    fn nobody_can_cut_it_and_nothing_else_is_mapped() {
        let (_one, descriptor) = SharedWords::create(100).unwrap();
        assert!(File::from(descriptor).set_len(1).is_err());
        let other = File::open("/proc/self/exe").unwrap();
        assert!(SharedWords::open(other.as_fd()).is_err());
    }
}
