// SPDX-License-Identifier: GPL-2.0
//! Every command against a server on the loopback interface.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

const TOOL: &str = env!("CARGO_BIN_EXE_nc2-traffic");

/// A server that ends with the test.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start() -> Self {
        Server::start_on("0")
    }

    fn start_on(port: &str) -> Self {
        let mut child = Command::new(TOOL)
            .args(["serve", "--bind", "127.0.0.1", "--json", "--port", port])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("the server says hello");
        let port = number(&first, "port").to_string();
        // Later lines are read, so that the server never waits for room.
        thread::spawn(move || lines.read_to_string(&mut String::new()));
        Server { child, port }
    }

    fn client(&self, line: &str) -> Output {
        client(&format!("{line} --port {}", self.port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client(line: &str) -> Output {
    Command::new(TOOL)
        .args(line.split_whitespace())
        .output()
        .expect("the client runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn number(json: &str, key: &str) -> f64 {
    let (_, rest) = json
        .split_once(&format!("\"{key}\":"))
        .unwrap_or_else(|| panic!("no {key} in {json}"));
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    rest[..end].parse().expect("a number")
}

fn good(output: &Output) -> String {
    let json = text(output);
    assert!(output.status.success(), "{json}");
    assert!(json.contains("\"ok\":true"), "{json}");
    assert_eq!(json.lines().count(), 1, "{json}");
    json
}

#[test]
fn tcp_moves_bytes_both_ways() {
    let server = Server::start();
    for (dir, factor) in [("send", 3.0), ("recv", 3.0), ("both", 6.0)] {
        let line = format!("tcp 127.0.0.1 --dir {dir} --bytes 3000001 --streams 3 --json");
        let json = good(&server.client(&line));
        assert_eq!(number(&json, "bytes"), 3_000_001.0 * factor, "{json}");
    }
    for dir in ["send", "recv", "both"] {
        let line = format!("tcp 127.0.0.1 --dir {dir} --seconds 0.3 --json");
        let json = good(&server.client(&line));
        assert!(number(&json, "mbit_s") > 1.0, "{json}");
    }
    let human = text(&server.client("tcp 127.0.0.1 --dir send --bytes 5"));
    assert!(human.starts_with("tcp: ok dir=send streams=1"), "{human}");
}

#[test]
fn udp_returns_every_datagram() {
    let server = Server::start();
    for (size, count) in [(20, 2000), (1472, 2000), (9000, 200), (65_507, 50)] {
        let line = format!("udp 127.0.0.1 --size {size} --count {count} --json");
        let json = good(&server.client(&line));
        assert_eq!(number(&json, "received"), f64::from(count), "{json}");
        assert_eq!(number(&json, "lost"), 0.0, "{json}");
    }
    let json = good(&server.client("udp 127.0.0.1 --size 100 --count 50 --rate 200 --json"));
    assert!(number(&json, "seconds") > 0.2, "{json}");
}

#[test]
fn rr_reports_latencies() {
    let server = Server::start();
    let json = good(&server.client("rr 127.0.0.1 --seconds 0.3 --json"));
    assert!(number(&json, "transactions") > 10.0, "{json}");
    assert!(number(&json, "p50_us") <= number(&json, "p99_us"), "{json}");
}

#[test]
fn load_survives_a_server_that_restarts() {
    let server = Server::start();
    let port = server.port.clone();
    let line = format!("load 127.0.0.1 --seconds 3 --gap 300 --json --port {port}");
    let client = thread::spawn(move || client(&line));
    thread::sleep(Duration::from_millis(700));
    drop(server);
    thread::sleep(Duration::from_millis(800));
    let _again = Server::start_on(&port);
    let json = good(&client.join().expect("the client ends"));
    for flow in ["tcp", "udp"] {
        assert_eq!(number(&json, &format!("{flow}_outages")), 1.0, "{json}");
        assert!(number(&json, &format!("{flow}_longest_gap_ms")) > 700.0);
    }
    assert!(json.contains("\"tcp_ends_in_outage\":false"), "{json}");
    assert_eq!(number(&json, "tcp_connects"), 2.0, "{json}");
}

#[test]
fn ping_sweep_covers_every_size_as_root() {
    let output = client("ping-sweep 127.0.0.1 --from 0 --to 65507 --step 97 --json");
    if text(&output).contains("root only") {
        eprintln!("not root: ICMP is left out");
        return;
    }
    let json = good(&output);
    assert_eq!(number(&json, "passed"), 676.0, "{json}");
    let json = good(&client("ping-sweep 127.0.0.1 --from 1400 --to 1600 --json"));
    assert_eq!(number(&json, "passed"), 201.0, "{json}");
}

/// A peer that returns what it gets, with one byte changed.
fn liar() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let socket = UdpSocket::bind(("127.0.0.1", port)).expect("the same port");
    thread::spawn(move || {
        let mut buf = vec![0; 65_536];
        while let Ok((count, peer)) = socket.recv_from(&mut buf) {
            buf[count - 1] ^= 1;
            let _ = socket.send_to(&buf[..count], peer);
        }
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || lie(stream));
        }
    });
    port
}

fn lie(mut stream: TcpStream) {
    let mut buf = [0; 4096];
    let mut hello = [0; 32];
    if stream.read_exact(&mut hello).is_err() {
        return;
    }
    while let Ok(count) = stream.read(&mut buf) {
        if count == 0 {
            return;
        }
        buf[count - 1] ^= 1;
        if stream.write_all(&buf[..count]).is_err() {
            return;
        }
    }
}

#[test]
fn damage_is_a_failure_that_names_the_byte() {
    let port = liar();
    let bad = |line: &str, wanted: &str| {
        let output = client(&format!("{line} --port {port} --json --timeout 1"));
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(text(&output).contains(wanted), "{line}: {}", text(&output));
    };
    bad("udp 127.0.0.1 --size 100 --count 5", "byte 99");
    bad("rr 127.0.0.1 --seconds 1", "response 0 is");
    bad("load 127.0.0.1 --seconds 1 --size 50", "damaged at byte 49");
    bad(
        "tcp 127.0.0.1 --dir send --bytes 9000",
        "verdict is damaged",
    );
}

/// A UDP peer that leaves out every tenth datagram, or returns it twice.
fn forgetful(copies: usize) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("an address").port();
    thread::spawn(move || {
        let mut buf = vec![0; 65_536];
        for number in 0.. {
            let Ok((count, peer)) = socket.recv_from(&mut buf) else {
                return;
            };
            let times = if number % 10 == 3 { copies } else { 1 };
            for _ in 0..times {
                let _ = socket.send_to(&buf[..count], peer);
            }
        }
    });
    port
}

