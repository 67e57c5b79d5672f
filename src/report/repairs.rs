//! What is said of a socket that is whole again, or could not be made whole.

use super::words::errno;
use crate::core::Repair;
use crate::plan::Address;

/// What had become of it, and what clients have of that.
pub(super) fn sentence(address: &Address, what: Repair) -> String {
    match what {
        Repair::ListensAgain => {
            format!("a server had shut {address} down; it listens again; clients that waited were lost")
        }
        Repair::PathPutBack => format!("somebody had removed the path of {address}; it is there again"),
        Repair::PathBoundAnew => format!(
            "somebody had destroyed {address}; it is bound anew; clients that waited were lost, and servers \
             that run already do not have the new one"
        ),
        Repair::PathTaken => format!(
            "something else is at the path of {address}, and is left there; it starts all the same, and clients \
             do not reach it there until that is removed"
        ),
        Repair::PathLost(number) => format!(
            "nothing can be put at the path of {address}: {}; it starts all the same, and clients reach it there after \
             the first start with that mended",
            errno(number)
        ),
    }
}
