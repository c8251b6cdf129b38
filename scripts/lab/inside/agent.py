"""Control agent of dom0: runs requests that arrive on ttyS1 and streams the logs of all domains back.

Frames in both directions are a 4-byte big-endian length and a JSON object. Requests carry an id, which the answer
repeats, and run each in a thread, so that traffic can flow while devices come and go.
"""
import base64
import json
import os
import struct
import subprocess
import threading
import time
import traceback
import tty

from xenstore import Xenstore

PORT = "/dev/ttyS1"
CONSOLES = "/var/log/xen/console"


class Link:
    """The serial line: whole frames only, whoever writes."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        self.lock = threading.Lock()

    def receive(self):
        size, = struct.unpack(">I", self._exactly(4))
        return json.loads(self._exactly(size))

    def send(self, message):
        data = json.dumps(message).encode()
        data = struct.pack(">I", len(data)) + data
        with self.lock:
            while data:
                data = data[os.write(self.fd, data):]

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            data += os.read(self.fd, count - len(data))
        return data


def stream_kernel_log(link):
    """Sends dom0's kernel log, record by record; what came before is on the console."""
    with open("/dev/kmsg", "rb", buffering=0) as kmsg:
        kmsg.seek(0, os.SEEK_END)
        while True:
            try:
                record = kmsg.read(8192)
            except BrokenPipeError:
                continue  # the ring buffer overran this reader
            head, _, text = record.decode(errors="replace").partition(";")
            stamp = int(head.split(",")[2]) / 1e6
            link.send({"log": "dom0", "text": f"[{stamp:12.6f}] " + text.split("\n")[0] + "\n"})


def stream_consoles(link):
    """Sends what is new in each guest's console log, named by the guest."""
    seen = {}
    while True:
        for name in os.listdir(CONSOLES):
            path = os.path.join(CONSOLES, name)
            size = os.path.getsize(path)
            if size > seen.get(name, 0):
                with open(path, "rb") as log:
                    log.seek(seen.get(name, 0))
                    data = log.read(65536)
                seen[name] = seen.get(name, 0) + len(data)
                guest = name.removeprefix("guest-").removesuffix(".log")
                link.send({"log": guest, "text": data.decode(errors="replace")})
        time.sleep(0.2)


def run_here(request):
    """A shell command in dom0."""
    process = subprocess.Popen(["sh", "-c", request["command"]], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = process.communicate(timeout=request["timeout"])
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        out, err = process.communicate()
        code = "timeout"
    return {"code": code, "out": out.decode(errors="replace"), "err": err.decode(errors="replace")}


def run_in_guest(request):
    """A shell command in a guest: request and answer travel through xenstore, not through the network under test."""
    domain, key, deadline = request["domain"], request["id"], time.monotonic() + request["timeout"]
    base = f"/local/domain/{domain}/data/lab"
    store = Xenstore()
    store.watch(f"{base}/answer/{key}/end")
    store.write(f"{base}/request/{key}", f"{int(request['timeout'])} {request['command']}")
    while (end := store.read(f"{base}/answer/{key}/end")) is None:
        if time.monotonic() > deadline:
            return {"code": "timeout", "out": "", "err": ""}
        if store.read(f"/local/domain/{domain}/name") is None:
            return {"code": "gone", "out": "", "err": "the domain is gone"}
        store.wait(1.0)
    code, chunks = end.decode().split()
    text = b"".join(store.read(f"{base}/answer/{key}/{n}") or b"" for n in range(int(chunks)))
    store.remove(f"{base}/answer/{key}")
    return {"code": int(code) if code.lstrip("-").isdigit() else code, "out": text.decode(errors="replace"), "err": ""}


def put_file(request):
    with open(request["path"], "ab" if request.get("append") else "wb") as file:
        file.write(base64.b64decode(request["data"]))
    os.chmod(request["path"], request.get("mode", 0o644))
    return {"code": 0}


def get_file(request):
    with open(request["path"], "rb") as file:
        return {"code": 0, "data": base64.b64encode(file.read()).decode()}


HANDLERS = {"run": run_here, "guest": run_in_guest, "put": put_file, "get": get_file}


def answer(link, request):
    try:
        result = HANDLERS[request["do"]](request)
    except Exception:
        result = {"code": "error", "out": "", "err": traceback.format_exc()}
    link.send({"id": request["id"], **result})


def main():
    link = Link(PORT)
    link.send({"ready": True})
    for stream in (stream_kernel_log, stream_consoles):
        threading.Thread(target=stream, args=(link,), daemon=True).start()
    while True:
        threading.Thread(target=answer, args=(link, link.receive()), daemon=True).start()


main()
