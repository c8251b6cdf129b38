// SPDX-License-Identifier: GPL-2.0
//! The help text.

/// What `--help` prints.
pub(crate) const TEXT: &str = "\
nc2-traffic: content-checked network traffic

nc2-traffic serve [--bind IP] [--seconds N]
    Serves tcp, udp, rr and load on one port (TCP and UDP) until killed, or for
    N seconds.  Default address 0.0.0.0; --port 0 picks a free port.  Prints a
    line when it listens, one a connection, one a damaged datagram.

nc2-traffic ping-sweep IPV4 --from A --to B [--step S] [--window W]
        [--window-bytes N] [--retry-after MS] [--max-failures N]
    One ICMP echo of every payload size from A to B (0 to 65507); needs root.
    Defaults: step 1, window 32 requests and 131072 bytes, 1000 ms until a
    request is sent again (3 times at most), gives up after 16 failures.

nc2-traffic tcp IP --dir send|recv|both (--seconds N | --bytes N) [--streams K]
        [--gate PORT]
    Content-checked streams; N bytes and K streams count for each direction.

nc2-traffic udp IP --size S --count N [--rate PPS] [--window W]
        [--max-loss PERCENT]
    N echo datagrams of S payload bytes (20 to 65507), at most W (32) unanswered.
    One without a reply for the time-out is lost; default --max-loss 0.

nc2-traffic rr IP (--seconds N | --count N) [--gate PORT]
    One-byte TCP requests and responses, with latency percentiles.

nc2-traffic sink --count N [--together] [--idle S]
nc2-traffic source IP --size S --count N [--rate PPS] [--burst B]
        [--segments K] [--gate PORT]
    N datagrams of S bytes (12 to 65507) one way, B (1) without a pause: numbered
    and counted, nothing more.  One call sends K (1 to 64), cut up further down
    (UDP_SEGMENT): 65507 bytes at most, and each datagram has to fit a packet.
    With --together one call takes what came together (UDP_GRO).
    The sink reports when a driver says so, or after S seconds without any more.

    With --gate a driver elsewhere says go and end, by datagrams to that port.
    A sink hears its driver on --port.

nc2-traffic trigger FILE --word WORD --gate PORT
    Writes WORD into FILE, in one go, when a driver says go; the work is done
    when the write returns.  For files of the kernel, as pktgen's pgctrl.

nc2-traffic load IP --seconds N [--rate R] [--size S] [--block B] [--gap MS]
    TCP blocks and UDP datagrams, each R (100) a second, of B (16384) and S (1200)
    bytes, opened again after every failure.  Silence longer than MS (1000) is an
    outage.  Fails on damaged content, or when nothing at all gets through.

Options of every command:
    --port P       the server's port (default 5202)
    --timeout S    the longest one socket operation waits (default 5 seconds)
    --seed X       the seed of all content (default: new every time)
    --json         one JSON object on one line instead of text

Exit code: 0 all content is verified, 1 something is wrong, 2 bad command line.
";
