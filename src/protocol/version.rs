//! The version of the control protocol.

/// It stands in every line. A request of another one is refused.
pub const VERSION: u64 = 1;
