//! The C functions through which Python reaches classes written in Rust. Each turns its pointers into a token, a value
//! and arguments, calls the class, and turns the answer back; a panic becomes `RuntimeError`.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use oxwsgi_core::boundary::guard;
use pyo3::ffi;

use crate::python::instance::{Instance, allocate, value_of};
use crate::python::object::Borrowed;
use crate::python::{Args, Attached, Class, Exception, Held, Keywords, Obj, PyResult};

/// Shows the cycle collector what an object refers to.
#[derive(Debug)]
pub struct Visitor {
    visit: ffi::visitproc,
    argument: *mut c_void,
    answer: c_int,
}

impl Visitor {
    /// Shows one reference.
    pub fn visit(&mut self, object: &Held) {
        if self.answer == 0 {
            // SAFETY: the collector runs attached.
            let py = unsafe { Attached::assume() };
            // SAFETY: the collector's own function and argument, and a live object.
            self.answer = unsafe { (self.visit)(object.get(py).as_raw(), self.argument) };
        }
    }
}

/// # Safety
/// `items` are `count` live objects for `'a`.
unsafe fn arguments<'a, 'py>(items: *const *mut ffi::PyObject, count: usize) -> Args<'a, 'py> {
    let items = if count == 0 {
        &[]
    } else {
        // SAFETY: so says the caller; `Obj` is transparent over a pointer that is not null, and a shared slice of them
        // drops none.
        unsafe { std::slice::from_raw_parts(items.cast::<Obj<'py>>(), count) }
    };
    Args { items }
}

/// Runs the body of a slot: its result as CPython expects it, a panic as `RuntimeError`. No object without an exception
/// ends an iteration.
fn answer<'py>(
    py: Attached<'py>,
    body: impl FnOnce() -> PyResult<'py, Option<Obj<'py>>>,
) -> *mut ffi::PyObject {
    let body = || body().ok().flatten().map_or(null_mut(), Obj::into_raw);
    guard(body, |message| {
        drop(py.raise(Exception::Runtime, format!("internal error of oxwsgi: {message}")));
        null_mut()
    })
}

pub unsafe extern "C" fn method_trampoline<C, F>(
    this: *mut ffi::PyObject,
    items: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject
where
    C: Class,
    F: for<'a, 'py> Fn(&'a C, Attached<'py>, Args<'a, 'py>) -> PyResult<'py, Obj<'py>> + Copy + 'static,
{
    // SAFETY: Python calls methods attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: the method descriptor has checked the type of `this`.
    let value = unsafe { value_of::<C>(this) };
    // SAFETY: the calling convention METH_FASTCALL.
    let args = unsafe { arguments(items, count.unsigned_abs()) };
    // SAFETY: a function item has no size (asserted in `method`), so any address is one.
    let function = unsafe { std::ptr::NonNull::<F>::dangling().read() };
    answer(py, || function(value, py, args).map(Some))
}

pub unsafe extern "C" fn property_trampoline<C, F>(
    this: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject
where
    C: Class,
    F: for<'py> Fn(&C, Attached<'py>) -> PyResult<'py, Obj<'py>> + Copy + 'static,
{
    // SAFETY: Python gets attributes attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: the attribute descriptor has checked the type of `this`.
    let value = unsafe { value_of::<C>(this) };
    // SAFETY: a function item has no size (asserted in `property`), so any address is one.
    let function = unsafe { std::ptr::NonNull::<F>::dangling().read() };
    answer(py, || function(value, py).map(Some))
}

pub unsafe extern "C" fn call_trampoline<C: Class>(
    this: *mut ffi::PyObject,
    items: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python calls attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: `allocate` put this function into instances of `C` only.
    let value = unsafe { value_of::<C>(this) };
    // The highest bit says that the caller lends a place before the arguments (PEP 590).
    let count = count & !(1 << (usize::BITS - 1));
    // SAFETY: the vectorcall convention.
    let args = unsafe { arguments(items, count) };
    answer(py, || {
        let Some(call) = C::SLOTS.call else { return Ok(None) };
        // SAFETY: null or a tuple of names.
        if !keywords.is_null() && unsafe { ffi::PyTuple_Size(keywords) } > 0 {
            return Err(py.raise(Exception::Type, "no keyword arguments are taken"));
        }
        call(value, py, args).map(Some)
    })
}

pub unsafe extern "C" fn next_trampoline<C: Class>(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: Python iterates attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: the slot of `C`'s type.
    let value = unsafe { value_of::<C>(this) };
    answer(py, || C::SLOTS.next.map_or(Ok(None), |next| next(value, py)))
}

pub unsafe extern "C" fn attribute_trampoline<C: Class>(
    this: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python gets attributes attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: the slot of `C`'s type.
    let value = unsafe { value_of::<C>(this) };
    // SAFETY: the argument lives for the call.
    let name: Borrowed<'_, '_> = unsafe { Obj::borrow(py, name) };
    answer(py, || C::SLOTS.attribute.map_or(Ok(None), |attribute| attribute(value, &name).map(Some)))
}

pub unsafe extern "C" fn new_trampoline<C: Class>(
    kind: *mut ffi::PyTypeObject,
    args: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python makes objects attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: a tuple that lives for the call.
    let args: Borrowed<'_, '_> = unsafe { Obj::borrow(py, args) };
    let items: Vec<Obj<'_>> = args.items().map(Iterator::collect).unwrap_or_default();
    let names: Option<Borrowed<'_, '_>> = (!keywords.is_null()).then(|| {
        // SAFETY: a dict that lives for the call.
        unsafe { Obj::borrow(py, keywords) }
    });
    answer(py, || {
        let Some(new) = C::SLOTS.new else { return Ok(None) };
        let value = new(py, Args { items: &items }, Keywords { names: names.as_deref() })?;
        // SAFETY: `kind` is `C`'s type or a subtype: this is its `tp_new`.
        unsafe { allocate(py, kind, value) }.map(Some)
    })
}

pub unsafe extern "C" fn traverse_trampoline<C: Class>(
    this: *mut ffi::PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the slot of `C`'s type.
    let value = unsafe { value_of::<C>(this) };
    let mut visitor = Visitor { visit, argument, answer: 0 };
    guard(
        || {
            value.traverse(&mut visitor);
            if visitor.answer != 0 {
                return visitor.answer;
            }
            // Instances of heap types own a reference to their type.
            // SAFETY: the collector's own function, and the type of a live object.
            unsafe { visit(ffi::Py_TYPE(this).cast(), argument) }
        },
        |_| 0,
    )
}

pub unsafe extern "C" fn clear_trampoline<C: Class>(this: *mut ffi::PyObject) -> c_int {
    // SAFETY: the collector runs attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: the slot of `C`'s type.
    let value = unsafe { value_of::<C>(this) };
    guard(|| value.clear(py), |_| ());
    0
}

pub unsafe extern "C" fn deallocate<C: Class>(this: *mut ffi::PyObject) {
    // SAFETY: objects die attached.
    let py = unsafe { Attached::assume() };
    if C::SLOTS.collected {
        // SAFETY: an object of a collected type, about to go.
        unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    }
    let instance: *mut Instance<C> = this.cast();
    // SAFETY: written by `allocate`; nobody else has a reference any more, so it is read out for good.
    let value = unsafe { (&raw const (*instance).value).read() };
    guard(|| value.release(py), |_| ());
    // SAFETY: a live object's type.
    let kind = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: every heap type has a `tp_free`, of this signature.
    let free: ffi::freefunc = unsafe { std::mem::transmute(ffi::PyType_GetSlot(kind, ffi::Py_tp_free)) };
    // SAFETY: the memory came from `PyType_GenericAlloc` of this type.
    unsafe { free(this.cast()) };
    // SAFETY: instances of heap types own a reference to their type.
    unsafe { ffi::Py_DECREF(kind.cast()) };
}
