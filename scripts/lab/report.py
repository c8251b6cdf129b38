"""Results as KTAP, on stdout and in a file, and a folder of logs for each scenario."""
import pathlib


class Report:
    def __init__(self, path):
        self.file = open(path, "w")
        self.passed = self.failed = self.skipped = 0

    def line(self, text):
        print(text, flush=True)
        self.file.write(text + "\n")
        self.file.flush()

    def start(self, count):
        self.line("KTAP version 1")
        self.line(f"1..{count}")

    def note(self, text):
        for part in text.splitlines():
            self.line(f"# {part}")

    def result(self, name, problem=None, skip=None, seconds=0.0):
        number = self.passed + self.failed + self.skipped + 1
        if skip is not None:
            self.skipped += 1
            self.line(f"ok {number} {name} # SKIP {skip}")
        elif problem is None:
            self.passed += 1
            self.line(f"ok {number} {name} # {seconds:.1f} s")
        else:
            self.failed += 1
            self.note(problem)
            self.line(f"not ok {number} {name} # {seconds:.1f} s")

    def end(self):
        self.line(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return self.failed == 0


def keep(folder, logs, console, commands):
    """Writes what a scenario left to its folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "commands.log").write_text("".join(commands))
    (folder / "xen-dom0-console.log").write_text(console)
    for source, text in logs.items():
        if text:
            (folder / f"{source}.log").write_text(text)
