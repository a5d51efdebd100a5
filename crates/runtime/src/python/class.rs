//! Python classes written in Rust: a trait says what a class can do, and this makes a heap type of it.
//!
//! A type belongs to the interpreter it was made in; [`Type`] is that interpreter's handle. The instance's value is
//! used through `&self` with cells inside, for Python code may call back into it at any point.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::null_mut;

use pyo3::ffi;

use crate::python::instance::{Instance, allocate, value_of};
use crate::python::trampoline::{
    Visitor, attribute_trampoline, clear_trampoline, deallocate, method_trampoline, new_trampoline,
    next_trampoline, property_trampoline, traverse_trampoline,
};
use crate::python::{Args, Attached, Held, Keywords, Obj, PyResult, raw};

/// A class whose instances hold a `Self`.
pub trait Class: Sized + 'static {
    /// Dotted name, as `type.__module__` and `__qualname__` show it.
    const NAME: &'static CStr;
    /// `__doc__`.
    const DOC: &'static CStr;
    /// Methods, made with [`method`].
    const METHODS: &'static [Method] = &[];
    /// Read-only attributes, made with [`property`].
    const PROPERTIES: &'static [Property] = &[];
    /// What else instances do.
    const SLOTS: Slots<Self> = Slots::NONE;

    /// Visits every object the instance refers to, for the cycle collector. Needed when [`Slots::collected`].
    fn traverse(&self, _visitor: &mut Visitor) {}

    /// Drops every reference, to break a cycle. Needed when [`Slots::collected`].
    fn clear(&self, _py: Attached<'_>) {}

    /// Gives up what the instance holds; called last.
    fn release(self, _py: Attached<'_>) {}
}

type Call<C> = for<'a, 'py> fn(&'a C, Attached<'py>, Args<'a, 'py>) -> PyResult<'py, Obj<'py>>;
type New<C> = for<'a, 'py> fn(Attached<'py>, Args<'a, 'py>, Keywords<'a, 'py>) -> PyResult<'py, C>;
type Next<C> = for<'py> fn(&C, Attached<'py>) -> PyResult<'py, Option<Obj<'py>>>;
type Attribute<C> = for<'a, 'py> fn(&'a C, &'a Obj<'py>) -> PyResult<'py, Obj<'py>>;

/// The special methods of a class.
pub struct Slots<C> {
    /// `__call__`, with positional arguments only.
    pub call: Option<Call<C>>,
    /// `__new__`; without it the class cannot be called from Python.
    pub new: Option<New<C>>,
    /// `__next__`; `__iter__` then returns the object itself.
    pub next: Option<Next<C>>,
    /// `__getattribute__`, instead of the usual one.
    pub attribute: Option<Attribute<C>>,
    /// Whether Python classes may inherit from it.
    pub subclassable: bool,
    /// Whether the cycle collector looks at it.
    pub collected: bool,
}

impl<C> Slots<C> {
    /// Nothing special.
    pub const NONE: Self =
        Self { call: None, new: None, next: None, attribute: None, subclassable: false, collected: false };
}

impl<C> fmt::Debug for Slots<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}

/// A method of a class.
pub struct Method(ffi::PyMethodDef);

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method").finish_non_exhaustive()
    }
}

// SAFETY: a constant: a name, a function and a documentation string that live as long as the program.
unsafe impl Sync for Method {}

/// Makes a method of a function `fn(&Self, Attached, Args) -> PyResult<Obj>`.
pub const fn method<C, F>(name: &'static CStr, doc: &'static CStr, _function: F) -> Method
where
    C: Class,
    F: for<'a, 'py> Fn(&'a C, Attached<'py>, Args<'a, 'py>) -> PyResult<'py, Obj<'py>> + Copy + 'static,
{
    const { assert!(size_of::<F>() == 0, "a method is made of a function item") };
    Method(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: method_trampoline::<C, F> },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: doc.as_ptr(),
    })
}

/// A read-only attribute of a class.
pub struct Property(ffi::PyGetSetDef);

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Property").finish_non_exhaustive()
    }
}

// SAFETY: as for `Method`.
unsafe impl Sync for Property {}

/// Makes an attribute of a function `fn(&Self, Attached) -> PyResult<Obj>`.
pub const fn property<C, F>(name: &'static CStr, doc: &'static CStr, _function: F) -> Property
where
    C: Class,
    F: for<'py> Fn(&C, Attached<'py>) -> PyResult<'py, Obj<'py>> + Copy + 'static,
{
    const { assert!(size_of::<F>() == 0, "an attribute is made of a function item") };
    Property(ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(property_trampoline::<C, F>),
        set: None,
        doc: doc.as_ptr(),
        closure: null_mut(),
    })
}

