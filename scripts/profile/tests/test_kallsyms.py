"""Symbols are read once for modules of the same builds at the same places."""
import base64
import gzip
import pathlib
import tempfile
import unittest
import unittest.mock

import kallsyms
from machine import LabError

LINES = "ffffffffc0000000 t first [one]\nffffffffc0000100 T second [one]\n"


class Host:
    """A domain whose modules are at `places`."""

    def __init__(self, places):
        self.places, self.reads = places, 0

    def output(self, command, _timeout):
        if command.startswith(kallsyms.PLACES):
            return self.places
        self.reads += 1
        return base64.b64encode(gzip.compress(LINES.encode())).decode()


class Modules(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        patch = unittest.mock.patch.object(kallsyms, "FOLDER", self.folder)
        patch.start()
        self.addCleanup(patch.stop)

    def test_they_are_read_once(self):
        host, same, other = Host("one 0xc0000000"), Host("one 0xc0000000"), Host("one 0xc0008000")
        for each in (host, host, same, other):
            self.assertEqual(kallsyms.of_modules(each).find(0xffffffffc0000110).name, "second")
        self.assertEqual((host.reads, same.reads, other.reads), (1, 0, 1))

    def test_only_the_latest_are_kept(self):
        for number in range(kallsyms.KEPT + 5):
            kallsyms.of_modules(Host(f"one {number}"))
        self.assertEqual(len(list(self.folder.iterdir())), kallsyms.KEPT)

    def test_a_damaged_file_is_removed(self):
        host = Host("one 0xc0000000")
        kallsyms.of_modules(host)
        kept, = self.folder.iterdir()
        for damage in (b"", kept.read_bytes()[:-9], b"nonsense"):
            kept.write_bytes(damage)
            with self.assertRaisesRegex(LabError, "damaged"):
                kallsyms.of_modules(host)
            kallsyms.of_modules(host)


if __name__ == "__main__":
    unittest.main()
