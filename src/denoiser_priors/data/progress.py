"""How far a download is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter

TELL_SECONDS = 10


class Progress:
    """A bar of bytes on a terminal; otherwise a line now and then; nothing unless wanted."""

    def __init__(self, name: str, sizes: dict[str, int], wanted: bool):
        self.name, self.sizes, self.wanted = name, sizes, wanted
        self.lock, self.told = threading.Lock(), time.monotonic()
        self.files = self.bytes = 0
        self.receiving: Counter[int] = Counter()
        self.bar = None
        if wanted and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=sum(sizes.values()), desc=name, unit="B", unit_scale=True, leave=False)

    def receive(self, count: int) -> None:
        """Bytes that came over the network, for a file that is not complete yet."""
        with self.lock:
            self.receiving[threading.get_ident()] += count
            self._add(count)

    def finish(self, path: str) -> None:
        with self.lock:
            self.files += 1
            self._add(self.sizes[path] - self.receiving.pop(threading.get_ident(), 0))

    def _add(self, count: int) -> None:
        self.bytes += count
        if self.bar is not None:
            self.bar.update(count)
        elif self.wanted and time.monotonic() - self.told > TELL_SECONDS:
            self.told = time.monotonic()
            line = f"{self.name}: {self.files} of {len(self.sizes)} files, {self.bytes / 1e6:.1f} MB"
            print(line, file=sys.stderr, flush=True)

    def summarise(self, kinds: Counter[str]) -> None:
        """Say where the files came from."""
        self.close()
        if self.wanted:
            origins = ", ".join(f"{count} from {kind}" for kind, count in sorted(kinds.items()))
            print(f"{self.name}: fetched and verified {origins}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
