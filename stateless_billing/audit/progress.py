"""Progress on stderr, with the time that is left: a line that moves where somebody watches, else one now and then."""

import sys
from typing import TextIO

from stateless_billing.runtime.clock import Clock

_LINE_INTERVAL_SECONDS = 10.0
_REDRAW_SECONDS = 0.2


class ProgressPrinter:
    """Says how far the reading is."""

    def __init__(self, clock: Clock, stream: TextIO | None = None) -> None:
        self._clock, self._stream = clock, stream or sys.stderr
        self._redrawn_at = self._stream.isatty()
        self._stage, self._begun, self._printed_at = "", 0.0, 0.0

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` (0: not known) of a stage."""
        now = self._clock.boot()
        if stage != self._stage:
            self._stage, self._begun, self._printed_at = stage, now, now
        finished = bool(total) and done >= total
        pause = _REDRAW_SECONDS if self._redrawn_at else _LINE_INTERVAL_SECONDS
        if now - self._printed_at < pause and not (finished and self._redrawn_at):
            return
        self._printed_at = now
        line = progress_sentence(stage, done, total, now - self._begun)
        if self._redrawn_at:
            self._stream.write(f"\r{line:<78}" + ("\n" if finished else ""))
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def on_message(self, sentence: str) -> None:
        """Say something that stays."""
        self._stream.write(sentence + "\n")
        self._stream.flush()


def progress_sentence(stage: str, done: int, total: int, elapsed: float) -> str:
    """How far a stage is after so many seconds, and how long the rest of it takes if it goes on as it did."""
    told = f"{stage}: {done}{f' of {total}' if total else ''}"
    if not total or not done or elapsed <= 0:
        return told
    return f"{told}, {int(done / elapsed)} a second, {int(elapsed * (total - done) / done)} s left"


def ignore_progress(*_: object) -> None:
    """Say nothing."""
