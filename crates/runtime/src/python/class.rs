//! Python classes written in Rust: a trait says what a class can do, and this makes a heap type of it.
//!
//! A type belongs to the interpreter it was made in; [`Type`] is that interpreter's handle. The instance's value is
//! used through `&self` with cells inside, for Python code may call back into it at any point.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::null_mut;

use oxwsgi_core::boundary::guard;
use pyo3::ffi;

use crate::python::object::Borrowed;
use crate::python::{Attached, Exception, Held, Obj, PyResult, raw};

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

/// Positional arguments of a call.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a, 'py> {
    items: &'a [Obj<'py>],
}

impl<'a, 'py> Args<'a, 'py> {
    /// The arguments when there are `at_least` to `at_most`; else the `TypeError` that Python itself would raise.
    pub fn expect(
        self,
        py: Attached<'py>,
        name: &str,
        at_least: usize,
        at_most: usize,
    ) -> PyResult<'py, &'a [Obj<'py>]> {
        let given = self.items.len();
        if (at_least..=at_most).contains(&given) {
            return Ok(self.items);
        }
        let (word, bound) = if given < at_least { ("least", at_least) } else { ("most", at_most) };
        let word = if at_least == at_most { "exactly" } else { &format!("at {word}") };
        let plural = if bound == 1 { "" } else { "s" };
        Err(py.raise(
            Exception::Type,
            format!("{name}() takes {word} {bound} argument{plural} ({given} given)"),
        ))
    }
}

/// Keyword arguments of a call.
#[derive(Debug)]
pub struct Keywords<'a, 'py> {
    names: Option<&'a Obj<'py>>,
}

impl<'py> Keywords<'_, 'py> {
    /// The value of argument number `index`, given by position or by name.
    pub fn argument(&self, args: &[Obj<'py>], index: usize, name: &CStr) -> PyResult<'py, Option<Obj<'py>>> {
        if let Some(value) = args.get(index) {
            return Ok(Some(value.clone()));
        }
        self.names.map_or(Ok(None), |names| names.item(&names.py().name(name)?))
    }

    /// Raises `TypeError` when a name is none of `known`.
    pub fn only(&self, function: &str, known: &[&str]) -> PyResult<'py, ()> {
        let Some(names) = self.names else { return Ok(()) };
        let mut unknown = None;
        names.for_each_item(|name, _| {
            unknown =
                unknown.take().or_else(|| name.to_text().filter(|name| !known.contains(&name.as_str())));
        });
        unknown.map_or(Ok(()), |name| {
            let message = format!("{function}() got an unexpected keyword argument '{name}'");
            Err(names.py().raise(Exception::Type, message))
        })
    }
}

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

/// The memory of an instance.
#[repr(C)]
pub struct Instance<C> {
    base: ffi::PyObject,
    vectorcall: Option<ffi::vectorcallfunc>,
    value: C,
}

