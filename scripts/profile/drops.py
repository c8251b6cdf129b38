"""Where packets are dropped: the counters of every place on their way that may, read before loads and after a loss."""
import outside

# Words and a number a line: the devices', the backlog's, the queues' and the sockets' own counts.
COUNTERS = r"""
cd /sys/class/net
for d in *; do
    for s in rx_dropped tx_dropped rx_missed_errors rx_fifo_errors rx_errors tx_errors; do
        read -r n <$d/statistics/$s && echo "$d $s: $n"
    done
done
while read -r all dropped rest; do echo "backlog of the processor: $((0x$dropped))"; done </proc/net/softnet_stat
awk '/^Udp:/ && $6 ~ /^[0-9]/ {print "UDP, no room at the socket: " $6}' /proc/net/snmp
tc -s qdisc 2>/dev/null | awk '/^qdisc/ {d = $5} /dropped/ {sub(/.*dropped /, ""); print "queue before " d ": " $1 + 0}'
true
"""


def counters(machine):
    """All counts of all domains, by (host, words)."""
    found = {}
    hosts = [host for host in dict.fromkeys((machine.cards_host, machine.subject, machine.peer)) if host]
    # All at once, as each waits for its line most of the time.
    for host, running in [(host, host.start(COUNTERS)) for host in hosts]:
        for line in running.wait().out.splitlines():
            words, _, number = line.rpartition(": ")
            # Queues of one device are one.
            found[host.name, words] = found.get((host.name, words), 0) + int(number)
    found["the TCP peer", "packets from the card"], found["the TCP peer", "packets to the card"] = \
        outside.dropped(outside.DEVICES.read_text())
    return found


def since_last(machine):
    """What was dropped since this was called last, in words; kept is what it was then, as `machine.dropped`."""
    before, machine.dropped = machine.dropped, counters(machine)
    return since(before, machine.dropped)


def since(before, after):
    """What was dropped meanwhile, in words."""
    grown = [f"{host}, {words}: {number - before.get((host, words), 0)}" for (host, words), number in after.items()
             if number > before.get((host, words), 0)]
    return "; ".join(grown) or "no counter of drops has grown"
