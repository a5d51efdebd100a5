//! Where httpd is in its life: it reads its configuration twice at start, and again at each restart.

#![allow(unsafe_code, reason = "asks httpd for its state")]

use crate::apache::ffi;

/// What the configuration that is being read, or has been, is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `httpd -t`.
    Test,
    /// Prints something about the configuration.
    Other,
    /// The first pass of a start. Only then does an error reach the terminal and the exit status, for httpd then detaches.
    Trial,
    /// The second pass of a start.
    Start,
    /// A restart, with other people's sites running.
    Restart,
}

impl Phase {
    /// Where httpd is now.
    pub fn now() -> Self {
        // SAFETY: plain values.
        let state = |what| unsafe { ffi::ap_state_query(what) };
        let mode = state(ffi::AP_SQ_RUN_MODE);
        let (trial, generation) = (ffi::AP_SQ_MS_CREATE_PRE_CONFIG, state(ffi::AP_SQ_CONFIG_GEN));
        match state(ffi::AP_SQ_MAIN_STATE) {
            _ if mode == ffi::AP_SQ_RM_CONFIG_TEST => Self::Test,
            _ if mode != ffi::AP_SQ_RM_NORMAL => Self::Other,
            pass if pass == trial => Self::Trial,
            // The trial is generation 0.
            _ if generation <= 1 => Self::Start,
            _ => Self::Restart,
        }
    }
}

/// Whether httpd is about to exit, rather than to read its configuration anew.
pub fn is_exiting() -> bool {
    // SAFETY: plain values.
    unsafe { ffi::ap_state_query(ffi::AP_SQ_MAIN_STATE) == ffi::AP_SQ_MS_EXITING }
}

/// Whether httpd's parent is ending its children, for a restart or for good.
pub fn is_stopping() -> bool {
    let mut state = 0;
    // SAFETY: writes to our own variable.
    unsafe { ffi::ap_mpm_query(ffi::AP_MPMQ_MPM_STATE, &raw mut state) };
    state == ffi::AP_MPMQ_STOPPING
}

/// `httpd -X`: one process is parent and child.
pub fn is_single_process() -> bool {
    // SAFETY: C text.
    [c"DEBUG", c"ONE_PROCESS"].iter().any(|name| unsafe { ffi::ap_exists_config_define(name.as_ptr()) } != 0)
}
