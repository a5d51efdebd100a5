//! Shared objects loaded into this process. They stay: neither Python nor its extension modules can be unloaded.

#![allow(unsafe_code, reason = "loads shared objects")]

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

/// Who sees the symbols of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Whatever is loaded after it, as Python's extension modules need of Python.
    Everyone,
    /// Who asks for them by handle.
    Handle,
}

/// A loaded shared object.
#[derive(Debug)]
pub struct Library(NonNull<c_void>);

impl Library {
    /// Loads the file, resolving all it needs at once; the error is the loader's own.
    ///
    /// # Safety
    /// The code that the file runs when it is loaded, and that of the libraries it needs, may run in this process.
    pub unsafe fn load(path: &Path, scope: Scope) -> Result<Self, String> {
        let name =
            CString::new(path.as_os_str().as_bytes()).map_err(|_| "the path holds a NUL".to_owned())?;
        let visible = if scope == Scope::Everyone { libc::RTLD_GLOBAL } else { libc::RTLD_LOCAL };
        // SAFETY: C text; the caller answers for the code in it.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | visible) };
        NonNull::new(handle).map(Self).ok_or_else(last_error)
    }

    /// The address of a symbol.
    pub fn symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: a handle that is never closed, and C text.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }
}

/// Whether any library loaded for everyone defines the symbol.
pub fn is_defined(name: &CStr) -> bool {
    // SAFETY: the process's own scope, and C text.
    !unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.is_null()
}

fn last_error() -> String {
    // SAFETY: takes nothing; the text is valid until this thread's next call to the loader.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the loader gives no reason".to_owned();
    }
    // SAFETY: not null, so C text as said above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
