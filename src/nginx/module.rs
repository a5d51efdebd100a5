//! What nginx calls when it reads its configuration, and when its processes begin and end.

#![allow(unsafe_code, reason = "called by nginx")]

use std::ffi::{c_char, c_void};
use std::ptr;

use oxwsgi_core::report::Level;

use crate::nginx::config::{LocationConfig, MainConfig};
use crate::nginx::record::{Cycle, Reading};
use crate::nginx::{ffi, groups, variables};

/// `NGX_CONF_ERROR`.
const CONF_ERROR: *mut c_char = ptr::without_provenance_mut(usize::MAX);
/// `NGX_CONF_OK`.
const CONF_OK: *mut c_char = ptr::null_mut();

/// How the module takes part in reading `http { }`.
pub static CONTEXT: ffi::ngx_http_module_t = ffi::ngx_http_module_t {
    preconfiguration: Some(preconfiguration),
    postconfiguration: Some(postconfiguration),
    create_main_conf: Some(create_main),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(create_location),
    merge_loc_conf: Some(merge_location),
};

unsafe extern "C" fn preconfiguration(reading: *mut ffi::ngx_conf_t) -> ffi::ngx_int_t {
    // SAFETY: nginx passes what it is reading, on its only thread.
    let reading = unsafe { Reading::from_raw(reading) };
    catch!(ffi::NGX_ERROR, variables::register(reading).map_or(ffi::NGX_ERROR, |()| ffi::NGX_OK))
}

unsafe extern "C" fn create_main(reading: *mut ffi::ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx passes what it is reading, on its only thread.
    let reading = unsafe { Reading::from_raw(reading) };
    catch!(ptr::null_mut(), MainConfig::create(reading).cast())
}

unsafe extern "C" fn create_location(reading: *mut ffi::ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx passes what it is reading, on its only thread.
    let reading = unsafe { Reading::from_raw(reading) };
    catch!(ptr::null_mut(), LocationConfig::create(reading).cast())
}

unsafe extern "C" fn merge_location(
    reading: *mut ffi::ngx_conf_t,
    outer: *mut c_void,
    own: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx passes what it is reading, on its only thread.
    let reading = unsafe { Reading::from_raw(reading) };
    let body = || {
        // SAFETY: what `create_main` made, which nobody else refers to meanwhile.
        let main = unsafe { &mut *reading.own_main().cast::<MainConfig>() };
        // SAFETY: what `create_location` made for the outer block, which nobody else refers to meanwhile.
        let outer = unsafe { &mut *outer.cast::<LocationConfig>() };
        // SAFETY: what `create_location` made for the inner block, which is another one.
        let own = unsafe { &mut *own.cast::<LocationConfig>() };
        match own.merge(outer, reading, main) {
            Ok(()) => CONF_OK,
            Err(text) => {
                reading.log().write(Level::Emergency, text);
                CONF_ERROR
            }
        }
    };
    catch!(CONF_ERROR, body())
}

unsafe extern "C" fn postconfiguration(reading: *mut ffi::ngx_conf_t) -> ffi::ngx_int_t {
    // SAFETY: nginx passes what it is reading, on its only thread.
    let reading = unsafe { Reading::from_raw(reading) };
    let body = || {
        // SAFETY: what `create_main` made, which nobody else refers to meanwhile.
        let main = unsafe { &mut *reading.own_main().cast::<MainConfig>() };
        match main.finish().and_then(|()| groups::announce(reading, main)) {
            Ok(()) => ffi::NGX_OK,
            Err(text) => {
                reading.log().write(Level::Emergency, text);
                ffi::NGX_ERROR
            }
        }
    };
    catch!(ffi::NGX_ERROR, body())
}

/// A process of nginx begins: a worker, or one that cares for caches.
pub unsafe extern "C" fn init_process(cycle: *mut ffi::ngx_cycle_t) -> ffi::ngx_int_t {
    // SAFETY: nginx passes the cycle in force, on the process's only thread.
    let cycle = unsafe { Cycle::from_raw(cycle) };
    catch!((), groups::enter_process(cycle));
    // An error would have nginx give the worker up for good.
    ffi::NGX_OK
}
