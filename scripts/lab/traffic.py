"""Traffic between dom0 and a guest, its content checked by `nc2-traffic` at both ends."""
import json
import time

from machine import LabError

LOAD_LOG = "/run/load.log"
SERVE_LOG = "/run/serve.log"
UDP_LENGTH = 1400


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
        """Load in both directions while the block runs, opened again after every failure."""
        together([client.start(f"rm -f {LOAD_LOG}; {SERVE}; " + background(
            f"while :; do nc2-traffic load {address} --seconds 5 --rate 100 --json || sleep 0.1; done >>{LOAD_LOG}"))
            for client, _, address in self.directions()])
        return self

    def __exit__(self, kind, *_):
        hosts = [self.dom0] + ([self.guest] if self.guest.alive() else [])
        ended = together([host.start(f"{STOP}; grep -v '\"corrupted\":0' {LOAD_LOG} 2>/dev/null; true") for host in hosts])
        if kind is not None:
            return
        for result in ended:
            if result.out:
                raise LabError(f"content was damaged under load, says {result.where}: {result.out}")

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
