//! A part of a file that somebody else can change: read where it is needed, never mapped, for a mapping faults where a file
//! has been cut short, and never ended early, as httpd's own kind does then: the next reply on the connection would
//! be taken for the rest of this one. Brigades make them; httpd's filters read them, on any of its threads.

#![allow(unsafe_code, reason = "apr's kinds of buckets are tables of C functions")]

use std::ffi::{c_char, c_void};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use crate::apache::ffi;

/// How much is read at once, in bytes: the more, the fewer turns between reading and sending, as long as a piece stays in the
/// processor's cache between the two.
const PIECE: usize = 256 * 1024;

/// apr's table of a kind of buckets.
#[repr(transparent)]
struct Kind(ffi::apr_bucket_type_t);

// SAFETY: its pointers lead to functions and to a literal, and nobody changes the table.
unsafe impl Sync for Kind {}

static KIND: Kind = Kind(ffi::apr_bucket_type_t {
    name: c"OXWSGI-FILE".as_ptr(),
    num_func: 5,
    is_metadata: ffi::APR_BUCKET_DATA,
    destroy: Some(destroy),
    read: Some(read),
    // The data belongs to the bucket and not to a pool, so it lasts as long as is wanted.
    setaside: Some(ffi::apr_bucket_setaside_noop),
    split: Some(ffi::apr_bucket_shared_split),
    copy: Some(ffi::apr_bucket_shared_copy),
});

/// What the buckets of one file share. apr counts in the first field.
#[repr(C)]
struct Shared {
    refcount: ffi::apr_bucket_refcount,
    file: OwnedFd,
}

/// A bucket of `length` bytes of `file` from `offset`, in no brigade yet.
///
/// # Safety
/// `list` is alive as long as the bucket.
pub unsafe fn create(
    file: OwnedFd,
    offset: i64,
    length: usize,
    list: NonNull<ffi::apr_bucket_alloc_t>,
) -> NonNull<ffi::apr_bucket> {
    let refcount = ffi::apr_bucket_refcount { refcount: 0 };
    let shared = Box::into_raw(Box::new(Shared { refcount, file }));
    // SAFETY: the caller's list.
    let bucket = unsafe { blank(list) };
    // SAFETY: a bucket of our own, and data that begins with a count.
    unsafe { ffi::apr_bucket_shared_make(bucket.as_ptr(), shared.cast(), offset, length) };
    // SAFETY: as above.
    unsafe { (*bucket.as_ptr()).type_ = &raw const KIND.0 };
    bucket
}

/// A bucket without data.
///
/// # Safety
/// `list` is alive as long as the bucket.
unsafe fn blank(list: NonNull<ffi::apr_bucket_alloc_t>) -> NonNull<ffi::apr_bucket> {
    // SAFETY: the caller's list.
    let bucket = unsafe { ffi::apr_bucket_alloc(size_of::<ffi::apr_bucket>(), list.as_ptr()) };
    // SAFETY: apr ends the process when memory runs out: never null.
    let bucket = unsafe { NonNull::new_unchecked(bucket.cast::<ffi::apr_bucket>()) };
    let fresh = bucket.as_ptr();
    // SAFETY: memory for a bucket, which nobody else has.
    unsafe { ffi::shim_bucket_init(fresh) };
    // SAFETY: as above.
    unsafe { (*fresh).free = Some(ffi::apr_bucket_free) };
    // SAFETY: as above.
    unsafe { (*fresh).list = list.as_ptr() };
    bucket
}

/// For apr: one bucket less.
unsafe extern "C" fn destroy(data: *mut c_void) {
    // SAFETY: apr passes the data of a bucket of this kind.
    if unsafe { ffi::apr_bucket_shared_destroy(data) } != 0 {
        // SAFETY: made by `create`, and this was the last bucket of it.
        drop(unsafe { Box::from_raw(data.cast::<Shared>()) });
    }
}

/// For apr: the bucket becomes one of bytes in memory, and the rest of the file one behind it.
unsafe extern "C" fn read(
    bucket: *mut ffi::apr_bucket,
    start: *mut *const c_char,
    count: *mut usize,
    _block: ffi::apr_read_type_e,
) -> ffi::apr_status_t {
    // SAFETY: apr passes a bucket of this kind; its fields are read by value.
    let (data, offset, length, list) =
        unsafe { ((*bucket).data, (*bucket).start, (*bucket).length, (*bucket).list) };
    // SAFETY: a bucket's list is never null.
    let list = unsafe { NonNull::new_unchecked(list) };
    // SAFETY: made by `create`, and alive as long as a bucket has it; the number is read by value.
    let descriptor = unsafe { (*data.cast::<Shared>()).file.as_raw_fd() };
    let wanted = length.min(PIECE);
    // SAFETY: the bucket's own list.
    let memory = unsafe { ffi::apr_bucket_alloc(wanted, list.as_ptr()) };
    let found = loop {
        // SAFETY: the memory is writable for as many bytes; the descriptor is open as long as the data is there.
        let found = unsafe { libc::pread(descriptor, memory, wanted, offset) };
        let error = std::io::Error::last_os_error();
        if found < 0 && error.kind() == std::io::ErrorKind::Interrupted {
            continue;
        }
        break usize::try_from(found).map_err(|_| error.raw_os_error().unwrap_or(libc::EIO));
    };
    let failure = match found {
        Ok(found) if found > 0 || length == 0 => {
            // SAFETY: apr's own places for the answer.
            unsafe { *start = memory.cast() };
            // SAFETY: as above.
            unsafe { *count = found };
            // SAFETY: a bucket of this kind, whose data this function takes over, and memory of its list.
            unsafe { become_memory(bucket, memory.cast(), found, list) };
            return ffi::APR_SUCCESS;
        }
        // Cut short: the reply cannot be completed, and must not look as if it were.
        Ok(_) => ffi::APR_EOF as ffi::apr_status_t,
        Err(code) => code,
    };
    // SAFETY: memory of this list that nobody else has.
    unsafe { ffi::apr_bucket_free(memory) };
    // SAFETY: apr's own places for the answer.
    unsafe { *start = ptr::null() };
    // SAFETY: as above.
    unsafe { *count = 0 };
    failure
}

/// Makes the first `found` bytes of a bucket one of the `memory` that holds them.
///
/// # Safety
/// `bucket` is of this kind and `memory` of `list`, its own list, with as many bytes written.
unsafe fn become_memory(
    bucket: *mut ffi::apr_bucket,
    memory: *mut c_char,
    found: usize,
    list: NonNull<ffi::apr_bucket_alloc_t>,
) {
    // SAFETY: the caller's bucket; its fields are read by value.
    let (data, offset, length) = unsafe { ((*bucket).data, (*bucket).start, (*bucket).length) };
    // SAFETY: the caller's bucket, whose data is taken care of below; the memory is freed with its list's function.
    unsafe { ffi::apr_bucket_heap_make(bucket, memory, found, Some(ffi::apr_bucket_free)) };
    if found == length {
        // SAFETY: the bucket had this data, and has it no longer.
        unsafe { destroy(data) };
        return;
    }
    // SAFETY: the caller's list.
    let rest = unsafe { blank(list) }.as_ptr();
    // SAFETY: a new bucket, which takes over the other one's share of the data.
    unsafe {
        (*rest).data = data;
        (*rest).start = offset + found as i64;
        (*rest).length = length - found;
        (*rest).type_ = &raw const KIND.0;
    }
    // SAFETY: one is in a brigade, the other in none.
    unsafe { ffi::shim_bucket_insert_after(bucket, rest) };
}
