//! Bucket brigades: how data travels between httpd's filters.

#![allow(unsafe_code, reason = "apr's buckets are raw pointers in a ring")]

use std::ffi::{c_char, c_int};
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use crate::apache::record::Request;
use crate::apache::{ffi, file_bucket};

/// A brigade of a request, empty between uses. Its memory is the request's.
#[derive(Debug)]
pub struct Brigade<'r> {
    raw: NonNull<ffi::apr_bucket_brigade>,
    request: Request<'r>,
    /// Not for another thread than the request's.
    owner: PhantomData<*mut ()>,
}

/// A status of apr's, which is not success.
pub type Status = ffi::apr_status_t;

impl<'r> Brigade<'r> {
    /// An empty brigade.
    pub fn new(request: Request<'r>) -> Self {
        // SAFETY: the handle's connection is alive; the field is read by value.
        let list = unsafe { (*request.connection().as_raw()).bucket_alloc };
        // SAFETY: both belong to the request's thread, and outlive the request.
        let raw = unsafe { ffi::apr_brigade_create(request.pool().as_raw(), list) };
        // SAFETY: httpd ends the process when memory runs out: never null.
        let raw = unsafe { NonNull::new_unchecked(raw) };
        Self { raw, request, owner: PhantomData }
    }

    #[inline]
    fn as_raw(&self) -> *mut ffi::apr_bucket_brigade {
        self.raw.as_ptr()
    }

    #[inline]
    fn list(&self) -> *mut ffi::apr_bucket_alloc_t {
        // SAFETY: the brigade is alive as long as its request; the field is read by value.
        unsafe { (*self.as_raw()).bucket_alloc }
    }

    /// # Safety
    /// `bucket` is new and in no brigade.
    #[inline]
    unsafe fn append(&mut self, bucket: *mut ffi::apr_bucket) {
        // SAFETY: both are alive and of one allocator; the rest is the caller's word.
        unsafe { ffi::shim_brigade_append(self.as_raw(), bucket) }
    }

    /// Adds bytes without copying them.
    ///
    /// # Safety
    /// The brigade is [passed](Self::pass) before `bytes` end.
    #[inline]
    pub unsafe fn append_borrowed(&mut self, bytes: &[u8]) {
        // SAFETY: the allocator is alive. Whoever keeps such a bucket for later copies it first, as its kind demands.
        let bucket =
            unsafe { ffi::apr_bucket_transient_create(bytes.as_ptr().cast(), bytes.len(), self.list()) };
        // SAFETY: just made.
        unsafe { self.append(bucket) }
    }

    /// Adds `length` bytes of a file from `offset`. The descriptor is copied, so the caller may close its own.
    pub fn append_file(
        &mut self,
        descriptor: c_int,
        offset: u64,
        length: u64,
        use_sendfile: bool,
    ) -> Result<(), Status> {
        let pool = self.request.pool().as_raw();
        let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else {
            return Err(libc::EFBIG);
        };
        let flags = ffi::APR_FOPEN_READ | if use_sendfile { ffi::APR_FOPEN_SENDFILE_ENABLED } else { 0 };
        let mut borrowed = ptr::null_mut();
        let mut descriptor = descriptor;
        // SAFETY: writes to our own variables, in the request's pool. Such a file is not closed by the pool.
        check(unsafe { ffi::apr_os_file_put(&raw mut borrowed, (&raw mut descriptor).cast(), flags, pool) })?;
        let mut file = ptr::null_mut();
        // SAFETY: as above; the copy is closed by whoever has it last, the request's pool or a connection that still sends.
        check(unsafe { ffi::apr_file_dup(&raw mut file, borrowed, pool) })?;
        // SAFETY: the file lives in the request's pool, as the brigade does.
        let bucket = unsafe { ffi::apr_brigade_insert_file(self.as_raw(), file, offset, length, pool) };
        if !self.may_map_files() {
            // SAFETY: a file bucket, just made; all pieces of one file share the setting.
            unsafe { ffi::apr_bucket_file_enable_mmap(bucket, 0) };
        }
        Ok(())
    }

    /// Adds `length` bytes of a file from `offset` that somebody else can change. The descriptor is copied, so the caller
    /// may close its own.
    pub fn append_foreign_file(
        &mut self,
        descriptor: c_int,
        offset: u64,
        length: u64,
        use_sendfile: bool,
    ) -> Result<(), Status> {
        if use_sendfile && self.goes_out_untouched() {
            // Then a file that is cut short is an error as well.
            return self.append_file(descriptor, offset, length, true);
        }
        // SAFETY: a plain number, which the caller has open.
        let copy = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned();
        let copy = copy.map_err(|error| error.raw_os_error().unwrap_or(libc::EMFILE))?;
        let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else {
            return Err(libc::EFBIG);
        };
        // SAFETY: a connection's list is never null.
        let list = unsafe { NonNull::new_unchecked(self.list()) };
        // SAFETY: the allocator outlives the request, and so whatever is sent for it.
        let bucket = unsafe { file_bucket::create(copy, offset, length, list) };
        // SAFETY: just made.
        unsafe { self.append(bucket.as_ptr()) };
        Ok(())
    }

