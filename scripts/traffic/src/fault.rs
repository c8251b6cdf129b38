// SPDX-License-Identifier: GPL-2.0
//! Errors that say what was being waited for.

use std::fmt;
use std::io;
use std::time::Duration;

/// What kind of trouble a [`Fault`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The path or the peer does not answer, or refuses.
    Network,
    /// Content arrives, but not the content that was sent.
    Corrupt,
}

/// An error with the whole sentence a person needs.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// What kind of trouble this is.
    pub kind: Kind,
    /// The sentence.
    pub what: String,
}

impl Fault {
    /// A fault of the path or the peer.
    pub(crate) fn network(what: impl Into<String>) -> Self {
        Fault {
            kind: Kind::Network,
            what: what.into(),
        }
    }

    /// Damaged content.
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Fault {
            kind: Kind::Corrupt,
            what: what.into(),
        }
    }

    /// A socket operation that fails while `doing` something.
    pub(crate) fn io(doing: &str, timeout: Duration, error: &io::Error) -> Self {
        if is_timeout(error) {
            let seconds = timeout.as_secs_f64();
            Fault::network(format!("timed out after {seconds} s {doing}"))
        } else {
            Fault::network(format!("{doing}: {error}"))
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

/// Whether `error` is a time-out; a socket's own time-out reads as "would block".
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Whether the call simply has to be made again.
pub(crate) fn is_interrupt(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_name_what_was_awaited() {
        let error = io::Error::from(io::ErrorKind::WouldBlock);
        let fault = Fault::io("waiting for the verdict", Duration::from_secs(5), &error);
        assert_eq!(fault.what, "timed out after 5 s waiting for the verdict");
        assert_eq!(fault.kind, Kind::Network);
    }
}
