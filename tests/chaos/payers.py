"""Sends payments of all kinds, signed with the service's key, so that paying does not depend on a live service."""

import random
from dataclasses import dataclass

from chain import contracts
from chain.signatures import Quote, Signer
from stateless_billing.sandbox.localchain import RpcError, dev_account, encode_call
from stateless_billing.sandbox.stack import TOKEN, Stack

_GAS = 3_000_000
_PRICE = 6  # tenths of a cent per token, as in the sandbox's price feed
_FAR_DEADLINE = 2**40


@dataclass
class Customer:
    """A customer, its wallet, and its next sequence at each gateway."""

    id: str
    wallet: str
    sequences: dict[str, int]


class Payers:
    """Sends payments for a number of customers to all gateways of a stack."""

    def __init__(self, stack: Stack, seed: int, customers: int) -> None:
        self._stack, self._random = stack, random.Random(seed)
        self._signer = Signer(str(dev_account(3).key.hex()), stack.chain.chain_id)
        self._gateways = [gateway.lower() for gateway in stack.gateways]
        self._batcher = stack.chain.deploy("Batcher", [], [])
        stack.chain.mint(stack.token, self._batcher, 10**9 * TOKEN)
        self._customers = [self._customer(number) for number in range(customers)]
        self._allow()
        self._register()

    def _customer(self, number: int) -> Customer:
        wallet = f"0x{0xC4A0_0000 + number:040x}"
        customer_id = self._stack.add_customer(f"chaos{number}@example.org", wallet)
        return Customer(customer_id, wallet, dict.fromkeys(self._gateways, 0))

    def _allow(self) -> None:
        approve = [encode_call("approve(address,uint256)", gateway, 10**9 * TOKEN) for gateway in self._gateways]
        for data in approve:
            self._stack.chain.send(self._stack.payer, self._stack.token, data)
        self._stack.chain.send(
            self._stack.payer, self._batcher, self._run([(self._stack.token, one) for one in approve])
        )

    def _register(self) -> None:
        for gateway in self._gateways:
            signed = [
                (one, self._signer.registration(gateway, one.wallet, one.id, _FAR_DEADLINE)) for one in self._customers
            ]
            data = [
                contracts.encode_register(one.wallet, one.id, _FAR_DEADLINE, signature) for one, signature in signed
            ]
            self._stack.chain.send(self._stack.payer, gateway, contracts.encode_multicall(data))

    def send_batch(self, limit: int) -> tuple[list[str], int]:
        """Send up to `limit` payments of different customers at once; their EVM hashes and the number of payments."""
        customers = self._random.sample(self._customers, min(limit, len(self._customers)))
        hashes, sent = [], 0
        while customers:
            batch = [customers.pop() for _ in range(min(3, len(customers)))] if self._random.random() < 0.15 else []
            payments = [self._payment(customer) for customer in batch or [customers.pop()]]
            if len(payments) > 1:
                to, data = self._batcher, self._run(payments)
            else:
                [(to, data)] = payments
            try:
                hashes.append(self._stack.chain.submit(self._stack.payer, to, data, gas=_GAS))
                sent += len(payments)
            except RpcError:
                continue  # not on the chain, so not owed
        return hashes, sent

    def _payment(self, customer: Customer) -> tuple[str, str]:
        gateway = self._random.choice(self._gateways)
        cents = self._random.randint(500, 9000)
        amount = cents * 10 * TOKEN // _PRICE + 1
        sequence = customer.sequences[gateway]
        customer.sequences[gateway] += 1
        if self._random.random() < 0.25:
            return gateway, encode_call("pay(address,uint256)", customer.wallet, amount)
        quote = Quote(customer.wallet, sequence, amount, cents, _FAR_DEADLINE)
        return gateway, contracts.encode_pay_quoted(
            customer.wallet, amount, cents, _FAR_DEADLINE, self._signer.quote(gateway, quote)
        )

    def recount(self) -> None:
        """Read the next sequences from the contracts, after a reorg may have dropped payments."""
        for customer in self._customers:
            for gateway in self._gateways:
                word = "0x" + customer.id.encode().ljust(32, b"\0").hex()
                count = self._stack.chain.call(
                    gateway, "paymentCount(bytes32)", bytes.fromhex(word[2:]), returns="uint256"
                )
                customer.sequences[gateway] = count

    @staticmethod
    def _run(targets: list[tuple[str, str]]) -> str:
        data = [bytes.fromhex(call[2:]) for _, call in targets]
        return encode_call("run(address[],bytes[])", [to for to, _ in targets], data)
