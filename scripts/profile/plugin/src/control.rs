// SPDX-License-Identifier: GPL-2.0
//! The control socket: one request a line, one line of answer each.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::{fs, thread};

use nix::sys::signal::{SigSet, SigmaskHow};

use crate::probes::Probe;
use crate::speed::Rate;
use crate::units::SnapshotNumber;

/// Longest line that is read.
const MAX_LINE: u64 = 1 << 20;

/// What a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Write a snapshot.
    Snapshot(SnapshotNumber),
    /// Add probes.
    Probes(Vec<Probe>),
    /// Switch the cache model.
    Cache(bool),
    /// Switch the processors' common pace: on with a speed, or off.
    Pace(Option<Rate>),
}

impl std::str::FromStr for Request {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (verb, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match (verb, rest) {
            ("snapshot", number) => {
                let number = number
                    .parse()
                    .map_err(|_| format!("{number:?} is no number"))?;
                Ok(Request::Snapshot(SnapshotNumber(number)))
            }
            ("probe", probes) => {
                let probes = probes.split(';').map(str::parse::<Probe>);
                let probes: Result<_, _> = probes.collect();
                probes.map(Request::Probes).map_err(|bad| bad.to_string())
            }
            ("cache", "on") => Ok(Request::Cache(true)),
            ("cache", "off") => Ok(Request::Cache(false)),
            ("pace", "off") => Ok(Request::Pace(None)),
            ("pace", rate) => {
                let rate = rate.parse().map_err(|_| format!("{rate:?} is no rate"))?;
                Ok(Request::Pace(Some(Rate(rate))))
            }
            _ => Err(format!("there is no request {:?}", line.trim())),
        }
    }
}

/// Serves clients of a socket at `path`, one after the other, on a thread of its own.
///
/// # Errors
///
/// That the socket or the thread cannot be made.
pub fn start(
    path: &Path,
    answer: impl Fn(Request) -> Result<(), String> + Send + 'static,
) -> io::Result<()> {
    // What an earlier machine left; anything else that is there makes `bind` fail.
    if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    // The signals of the process are QEMU's: a new thread starts with the mask of the one that makes it.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let thread = thread::Builder::new()
        .name("nc2-count".to_owned())
        .spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that goes away ends its own connection only.
                let _gone = serve(&client, &answer);
            }
        });
    before.thread_set_mask()?;
    thread.map(drop)
}

/// Answers each line of `client` with `ok` or `error` and a reason.
fn serve(
    mut client: &UnixStream,
    answer: &impl Fn(Request) -> Result<(), String>,
) -> io::Result<()> {
    let mut lines = BufReader::new(client);
    let mut line = String::new();
    while lines.by_ref().take(MAX_LINE).read_line(&mut line)? > 0 {
        match line.parse().and_then(answer) {
            Ok(()) => writeln!(client, "ok")?,
            Err(reason) => writeln!(client, "error {}", reason.replace('\n', " "))?,
        }
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn requests_are_read() {
        let parse = |line: &str| line.parse::<Request>();
        assert_eq!(
            parse("snapshot 12\n"),
            Ok(Request::Snapshot(SnapshotNumber(12)))
        );
        assert_eq!(parse("cache on\n"), Ok(Request::Cache(true)));
        assert_eq!(parse("cache off"), Ok(Request::Cache(false)));
        assert_eq!(parse("pace 50\n"), Ok(Request::Pace(Some(Rate(50)))));
        assert_eq!(parse("pace off"), Ok(Request::Pace(None)));
        let Ok(Request::Probes(probes)) = parse("probe 10 a rdi,rdx; 20 b -\n") else {
            panic!("two probes");
        };
        assert_eq!(
            probes.iter().map(|it| &*it.name).collect::<Vec<_>>(),
            ["a", "b"]
        );
        for line in [
            "",
            "snapshot",
            "snapshot x",
            "snapshot -1",
            "probe",
            "probe 10 a",
            "cache",
            "pace slow",
            "quit",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn each_line_is_answered_and_clients_follow_each_other() {
        let folder = std::env::temp_dir().join(format!("nc2-count-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("socket");
        let (seen, requests) = mpsc::channel();
        start(&path, move |request| {
            let refused = request == Request::Cache(true);
            seen.send(request).map_err(|it| it.to_string())?;
            if refused {
                Err("no\nmodel".to_owned())
            } else {
                Ok(())
            }
        })
        .expect("a socket");
        for _ in 0..2 {
            let mut client = UnixStream::connect(&path).expect("a connection");
            client
                .write_all(b"snapshot 3\nnonsense\ncache on\n")
                .expect("sent");
            let mut answers = BufReader::new(client).lines();
            let mut next = || answers.next().and_then(Result::ok).unwrap_or_default();
            assert_eq!(next(), "ok");
            assert_eq!(next(), "error there is no request \"nonsense\"");
            assert_eq!(next(), "error no model");
        }
        let expected = [Request::Snapshot(SnapshotNumber(3)), Request::Cache(true)];
        assert_eq!(
            requests.try_iter().collect::<Vec<_>>(),
            [expected.clone(), expected].concat()
        );
        // Another socket may take the place of one, but not of a file.
        start(&path, |_| Ok(())).expect("a second socket");
        let file = folder.join("file");
        fs::write(&file, "kept").expect("written");
        assert!(start(&file, |_| Ok(())).is_err());
        assert_eq!(fs::read_to_string(&file).ok().as_deref(), Some("kept"));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
