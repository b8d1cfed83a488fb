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
STATE_SECONDS = 10.0  # by which a payment's state may be: the page asks again after some seconds
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
NOTHING = re.compile(
    r"Nothing (more )?was sent|No (second )?payment was sent|No money moved|Your wallet was not asked to pay"
)
SAFE = re.compile(
    r"You can safely pay again|It took no tokens|No tokens were taken|did not arrive before its price expired"
    r"|The payment failed|The contract refused it|You paid only the network fee\.|The contract refuses yours"
    r"|did not pay our contract|nothing is credited for it|went straight to the treasury|cannot credit them"
)
CREDITED = re.compile(
    r"The credit is on the account|Each credit is on its account|\$25\.00 added|, made [^.\n]*, is credited"
)
UNCREDITED = re.compile(
    r"Paid, the credit is|We are adding the credit|is already under way|, sent [^.\n]*, is held|Our staff must"
    r"|Our billing system (refused|gave no|does not)|was not credited before"
)
PAID = re.compile(
    rf"Payment received|Your payment is on the chain|worth less than one cent|We credit (it|this)|{UNCREDITED.pattern}"
    r"|There is another payment to this account|Another payment to this account came first|the time of this payment"
)
UNSEEN = re.compile(r"The chain has not shown your payment|does not show this transaction yet|to show your payment")
REVERSED = re.compile(r"This credit was taken back|Our staff reversed it")
NO_LIST = re.compile(r"No payments yet")
JUDGED = (NOTHING, SAFE, CREDITED, UNCREDITED, PAID, UNSEEN, REVERSED, NO_LIST)


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
        if UNSEEN.search(text) and any(asked_at < before and after < at - STATE_SECONDS for before, after in mined):
            return "the chain shows it"
        if UNCREDITED.search(text) and mined and len(mined) == sum(after < at - STATE_SECONDS for _, after in credited):
            return "the credit is there"
        if REVERSED.search(text):
            return "nothing was reversed"
        if CREDITED.search(text) and not any(before <= at for before, _ in credited):
            return "there is no credit"
        if PAID.search(text) and not any(before <= at for before, _ in mined):
            return "there is no payment"
        if NO_LIST.search(text) and any(after < at - LIST_SECONDS - PAGE_SECONDS for _, after in mined):
            return "the list is behind the chain"
        return ""
