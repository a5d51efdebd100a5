//! Variables for logs and other directives: `$wsgi_status` and its like.

use crate::nginx::pool::OutOfMemory;
use crate::nginx::record::Reading;

/// Makes the variables known, before a configuration is read.
pub fn register(_reading: Reading<'_>) -> Result<(), OutOfMemory> {
    Ok(())
}
