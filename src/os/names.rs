//! Where names of users come from, in a program that loads no libraries.
//!
//! glibc asks the sources that /etc/nsswitch.conf lists, and loads a library for each but the files. Into a program that was
//! linked statically that brings a second glibc, and ends it with SIGSEGV at the first name that is in no file. So such
//! a program asks the files alone; with musl it is not otherwise.

/// Lets names of users and groups be looked up in /etc/passwd and /etc/group alone, where the program is static. To be
/// called before the first look-up; does nothing elsewhere.
#[cfg_attr(
    all(target_env = "gnu", target_feature = "crt-static"),
    expect(unsafe_code, reason = "nss.h has no crate")
)]
pub fn look_up_names_in_files_where_static() {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    for database in [c"passwd", c"group", c"initgroups"] {
        use std::ffi::{c_char, c_int};
        unsafe extern "C" {
            fn __nss_configure_lookup(database: *const c_char, sources: *const c_char) -> c_int;
        }
        // SAFETY: both are strings with an end that outlive the call, which copies what it keeps; there is one thread.
        unsafe { __nss_configure_lookup(database.as_ptr(), c"files".as_ptr()) };
    }
}
