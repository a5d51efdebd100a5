//! Single values of `WSGIDaemonProcess`, from an option's text to a field. What is wrong is said as what is accepted.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::os::users::{self, User};

/// What is accepted, when something else was written.
pub(super) type Accepted = String;

/// A whole number in decimal digits, and nothing beside them.
pub(super) fn number(text: &[u8], range: RangeInclusive<u64>, unit: &str) -> Result<u64, Accepted> {
    let digits = str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
    number.ok_or_else(|| match (*range.start(), *range.end()) {
        (least, u64::MAX) => format!("a whole number{unit}, at least {least}"),
        (least, most) => format!("a whole number{unit} from {least} to {most}"),
    })
}

/// As [`number`], where the range fits.
pub(super) fn small(text: &[u8], range: RangeInclusive<u32>, unit: &str) -> Result<u32, Accepted> {
    let number = number(text, u64::from(*range.start())..=u64::from(*range.end()), unit)?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// More seconds than anybody waits; keeps sums of times far from any end.
const LONGEST: u64 = 1_000_000_000;

/// Whole seconds.
pub(super) fn seconds(text: &[u8]) -> Result<Duration, Accepted> {
    number(text, 0..=LONGEST, " of seconds").map(Duration::from_secs)
}

/// Whole seconds, of which 0 is off.
pub(super) fn timeout(text: &[u8]) -> Result<Option<Duration>, Accepted> {
    let time = seconds(text).map_err(|accepted| format!("{accepted}; 0 is off"))?;
    Ok((!time.is_zero()).then_some(time))
}

/// Bytes, of which 0 is off.
pub(super) fn limit(text: &[u8]) -> Result<Option<u64>, Accepted> {
    let bytes = number(text, 0..=u64::MAX, " of bytes").map_err(|_| "a whole number of bytes; 0 is off")?;
    Ok((bytes > 0).then_some(bytes))
}

/// Bytes of a buffer: 0 for the default, or at least `least`.
pub(super) fn buffer(text: &[u8], least: u32) -> Result<u32, Accepted> {
    const LARGEST: u32 = 1 << 30;
    let accepted = format!("0, or a whole number of bytes from {least} to {LARGEST}");
    let bytes = small(text, 0..=LARGEST, "").map_err(|_| accepted.clone())?;
    if bytes == 0 || bytes >= least { Ok(bytes) } else { Err(accepted) }
}

pub(super) fn octal(text: &[u8]) -> Result<u32, Accepted> {
    let digits = str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let mask = digits.and_then(|text| u32::from_str_radix(text, 8).ok()).filter(|mask| *mask <= 0o777);
    mask.ok_or_else(|| "an octal number from 0 to 777".to_owned())
}

pub(super) fn nice(text: &[u8]) -> Result<i32, Accepted> {
    let number =
        str::from_utf8(text).ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
    number
        .filter(|number| (-20..=19).contains(number))
        .ok_or_else(|| "a whole number from -20 to 19, of which the lowest is served first".to_owned())
}

pub(super) fn interval(text: &[u8]) -> Result<f64, Accepted> {
    let seconds = str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or_else(|| "a number of seconds above 0".to_owned())
}

/// Any text but the empty one.
pub(super) fn text(text: &[u8], accepted: &str) -> Result<Box<[u8]>, Accepted> {
    if text.is_empty() { Err(accepted.to_owned()) } else { Ok(text.into()) }
}

/// A directory that does not depend on where the process happens to be.
pub(super) fn directory(path: &[u8]) -> Result<Box<[u8]>, Accepted> {
    if path.starts_with(b"/") { Ok(path.into()) } else { Err("an absolute path".to_owned()) }
}

/// Directories, split like `PATH`.
pub(super) fn search_path(text: &[u8]) -> Vec<Box<[u8]>> {
    text.split(|byte| *byte == b':').filter(|part| !part.is_empty()).map(Into::into).collect()
}

/// A user of the system; `#` before its number.
pub(super) fn user(text: &[u8]) -> Result<User, Accepted> {
    let user = match text {
        [b'#', digits @ ..] => {
            let uid = id(digits).ok_or(A_USER)?;
            User::numbered(uid)
                .ok_or("Couldn't determine user name from uid. A user of the system's database")?
        }
        name => User::named(name).ok_or(A_USER)?,
    };
    Ok(user)
}

/// A user's number; `#` before it when it is written as such, and then nobody need know the user.
pub(super) fn uid(text: &[u8]) -> Result<u32, Accepted> {
    match text {
        [b'#', digits @ ..] => id(digits),
        name => User::named(name).map(|user| user.uid),
    }
    .ok_or_else(|| A_USER.to_owned())
}

/// A group's number, as [`uid`].
pub(super) fn gid(text: &[u8]) -> Result<u32, Accepted> {
    match text {
        [b'#', digits @ ..] => id(digits),
        name => users::group_named(name),
    }
    .ok_or_else(|| "the name of a group of this system, or #gid".to_owned())
}

const A_USER: &str = "the name of a user of this system, or #uid";

/// The last number means nobody (`chown(2)`).
fn id(digits: &[u8]) -> Option<u32> {
    let number = number(digits, 0..=u64::from(u32::MAX) - 1, "").ok()?;
    u32::try_from(number).ok()
}
