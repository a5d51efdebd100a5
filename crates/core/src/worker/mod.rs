//! What a worker decides without Python and without a socket: which of its threads waits for requests ([`Crew`]), who has a
//! connection ([`Claim`], [`Numbers`]), and when the process ends ([`Keeper`]). The runtime's `worker` folder acts on it.

#![forbid(unsafe_code)]

mod claim;
mod crew;
mod keeper;
mod numbers;

pub use claim::Claim;
pub use crew::{Crew, Seat};
pub use keeper::{Active, Keeper, Observed, Step};
pub use numbers::Numbers;