#[test]
fn loss_is_measured_against_the_allowance() {
    let lossy = forgetful(0);
    let line = format!("udp 127.0.0.1 --size 99 --count 100 --timeout 0.2 --json --port {lossy}");
    let output = client(&line);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("10 of 100 datagrams"));
    let json = good(&client(&format!("{line} --max-loss 10")));
    assert_eq!(number(&json, "lost"), 10.0, "{json}");
    assert_eq!(number(&json, "received"), 90.0, "{json}");
}

#[test]
fn replies_that_come_twice_are_a_failure() {
    let twice = forgetful(2);
    let line = format!("udp 127.0.0.1 --size 99 --count 100 --json --port {twice}");
    let output = client(&line);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(number(&text(&output), "duplicates"), 10.0);
}

#[test]
fn nobody_there_is_a_failure_with_a_reason() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    for line in [
        "tcp 127.0.0.1 --dir recv --bytes 10",
        "udp 127.0.0.1 --size 20 --count 1",
        "rr 127.0.0.1 --seconds 1",
        "load 127.0.0.1 --seconds 0.5",
    ] {
        let output = client(&format!("{line} --port {port} --timeout 1"));
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(text(&output).contains("problem: "), "{}", text(&output));
    }
    assert_eq!(client("tcp").status.code(), Some(2));
}

#[test]
fn a_damaged_hello_is_refused() {
    let server = Server::start();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{}", server.port)).expect("a server");
    stream.write_all(&[7; 40]).expect("room");
    let mut verdict = Vec::new();
    stream
        .shutdown(std::net::Shutdown::Write)
        .expect("a connection");
    stream.read_to_end(&mut verdict).expect("a verdict");
    assert_eq!(verdict.get(..4), Some(&b"NC2V"[..]));
}

