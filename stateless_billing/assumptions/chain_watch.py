"""Sees whether what a node called final stays so."""

from cachetools import LRUCache

from chain.payment import Block, Payment
from stateless_billing.assumptions.breaches import Breaches, Watch, harmless

MAX_STEP_BACK_SECONDS = 900  # one URL may lead to several machines: twice the steps in which Base becomes final
_MAX_NODES = 64
_MAX_BLOCKS = 1000
_MAX_PAYMENTS = 20_000


class ChainWatch(Watch):
    """Compares final blocks and final payments with those seen before."""

    def __init__(self, breaches: Breaches) -> None:
        super().__init__(breaches)
        self._newest: LRUCache[str, Block] = LRUCache(_MAX_NODES)
        self._hashes: LRUCache[int, tuple[str, str]] = LRUCache(_MAX_BLOCKS)
        self._payments: LRUCache[tuple[str, str, int], Payment] = LRUCache(_MAX_PAYMENTS)

    @harmless
    def finalized(self, node: str, block: Block) -> None:
        """Look at the block that a node calls final."""
        hash_, teller = self._hashes.setdefault(block.number, (block.hash, node))
        if hash_ != block.hash:
            text = f"block {block.number} is {block.hash} at {node}, and was {hash_} at {teller}"
            self.breaches.report("final_block_replaced", (block.number, block.hash), text)
        newest = self._newest.get(node, block)
        if block.time < newest.time - MAX_STEP_BACK_SECONDS:
            text = f"{node} says that block {block.number} is the newest final one, and said so of {newest.number}"
            self.breaches.report("finalized_went_back", (node, newest.number), text)
        if block.number >= newest.number:
            self._newest[node] = block

    @harmless
    def final_payment(self, payment: Payment) -> None:
        """Look at a payment that is final, and was confirmed as an attempt requires."""
        place = payment.gateway, payment.customer_id or payment.identity, payment.sequence
        before = self._payments.setdefault(place, payment)
        if before != payment:
            text = f"payment {payment.sequence} of {place[1]} to {payment.gateway} was {before}, and is {payment}"
            self.breaches.report("final_payment_changed", (place, payment), text)
