//! A process without threads for requests (`threads=0`): runs its scripts and ends. Its signals are Python's.

use std::ffi::CStr;

use crate::python::{Args, Attached, Class, Obj, PyResult, Slots, Type};

/// The handler of `SIGTERM`: raises `SystemExit`.
#[derive(Debug)]
struct Terminate;

impl Terminate {
    fn call<'py>(&self, py: Attached<'py>, _args: Args<'_, 'py>) -> PyResult<'py, Obj<'py>> {
        py.import("sys")?.call_method(c"exit", &[])
    }
}

impl Class for Terminate {
    const NAME: &'static CStr = c"mod_wsgi.Terminate";
    const DOC: &'static CStr = c"Raises SystemExit.";
    const SLOTS: Slots<Self> = Slots { call: Some(Self::call), ..Slots::NONE };
}

/// Has `SIGTERM` raise `SystemExit` in the scripts.
pub fn end_on_signal<'py>(py: Attached<'py>) -> PyResult<'py, ()> {
    let handler = Type::<Terminate>::new(py)?.instance(py, Terminate)?;
    let signal = py.import("signal")?;
    signal.call_method(c"signal", &[&signal.attribute(c"SIGTERM")?, &handler]).map(drop)
}
