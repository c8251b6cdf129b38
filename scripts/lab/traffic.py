"""Traffic between dom0 and a guest, its content checked by `nc2-traffic` at both ends."""
import json
import time

from machine import LabError

LOAD_LOG = "/run/load.log"
SERVE_LOG = "/run/serve.log"
UDP_LENGTH = 1400
# Small datagrams: where they are received, their bytes, and how many of them one call sends.
SINK_PORT, SMALL, SEGMENTS = 5211, 64, 64
# One run of the load, which reports at its end (each starts a program); and what it carries within moments, beyond greetings.
LOAD_SECONDS, LOAD_BYTES = 2, 50_000
# Whether a report says that something came back, and what is said where none does.
CARRIED = f"grep -qE '\"(tcp_bytes|udp_received)\":[1-9]' {LOAD_LOG}"
NOTHING = "nothing carried"


class Traffic:
    """Between dom0 and one guest on one test network."""

    def __init__(self, dom0, guest, net=0):
        self.dom0, self.guest, self.net = dom0, guest, net
        self.there, self.here = guest.address(net), f"10.0.{net}.1"

    def directions(self):
        """(client, server, the server's address), for both directions."""
        return [(self.dom0, self.guest, self.there), (self.guest, self.dom0, self.here)]

    def check(self, client, server, address, command, options, seconds=60):
        """Runs a checking client against a server on the other side; returns what it reports."""
        serve(server)
        result = client.run(f"nc2-traffic {command} {address} {options} --json", seconds + 30, check=False)
        if not result.ok:
            said = server.run(f"tail -n 5 {SERVE_LOG}", check=False).out
            raise LabError(f"{client.name}: nc2-traffic {command} {options}: {result.out}{result.err} ({result.code})\n"
                           f"the server in {server.name} said: {said}")
        return json.loads(result.out.strip().splitlines()[-1])

    # -- load in the background ------------------------------------------------------------------

    def __enter__(self):
        """Load in both directions while the block runs, opened again after every failure; it must have carried something.

        Where the block ends without the guest, it is for the block to see that something is carried: `carries`.
        """
        together([client.start(f"rm -f {LOAD_LOG}; {SERVE}; " + background(
            f"while :; do nc2-traffic load {address} --seconds {LOAD_SECONDS} --rate 100 --json || sleep 0.1; done >>{LOAD_LOG}"))
            for client, _, address in self.directions()])
        return self

    def __exit__(self, kind, *_):
        alive = self.guest.alive()
        # A block that is shorter than a run of the load gets to see the end of one.
        wait = f"n=0; until {CARRIED} || [ $n = 40 ]; do n=$((n + 1)); sleep 0.2; done; " if kind is None and alive else ""
        ended = together([host.start(f"{wait}{STOP}; grep -v '\"corrupted\":0' {LOAD_LOG} 2>/dev/null; {CARRIED} || echo {NOTHING}")
                          for host in [self.dom0] + ([self.guest] if alive else [])])
        if kind is not None:
            return
        for result in ended:
            damaged, _, nothing = result.out.partition(NOTHING)
            if damaged:
                raise LabError(f"content was damaged under load, says {result.where}: {damaged}")
            if nothing and alive:
                raise LabError(f"the load of {result.where} has carried nothing")

    def carries(self, seconds=20):
        """Until the load has carried something both ways since the vif came, by what the vif counts."""
        # By the shell alone: it is asked often.
        counts = f"/sys/class/net/{self.guest.vif(self.net)}/statistics"
        self.dom0.wait_until(f"read -r there <{counts}/tx_bytes; read -r here <{counts}/rx_bytes; "
                             f"[ $there -gt {LOAD_BYTES} -a $here -gt {LOAD_BYTES} ]", seconds, 0.1)

    def recovers(self, seconds=60):
        """Fails unless the guest answers again within `seconds`; returns how long it took."""
        start = time.monotonic()
        self.guest.wait_link(self.net, seconds)
        return time.monotonic() - start

    # -- measurements ----------------------------------------------------------------------------

    def iperf(self, client, server, address, seconds):
        """Mbit/s of TCP that iperf3 carried from `client` to `server`."""
        return self._iperf(client, server, address, seconds, "")["sum_received"]["bits_per_second"] / 1e6

    def udp(self, client, server, address, seconds, offered):
        """(sent, delivered) in Mbit/s where iperf3 offers `offered` of them; a sender that is too slow sends less."""
        end = self._iperf(client, server, address, seconds, f"-u -b {offered}M -l {UDP_LENGTH}")["sum"]
        unit = UDP_LENGTH * 8 / end["seconds"] / 1e6
        return end["packets"] * unit, (end["packets"] - end["lost_packets"]) * unit

    def datagrams(self, client, server, address, seconds, offered):
        """(sent, delivered) datagrams of `SMALL` bytes a second, where `offered` are asked for and the programs use
        what Linux has for many of them: one call sends `SEGMENTS` (UDP_SEGMENT), and one takes what came together
        (UDP_GRO).
        """
        count = round(offered * seconds)
        sink = server.start(f"nc2-traffic sink --port {SINK_PORT} --count {count} --together --idle 2 --json", seconds * 10 + 60)
        server.wait_until(f"grep -q ':{SINK_PORT:04X} ' /proc/net/udp || {{ echo no sink on port {SINK_PORT}; false; }}", 10, 0.1)
        source = client.run(f"nc2-traffic source {address} --port {SINK_PORT} --size {SMALL} --count {count} --rate {offered} "
                            f"--burst {SEGMENTS} --segments {SEGMENTS} --json", seconds * 10 + 60).out
        sent, received = json.loads(source), json.loads(sink.wait(check=False).out)
        if not received["received"] or received["damaged"] or received["duplicates"]:
            raise LabError(f"datagrams {client.name} -> {server.name}: {received}")
        # What waits at the socket when the sender is done takes longer.
        return sent["sent"] / sent["seconds"], received["received"] / max(sent["seconds"], received["seconds"])

    def _iperf(self, client, server, address, seconds, options):
        server.run("pidof iperf3 >/dev/null || iperf3 -s -D >/dev/null 2>&1; sleep 0.3")
        out = client.run(f"iperf3 -c {address} -t {seconds} {options} -J --connect-timeout 5000", seconds + 60).out
        end = json.loads(out[out.index("{"):])["end"]
        if not end["sum" if "-u" in options else "sum_received"].get("bytes"):
            raise LabError(f"iperf3 {options} {client.name} -> {server.name} carried nothing: {out[-400:]}")
        return end


# Has the traffic server run, where it does not.
SERVE = ("{ pidof nc2-traffic-serve >/dev/null || { ln -sf $(command -v nc2-traffic) /run/nc2-traffic-serve; "
         f"setsid /run/nc2-traffic-serve serve >>{SERVE_LOG} 2>&1 </dev/null & sleep 0.3; }}; }}")
# Ends what `background` started.
STOP = "for p in $(cat /run/load.pids 2>/dev/null); do kill -9 -$p 2>/dev/null; done; rm -f /run/load.pids"


def serve(host):
    """Has the traffic server run on `host`."""
    host.run(SERVE)


def together(commands):
    """The results of commands that were started before any was waited for."""
    return [command.wait() for command in commands]


def background(command):
    """A shell command that leaves `command` running in a session of its own, known to `stop`."""
    return f"setsid /bin/sh -c 'echo $$ >>/run/load.pids; {command}' >/dev/null 2>&1 </dev/null &"
