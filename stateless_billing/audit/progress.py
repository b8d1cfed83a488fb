"""Progress on stderr, with the time that is left: a line that moves where somebody watches, else one now and then."""

import sys
from typing import TextIO

from stateless_billing.runtime.clock import Clock

_LINE_SECONDS = 10.0
_MOVE_SECONDS = 0.2


class ProgressPrinter:
    """Says how far the reading is."""

    def __init__(self, clock: Clock, stream: TextIO | None = None) -> None:
        self._clock, self._stream = clock, stream or sys.stderr
        self._moving = self._stream.isatty()
        self._stage, self._begun, self._said = "", 0.0, 0.0

    def told(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` (0: not known) of a stage."""
        now = self._clock.boot()
        if stage != self._stage:
            self._stage, self._begun, self._said = stage, now, now
        finished = bool(total) and done >= total
        pause = _MOVE_SECONDS if self._moving else _LINE_SECONDS
        if now - self._said < pause and not (finished and self._moving):
            return
        self._said = now
        line = sentence(stage, done, total, now - self._begun)
        if self._moving:
            self._stream.write(f"\r{line:<78}" + ("\n" if finished else ""))
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def announce(self, sentence: str) -> None:
        """Say something that stays."""
        self._stream.write(sentence + "\n")
        self._stream.flush()


def sentence(stage: str, done: int, total: int, elapsed: float) -> str:
    """How far a stage is after so many seconds, and how long the rest of it takes if it goes on as it did."""
    told = f"{stage}: {done}{f' of {total}' if total else ''}"
    if not total or not done or elapsed <= 0:
        return told
    return f"{told}, {int(done / elapsed)} a second, {int(elapsed * (total - done) / done)} s left"


def silent(*_: object) -> None:
    """Say nothing."""
