//! The modules that an application finds in every interpreter: `mod_wsgi`, `oxwsgi`, and `apache` under httpd.

use crate::python::{Attached, Module, Obj, PyResult};
use crate::wsgi::callbacks::Callbacks;
use crate::wsgi::environ::COMPATIBILITY;
use crate::wsgi::log_handler::LateAttributes;
use crate::wsgi::settings::Settings;
use crate::wsgi::types::Types;

/// Adds the modules to the interpreter that the thread is attached to; gives the lists of callbacks.
pub fn add<'py>(
    py: Attached<'py>,
    settings: &'static Settings,
    group: &[u8],
    types: &Types,
) -> PyResult<'py, Callbacks> {
    let callbacks = add_mod_wsgi(py, settings, group, types)?;
    let oxwsgi = Module::add(py, c"oxwsgi")?;
    let version: Vec<u32> =
        env!("CARGO_PKG_VERSION").split('.').filter_map(|part| part.parse().ok()).collect();
    oxwsgi.set(py, c"version", &py.numbers(&version)?)?;
    oxwsgi.set(py, c"__version__", &py.text(env!("CARGO_PKG_VERSION"))?)?;
    if settings.is_httpd() {
        add_apache(py, settings)?;
    }
    Ok(callbacks)
}

fn add_mod_wsgi<'py>(
    py: Attached<'py>,
    settings: &'static Settings,
    group: &[u8],
    types: &Types,
) -> PyResult<'py, Callbacks> {
    // Whoever has the `mod_wsgi` distribution installed goes on importing its submodules.
    let submodules = distribution_path(py);
    let module = Module::add(py, c"mod_wsgi")?;
    if let Some(path) = submodules {
        module.set(py, c"__path__", &path)?;
    }
    module.set(py, c"version", &py.numbers(&COMPATIBILITY)?)?;
    module.set(py, c"process_group", &py.latin1(&settings.process_group)?)?;
    module.set(py, c"application_group", &py.latin1(group)?)?;
    module.set(py, c"maximum_processes", &py.int(settings.maximum_processes.into())?)?;
    module.set(py, c"threads_per_process", &py.int(settings.threads_per_process.into())?)?;
    module.set(py, c"FileWrapper", types.file_wrapper.object(py))?;
    module.set(py, c"RequestTimeout", types.request_timeout.get(py))?;
    module.set(py, c"__getattr__", &types.late_attributes.instance(py, LateAttributes { settings })?)?;
    Callbacks::add(py, &module, settings, &types.subscribe)
}

fn add_apache<'py>(py: Attached<'py>, settings: &Settings) -> PyResult<'py, ()> {
    let module = Module::add(py, c"apache")?;
    module.set(py, c"version", &py.numbers(&settings.server_version)?)?;
    module.set(py, c"maximum_processes", &py.int(settings.maximum_processes.into())?)?;
    module.set(py, c"threads_per_process", &py.int(settings.threads_per_process.into())?)?;
    module.set(py, c"description", &py.latin1(&settings.server_description)?)?;
    module.set(py, c"mpm_name", &py.latin1(&settings.mpm_name)?)?;
    module.set(py, c"build_date", &py.latin1(&settings.server_built)?)
}

fn distribution_path(py: Attached<'_>) -> Option<Obj<'_>> {
    let find = || {
        let specification =
            py.import("importlib.util")?.call_method(c"find_spec", &[&py.text("mod_wsgi")?])?;
        if specification.is_none() {
            Ok(None)
        } else {
            specification.attribute(c"submodule_search_locations").map(Some)
        }
    };
    let found: PyResult<'_, Option<Obj<'_>>> = find();
    found.unwrap_or_else(|raised| {
        raised.clear();
        None
    })
}

/// Puts the working directory of a daemon group before all others (`home=`).
pub fn add_home<'py>(py: Attached<'py>, home: &[u8]) -> PyResult<'py, ()> {
    let Some(path) = py.sys(c"path") else { return Ok(()) };
    path.call_method(c"insert", &[&py.int(0)?, &py.path(home)?]).map(drop)
}

/// Puts directories at the front of `sys.path`, after `site` has looked into them for `.pth` files.
pub fn add_python_path<'py>(py: Attached<'py>, directories: &[Vec<u8>]) -> PyResult<'py, ()> {
    let Some(path) = py.sys(c"path") else { return Ok(()) };
    let before: Vec<String> = texts(&path);
    let add = py.import("site")?.attribute(c"addsitedir")?;
    for directory in directories {
        add.call(&[&py.path(directory)?])?;
    }
    // `site` appends; what it has appended moves to the front, in its order.
    let (added, kept): (Vec<Obj<'py>>, Vec<Obj<'py>>) = path
        .items()
        .into_iter()
        .flatten()
        .partition(|entry| entry.to_text().is_some_and(|entry| !before.contains(&entry)));
    let sorted = py.list(&added.iter().chain(&kept).collect::<Vec<_>>())?;
    py.set_sys(c"path", &sorted)
}

fn texts(list: &Obj<'_>) -> Vec<String> {
    list.items().into_iter().flatten().filter_map(|entry| entry.to_text()).collect()
}