/// A class as one interpreter knows it.
#[derive(Debug)]
pub struct Type<C> {
    object: Held,
    class: PhantomData<fn() -> C>,
}

impl<C: Class> Type<C> {
    /// Makes the class in the interpreter that the thread is attached to.
    pub fn new(py: Attached<'_>) -> PyResult<'_, Self> {
        let object = make_type::<C>(py)?.hold();
        Ok(Self { object, class: PhantomData })
    }

    /// The type object.
    pub const fn object<'a, 'py>(&'a self, py: Attached<'py>) -> &'a Obj<'py> {
        self.object.get(py)
    }

    /// An instance holding `value`.
    pub fn instance<'py>(&self, py: Attached<'py>, value: C) -> PyResult<'py, Obj<'py>> {
        // SAFETY: the type object that `new` made for this `C`.
        unsafe { allocate(py, self.object.get(py).as_raw().cast(), value) }
    }

    /// The value, when `object` is an instance of this class or of a subclass.
    #[inline]
    pub fn value<'a>(&self, object: &'a Obj<'_>) -> Option<&'a C> {
        let kind = self.object.get(object.py()).as_raw().cast();
        // SAFETY: a live object and a type object.
        let is_instance = unsafe { ffi::PyObject_TypeCheck(object.as_raw(), kind) } != 0;
        // SAFETY: an instance, as just seen, and `object` keeps it alive.
        is_instance.then(|| unsafe { value_of::<C>(object.as_raw()) })
    }
}

fn make_type<C: Class>(py: Attached<'_>) -> PyResult<'_, Obj<'_>> {
    // The tables live as long as the types made of them, which is as long as the process.
    let methods: Vec<ffi::PyMethodDef> =
        C::METHODS.iter().map(|method| method.0).chain([ffi::PyMethodDef::zeroed()]).collect();
    let properties: Vec<ffi::PyGetSetDef> =
        C::PROPERTIES.iter().map(|property| property.0).chain([ffi::PyGetSetDef::default()]).collect();
    let mut flags = ffi::Py_TPFLAGS_DEFAULT;
    let slot = |slot: c_int, pointer: *mut c_void| ffi::PyType_Slot { slot, pfunc: pointer };
    let mut slots = vec![
        slot(ffi::Py_tp_doc, C::DOC.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_dealloc, deallocate::<C> as *mut c_void),
        slot(ffi::Py_tp_methods, methods.leak().as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, properties.leak().as_mut_ptr().cast()),
    ];
    if C::SLOTS.call.is_some() {
        let vectorcall = ffi::PyMemberDef {
            name: c"__vectorcalloffset__".as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset_of!(Instance<C>, vectorcall) as isize,
            flags: ffi::Py_READONLY,
            doc: std::ptr::null(),
        };
        let members = vec![vectorcall, ffi::PyMemberDef::default()];
        flags |= raw::HAVE_VECTORCALL;
        slots.push(slot(ffi::Py_tp_members, members.leak().as_mut_ptr().cast()));
        slots.push(slot(ffi::Py_tp_call, raw::PyVectorcall_Call as *mut c_void));
    }
    if C::SLOTS.next.is_some() {
        slots.push(slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void));
        slots.push(slot(ffi::Py_tp_iternext, next_trampoline::<C> as *mut c_void));
    }
    if C::SLOTS.attribute.is_some() {
        slots.push(slot(ffi::Py_tp_getattro, attribute_trampoline::<C> as *mut c_void));
    }
    if C::SLOTS.new.is_some() {
        slots.push(slot(ffi::Py_tp_new, new_trampoline::<C> as *mut c_void));
    } else {
        flags |= ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    }
    if C::SLOTS.subclassable {
        flags |= ffi::Py_TPFLAGS_BASETYPE;
    }
    if C::SLOTS.collected {
        flags |= ffi::Py_TPFLAGS_HAVE_GC;
        slots.push(slot(ffi::Py_tp_traverse, traverse_trampoline::<C> as *mut c_void));
        slots.push(slot(ffi::Py_tp_clear, clear_trampoline::<C> as *mut c_void));
    }
    slots.push(slot(0, null_mut()));

    let mut spec = ffi::PyType_Spec {
        name: C::NAME.as_ptr(),
        basicsize: size_of::<Instance<C>>() as c_int,
        itemsize: 0,
        flags: flags as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: a complete specification, its slots ended by a zero; the tables it points to are never freed.
    unsafe { Obj::from_owned(py, ffi::PyType_FromSpec(&raw mut spec)) }
}
