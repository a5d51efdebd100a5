//! Starts Python in this process, as its own executable would start it (PEP 587).
//!
//! The command line is the one interface to its settings that has not changed with a version, so most go in that way.
//! Before 3.14 the few others are fields at the start of `PyConfig`; later versions take them by name (PEP 741).

use std::ffi::{CStr, CString, c_char, c_int, c_ulong, c_void};
use std::fmt;

use crate::python::raw;

/// How Python starts.
#[derive(Debug, Default)]
pub struct Configuration {
    /// The `python` to be: decides `sys.executable`, `sys.prefix` and, for a venv, its site-packages.
    pub executable: CString,
    /// `-O` as often as this.
    pub optimize: u8,
    /// `-B`.
    pub dont_write_bytecode: bool,
    /// `-W` each.
    pub warnings: Vec<CString>,
    /// As `PYTHONHASHSEED` would say; `None` leaves it to the environment.
    pub hash_seed: Option<HashSeed>,
}

/// Where the hashes of `str` and `bytes` start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashSeed {
    /// Other ones in every process.
    Random,
    /// Always the same.
    Fixed(u32),
}

/// Why Python did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// CPython's own words.
    #[error("{0}")]
    Python(String),
    /// This is not a CPython that we know.
    #[error("libpython has neither PyConfig nor PyInitConfig: it is not CPython 3.10 or later")]
    Unknown,
}

/// `PyStatus` of `initconfig.h`, unchanged since 3.8.
#[repr(C)]
#[derive(Clone, Copy)]
struct Status {
    kind: c_int,
    function: *const c_char,
    message: *const c_char,
    exit_code: c_int,
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({}, {:?})", self.kind, c_text(self.message))
    }
}

impl Status {
    fn check(self) -> Result<(), StartError> {
        // `_PyStatus_TYPE_OK` is 0; the others are an error and a request to exit.
        if self.kind == 0 { Ok(()) } else { Err(StartError::Python(c_text(self.message))) }
    }
}

fn c_text(text: *const c_char) -> String {
    if text.is_null() {
        return "Python asked to exit".to_owned();
    }
    // SAFETY: CPython's messages are C strings that live until Python ends.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Starts Python on this thread, which is left attached.
pub fn start(configuration: &Configuration) -> Result<(), StartError> {
    if let Some(create) = raw::find(c"PyInitConfig_Create") {
        return start_by_name(create, configuration);
    }
    start_by_structure(configuration)
}

impl Configuration {
    fn arguments(&self) -> Vec<CString> {
        let mut arguments = vec![self.executable.clone()];
        arguments.extend((0..self.optimize).map(|_| c"-O".to_owned()));
        arguments.extend(self.dont_write_bytecode.then(|| c"-B".to_owned()));
        for warning in &self.warnings {
            arguments.extend([c"-W".to_owned(), warning.clone()]);
        }
        arguments
    }
}

/// The first fields of `PyConfig`, the same from 3.10 to 3.13, and room for the rest, which is below 600 bytes in each.
#[repr(C, align(16))]
struct Structure {
    config_init: c_int,
    isolated: c_int,
    use_environment: c_int,
    dev_mode: c_int,
    install_signal_handlers: c_int,
    use_hash_seed: c_int,
    hash_seed: c_ulong,
    rest: [u8; 4096],
}

fn function<F: Copy>(name: &CStr) -> Result<F, StartError> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>(), "F is a function pointer") };
    let address = raw::find(name).ok_or(StartError::Unknown)?;
    // SAFETY: the callers below name the function's own type, from `initconfig.h`.
    Ok(unsafe { std::mem::transmute_copy(&address) })
}

