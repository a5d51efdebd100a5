//! The time on the wall, as log lines show it: in the time zone of the machine.

#![allow(unsafe_code, reason = "asks the C library about the time zone")]

use std::fmt;
use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment in local time; shown as `ctime` does, with microseconds (httpd's `%{u}t`), or as nginx does.
#[derive(Clone, Copy, Debug)]
pub struct LocalTime {
    broken_down: libc::tm,
    microseconds: u32,
}

impl LocalTime {
    /// Now. Only on a process's single thread, or where nobody sets the variable `TZ`.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or(libc::time_t::MAX);
        let mut broken_down = MaybeUninit::<libc::tm>::zeroed();
        // SAFETY: reads our seconds, and writes our structure or leaves it zero.
        unsafe { libc::localtime_r(&raw const seconds, broken_down.as_mut_ptr()) };
        // SAFETY: all zero bytes are a value of it (the pointer of the zone's name is null, and never read).
        let broken_down = unsafe { broken_down.assume_init() };
        Self { broken_down, microseconds: since.subsec_micros() }
    }

    /// As in nginx's error log: `2026/11/21 15:00:00`.
    pub fn by_year(self) -> impl fmt::Display {
        let Self { broken_down: time, .. } = self;
        fmt::from_fn(move |f| {
            write!(
                f,
                "{:04}/{:02}/{:02} {:02}:{:02}:{:02}",
                i64::from(time.tm_year) + 1900,
                time.tm_mon + 1,
                time.tm_mday,
                time.tm_hour,
                time.tm_min,
                time.tm_sec
            )
        })
    }

    /// As in a message to the system's log (RFC 3164, 4.1.2): `Nov  1 15:00:00`.
    pub fn by_month(self) -> impl fmt::Display {
        let Self { broken_down: time, .. } = self;
        fmt::from_fn(move |f| {
            let month = name(&MONTHS, time.tm_mon);
            write!(f, "{month} {:2} {:02}:{:02}:{:02}", time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec)
        })
    }
}

fn name(names: &[&'static str], index: i32) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or("???")
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = &self.broken_down;
        write!(
            f,
            "{} {} {:02} {:02}:{:02}:{:02}.{:06} {}",
            name(&DAYS, time.tm_wday),
            name(&MONTHS, time.tm_mon),
            time.tm_mday,
            time.tm_hour,
            time.tm_min,
            time.tm_sec,
            self.microseconds,
            i64::from(time.tm_year) + 1900
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_as_servers_do() {
        // SAFETY: as in `now`.
        let mut broken_down: libc::tm = unsafe { MaybeUninit::zeroed().assume_init() };
        broken_down.tm_wday = 6;
        (broken_down.tm_mon, broken_down.tm_mday, broken_down.tm_year) = (10, 1, 126);
        (broken_down.tm_hour, broken_down.tm_min, broken_down.tm_sec) = (11, 6, 35);
        let time = LocalTime { broken_down, microseconds: 456 };
        assert_eq!(time.to_string(), "Sat Nov 01 11:06:35.000456 2026");
        assert_eq!(time.by_year().to_string(), "2026/11/01 11:06:35");
        assert_eq!(time.by_month().to_string(), "Nov  1 11:06:35");
        assert!(LocalTime::now().broken_down.tm_year > 125);
    }
}
