//! Runs a script file as a module.

use pyo3::ffi;

use crate::python::{Attached, Obj, PyResult};

impl<'py> Attached<'py> {
    /// Compiles `source` as the file `path`, runs it as the new module `name`, and returns that. The module is left in
    /// `sys.modules` only when this succeeds.
    pub fn run_script(self, name: &Obj<'py>, path: &Obj<'py>, source: &[u8]) -> PyResult<'py, Obj<'py>> {
        let source = self.bytes(source)?;
        let keywords = [(c"dont_inherit", &self.bool(true))];
        let compile = self.import("builtins")?.attribute(c"compile")?;
        let code = compile.call_with(&[&source, path, &self.text("exec")?], &keywords)?;
        // SAFETY: live objects and a null that means "no cached file"; returns a new reference or null with an
        // exception, and then has removed the module.
        unsafe {
            let module = ffi::PyImport_ExecCodeModuleObject(
                name.as_raw(),
                code.as_raw(),
                path.as_raw(),
                std::ptr::null_mut(),
            );
            Obj::from_owned(self, module)
        }
    }
}