    /// Whether no filter between here and the network reads the bytes of a reply: neither of its content nor TLS.
    fn goes_out_untouched(&self) -> bool {
        // SAFETY: the handle's record is alive; read by value.
        let mut filter = unsafe { (*self.request.as_raw()).output_filters };
        while !filter.is_null() {
            // SAFETY: not null, so a filter of this request or its connection, whose record is never null.
            let (kind, next) = unsafe { ((*(*filter).frec).ftype, (*filter).next) };
            let is_protocol = (ffi::AP_FTYPE_PROTOCOL..ffi::AP_FTYPE_CONNECTION).contains(&kind);
            // Counting filters stand right before the network.
            if !is_protocol && kind < ffi::AP_FTYPE_NETWORK - 1 {
                return false;
            }
            filter = next;
        }
        true
    }

    /// `EnableMMAP`.
    fn may_map_files(&self) -> bool {
        // SAFETY: the handle's record is alive; httpd's core has settings in every vector.
        let core = unsafe { ffi::shim_core_dir_config((*self.request.as_raw()).per_dir_config) };
        // SAFETY: as above; read by value.
        let setting = unsafe { (*core).enable_mmap() };
        setting != ffi::ENABLE_MMAP_OFF as u32
    }

    /// Has what comes before it written to the client.
    #[inline]
    pub fn append_flush(&mut self) {
        // SAFETY: the allocator is alive.
        let bucket = unsafe { ffi::apr_bucket_flush_create(self.list()) };
        // SAFETY: just made.
        unsafe { self.append(bucket) }
    }

    /// Marks the end of the reply.
    #[inline]
    pub fn append_end(&mut self) {
        // SAFETY: the allocator is alive.
        let bucket = unsafe { ffi::apr_bucket_eos_create(self.list()) };
        // SAFETY: just made.
        unsafe { self.append(bucket) }
    }

    /// Tells the protocol's filters that the reply is broken off, as a proxy does whose backend broke: HTTP/1.1 leaves
    /// out the last chunk, HTTP/2 resets the stream.
    pub fn append_broken(&mut self) {
        // SAFETY: the pool and the allocator are alive.
        let bucket = unsafe {
            ffi::ap_bucket_error_create(
                ffi::HTTP_BAD_GATEWAY,
                ptr::null(),
                self.request.pool().as_raw(),
                self.list(),
            )
        };
        // SAFETY: just made.
        unsafe { self.append(bucket) }
    }

    /// Sends all of it down the output filters of the request, and is empty again.
    #[inline]
    pub fn pass(&mut self) -> Result<(), Status> {
        // SAFETY: the handle's record is alive; read by value, for filters come and go.
        let filters = unsafe { (*self.request.as_raw()).output_filters };
        // SAFETY: the filters of this request, on its thread.
        let status = unsafe { ffi::ap_pass_brigade(filters, self.as_raw()) };
        self.clear();
        check(status)
    }

    /// Asks the input filters for up to `length` bytes; whether it waits for them is for `wait` to say. The brigade is
    /// empty before.
    pub fn fill(&mut self, length: usize, wait: bool) -> Result<(), Status> {
        // SAFETY: the handle's record is alive; read by value, for filters come and go.
        let filters = unsafe { (*self.request.as_raw()).input_filters };
        let block = if wait { ffi::APR_BLOCK_READ } else { ffi::APR_NONBLOCK_READ };
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        // SAFETY: the filters of this request, on its thread.
        check(unsafe { ffi::ap_get_brigade(filters, self.as_raw(), ffi::AP_MODE_READBYTES, block, length) })
    }

    /// Whether there is nothing in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // SAFETY: the brigade is alive.
        unsafe { ffi::shim_brigade_is_empty(self.as_raw()) != 0 }
    }

    /// What the first bucket is.
    pub fn first(&mut self) -> Result<First<'_>, Status> {
        if self.is_empty() {
            return Ok(First::Nothing);
        }
        // SAFETY: not empty, so there is one.
        let bucket = unsafe { ffi::shim_brigade_first(self.as_raw()) };
        // SAFETY: alive in the brigade.
        if unsafe { ffi::shim_bucket_is_eos(bucket) } != 0 {
            return Ok(First::End);
        }
        // SAFETY: as above.
        if unsafe { ffi::shim_bucket_is_metadata(bucket) } != 0 {
            return Ok(First::Other);
        }
        let mut start: *const c_char = ptr::null();
        let mut length = 0;
        // SAFETY: as above; the answers go to our own variables.
        check(unsafe {
            ffi::shim_bucket_read(bucket, &raw mut start, &raw mut length, ffi::APR_BLOCK_READ)
        })?;
        if length == 0 {
            return Ok(First::Other);
        }
        // SAFETY: the bucket's own bytes, which stay until it is removed, and that takes `&mut self`.
        Ok(First::Bytes(unsafe { std::slice::from_raw_parts(start.cast(), length) }))
    }

    /// Removes the first bucket, if any.
    pub fn remove_first(&mut self) {
        if !self.is_empty() {
            // SAFETY: not empty, so there is one.
            let bucket = unsafe { ffi::shim_brigade_first(self.as_raw()) };
            // SAFETY: nobody else keeps it: readers borrow the brigade.
            unsafe { ffi::shim_bucket_delete(bucket) };
        }
    }

    /// Removes all.
    pub fn clear(&mut self) {
        // SAFETY: the brigade is alive.
        unsafe { ffi::apr_brigade_cleanup(self.as_raw().cast()) };
    }
}

/// The first bucket of a brigade.
#[derive(Debug)]
pub enum First<'b> {
    /// The brigade is empty.
    Nothing,
    /// The end of the stream.
    End,
    /// At least one byte.
    Bytes(&'b [u8]),
    /// No data; remove it.
    Other,
}

#[inline]
fn check(status: Status) -> Result<(), Status> {
    if status == ffi::APR_SUCCESS { Ok(()) } else { Err(status) }
}
