"""Keeps every text that pages show, and what was true at that time, and finds what was untrue."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext

LIST_SECONDS = 3.0  # by which the list of an open page may be behind the chain
PAGE_SECONDS = 0.5  # by which the rest of an open page may be
WATCH_TEXTS = """
(() => {
  let last = "";
  const note = () => {
    const text = document.querySelector("main")?.innerText ?? "";
    if (text === last || document.hidden) return;
    last = text;
    void window.witness(Date.now() / 1000, text);
  };
  const changes = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver(note).observe(document, changes);
})();
"""
NOTHING = re.compile(r"Nothing (more )?was sent|No (second )?payment was sent|No money moved")
SAFE = re.compile(r"You can safely pay again|It took no tokens")
CREDITED = re.compile(r"The credit is on the account|\$25\.00 added")
PAID = re.compile(r"Payment received|Your payment is on the chain|Paid, the credit is|is already under way")
NO_LIST = re.compile(r"No payments yet")


@dataclass
class Truth:
    """When payments were mined and credited, in seconds of the wall clock, as the chain and Stripe tell it.

    Of each, when it was surely not there yet, and when it surely was: a reading takes time on a busy machine.
    """

    mined: list[tuple[float, float]] = field(default_factory=list)
    credited: list[tuple[float, float]] = field(default_factory=list)


class Witness:
    """Watches pages, the chain and Stripe during a scene."""

    def __init__(self, mined: Callable[[], int], credited: Callable[[], int]) -> None:
        """`mined` counts the account's payments on the chain; `credited` those in its Stripe balance."""
        self.truth = Truth()
        self.texts: list[tuple[float, str]] = []
        self.presses: list[float] = []
        """When somebody asked for a payment: what a page says of money is about the last time."""
        self._readings = ((mined, self.truth.mined), (credited, self.truth.credited))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *failure: Any) -> None:
        self._ended.set()
        self._thread.join()

    def _read(self) -> None:
        absent_at = [time.time()] * len(self._readings)
        ended = False
        while not ended:
            ended = self._ended.wait(0.1)  # and once more at the end: what happened just before it counts
            for number, (count, times) in enumerate(self._readings):
                began = time.time()
                more = count() - len(times)
                times.extend([(absent_at[number], time.time())] * more)
                absent_at[number] = began

    def watch(self, context: BrowserContext) -> None:
        """Keep all texts of a browser profile's pages."""
        context.expose_function("witness", lambda at, text: self.texts.append((at, text)))
        context.add_init_script(WATCH_TEXTS)

    def untrue(self) -> list[str]:
        """Return what pages showed and was not so."""
        return [f"{at:.1f}: {fault}\n{text}" for at, text in self.texts if (fault := self._fault(at, text))]

    def _fault(self, at: float, text: str) -> str:
        mined, credited = self.truth.mined, self.truth.credited
        asked_at = max((press for press in self.presses if press <= at), default=0.0)
        asked_next = min((press for press in self.presses if press > at), default=math.inf)
        if NOTHING.search(text) and any(asked_at < before and after < at - PAGE_SECONDS for before, after in mined):
            return "something was sent"
        if SAFE.search(text) and any(asked_at < before and after < asked_next for before, after in mined):
            return "the payment arrived"
        if CREDITED.search(text) and not any(before <= at for before, _ in credited):
            return "there is no credit"
        if PAID.search(text) and not any(before <= at for before, _ in mined):
            return "there is no payment"
        if NO_LIST.search(text) and any(after < at - LIST_SECONDS - PAGE_SECONDS for _, after in mined):
            return "the list is behind the chain"
        return ""
