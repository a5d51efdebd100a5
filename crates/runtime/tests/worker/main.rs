//! A worker as the supervisor and the server see it: a real `python` that loads the runtime, without any server. The Python is
//! that of `OXWSGI_TEST_PYTHON`, or else `/usr/bin/python3`.

#![allow(unsafe_code, missing_docs, reason = "plays processes that pass descriptors and signals")]

mod stage;

mod bodies;
mod ending;
mod limits;
mod modules;
mod nginx;
mod python;
mod serving;
