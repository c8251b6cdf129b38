"""Traffic between dom0 and a guest, its content checked by `nc2-traffic` at both ends."""
import json
import time

from machine import LabError

LOAD_LOG = "/run/load.log"
SERVE_LOG = "/run/serve.log"


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
        for client, server, address in self.directions():
            client.run(f"rm -f {LOAD_LOG}")
            serve(server)
            client.run(background(f"while :; do nc2-traffic load {address} --seconds 5 --rate 400 --json || sleep 0.1; done >>{LOAD_LOG}"))
        return self

    def __exit__(self, kind, *_):
        hosts = [self.dom0] + ([self.guest] if self.guest.alive() else [])
        for host in hosts:
            stop(host)
        if kind is not None:
            return
        for host in hosts:
            damaged = host.run(f"grep -v '\"corrupted\":0' {LOAD_LOG} 2>/dev/null", check=False).out
            if damaged:
                raise LabError(f"content was damaged under load, says {host.name}: {damaged}")

    def recovers(self, seconds=60):
        """Fails unless the guest answers again within `seconds`; returns how long it took."""
        start = time.monotonic()
        self.guest.wait_link(self.net, seconds)
        return time.monotonic() - start

    # -- measurements ----------------------------------------------------------------------------

    def iperf(self, client, server, address, seconds, options=""):
        """Mbit/s that iperf3 carried from `client` to `server`."""
        server.run("pidof iperf3 >/dev/null || iperf3 -s -D >/dev/null 2>&1; sleep 0.3")
        out = client.run(f"iperf3 -c {address} -t {seconds} {options} -J --connect-timeout 5000", seconds + 60).out
        end = json.loads(out[out.index("{"):])["end"]
        received = end.get("sum_received", end.get("sum", {}))
        if not received.get("bytes"):
            raise LabError(f"iperf3 {options} {client.name} -> {server.name} carried nothing: {out[-400:]}")
        return received["bits_per_second"] / 1e6 * (1 - received.get("lost_percent", 0) / 100 if "-u" in options else 1)


def serve(host):
    """Has the traffic server run on `host`."""
    host.run("pidof nc2-traffic-serve >/dev/null || { ln -sf $(command -v nc2-traffic) /run/nc2-traffic-serve; "
             f"setsid /run/nc2-traffic-serve serve >>{SERVE_LOG} 2>&1 </dev/null & sleep 0.3; }}")


def background(command):
    """A shell command that leaves `command` running in a session of its own, known to `stop`."""
    return f"setsid /bin/sh -c 'echo $$ >>/run/load.pids; {command}' >/dev/null 2>&1 </dev/null &"


def stop(host):
    host.run("for p in $(cat /run/load.pids 2>/dev/null); do kill -9 -$p 2>/dev/null; done; rm -f /run/load.pids; true")
