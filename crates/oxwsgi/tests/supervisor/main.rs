//! `oxwsgi supervise` without a server and without a runtime: its parent process is the test, its workers are scripts that speak
//! the control socket.

mod adoption;
mod ending;
mod failure;
mod harness;
mod life;
mod start;