impl<C> fmt::Debug for Instance<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
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
    let vectorcall = ffi::PyMemberDef {
        name: c"__vectorcalloffset__".as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset_of!(Instance<C>, vectorcall) as isize,
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    };
    let members = vec![vectorcall, ffi::PyMemberDef::default()];

    let mut flags = ffi::Py_TPFLAGS_DEFAULT;
    let slot = |slot: c_int, pointer: *mut c_void| ffi::PyType_Slot { slot, pfunc: pointer };
    let mut slots = vec![
        slot(ffi::Py_tp_doc, C::DOC.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_dealloc, deallocate::<C> as *mut c_void),
        slot(ffi::Py_tp_methods, methods.leak().as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, properties.leak().as_mut_ptr().cast()),
    ];
    if C::SLOTS.call.is_some() {
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

/// # Safety
/// `kind` is the type made for `C`, or a subtype of it.
unsafe fn allocate<C: Class>(
    py: Attached<'_>,
    kind: *mut ffi::PyTypeObject,
    value: C,
) -> PyResult<'_, Obj<'_>> {
    // SAFETY: a live type; returns a new zeroed instance or null with an exception.
    let object = unsafe { Obj::from_owned(py, ffi::PyType_GenericAlloc(kind, 0)) }?;
    let instance: *mut Instance<C> = object.as_raw().cast();
    // SAFETY: the instance has the size of `Instance<C>` at least, and nobody else has seen it.
    unsafe { (&raw mut (*instance).value).write(value) };
    if C::SLOTS.call.is_some() {
        // SAFETY: as above.
        unsafe { (&raw mut (*instance).vectorcall).write(Some(call_trampoline::<C>)) };
    }
    Ok(object)
}

/// # Safety
/// `object` is a live instance of `C`'s type for `'a`.
#[inline]
unsafe fn value_of<'a, C>(object: *mut ffi::PyObject) -> &'a C {
    // SAFETY: so says the caller; the value was written by `allocate` before anybody saw the object.
    unsafe { &(*object.cast::<Instance<C>>()).value }
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

/// Runs the body of a slot: its result as CPython expects it, a panic as `RuntimeError`.
fn answer<'py>(py: Attached<'py>, body: impl FnOnce() -> PyResult<'py, Obj<'py>>) -> *mut ffi::PyObject {
    let body = || body().map_or(null_mut(), Obj::into_raw);
    guard(body, |message| {
        drop(py.raise(Exception::Runtime, format!("internal error of oxwsgi: {message}")));
        null_mut()
    })
}

unsafe extern "C" fn method_trampoline<C, F>(
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
    answer(py, || function(value, py, args))
}

unsafe extern "C" fn property_trampoline<C, F>(
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
    answer(py, || function(value, py))
}

unsafe extern "C" fn call_trampoline<C: Class>(
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
        let Some(call) = C::SLOTS.call else { return Ok(py.none()) };
        // SAFETY: null or a tuple of names.
        if !keywords.is_null() && unsafe { ffi::PyTuple_Size(keywords) } > 0 {
            return Err(py.raise(Exception::Type, "no keyword arguments are taken"));
        }
        call(value, py, args)
    })
}

unsafe extern "C" fn next_trampoline<C: Class>(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: Python iterates attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: the slot of `C`'s type.
    let value = unsafe { value_of::<C>(this) };
    let Some(next) = C::SLOTS.next else { return null_mut() };
    let body = || next(value, py).ok().flatten().map_or(null_mut(), Obj::into_raw);
    guard(body, |message| {
        drop(py.raise(Exception::Runtime, format!("internal error of oxwsgi: {message}")));
        null_mut()
    })
}

unsafe extern "C" fn attribute_trampoline<C: Class>(
    this: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: Python gets attributes attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: the slot of `C`'s type.
    let value = unsafe { value_of::<C>(this) };
    // SAFETY: the argument lives for the call.
    let name: Borrowed<'_, '_> = unsafe { Obj::borrow(py, name) };
    answer(py, || C::SLOTS.attribute.map_or_else(|| Ok(py.none()), |attribute| attribute(value, &name)))
}

unsafe extern "C" fn new_trampoline<C: Class>(
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
        let Some(new) = C::SLOTS.new else { return Ok(py.none()) };
        let value = new(py, Args { items: &items }, Keywords { names: names.as_deref() })?;
        // SAFETY: `kind` is `C`'s type or a subtype: this is its `tp_new`.
        unsafe { allocate(py, kind, value) }
    })
}

unsafe extern "C" fn traverse_trampoline<C: Class>(
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

unsafe extern "C" fn clear_trampoline<C: Class>(this: *mut ffi::PyObject) -> c_int {
    // SAFETY: the collector runs attached.
    let py = unsafe { Attached::assume() };
    // SAFETY: the slot of `C`'s type.
    let value = unsafe { value_of::<C>(this) };
    guard(|| value.clear(py), |_| ());
    0
}

unsafe extern "C" fn deallocate<C: Class>(this: *mut ffi::PyObject) {
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
