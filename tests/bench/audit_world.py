"""Stand-ins for the audit benchmark, one process each: `python -m tests.bench.audit_world stripe|node …`.

The Stripe stand-in is the sandbox's with 20 times Stripe's limits; the node answers from memory.
"""

import argparse
import asyncio
import json
import socket
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from chain.payment import Payment
from stateless_billing.sandbox.account import Entry as Row
from stateless_billing.sandbox.records import Contact
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.server import QuietServer, listening_socket
from tests.audit.builders import TOKEN, credit
from tests.audit.world import TREASURY, AuditNode, transfer
from tests.chain.fake_node import raw_log
from tests.fakes.factories import PAYER, payment, tx_hash

EVERY = 3600  # seconds between a customer's charges


def payments(customers: int, each: int, per_block: int) -> list[Payment]:
    """Return the same payments in every process: customers in turn, `per_block` in a block."""
    made = []
    for number in range(customers * each):
        customer, sequence = number % customers, number // customers
        made.append(
            payment(
                block=100 + number // per_block,
                log_index=2 * (number % per_block),
                tx_hash=tx_hash(number + 1),
                customer_id=f"cus_Bench{customer:06d}",
                wallet=f"0x{customer + 1:040x}",
                payer=PAYER,
                sequence=sequence,
            )
        )
    return made


def fill_sandbox(customers: int, each: int, charges: int, per_block: int, times: int) -> Sandbox:
    """Return a sandbox with all ledgers, as the service would have written them, at `times` Stripe's limits."""
    sandbox = Sandbox()
    account, limits = sandbox.stripe.account, sandbox.stripe.limits
    limits.endpoint, limits.search, limits.account = (times * limit for limit in (25, 20, 100))
    limits.account_in_test_mode = limits.account  # the benchmark's key is of a sandbox, whose limit is a quarter
    everything = payments(customers, each, per_block)
    for customer in range(customers):
        mine = everything[customer::customers]
        contact = Contact(metadata={"wallet_address": mine[0].wallet})
        made = account.add_customer(mine[0].time, mine[0].time, contact, identifier=mine[0].customer_id or "")
        rows = [(entry.time + 30, _row(entry)) for entry in mine]
        first = mine[0].time + EVERY
        rows += [(first + n * EVERY, Row(7, "usd", "Usage")) for n in range(charges)]
        account.add_past(made, rows)
    return sandbox


def _row(source: Payment) -> Row:
    made = credit(source)
    return Row(-made.cents, made.currency, made.description, dict(made.metadata))


class Node:
    """A node with precomputed answers, so that the benchmark measures the reader."""

    def __init__(self, everything: list[Payment]) -> None:
        last = everything[-1].block
        self._node = AuditNode([], latest=last + 10, finalized=last + 5)
        self._everything = everything
        self._by_customer: dict[str, int] = {}
        self._wallets = {entry.wallet: entry.customer_id for entry in everything}
        self._blocks: dict[str, list[Payment]] = {}
        for entry in everything:
            self._blocks.setdefault(entry.block_hash, []).append(entry)
            self._by_customer[entry.customer_id or ""] = self._by_customer.get(entry.customer_id or "", 0) + 1
        self._logs = {name: _dumped([raw_log(entry) for entry in members]) for name, members in self._blocks.items()}
        self._moved = {name: _dumped([transfer(entry) for entry in members]) for name, members in self._blocks.items()}

    def answer(self, body: bytes) -> bytes:
        """Answer a request: a batch or a single call."""
        request = json.loads(body)
        if isinstance(request, list):
            return b"[" + b",".join(self._answer_call(call) for call in request) + b"]"
        return self._answer_call(request)

    def _answer_call(self, call: dict[str, Any]) -> bytes:
        result = self._result(call["method"], call["params"])
        return b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (call["id"], result)

    def _result(self, method: str, params: Any) -> bytes:
        if method == "eth_getLogs":
            logs = self._moved if params[0]["address"] == TOKEN else self._logs
            return logs.get(params[0]["blockHash"], b"[]")
        if method == "eth_call":
            return _dumped(self._call(params[0]["data"]))
        return _dumped(self._node.answer(method, params))

    def _call(self, data: str) -> str:
        selector, words = data[2:10], [data[at : at + 64] for at in range(10, len(data), 64)]
        if selector == "005b4487":  # totalPayments
            return f"0x{len(self._everything):064x}"
        if selector == "f0e81aba":  # paymentBlocks
            members = self._everything[int(words[0], 16) : int(words[1], 16)]
            return "0x" + "".join(f"{n:064x}" for n in (32, len(members), *(entry.block for entry in members)))
        if selector == "5456387b":  # paymentCount
            customer = bytes.fromhex(words[0]).rstrip(b"\0").decode()
            return f"0x{self._by_customer[customer]:064x}"
        if selector == "8fd1d421":  # customerOf
            return "0x" + (self._wallets.get("0x" + words[0][24:]) or "").encode().hex().ljust(64, "0")
        fixed = {"fc0c546a": TOKEN, "61d027b3": TREASURY}[selector]
        return "0x" + fixed[2:].rjust(64, "0")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve JSON-RPC over ASGI."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = self.answer(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode()


async def _serve(server: uvicorn.Server, bound: socket.socket) -> None:
    print(bound.getsockname()[1], flush=True)
    await server.serve([bound])


def main() -> None:
    """Serve one of the stand-ins."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["stripe", "node"])
    parser.add_argument("--customers", type=int)
    parser.add_argument("--each", type=int)
    parser.add_argument("--charges", type=int, default=0)
    parser.add_argument("--per-block", type=int)
    parser.add_argument("--times", type=int, default=1)
    given = parser.parse_args()
    everything = payments(given.customers, given.each, given.per_block)
    bound, _ = listening_socket()  # without Nagle's delay, which would be most of the figure
    bound.listen(128)  # as soon as the address is printed
    if given.what == "stripe":
        sizes = given.customers, given.each, given.charges, given.per_block
        server: uvicorn.Server = QuietServer(fill_sandbox(*sizes, given.times))
    else:
        server = uvicorn.Server(uvicorn.Config(Node(everything), log_level="warning", lifespan="off", http="httptools"))
    asyncio.run(_serve(server, bound))


if __name__ == "__main__":
    main()
