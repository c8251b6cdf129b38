"""Symbol tables: which function, and which module, an address of code belongs to."""
import bisect
import dataclasses

TEXT = frozenset("tTwW")
# Where no further symbol says where a function ends: none is longer, and code beyond has no known name.
LONGEST = 64 * 1024
PAGE = 4096


@dataclasses.dataclass(frozen=True)
class Symbol:
    start: int
    end: int
    name: str
    module: str


class SymbolTable:
    """Functions in the order of their addresses."""

    def __init__(self, symbols):
        self.symbols = sorted(symbols, key=lambda symbol: symbol.start)
        self.starts = [symbol.start for symbol in self.symbols]
        self.by_name = {}
        for symbol in self.symbols:
            self.by_name.setdefault(symbol.name, symbol)

    def __len__(self):
        return len(self.symbols)

    def __add__(self, other):
        return SymbolTable(self.symbols + other.symbols)

    def find(self, address):
        """The function that `address` lies in, or None."""
        index = bisect.bisect_right(self.starts, address) - 1
        if index >= 0 and address < self.symbols[index].end:
            return self.symbols[index]
        return None

    def address(self, name):
        """The address of function `name`, or None."""
        symbol = self.by_name.get(name)
        return symbol.start if symbol else None


def rank(kind, name):
    """Of several names of one address the lowest is taken: global ones, then plain ones, then short ones."""
    return (kind not in "TW", name.startswith("__pfx_"), name.startswith("_"), len(name), name)


def build(entries):
    """A table of `(address, kind, name, module)`; a function ends where the next symbol begins."""
    best = {}
    for address, kind, name, module in entries:
        if address not in best or rank(kind, name) < rank(*best[address][:2]):
            best[address] = (kind, name, module)
    starts = sorted(best)
    symbols = []
    for number, start in enumerate(starts):
        kind, name, module = best[start]
        if kind not in TEXT:
            continue
        following = starts[number + 1] if number + 1 < len(starts) else start + LONGEST
        end = min(following, start + LONGEST)
        if module != "vmlinux" and following - start > PAGE and best.get(following, ("", "", ""))[2] != module:
            # The last function of a module, whose text is padded to whole pages.
            end = min(end, (start // PAGE + 2) * PAGE)
        symbols.append(Symbol(start, end, name, module))
    return SymbolTable(symbols)


def kallsyms(text):
    """The table of a Linux kernel, from lines of /proc/kallsyms."""
    entries = []
    for line in text.splitlines():
        parts = line.replace("\t", " ").split()
        if len(parts) < 3:
            continue
        address = int(parts[0], 16)
        # Offsets into per-CPU data are listed too, and a kernel that hides its addresses lists zeroes.
        if address < 1 << 47:
            continue
        module = parts[3].strip("[]") if len(parts) > 3 else "vmlinux"
        entries.append((address, parts[1], parts[2], module))
    if not entries:
        raise ValueError("the kernel hides its addresses: /proc/kallsyms has none")
    return build(entries)


def xen_map(text):
    """The table of a hypervisor, from the map file that comes with its debug information."""
    entries = []
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 3:
            # Local functions are listed as file#function.
            entries.append((int(parts[0], 16), parts[1], parts[2].rsplit("#", 1)[-1], "xen"))
    if not entries:
        raise ValueError("the hypervisor's map has no symbols")
    return build(entries)
