//! A process that the application has forked and that comes back from the application's code, as if it were the daemon process
//! itself: it ends here.

use oxwsgi_core::os::packet::Wait;
use oxwsgi_core::os::{process, withheld};
use oxwsgi_core::report::Level;

use crate::worker::control::Control;

/// To be called where the application's code has returned. Does not return in a forked child, which must not serve, nor say
/// anything in its parent's name.
pub fn end(group: &str, control: &Control) {
    if withheld::is_in_forked_child() {
        let text = format!(
            "WSGI1025: A process that the application has forked came back from it, and ends here: it must call os._exit(). \
             Daemon process '{group}' itself goes on."
        );
        control.log(Level::Error, text.as_bytes(), Wait::Never);
        process::end_now(0);
    }
}
