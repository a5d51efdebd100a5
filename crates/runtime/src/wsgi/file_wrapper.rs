//! `wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling").

use std::cell::RefCell;
use std::ffi::CStr;

use oxwsgi_core::os::file;

use crate::python::{
    Args, Attached, Class, Exception, Held, Keywords, Method, Obj, Property, PyResult, Slots, Visitor,
    method, property,
};

/// Bytes read at once when the file is iterated.
const BLOCK_SIZE: isize = 8192;

/// A file-like object to be sent.
#[derive(Debug)]
pub struct FileWrapper {
    // Empty once closed.
    file: RefCell<Option<Held>>,
    block_size: isize,
}

/// A piece of a regular file that the server can send by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRange {
    /// The application's descriptor.
    pub descriptor: i32,
    /// First byte.
    pub offset: u64,
    /// From there to the end of the file, in bytes.
    pub length: u64,
}

impl FileWrapper {
    fn new<'py>(py: Attached<'py>, args: Args<'_, 'py>, keywords: Keywords<'_, 'py>) -> PyResult<'py, Self> {
        let args = args.expect(py, "FileWrapper", 0, 2)?;
        keywords.only("FileWrapper", &["filelike", "blksize"])?;
        let Some(file) = keywords.argument(args, 0, c"filelike")? else {
            return Err(
                py.raise(Exception::Type, "FileWrapper() missing required argument 'filelike' (pos 1)")
            );
        };
        let block_size =
            keywords.argument(args, 1, c"blksize")?.map_or(Ok(BLOCK_SIZE), |size| size.to_index())?;
        if block_size < 0 {
            return Err(py.raise(Exception::Value, "blksize must not be negative"));
        }
        Ok(Self { file: RefCell::new(Some(file.hold())), block_size })
    }

    fn file<'py>(&self, py: Attached<'py>) -> PyResult<'py, Obj<'py>> {
        let file = self.file.borrow().as_ref().map(|file| file.share(py));
        file.ok_or_else(|| py.raise(Exception::Value, "I/O operation on closed file"))
    }

    /// The range that the server can send by itself, when there is one: a regular file behind `fileno()`, from where
    /// `tell()` says.
    pub fn range<'py>(&self, py: Attached<'py>) -> PyResult<'py, Option<FileRange>> {
        let file = self.file(py)?;
        let Ok(descriptor) = integer_from(&file, c"fileno") else { return Ok(None) };
        let Some(descriptor) = descriptor.and_then(|number| i32::try_from(number).ok()) else {
            return Ok(None);
        };
        let Ok(Some(size)) = file::regular_size(descriptor) else { return Ok(None) };
        let Ok(offset) = integer_from(&file, c"tell") else { return Ok(None) };
        let Some(offset) = offset.and_then(|number| u64::try_from(number).ok()) else { return Ok(None) };
        Ok(Some(FileRange { descriptor, offset, length: size.saturating_sub(offset) }))
    }

    fn next<'py>(&self, py: Attached<'py>) -> PyResult<'py, Option<Obj<'py>>> {
        let size = py.int(i64::try_from(self.block_size).unwrap_or(i64::MAX))?;
        let block = self.file(py)?.call_method(c"read", &[&size])?;
        match block.as_bytes() {
            None => {
                let text = format!("file wrapper read() must return bytes, not {}", block.type_name());
                Err(py.raise(Exception::Type, text))
            }
            Some(b"") => Ok(None),
            Some(_) => Ok(Some(block)),
        }
    }

    fn close<'py>(&self, py: Attached<'py>, args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        args.expect(py, "close", 0, 0)?;
        let file = self.file.borrow_mut().take();
        if let Some(file) = file {
            if let Err(raised) = file.get(py).call_method(c"close", &[]) {
                raised.clear();
            }
            file.release(py);
        }
        Ok(py.none())
    }

    fn filelike<'py>(&self, py: Attached<'py>) -> PyResult<'py, Obj<'py>> {
        self.file(py)
    }

    fn blksize<'py>(&self, py: Attached<'py>) -> PyResult<'py, Obj<'py>> {
        py.int(i64::try_from(self.block_size).unwrap_or(i64::MAX))
    }
}

/// `object.method()`, when there is such a method and it returns an integer.
fn integer_from<'py>(object: &Obj<'py>, method: &CStr) -> Result<Option<i64>, ()> {
    object.call_method(method, &[]).map(|number| number.to_int()).map_err(|raised| raised.clear())
}

impl Class for FileWrapper {
    const NAME: &'static CStr = c"mod_wsgi.FileWrapper";
    const DOC: &'static CStr = c"FileWrapper(filelike, blksize=8192) has the server send a file.";
    const METHODS: &'static [Method] = &[method(c"close", c"close() closes the file.", Self::close)];
    const PROPERTIES: &'static [Property] = &[
        property(c"filelike", c"The wrapped object.", Self::filelike),
        property(c"blksize", c"Bytes read at once.", Self::blksize),
    ];
    const SLOTS: Slots<Self> = Slots {
        new: Some(Self::new),
        next: Some(Self::next),
        subclassable: true,
        collected: true,
        ..Slots::NONE
    };

    fn traverse(&self, visitor: &mut Visitor) {
        // Borrowed mutably only for a moment within one call; then the reference is on its way out anyway.
        if let Ok(file) = self.file.try_borrow()
            && let Some(file) = file.as_ref()
        {
            visitor.visit(file);
        }
    }

    fn clear(&self, py: Attached<'_>) {
        let file = self.file.borrow_mut().take();
        if let Some(file) = file {
            file.release(py);
        }
    }

    fn release(self, py: Attached<'_>) {
        self.clear(py);
    }
}
