//! References to Python objects.

use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use pyo3::ffi;

use crate::python::{Attached, PyResult, Raised};

/// An owned reference, for as long as the thread is attached.
#[repr(transparent)]
pub struct Obj<'py> {
    pointer: NonNull<ffi::PyObject>,
    py: PhantomData<Attached<'py>>,
}

/// A reference borrowed from something that outlives `'a` (an argument, an owned container).
pub struct Borrowed<'a, 'py> {
    object: ManuallyDrop<Obj<'py>>,
    owner: PhantomData<&'a ()>,
}

impl<'py> Obj<'py> {
    /// Takes over a new reference that the C API returned; null means that an exception is set.
    ///
    /// # Safety
    /// `pointer` is null with an exception set, or a reference the caller owns.
    #[inline]
    pub(super) unsafe fn from_owned(py: Attached<'py>, pointer: *mut ffi::PyObject) -> PyResult<'py, Self> {
        NonNull::new(pointer)
            .map(|pointer| Self { pointer, py: PhantomData })
            .ok_or_else(|| Raised::already(py))
    }

    /// Makes a new reference to a borrowed object that is not null.
    ///
    /// # Safety
    /// `pointer` is a live object.
    #[inline]
    pub(super) unsafe fn from_borrowed(_py: Attached<'py>, pointer: *mut ffi::PyObject) -> Self {
        // SAFETY: the caller says it is live.
        unsafe { ffi::Py_INCREF(pointer) };
        // SAFETY: a live object's address is not null.
        Self { pointer: unsafe { NonNull::new_unchecked(pointer) }, py: PhantomData }
    }

    /// Looks at an object without owning it.
    ///
    /// # Safety
    /// `pointer` is a live object that stays alive for `'a`.
    #[inline]
    pub(super) const unsafe fn borrow<'a>(
        _py: Attached<'py>,
        pointer: *mut ffi::PyObject,
    ) -> Borrowed<'a, 'py> {
        // SAFETY: a live object's address is not null.
        let pointer = unsafe { NonNull::new_unchecked(pointer) };
        Borrowed { object: ManuallyDrop::new(Self { pointer, py: PhantomData }), owner: PhantomData }
    }

    /// The address, for a call into the C API.
    #[inline]
    pub(super) const fn as_raw(&self) -> *mut ffi::PyObject {
        self.pointer.as_ptr()
    }

    /// Gives the reference to the caller.
    #[inline]
    pub(super) fn into_raw(self) -> *mut ffi::PyObject {
        ManuallyDrop::new(self).pointer.as_ptr()
    }

