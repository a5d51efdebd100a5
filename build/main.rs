//! Finds the web server that the module is built for, and makes the bindings to its C interface.

mod bindings;
mod httpd;
mod nginx;

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build");
    nginx::declare_cfgs();
    let wanted = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let built = match (wanted("APACHE"), wanted("NGINX")) {
        (true, false) => httpd::build(),
        (false, true) => nginx::build(),
        // Refused, with words, where `src/lib.rs` chooses.
        _ => Ok(()),
    };
    if let Err(reason) = built {
        println!("cargo::error={}", reason.replace('\n', "; "));
    }
}
