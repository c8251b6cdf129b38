// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Control agent of a guest: runs shell commands that dom0 writes to xenstore.
//!
//! dom0 writes `data/lab/request/<id>` = `<seconds> <command>`; the answer is `data/lab/answer/<id>/<n>` (the output
//! in pieces) and last `…/end` = `<exit code> <pieces>`. Each request runs in a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

const DEVICE: &str = "/dev/xen/xenbus";
const REQUESTS: &str = "data/lab/request";
const ANSWERS: &str = "data/lab/answer";
/// Below xenstored's default limit for a node of an unprivileged domain.
const PIECE: usize = 1800;
/// Below its limit for the number of nodes.
const MAX_PIECES: usize = 400;

/// Message types of the xenstore protocol (xen/io/xs_wire.h).
const XS_DIRECTORY: u32 = 1;
const XS_READ: u32 = 2;
const XS_WATCH: u32 = 4;
const XS_WRITE: u32 = 11;
const XS_RM: u32 = 13;
const XS_WATCH_EVENT: u32 = 15;
const XS_ERROR: u32 = 16;

/// A connection to xenstore.
struct Store(File);

impl Store {
    fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(DEVICE).map(Self)
    }

    fn send(&mut self, kind: u32, payload: &[u8]) -> io::Result<()> {
        let mut message = Vec::with_capacity(16 + payload.len());
        for word in [kind, 0, 0, payload.len() as u32] {
            message.extend_from_slice(&word.to_le_bytes());
        }
        message.extend_from_slice(payload);
        self.0.write_all(&message)
    }

    fn receive(&mut self) -> io::Result<(u32, Vec<u8>)> {
        let mut header = [0; 16];
        self.0.read_exact(&mut header)?;
        let word = |n: usize| u32::from_le_bytes([header[n], header[n + 1], header[n + 2], header[n + 3]]);
        let mut payload = vec![0; word(12) as usize];
        self.0.read_exact(&mut payload)?;
        Ok((word(0), payload))
    }

    /// Sends a request and returns its answer, or `None` where xenstore answers with an error.
    fn ask(&mut self, kind: u32, payload: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.send(kind, payload)?;
        loop {
            match self.receive()? {
                (XS_WATCH_EVENT, _) => {}
                (XS_ERROR, _) => return Ok(None),
                (_, payload) => return Ok(Some(payload)),
            }
        }
    }

    fn list(&mut self, path: &str) -> io::Result<Vec<String>> {
        let names = self.ask(XS_DIRECTORY, format!("{path}\0").as_bytes())?.unwrap_or_default();
        Ok(names.split(|&b| b == 0).filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    fn write(&mut self, path: &str, value: &[u8]) -> io::Result<()> {
        let payload = [path.as_bytes(), b"\0", value].concat();
        match self.ask(XS_WRITE, &payload)? {
            Some(_) => Ok(()),
            None => Err(io::Error::other(format!("xenstore refuses to write {path}"))),
        }
    }
}

fn main() -> io::Result<()> {
    let mut watcher = Store::open()?;
    watcher.send(XS_WATCH, format!("{REQUESTS}\0requests\0").as_bytes())?;
    loop {
        let (kind, payload) = watcher.receive()?;
        if kind != XS_WATCH_EVENT {
            continue;
        }
        let path = payload.split(|&b| b == 0).next().unwrap_or_default();
        let path = String::from_utf8_lossy(path).into_owned();
        if let Some(id) = path.strip_prefix(&format!("{REQUESTS}/")) {
            start(id.to_owned());
        } else {
            // A new watch fires once, for the folder: requests may have come before it.
            for id in Store::open()?.list(REQUESTS)? {
                start(id);
            }
        }
    }
}

fn start(id: String) {
    thread::spawn(move || {
        if let Err(error) = serve(&id) {
            eprintln!("guest-agent: request {id}: {error}");
        }
    });
}

/// Runs request `id`; its node is removed first, which fires the watch once more and finds nothing.
fn serve(id: &str) -> io::Result<()> {
    let mut store = Store::open()?;
    let request = format!("{REQUESTS}/{id}\0");
    let Some(line) = store.ask(XS_READ, request.as_bytes())? else {
        return Ok(());
    };
    store.ask(XS_RM, request.as_bytes())?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let (seconds, command) = line.split_once(' ').unwrap_or(("10", &line));

    let child = Command::new("timeout")
        .args(["-s", "KILL", seconds, "/usr/bin/sh", "-c", &format!("{{ {command}\n}} 2>&1")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.wait_with_output()?;
    let code = output.status.code().map_or_else(|| "timeout".to_owned(), |code| code.to_string());

    let mut pieces = 0;
    for piece in output.stdout.chunks(PIECE).take(MAX_PIECES) {
        store.write(&format!("{ANSWERS}/{id}/{pieces}"), piece)?;
        pieces += 1;
    }
    store.write(&format!("{ANSWERS}/{id}/end"), format!("{code} {pieces}").as_bytes())
}
