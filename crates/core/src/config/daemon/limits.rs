//! Limits of a daemon group's processes. They reach the processes as they are configured, in the plan.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits that the kernel enforces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time (`cpu-time-limit`, `RLIMIT_CPU`).
    pub cpu_time: Option<Duration>,
    /// Nice value (`cpu-priority`).
    pub cpu_priority: i32,
    /// `memory-limit`, `RLIMIT_DATA`, in bytes.
    pub memory: Option<u64>,
    /// `virtual-memory-limit`, `RLIMIT_AS`, in bytes.
    pub virtual_memory: Option<u64>,
    /// Stack of each thread that serves requests, in bytes.
    pub stack_size: Option<u64>,
}

/// Limits that a worker keeps, and the supervisor enforces when it does not. `None` is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests after which a process is replaced (`maximum-requests`).
    pub maximum_requests: Option<u64>,
    /// Age at which a process is replaced (`restart-interval`).
    pub restart_interval: Option<Duration>,
    /// Time without a request after which a process that has had one is replaced (`inactivity-timeout`).
    pub inactivity: Option<Duration>,
    /// Time without Python's lock after which a process is replaced (`deadlock-timeout`).
    pub deadlock: Option<Duration>,
    /// Age of a request at which its process is replaced, before it is scaled by the number of threads
    /// (`request-timeout`).
    pub request: Option<Duration>,
    /// Time that a request has after an exception was raised in it (`interrupt-timeout`).
    pub interrupt: Option<Duration>,
    /// Time for the requests of a process that is to be replaced (`graceful-timeout`).
    pub graceful: Option<Duration>,
    /// The same after `SIGUSR1`; without it `graceful` (`eviction-timeout`).
    pub eviction: Option<Duration>,
    /// Time from the decision to end until the process is killed (`shutdown-timeout`).
    pub shutdown: Option<Duration>,
    /// Time from the first request until its script is loaded (`startup-timeout`).
    pub startup: Option<Duration>,
    /// Time for each read from and write to the server (`socket-timeout`).
    pub socket: Option<Duration>,
    /// Age at which a request that waited for a thread is refused (`queue-timeout`).
    pub queue: Option<Duration>,
}

impl Limits {
    /// What holds where the configuration says nothing.
    pub const DEFAULT: Self = Self {
        maximum_requests: None,
        restart_interval: None,
        inactivity: None,
        deadlock: Some(Duration::from_secs(300)),
        request: None,
        interrupt: None,
        graceful: Some(Duration::from_secs(15)),
        eviction: None,
        shutdown: Some(Duration::from_secs(5)),
        startup: None,
        socket: None,
        queue: None,
    };
}
