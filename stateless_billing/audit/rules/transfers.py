"""Judges the token's transfers to the treasury: payments, known contracts, and what came past the gateways. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chain import decoding
from chain.decoding import TRANSFER_TOPIC, Log
from chain.errors import InconsistentChainData, InvalidResponse
from chain.payment import Block, Payment
from stateless_billing.audit.rules.facts import Scope
from stateless_billing.audit.rules.rows import DECIMALS, Row, create_row, fingerprint, format_utc
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.domain import money


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer of the token, with its amount in base units."""

    tx_hash: str
    log_index: int
    block: int
    block_hash: str
    sender: str
    recipient: str
    amount: int


@dataclass(frozen=True, slots=True)
class Bound:
    """A balance in base units that one end of the reading must meet.

    `block` is the first block to read for an opening, the last one for a closing. `source` is where the balance is
    from: the `node`, `stated` by the auditor, or the `token`, which did not exist before; of a closing also the `head`,
    if the node keeps no state of the report's last block.
    """

    block: int
    balance: int
    source: str


@dataclass(slots=True)
class Statement:
    """The transfers of a treasury between two balances."""

    account: str
    opening: Bound
    closing: Bound
    received: list[Transfer] = field(default_factory=list)
    sent: list[Transfer] = field(default_factory=list)
    position: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what was read."""
        self.position = self.opening.block
        self.received, self.sent = [], []

    @property
    def difference(self) -> int:
        """The base units by which the transfers miss the closing balance."""
        return self.closing.balance - self.balance_at(self.closing.block)

    def balance_at(self, block: int) -> int:
        """Return the balance after a block, by the transfers."""
        received, sent = (_sum_until(transfers, block) for transfers in (self.received, self.sent))
        return self.opening.balance + received - sent

    def as_dict(self, last_block: int) -> dict[str, Any]:
        """Return the statement up to the report's last block as a JSON object."""
        received, sent = (_sum_until(transfers, last_block) for transfers in (self.received, self.sent))
        return {
            "from_block": self.opening.block,
            "opening_raw": str(self.opening.balance),
            "opening_source": self.opening.source,
            "received_raw": str(received),
            "sent_raw": str(sent),
            "closing_raw": str(self.opening.balance + received - sent),
            "closing_source": self.closing.source,
        }


def _sum_until(transfers: Iterable[Transfer], block: int) -> int:
    return sum(transfer.amount for transfer in transfers if transfer.block <= block)


def address_topic(address: str) -> str:
    """Return an address as an indexed topic."""
    return "0x" + address[2:].rjust(64, "0")


def decode_transfers(logs: object, token: str, first_block: int, last_block: int) -> list[Transfer]:
    """Decode the transfers of a range of blocks. Raises: InvalidResponse."""
    transfers = []
    places: set[tuple[int, int]] = set()
    for log in decoding.typed(logs, list[Log], "logs"):
        topics = [decoding.hash32(topic) for topic in log.topics]
        if decoding.address(log.address) != token or len(topics) != 3 or topics[0] != TRANSFER_TOPIC or log.removed:
            raise InvalidResponse("a log that is no transfer of the token")
        block = decoding.quantity(log.block_number)
        if not first_block <= block <= last_block:
            raise InvalidResponse(f"a log of block {block}, outside of {first_block} to {last_block}")
        place = block, decoding.quantity(log.log_index)
        if place in places:
            raise InvalidResponse(f"log {place[1]} of block {block} twice")
        places.add(place)
        transfers.append(
            Transfer(
                tx_hash=decoding.hash32(log.transaction_hash),
                log_index=place[1],
                block=block,
                block_hash=decoding.hash32(log.block_hash),
                sender=decoding.topic_address(topics[1]),
                recipient=decoding.topic_address(topics[2]),
                amount=decoding.uint256(decoding.data(log.data)),
            )
        )
    return transfers


def find_unpaid(transfers: Iterable[Transfer], payments: Iterable[Payment]) -> list[Transfer]:
    """Return the transfers that no payment accounts for.

    A payment is the transfer of its amount from its payer in its EVM transaction. Raises: InconsistentChainData.
    """
    by_sender: dict[tuple[str, str], list[Transfer]] = defaultdict(list)
    for transfer in transfers:
        by_sender[transfer.tx_hash, transfer.sender].append(transfer)
    lacking: dict[tuple[str, str], int] = defaultdict(int)
    for payment in payments:
        sent = by_sender.get((payment.tx_hash, payment.payer), [])
        if exact := next((transfer for transfer in sent if transfer.amount == payment.amount), None):
            sent.remove(exact)
        else:
            lacking[payment.tx_hash, payment.payer] += payment.amount
    for sender, amount in lacking.items():
        by_sender[sender] = _subtract(by_sender.get(sender, []), amount, sender[0])
    return [transfer for sent in by_sender.values() for transfer in sent]


def _subtract(sent: Sequence[Transfer], amount: int, tx_hash: str) -> list[Transfer]:
    """Take an amount out of the transfers that no payment matches exactly, as one transfer of the rest."""
    rest = sum(transfer.amount for transfer in sent) - amount
    if rest < 0:
        raise InconsistentChainData(f"{tx_hash} shows payments of {-rest} base units that did not reach the treasury")
    return [replace(sent[-1], amount=rest)] if rest else []


def find_source(emitters: Iterable[str], known: Mapping[str, str]) -> str | None:
    """Return the label of the known contract that emitted a log in an EVM transaction; None if there is none.

    The sender of a transfer is the payer, not the contract, so it does not tell.
    """
    emitting = set(emitters)
    return next((label for address, label in known.items() if address in emitting), None)


def stray_row(transfer: Transfer, block: Block, scope: Scope) -> Row:
    """Create the row of a transfer that neither a payment nor a known contract accounts for."""
    tokens = money.format_decimal(transfer.amount, DECIMALS)
    cells = {
        "chain_id": scope.chain_id,
        "block_number": transfer.block,
        "block_hash": transfer.block_hash,
        "block_time_utc": format_utc(block.time),
        "tx_hash": transfer.tx_hash,
        "log_index": transfer.log_index,
        "explorer_url": f"{scope.explorer}/tx/{transfer.tx_hash}" if scope.explorer else None,
        "payer": transfer.sender,
        "token": scope.token,
        "token_decimals": DECIMALS,
        "amount_raw": str(transfer.amount),
        "amount_tokens": tokens,
        "kind": "transfer",
        "fingerprint": fingerprint("transfer", scope.chain_id, transfer.tx_hash, transfer.log_index),
    }
    reason = f"{transfer.sender} sent {tokens} tokens to {transfer.recipient} without a payment: nobody was credited"
    return create_row(cells, Status.STRAY_TRANSFER, reason, "transfer")