/// What a driver does: begins and ends the load of a program at its gate.
struct Driver {
    socket: UdpSocket,
}

impl Driver {
    fn new(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(("127.0.0.1", port)).expect("an address");
        let tick = Some(Duration::from_millis(100));
        socket.set_read_timeout(tick).expect("a time-out");
        Driver { socket }
    }

    /// Asks until the answer is `state`.
    fn until(&self, ask: u8, state: u8) {
        for _ in 0..100 {
            let _ = self.socket.send(&[b'N', b'C', b'2', b'G', ask, 0, 0, 0]);
            let mut buf = [0; 16];
            while let Ok(count) = self.socket.recv(&mut buf) {
                if buf[..count] == [b'N', b'C', b'2', b'G', state, 0, 0, 0] {
                    return;
                }
            }
            // A program that has not opened its port yet is refused at once.
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the program does not answer {state}");
    }
}

/// A UDP port that is free now.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address").port()
}

#[test]
fn a_gate_holds_transactions_and_streams_back() {
    let server = Server::start();
    for load in [
        "rr 127.0.0.1 --count 300",
        "tcp 127.0.0.1 --dir recv --bytes 300",
    ] {
        let gate = free_port();
        let line = format!("{load} --json --gate {gate} --port {}", server.port);
        let program = thread::spawn(move || client(&line));
        let driver = Driver::new(gate);
        driver.until(1, 129);
        driver.until(2, 131);
        driver.until(3, 132);
        let json = good(&program.join().expect("the program ends"));
        assert!(json.contains(":300,"), "{json}");
    }
}

#[test]
fn a_sink_counts_what_its_driver_sends() {
    let port = free_port();
    let line = format!("sink --count 100 --json --port {port}");
    let program = thread::spawn(move || client(&line));
    let driver = Driver::new(port);
    driver.until(1, 129);
    for seq in (0..100u32).filter(|seq| *seq != 40) {
        let mut data = [0; 64];
        data[..4].copy_from_slice(b"NC2S");
        data[4..8].copy_from_slice(&seq.to_be_bytes());
        data[8..12].copy_from_slice(&64u32.to_be_bytes());
        driver.socket.send(&data).expect("room");
    }
    driver.until(3, 132);
    let output = program.join().expect("the sink ends");
    assert_eq!(output.status.code(), Some(1));
    let json = text(&output);
    assert_eq!(number(&json, "received"), 99.0, "{json}");
    assert!(json.contains("1 of 100 datagrams are lost"), "{json}");
}

#[test]
fn a_source_sends_on_go() {
    let sink = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = sink.local_addr().expect("an address").port();
    let gate = free_port();
    let line = format!(
        "source 127.0.0.1 --size 80 --count 30 --burst 7 --rate 500 --json --port {port} --gate {gate}"
    );
    let program = thread::spawn(move || client(&line));
    let driver = Driver::new(gate);
    driver.until(1, 129);
    driver.until(2, 131);
    driver.until(3, 132);
    let json = good(&program.join().expect("the source ends"));
    assert_eq!(number(&json, "sent"), 30.0, "{json}");
    let mut buf = [0; 100];
    for seq in 0..30u32 {
        assert_eq!(sink.recv(&mut buf).expect("a datagram"), 80);
        assert_eq!(buf[4..8], seq.to_be_bytes());
    }
}

#[test]
fn what_is_sent_in_one_piece_arrives_as_datagrams() {
    let port = free_port();
    let sink = format!("sink --count 1000 --together --idle 0.5 --json --port {port}");
    let sink = thread::spawn(move || client(&sink));
    // It answers as soon as it listens, and its clock runs from the first datagram.
    Driver::new(port).until(1, 129);
    let source =
        format!("source 127.0.0.1 --size 64 --count 1000 --segments 48 --json --port {port}");
    let json = good(&client(&source));
    assert_eq!(number(&json, "sent"), 1000.0, "{json}");
    let json = good(&sink.join().expect("the sink ends"));
    assert_eq!(number(&json, "received"), 1000.0, "{json}");
    assert_eq!(number(&json, "reordered"), 0.0, "{json}");
    assert!(number(&json, "reads") <= 100.0, "read one by one: {json}");
}
