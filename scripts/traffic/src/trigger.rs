// SPDX-License-Identifier: GPL-2.0
//! `trigger`: has the kernel do the work. A word is written into one of its
//! files when a gate opens, and the write returns when the work is done, as
//! that of `start` into `/proc/net/pktgen/pgctrl`.

use crate::fault::Fault;
use crate::gate::{self, Gate};
use crate::options::{Common, Trigger};
use crate::report::Report;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

/// Waits for the driver, writes, and waits for it once more.
pub(crate) fn run(options: &Trigger, common: &Common) -> Report {
    let mut report = Report::new("trigger");
    match write(options, common) {
        Ok(seconds) => report.real("seconds", seconds),
        Err(fault) => report.problem(fault.to_string()),
    }
    report
}

fn write(options: &Trigger, common: &Common) -> Result<f64, Fault> {
    let file = options.file.display();
    let doing = format!("writing `{}` into {file}", options.word);
    let mut gate = Some(Gate::open(options.gate, common.timeout)?);
    let mut target = OpenOptions::new()
        .write(true)
        .open(&options.file)
        .map_err(|e| Fault::network(format!("opening {file}: {e}")))?;
    gate::wait_go(&mut gate)?;
    let start = Instant::now();
    // One write: such files take each write for a whole word.
    let count = target
        .write(options.word.as_bytes())
        .map_err(|e| Fault::network(format!("{doing}: {e}")))?;
    let seconds = start.elapsed().as_secs_f64();
    if count != options.word.len() {
        return Err(Fault::network(format!("{doing}: only {count} bytes went")));
    }
    gate::finish(&mut gate)?;
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::path::PathBuf;
    use std::thread;
    use std::time::Duration;

    fn options(file: PathBuf, gate: u16) -> (Trigger, Common) {
        let word = "start".to_owned();
        let timeout = Duration::from_secs(5);
        let common = Common {
            json: true,
            timeout,
            seed: 0,
        };
        (Trigger { file, word, gate }, common)
    }

    #[test]
    fn nothing_is_written_before_the_driver_says_go() {
        let file = std::env::temp_dir().join(format!("nc2-trigger-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let driver = UdpSocket::bind("127.0.0.1:0").unwrap();
        driver
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        // A port that was free a moment ago.
        let port = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let (own, common) = options(file.clone(), port);
        let program = thread::spawn(move || run(&own, &common));
        let until = |ask: u8, state: u8| {
            for _ in 0..200 {
                let _ = driver.send_to(
                    &[b"NC2G", &[ask, 0, 0, 0][..]].concat(),
                    ("127.0.0.1", port),
                );
                let mut buf = [0; 16];
                if matches!(driver.recv(&mut buf), Ok(8)) && buf[4] == state {
                    return;
                }
            }
            panic!("the program never said {state}");
        };
        until(1, 129);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
        until(2, 131);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "start");
        until(3, 132);
        assert!(program.join().unwrap().ok());
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let (own, common) = options(PathBuf::from("/no/such/file"), 0);
        let fault = write(&own, &common).unwrap_err();
        assert!(fault.what.starts_with("opening /no/such/file: "), "{fault}");
    }
}