fn start_by_structure(configuration: &Configuration) -> Result<(), StartError> {
    type Configure = unsafe extern "C" fn(*mut Structure);
    type SetArguments = unsafe extern "C" fn(*mut Structure, isize, *const *const c_char) -> Status;
    type Initialize = unsafe extern "C" fn(*const Structure) -> Status;
    let configure: Configure = function(c"PyConfig_InitPythonConfig")?;
    let set_arguments: SetArguments = function(c"PyConfig_SetBytesArgv")?;
    let initialize: Initialize = function(c"Py_InitializeFromConfig")?;
    let clear: Configure = function(c"PyConfig_Clear")?;

    // SAFETY: integers and bytes, for which zero is a value.
    let mut structure: Box<Structure> = unsafe { Box::new_zeroed().assume_init() };
    // SAFETY: room enough for the structure of any version up to 3.13; later ones do not come here.
    unsafe { configure(&raw mut *structure) };
    structure.install_signal_handlers = 0;
    match configuration.hash_seed {
        None => {}
        Some(HashSeed::Random) => structure.use_hash_seed = 0,
        Some(HashSeed::Fixed(seed)) => {
            structure.use_hash_seed = 1;
            structure.hash_seed = seed.into();
        }
    }
    let arguments = configuration.arguments();
    let pointers: Vec<*const c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    // SAFETY: an initialised structure, and as many C strings as said; they are copied.
    let status = unsafe { set_arguments(&raw mut *structure, pointers.len() as isize, pointers.as_ptr()) };
    let result = status.check().and_then(|()| {
        // SAFETY: an initialised structure; Python has not been started before (the caller starts it once).
        unsafe { initialize(&raw const *structure) }.check()
    });
    // SAFETY: an initialised structure, not used again.
    unsafe { clear(&raw mut *structure) };
    result
}

fn start_by_name(create: *mut c_void, configuration: &Configuration) -> Result<(), StartError> {
    type Config = *mut c_void;
    type Create = unsafe extern "C" fn() -> Config;
    type Free = unsafe extern "C" fn(Config);
    type SetInteger = unsafe extern "C" fn(Config, *const c_char, i64) -> c_int;
    type SetList = unsafe extern "C" fn(Config, *const c_char, usize, *const *const c_char) -> c_int;
    type Initialize = unsafe extern "C" fn(Config) -> c_int;
    type Error = unsafe extern "C" fn(Config, *mut *const c_char) -> c_int;
    // SAFETY: the address of `PyInitConfig_Create`, whose type this is (PEP 741).
    let create: Create = unsafe { std::mem::transmute(create) };
    let free: Free = function(c"PyInitConfig_Free")?;
    let set_integer: SetInteger = function(c"PyInitConfig_SetInt")?;
    let set_list: SetList = function(c"PyInitConfig_SetStrList")?;
    let initialize: Initialize = function(c"Py_InitializeFromInitConfig")?;
    let error: Error = function(c"PyInitConfig_GetError")?;

    let arguments = configuration.arguments();
    let pointers: Vec<*const c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    // The default is the isolated configuration: these make it that of the `python` command.
    let mut integers = vec![
        (c"isolated", 0),
        (c"use_environment", 1),
        (c"user_site_directory", 1),
        (c"parse_argv", 1),
        (c"configure_locale", 1),
        (c"coerce_c_locale", -1),
        (c"utf8_mode", -1),
        (c"safe_path", 0),
        (c"install_signal_handlers", 0),
    ];
    match configuration.hash_seed {
        None => {}
        Some(HashSeed::Random) => integers.push((c"use_hash_seed", 0)),
        Some(HashSeed::Fixed(seed)) => integers.extend([(c"use_hash_seed", 1), (c"hash_seed", seed.into())]),
    }

    // SAFETY: takes nothing; null when memory is short.
    let config = unsafe { create() };
    if config.is_null() {
        return Err(StartError::Python("out of memory".to_owned()));
    }
    let mut code = 0;
    for (name, value) in integers {
        // SAFETY: a live configuration and a C string.
        code |= unsafe { set_integer(config, name.as_ptr(), value) };
    }
    // SAFETY: a live configuration, and as many C strings as said; they are copied.
    code |= unsafe { set_list(config, c"argv".as_ptr(), pointers.len(), pointers.as_ptr()) };
    if code == 0 {
        // SAFETY: a live configuration; Python has not been started before (the caller starts it once).
        code = unsafe { initialize(config) };
    }
    let mut message = std::ptr::null();
    // SAFETY: a live configuration and a place of ours; the message lives as long as the configuration.
    unsafe { error(config, &raw mut message) };
    let result = if code == 0 { Ok(()) } else { Err(StartError::Python(c_text(message))) };
    // SAFETY: a live configuration, not used again.
    unsafe { free(config) };
    result
}
