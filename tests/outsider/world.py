"""One world of the kit: chain, Stripe, prices and processes of the service, each started once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eth_account.signers.local import LocalAccount

from tests.outsider.chain import CHAIN_ID, Chain
from tests.outsider.prices import PriceFeed
from tests.outsider.receiver import Receiver
from tests.outsider.service import Service, run_command
from tests.outsider.stripe.account import Account, Customer, Transaction
from tests.outsider.stripe.desk import Desk
from tests.outsider.stripe.server import Server

WRITE_KEY, READ_KEY = "rk_test_writesCustomers", "rk_test_readsCustomers"
ENTRIES = "/v1/customers/:id/balance_transactions"
PRICE = "0.0125"
Result = TypeVar("Result")


class DoesNotHold(Exception):
    """A promise that does not hold."""


def require(holds: object, sentence: str) -> None:
    """Raise unless `holds`. Raises: DoesNotHold."""
    if not holds:
        raise DoesNotHold(sentence)


def state_of(claim: dict[str, Any]) -> tuple[str, str | None]:
    """Return state and cause of a claim's first payment."""
    payment = claim["payments"][0]
    return payment["state"], payment["cause"]


@dataclass
class Payer:
    """A customer with a wallet, and the key that pays."""

    customer: Customer
    key: LocalAccount

    @property
    def wallet(self) -> str:
        """The wallet's address."""
        address: str = self.key.address
        return address


@dataclass
class World:
    """Everything that the scenarios share."""

    services: list[Service] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.account = Account(time.time, search_delay=0)
        permissions = {"rak_customer_write"}
        self.desk = Desk(self.account, {WRITE_KEY: permissions, READ_KEY: {"rak_customer_read"}})
        self.prices = PriceFeed(PRICE)
        self.receiver = Receiver("the webhook's secret of the kit")
        self.stripe, self.feed = Server(self.desk.answer), Server(self.prices.answer)
        self.hook = Server(self.receiver.answer)
        self.chain = Chain()
        self.settings = {
            "STRIPE_API_KEY": WRITE_KEY,
            "STRIPE_API_BASE": self.stripe.url,
            "RPC_URLS": self.chain.url,
            "CHAIN_ID": str(CHAIN_ID),
            "GATEWAY_ADDRESSES": self.chain.contracts.gateway,
            "SIGNER_KEY": "0x" + bytes(self.chain.signer.key).hex(),
            "PRICE_API_BASE": self.feed.url,
            "CONFIRMATIONS": "10000:2s,100000:safe,finalized",
            "SWEEP_SECONDS": "1",
            "CORS_ORIGINS": "https://shop.example.org",
            "PROCESSES": "2",
            "CREDIT_HOOK_URL": f"{self.hook.url}/credited",
            "CREDIT_HOOK_SECRET": self.receiver.secret,
        }
        code, output = run_command(self.settings, "doctor", "--init")
        record = next((line for line in output.splitlines() if line.startswith("SERVICE_CUSTOMER_ID=")), "")
        require(record, f"doctor --init prints SERVICE_CUSTOMER_ID (exit code {code}): {output}")
        self.settings["SERVICE_CUSTOMER_ID"] = record.partition("=")[2]

    @property
    def service(self) -> Service:
        """The first process, started when it is first used."""
        if not self.services:
            self.services.append(Service(self.settings))
        return self.services[0]

    @property
    def second(self) -> Service:
        """The second process, started when it is first used."""
        if len(self.services) < 2:
            self.services = [self.service, Service(self.settings)]
        return self.services[1]

    def end(self) -> None:
        """End all processes and servers."""
        for service in self.services:
            service.kill()
        self.chain.end()
        for server in (self.stripe, self.feed, self.hook):
            server.close()

    def at_stripe(self, work: Callable[[], Result]) -> Result:
        """Do something to the account within the server's thread."""

        async def run() -> Result:
            return work()

        return self.stripe.run(run())

    def create_customer(self, **fields: Any) -> Customer:
        """Create a customer as another system would."""
        return self.at_stripe(lambda: self.account.create_customer(fields))

    def create_payer(self, tokens: int = 100_000) -> Payer:
        """Create a customer whose wallet has tokens."""
        key = self.chain.create_account(tokens)
        email = f"payer-{key.address[2:10].lower()}@example.org"
        return Payer(self.create_customer(email=email, metadata={"wallet_address": key.address.lower()}), key)

    def pay_quoted(self, payer: Payer, cents: int, service: Service | None = None) -> str:
        """Pay by a quote; returns the hash."""
        quote = (service or self.service).quote(payer.wallet, cents, payer.wallet)
        receipt: dict[str, Any] = {}
        for call in quote["calls"]:
            receipt = self.chain.send(payer.key, call["to"], call["data"])
        hash_: str = receipt["transactionHash"]
        return hash_

    def credits(self, customer: Customer, tx_hash: str) -> list[Transaction]:
        """Return the entries that carry a payment of an EVM transaction."""
        return self.at_stripe(
            lambda: [entry for entry in customer.ledger if tx_hash in entry.metadata.get("payment", "")]
        )

    def require_credited_once(self, payer: Payer, tx_hash: str, cents: int) -> Transaction:
        """Require one credit of exactly these cents, and no other entry. Raises: DoesNotHold."""
        entries = self.credits(payer.customer, tx_hash)
        require(len(entries) == 1, f"{tx_hash} has {len(entries)} credits instead of one")
        entry = entries[0]
        require((entry.amount, entry.currency) == (-cents, "usd"), f"{entry} is a credit of {cents} cents")
        return entry
