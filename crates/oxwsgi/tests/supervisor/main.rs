//! `oxwsgi supervise`, and `oxwsgi keep` above it, without a server and without a runtime: the parent process is the test, workers
//! are scripts that speak the control socket.

mod adoption;
mod ending;
mod failure;
mod harness;
mod keeper;
mod life;
mod start;
