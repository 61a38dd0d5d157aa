//! Which errors of the operating system are the machine's, not those of the file that they were met at.

use std::io::{self, ErrorKind};

/// Whether an error of the operating system says nothing about the file it was met at: the next try may succeed.
pub fn is_error_of_machine(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(code) = error.raw_os_error() {
        return OF_MACHINE.contains(&code);
    }
    matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Disks and network disks that do not answer, and what a process or the machine has run out of.
#[cfg(unix)]
const OF_MACHINE: [i32; 26] = [
    libc::EIO,
    libc::EMFILE,
    libc::ENFILE,
    libc::ENOMEM,
    libc::ENOBUFS,
    libc::ENOSPC,
    libc::EDQUOT,
    libc::ENOLCK,
    libc::EINTR,
    libc::EAGAIN,
    libc::EBUSY,
    libc::EDEADLK,
    libc::ESTALE,
    libc::ETIMEDOUT,
    libc::ENODEV,
    libc::ENXIO,
    libc::ENOTCONN,
    libc::ECONNABORTED,
    libc::ECONNREFUSED,
    libc::ECONNRESET,
    libc::EHOSTDOWN,
    libc::EHOSTUNREACH,
    libc::ENETDOWN,
    libc::ENETRESET,
    libc::ENETUNREACH,
    libc::EPIPE,
];

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_machine_are_told_apart() {
        let of_machine = |code| is_error_of_machine(&io::Error::from_raw_os_error(code));
        for code in
            [libc::EIO, libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOSPC, libc::ETIMEDOUT, libc::ESTALE]
        {
            assert!(of_machine(code), "{code}");
        }
        for code in [libc::ENOENT, libc::EACCES, libc::EPERM, libc::ELOOP, libc::ENAMETOOLONG, libc::EINVAL] {
            assert!(!of_machine(code), "{code}");
        }
    }
}
