//! A name, and where it is written, for a message that can only be made later.

/// What a directive names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: Box<[u8]>,
    /// `file:line`.
    pub position: String,
}
