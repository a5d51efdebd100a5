//! Variables for logs and other directives: `$wsgi_status` and its like. They have a value in locations with `wsgi_pass`.

#![allow(unsafe_code, reason = "gives nginx functions to call, and fills what they are called with")]

use std::ffi::CStr;
use std::time::Duration;

use crate::nginx::config::{Application, LocationConfig, MainConfig};
use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::{Reading, Request};
use crate::nginx::{ffi, text, upstream};

/// What a variable is: its value for a request, when it has one.
type Find = for<'r> fn(Request<'r>, &'r Application) -> Option<Found<'r>>;

enum Found<'r> {
    /// Bytes that live as long as the request.
    There(&'r [u8]),
    /// Text made for the variable.
    Made(String),
}

const VARIABLES: [(&CStr, Find); 7] = [
    (c"wsgi_process_group", |request, application| {
        Some(Found::There(MainConfig::of(request).groups.get(application.group)?.name()))
    }),
    (c"wsgi_application_group", |_, application| Some(Found::There(&application.application_group))),
    (c"wsgi_script_name", |request, application| Some(Found::There(application.split(request.uri()).0))),
    (c"wsgi_path_info", |request, application| Some(Found::There(application.split(request.uri()).1))),
    (c"wsgi_queue_time", |request, _| upstream::measures(request)?.queue_time.map(seconds)),
    (c"wsgi_application_time", |request, _| upstream::measures(request)?.application_time.map(seconds)),
    (c"wsgi_status", |request, _| Some(Found::Made(upstream::measures(request)?.status?.to_string()))),
];

/// As nginx's own times: seconds, with milliseconds.
fn seconds(time: Duration) -> Found<'static> {
    Found::Made(format!("{}.{:03}", time.as_secs(), time.subsec_millis()))
}

/// Makes the variables known, before a configuration is read.
pub fn register(reading: Reading<'_>) -> Result<(), OutOfMemory> {
    for (place, (name, _)) in VARIABLES.iter().enumerate() {
        let mut name = text::fixed(name);
        // SAFETY: what nginx is reading; it copies the name.
        let variable = unsafe {
            ffi::ngx_http_add_variable(
                reading.as_raw(),
                &raw mut name,
                ffi::NGX_HTTP_VAR_NOCACHEABLE as ffi::ngx_uint_t,
            )
        };
        if variable.is_null() {
            return Err(OutOfMemory);
        }
        // SAFETY: the variable just made, in the pool of the configuration.
        unsafe { (*variable).get_handler = Some(get) };
        // SAFETY: as above.
        unsafe { (*variable).data = place };
    }
    Ok(())
}

/// Called by nginx for the value of the variable of that place.
unsafe extern "C" fn get(
    request: *mut ffi::ngx_http_request_t,
    value: *mut ffi::ngx_http_variable_value_t,
    place: usize,
) -> ffi::ngx_int_t {
    // SAFETY: nginx passes the request, on the thread of the event loop.
    let request = unsafe { Request::from_raw(request) };
    let body = || {
        let find = VARIABLES[place].1;
        let found = LocationConfig::of(request).application.as_ref().and_then(|it| find(request, it));
        let text = match found {
            None => None,
            Some(Found::There(bytes)) => Some(text::borrowed(bytes)),
            Some(Found::Made(made)) => match request.pool().text(made.as_bytes()) {
                Ok(text) => Some(text),
                Err(OutOfMemory) => return ffi::NGX_ERROR,
            },
        };
        // SAFETY: nginx passes a record of its own to be filled, which nobody else refers to meanwhile.
        let value = unsafe { &mut *value };
        value.set_no_cacheable(0);
        value.set_valid(u32::from(text.is_some()));
        value.set_not_found(u32::from(text.is_none()));
        if let Some(text) = text {
            value.set_len(u32::try_from(text.len).unwrap_or(0));
            value.data = text.data;
        }
        ffi::NGX_OK
    };
    catch!(ffi::NGX_ERROR, body())
}
