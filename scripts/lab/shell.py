#!/usr/bin/env python3
"""The lab with a guest, and the terminal at dom0's prompt: shell.py [ours|stock]. Ctrl-] leaves and switches off."""
import os
import select
import socket
import sys
import termios
import tty

from hosts import have_modules
from lab import Lab
from run import new_run_folder

LEAVE = b"\x1d"


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "ours" if have_modules() else "stock"
    lab = Lab(new_run_folder(), kind)
    guest = lab.guest()
    print(f"guest {guest.name} answers at {guest.address()} (xl console {guest.name}); Ctrl-] leaves and switches off\r")
    console = socket.socket(socket.AF_UNIX)
    console.connect(f"{lab.machine.folder}/console.sock")
    if os.isatty(0):
        saved = termios.tcgetattr(0)
        tty.setraw(0)
    try:
        console.sendall(b"\n")
        relay(console)
    finally:
        if os.isatty(0):
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
        lab.machine.power_off()


def relay(console):
    """Carries bytes between terminal and console until one of them ends or the person leaves."""
    while True:
        for ready in select.select([0, console], [], [])[0]:
            data = os.read(0, 1024) if ready == 0 else console.recv(4096)
            if not data or (ready == 0 and LEAVE in data):
                return
            console.sendall(data) if ready == 0 else os.write(1, data)


if __name__ == "__main__":
    main()
