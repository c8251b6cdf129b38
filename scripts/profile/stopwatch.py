"""Where the time of a run goes: seconds by what they were spent on."""
import collections
import contextlib
import time


class Stopwatch:
    """Adds up the seconds of each activity. Activities do not nest."""

    def __init__(self):
        self.seconds = collections.Counter()

    @contextlib.contextmanager
    def __call__(self, activity):
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[activity] += time.monotonic() - start

    def line(self):
        """All of it, the longest first, in one line."""
        return ", ".join(f"{activity} {seconds:.0f} s" for activity, seconds in self.seconds.most_common())
