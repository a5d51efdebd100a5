//! oxwsgi's server module.
//!
//! One file is made for one server, chosen by feature: `apache` holds everything that names httpd, `nginx` everything that
//! names nginx. It turns a request into a view without copying, lends the byte flows of the reply, and leaves the rest to
//! the Python runtime, which [`embed`] loads and calls, or to other processes, which [`daemon`] starts and talks to. The
//! macros of [`handle`] make records of either server safe to hold.

#[cfg(all(feature = "apache", feature = "nginx"))]
compile_error!(
    "choose one server: servers resolve all symbols at load, so one module cannot serve both; use `--no-default-features --features nginx` for nginx"
);

#[cfg(not(any(feature = "apache", feature = "nginx")))]
compile_error!("choose a server: `--features apache` or `--features nginx`");

// Before those that use its macros.
#[macro_use]
mod handle;

#[cfg(all(feature = "apache", not(feature = "nginx")))]
mod apache;
#[cfg(any(feature = "apache", feature = "nginx"))]
mod daemon;
#[cfg(any(feature = "apache", feature = "nginx"))]
mod embed;
#[cfg(all(feature = "nginx", not(feature = "apache")))]
mod nginx;
