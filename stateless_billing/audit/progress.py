"""Prints progress to stderr: one redrawn line on a terminal, else a line every 10 s."""

import sys
from typing import TextIO

from stateless_billing.runtime.clock import Clock

_LINE_INTERVAL_SECONDS = 10.0
_REDRAW_SECONDS = 0.2


class ProgressPrinter:
    """Prints the progress of each stage."""

    def __init__(self, clock: Clock, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._stage = ""
        self._started_at = 0.0
        self._printed_at = 0.0

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` items of a stage are read. A total of 0 means unknown."""
        now = self._clock.boot()
        if stage != self._stage:
            self._stage, self._started_at, self._printed_at = stage, now, now
        finished = bool(total) and done >= total
        pause = _REDRAW_SECONDS if self._is_terminal else _LINE_INTERVAL_SECONDS
        if now - self._printed_at < pause and not (finished and self._is_terminal):
            return
        self._printed_at = now
        line = progress_sentence(stage, done, total, now - self._started_at)
        if self._is_terminal:
            self._stream.write(f"\r{line:<78}" + ("\n" if finished else ""))
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def on_message(self, sentence: str) -> None:
        """Print a sentence on a line of its own."""
        self._stream.write(sentence + "\n")
        self._stream.flush()


def progress_sentence(stage: str, done: int, total: int, elapsed: float) -> str:
    """Describe a stage after `elapsed` seconds, with its speed and remaining time."""
    count = f"{stage}: {done}{f' of {total}' if total else ''}"
    if not total or not done or elapsed <= 0:
        return count
    return f"{count}, {int(done / elapsed)} a second, {int(elapsed * (total - done) / done)} s left"


def ignore_progress(*_: object) -> None:
    """Ignore progress."""
