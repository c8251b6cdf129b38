#!/usr/bin/env python3
"""Shows the channel at work: a guest attached by xl, traffic each way, beside the stock drivers in the same boot."""
import sys

import measure
from machine import LabError
from run import new_run_folder

SECONDS = 3


def main():
    folder = new_run_folder()
    print(f"booting Xen, dom0 and a guest under QEMU (logs: {folder})", flush=True)
    lab, guest = measure.boot(folder)
    print(f"dom0 up after {lab.machine.boot_seconds:.0f} s; the guest's devices:")
    for title, net, script in measure.STACKS:
        print(f"  {guest.address(net)}  script={script:16} {guest.vif(net)}: {lab.dom0.driver_of(guest.vif(net)):18}"
              f"{guest.link(net)} in the guest: {guest.driver_of(guest.link(net))}")
    for title, net, _ in measure.STACKS:
        print(f"\nping over {title}:\n" + lab.dom0.output(f"ping -c 5 -i 0.2 {guest.address(net)}"), flush=True)
    print(f"\nTCP, UDP and frames of 64 bytes each way, some {SECONDS} s each …", flush=True)
    columns = {title: measure.measure(lab, guest, net, SECONDS) for title, net, _ in measure.STACKS}
    print(f"\n{measure.table(columns)}\n\nUnder software emulation: compare the columns with each other, not with hardware.")
    print(f"\nCounters of the channel\n{measure.counters(lab, guest, 1)}")
    lab.machine.power_off()


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"demo: {error}")