    /// The token this object proves: whoever has one is attached.
    #[inline]
    pub const fn py(&self) -> Attached<'py> {
        // SAFETY: an object exists only within the lifetime of a token.
        unsafe { Attached::assume() }
    }

    /// Whether `class` is the object's class, and not a base of it.
    #[inline]
    pub fn is_exactly(&self, class: &Self) -> bool {
        // SAFETY: compares the address of a live object's type.
        unsafe { ffi::Py_TYPE(self.as_raw()).cast() == class.as_raw() }
    }

    /// Whether this is `None`.
    #[inline]
    pub fn is_none(&self) -> bool {
        // SAFETY: only compares an address with that of the `None` object.
        unsafe { ffi::Py_IsNone(self.as_raw()) != 0 }
    }

    /// Whether the object is true; may run Python code.
    pub fn is_true(&self) -> PyResult<'py, bool> {
        // SAFETY: a live object, attached.
        match unsafe { ffi::PyObject_IsTrue(self.as_raw()) } {
            -1 => Err(Raised::already(self.py())),
            answer => Ok(answer != 0),
        }
    }

    /// Keeps the object beyond this attachment.
    #[inline]
    pub fn hold(self) -> Held {
        Held(ManuallyDrop::new(self).pointer)
    }

    /// `type(self).__name__`, for messages.
    pub fn type_name(&self) -> String {
        let py = self.py();
        // SAFETY: a live object has a type, which lives at least as long.
        let kind = unsafe { Obj::borrow(py, ffi::Py_TYPE(self.as_raw()).cast()) };
        kind.attribute(c"__name__").ok().and_then(|name| name.to_text()).unwrap_or_else(|| {
            py.clear_exception();
            "object".to_owned()
        })
    }

    /// `self.name`.
    pub fn attribute(&self, name: &CStr) -> PyResult<'py, Self> {
        // SAFETY: a live object and a C string; returns a new reference or null with an exception.
        unsafe { Self::from_owned(self.py(), ffi::PyObject_GetAttrString(self.as_raw(), name.as_ptr())) }
    }

    /// `self.name`, or `None` where there is no such attribute.
    pub fn attribute_if_any(&self, name: &Self) -> PyResult<'py, Option<Self>> {
        // SAFETY: two live objects; returns a new reference or null with an exception.
        let found =
            unsafe { Self::from_owned(self.py(), ffi::PyObject_GetAttr(self.as_raw(), name.as_raw())) };
        found.map(Some).or_else(|raised| raised.unless_attribute_error().map(|()| None))
    }

    /// `self.name = value`.
    pub fn set_attribute(&self, name: &CStr, value: &Self) -> PyResult<'py, ()> {
        // SAFETY: live objects and a C string.
        let code = unsafe { ffi::PyObject_SetAttrString(self.as_raw(), name.as_ptr(), value.as_raw()) };
        self.py().check(code)
    }

    /// `iter(self)`.
    pub fn iterate(&self) -> PyResult<'py, Self> {
        // SAFETY: a live object; returns a new reference or null with an exception.
        unsafe { Self::from_owned(self.py(), ffi::PyObject_GetIter(self.as_raw())) }
    }

    /// `next(self)` of an iterator; none at its end.
    #[inline]
    pub fn next(&self) -> PyResult<'py, Option<Self>> {
        let py = self.py();
        // SAFETY: a live iterator; returns a new reference, or null at the end or with an exception.
        let item = unsafe { ffi::PyIter_Next(self.as_raw()) };
        if item.is_null() {
            return if py.has_exception() { Err(Raised::already(py)) } else { Ok(None) };
        }
        // SAFETY: a new reference that is not null.
        unsafe { Self::from_owned(py, item) }.map(Some)
    }

    /// `repr(self)`, for messages.
    pub fn repr(&self) -> String {
        let py = self.py();
        // SAFETY: a live object; returns a new reference or null with an exception.
        let text = unsafe { Self::from_owned(py, ffi::PyObject_Repr(self.as_raw())) };
        text.ok().and_then(|text| text.to_text()).unwrap_or_else(|| {
            py.clear_exception();
            "<an object without a representation>".to_owned()
        })
    }
}

impl Clone for Obj<'_> {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: a live object, attached.
        unsafe { Self::from_borrowed(self.py(), self.as_raw()) }
    }
}

impl Drop for Obj<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the lifetime keeps the thread attached.
        unsafe { ffi::Py_DECREF(self.as_raw()) }
    }
}

impl fmt::Debug for Obj<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Obj({:p})", self.pointer)
    }
}

impl<'py> Deref for Borrowed<'_, 'py> {
    type Target = Obj<'py>;

    #[inline]
    fn deref(&self) -> &Obj<'py> {
        &self.object
    }
}

/// An owned reference kept between attachments, by the state of the interpreter the object belongs to.
///
/// That state is reached only through the interpreter's own objects or by attaching to it, so whoever holds a token and
/// sees a `Held` is attached to the right interpreter. Never put one in a `static`. Dropped without
/// [`release`](Self::release) the object simply stays, which is right for what lives as long as its interpreter.
#[repr(transparent)]
#[derive(Debug)]
pub struct Held(NonNull<ffi::PyObject>);

impl Held {
    /// The object.
    #[inline]
    pub const fn get<'a, 'py>(&'a self, _py: Attached<'py>) -> &'a Obj<'py> {
        // SAFETY: both are transparent over the same pointer; the reference is owned for as long as `self` is borrowed,
        // and the token says that the thread is attached.
        unsafe { &*std::ptr::from_ref(self).cast() }
    }

    /// A new reference.
    #[inline]
    pub fn share<'py>(&self, py: Attached<'py>) -> Obj<'py> {
        self.get(py).clone()
    }

    /// Gives the reference up.
    #[inline]
    pub fn release(self, py: Attached<'_>) {
        // SAFETY: the reference is ours; it becomes the `Obj`'s, whose drop gives it back.
        drop(unsafe { Obj::from_owned(py, self.0.as_ptr()) });
    }

    /// How many references there are, this one included. Immortal objects answer with a large number.
    #[inline]
    pub fn references(&self, _py: Attached<'_>) -> u32 {
        // The count is the low half word in every layout since 3.10: before 3.12 the whole word is the count, then the
        // upper half is zero for mortal objects, and from 3.14 it holds flags.
        // SAFETY: reads a live object's first field, which is at least four bytes (little-endian, see the assertion).
        unsafe { self.0.cast::<u32>().read() }
    }
}

const _: () =
    assert!(cfg!(target_endian = "little"), "Held::references reads the low half of the reference count");
