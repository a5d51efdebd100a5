//! What a new worker makes of its process before Python code of the site runs: its locale, its name in a list of processes, and
//! environment variables that are about the user.

use oxwsgi_core::daemon::Group;
use oxwsgi_core::daemon::bootstrap::HASH_SEED;
use oxwsgi_core::os::title;

use crate::python::{Attached, Obj, PyResult};

/// Sets locale and name. Gives a warning when the system does not have the locale.
pub fn apply(py: Attached<'_>, group: &Group) -> Option<String> {
    if let Some(name) = &group.display_name {
        // Where it cannot be had the name stays what it is, which is no reason not to serve.
        let _ = title::set(name);
    }
    let locale = group.locale.as_deref()?;
    set_locale(py, locale).err().map(|raised| {
        format!(
            "WSGI0079: Unable to set locale '{}' for daemon process '{}': {}; `locale -a` lists those that the system has.",
            String::from_utf8_lossy(locale),
            String::from_utf8_lossy(&group.name),
            raised.take().message()
        )
    })
}

fn set_locale<'py>(py: Attached<'py>, name: &[u8]) -> PyResult<'py, ()> {
    let locale = py.import("locale")?;
    locale.call_method(c"setlocale", &[&locale.attribute(c"LC_ALL")?, &py.path(name)?]).map(drop)
}

/// Makes `os.environ` fit the user that the process runs as. What the configuration says by name stays.
pub fn correct_environment<'py>(py: Attached<'py>, group: &Group) -> PyResult<'py, ()> {
    let variables = py.import("os")?.attribute(c"environ")?;
    let is_set = |name: &str| group.environment.iter().any(|(other, _)| other == name.as_bytes());
    let (name, home) = match group.account.as_ref() {
        Some(account) => (path(py, account.name.as_deref())?, path(py, account.home.as_deref())?),
        None => own_account(py).unwrap_or_else(|raised| {
            // A user without an entry; the server's own variables stay.
            raised.clear();
            (None, None)
        }),
    };
    for key in ["USER", "USERNAME", "LOGNAME"].into_iter().filter(|key| !is_set(key)) {
        let key = py.text(key)?;
        if let Some(name) = &name
            && variables.call_method(c"__contains__", &[&key])?.is_true()?
        {
            variables.call_method(c"__setitem__", &[&key, name])?;
        }
    }
    if let Some(home) = home.as_ref().filter(|_| !is_set("HOME")) {
        variables.call_method(c"__setitem__", &[&py.text("HOME")?, home])?;
    }
    if group.python.hash_seed.is_some() && !is_set(HASH_SEED) {
        variables.call_method(c"pop", &[&py.text(HASH_SEED)?, &py.none()])?;
    }
    Ok(())
}

fn path<'py>(py: Attached<'py>, bytes: Option<&[u8]>) -> PyResult<'py, Option<Obj<'py>>> {
    bytes.map(|bytes| py.path(bytes)).transpose()
}

/// Name and home directory of the process's user, as the user database has them.
fn own_account<'py>(py: Attached<'py>) -> PyResult<'py, (Option<Obj<'py>>, Option<Obj<'py>>)> {
    let user = py.import("os")?.call_method(c"geteuid", &[])?;
    let entry = py.import("pwd")?.call_method(c"getpwuid", &[&user])?;
    Ok((Some(entry.attribute(c"pw_name")?), Some(entry.attribute(c"pw_dir")?)))
}
