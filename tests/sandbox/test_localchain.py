"""The local chain: anvil, the compiled contracts, payments and their gas."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from eth_abi.abi import decode
from eth_utils.crypto import keccak

from stateless_billing.sandbox.localchain import (
    LocalChain,
    Reverted,
    RpcError,
    build_contracts,
    dev_account,
    encode_call,
)

TOKEN = 10**18
MINIMUM = TOKEN
CEILING = 1_000_000  # one cent per whole token
CUSTOMER = b"cus_LocalChain01".ljust(32, b"\0")
PAYMENT = "0x" + keccak(text="Payment(bytes32,address,address,uint256,uint256,uint256)").hex()

QUOTE = [("wallet", "address"), ("sequence", "uint256"), ("amount", "uint256"), ("cents", "uint256")]
REGISTRATION = [("wallet", "address"), ("customerId", "bytes32")]


@dataclass(frozen=True)
class Shop:
    """A chain with a token, a gateway, a payer with funds and an allowance, and a registered wallet."""

    chain: LocalChain
    token: str
    gateway: str
    owner: str
    payer: str
    treasury: str
    wallet: str

    def sign(self, kind: str, fields: list[tuple[str, str]], message: dict[str, object]) -> bytes:
        """Return the signer's EIP-712 signature; every message ends with a deadline."""
        types = {kind: [{"name": name, "type": of} for name, of in [*fields, ("deadline", "uint256")]]}
        domain = {
            "name": "PaymentGateway",
            "version": "1",
            "chainId": self.chain.chain_id,
            "verifyingContract": self.gateway,
        }
        return bytes(dev_account(3).sign_typed_data(domain, types, message).signature)

    def register(self) -> None:
        deadline = 2**64
        message = {"wallet": self.wallet, "customerId": CUSTOMER, "deadline": deadline}
        signature = self.sign("Registration", REGISTRATION, message)
        call = encode_call("register(address,bytes32,uint256,bytes)", self.wallet, CUSTOMER, deadline, signature)
        self.chain.send(self.payer, self.gateway, call)

    def quoted(self, amount: int, cents: int, sequence: int) -> str:
        """Return call data that pays a fresh quote."""
        deadline = int(self.chain.block()["timestamp"], 16) + 300
        message = {"wallet": self.wallet, "sequence": sequence, "amount": amount, "cents": cents, "deadline": deadline}
        signature = self.sign("Quote", QUOTE, message)
        signature_of = "payQuoted(address,uint256,uint256,uint256,bytes)"
        return encode_call(signature_of, self.wallet, amount, cents, deadline, signature)


@pytest.fixture(scope="module")
def chain() -> Iterator[LocalChain]:
    build_contracts()
    with LocalChain.start() as chain:
        yield chain


@pytest.fixture
def shop(chain: LocalChain) -> Shop:
    owner, payer, treasury, signer, wallet = chain.accounts[:5]
    token = chain.deploy_token()
    gateway = chain.deploy_gateway(token, treasury, owner, signer, MINIMUM, CEILING)
    shop = Shop(chain, token, gateway, owner, payer, treasury, wallet)
    chain.mint(token, payer, 10**6 * TOKEN)
    chain.send(payer, token, encode_call("approve(address,uint256)", gateway, 2**256 - 1))
    shop.register()
    return shop


def test_gateways_are_deployed_with_their_arguments(shop: Shop) -> None:
    chain = shop.chain
    second = chain.deploy_gateway(shop.token, shop.treasury, shop.owner, chain.accounts[3], 5, 6)
    assert second != shop.gateway
    assert chain.call(second, "token()", returns="address") == shop.token.lower()
    assert chain.call(second, "treasury()", returns="address") == shop.treasury.lower()
    assert chain.call(second, "owner()", returns="address") == shop.owner.lower()
    assert chain.call(second, "signer()", returns="address") == chain.accounts[3].lower()
    assert chain.call(second, "minimumAmount()", returns="uint256") == 5
    assert chain.call(second, "rateCeiling()", returns="uint256") == 6


def test_a_plain_payment_is_found_where_the_index_says(shop: Shop) -> None:
    chain = shop.chain
    receipt = chain.send(shop.payer, shop.gateway, encode_call("pay(address,uint256)", shop.wallet, 5 * TOKEN))
    assert chain.balance(shop.token, shop.treasury) == 5 * TOKEN
    assert chain.balance(shop.token, shop.gateway) == 0
    signature = "paymentBlocks(uint256,uint256)"
    assert chain.call(shop.gateway, signature, 0, 1, returns="uint64[]") == (int(receipt["blockNumber"], 16),)

    [log] = chain.rpc("eth_getLogs", {"blockHash": receipt["blockHash"], "address": shop.gateway})
    assert log["topics"][:2] == [PAYMENT, "0x" + CUSTOMER.hex()]
    assert [topic[-40:] for topic in log["topics"][2:]] == [a[2:].lower() for a in (shop.wallet, shop.payer)]
    assert decode(["uint256"] * 3, bytes.fromhex(log["data"][2:])) == (0, 5 * TOKEN, 0)


def test_ten_quoted_payments_cost_at_most_two_and_a_half_transfers_each(shop: Shop) -> None:
    """Compare a new customer's payments on a new gateway, including fresh storage, with the cheapest transfer."""
    chain = shop.chain
    transfer = encode_call("transfer(address,uint256)", shop.treasury, TOKEN)
    chain.send(shop.payer, shop.token, transfer)
    bare = int(chain.send(shop.payer, shop.token, transfer)["gasUsed"], 16)
    costs = [
        int(chain.send(shop.payer, shop.gateway, shop.quoted(1000 * TOKEN, 600, sequence))["gasUsed"], 16)
        for sequence in range(10)
    ]
    print(f"transfer {bare}, quoted payments {costs}, mean {sum(costs) / 10}")
    assert 10 * bare * 2.5 >= sum(costs)


def test_a_failed_send_says_why(shop: Shop) -> None:
    call = encode_call("pay(address,uint256)", shop.payer, TOKEN)  # this wallet is not registered
    selector = keccak(text="NotRegistered(address)")[:4].hex()
    with pytest.raises(Reverted, match=selector + "0" * 24 + shop.payer[2:].lower()) as caught:
        shop.chain.send(shop.payer, shop.gateway, call)
    assert int(caught.value.receipt["status"], 16) == 0
    assert caught.value.receipt["logs"] == []


def test_a_submitted_call_may_fail_in_its_block(shop: Shop) -> None:
    call = encode_call("pay(address,uint256)", shop.wallet, 0)
    receipt = shop.chain.receipt(shop.chain.submit(shop.payer, shop.gateway, call, gas=200_000))
    assert receipt["status"] == "0x0"


def test_only_unlocked_accounts_send(chain: LocalChain) -> None:
    with pytest.raises(RpcError, match="eth_sendTransaction: No Signer available"):
        chain.send("0x000000000000000000000000000000000000dEaD", chain.accounts[0])


def test_the_dev_accounts_keys_are_known(chain: LocalChain) -> None:
    assert [dev_account(index).address for index in range(10)] == chain.accounts


def test_calls_are_encoded_as_solidity_does() -> None:
    call = encode_call("transfer(address,uint256)", "0x00000000000000000000000000000000000000Aa", 5)
    assert call == "0xa9059cbb" + "aa".rjust(64, "0") + "5".rjust(64, "0")
    assert encode_call("token()") == "0xfc0c546a"


def test_missing_blocks_and_receipts_are_errors(chain: LocalChain) -> None:
    with pytest.raises(LookupError, match="no block 1000000"):
        chain.block(1_000_000)
    with pytest.raises(TimeoutError, match="no receipt"):
        chain.receipt("0x" + "00" * 32, seconds=0.05)


def test_finality_follows_the_height() -> None:
    with LocalChain.start(slots_in_an_epoch=2, number=100) as chain:
        chain.mine(10)
        assert [chain.height(tag) for tag in ("latest", "safe", "finalized")] == [110, 108, 106]
    with LocalChain.start(slots_in_an_epoch=0) as chain:
        chain.mine()
        assert [chain.height(tag) for tag in ("latest", "safe", "finalized")] == [1, 1, 1]


def test_time_starts_at_the_timestamp_and_continues() -> None:
    genesis = 1_700_000_000
    with LocalChain.start(timestamp=genesis, chain_id=8453) as chain:
        assert chain.chain_id == 8453
        assert int(chain.block(0)["timestamp"], 16) == genesis
        chain.mine()
        before = int(chain.block()["timestamp"], 16)
        assert genesis <= before <= genesis + 10
        chain.advance(86_400)
        chain.mine()
        after = int(chain.block()["timestamp"], 16)
        assert 86_400 <= after - before <= 86_410
        chain.mine(3, interval=60)
        assert 180 <= int(chain.block()["timestamp"], 16) - after <= 190


def test_blocks_come_by_themselves_five_a_second() -> None:
    with LocalChain.start(block_time=0.2) as chain:
        before = chain.height()
        receipt = chain.send(chain.accounts[0], chain.accounts[1])
        assert int(receipt["blockNumber"], 16) > before
        end = time.monotonic() + 20
        while chain.height() < before + 12:
            assert time.monotonic() < end
            time.sleep(0.05)
        times = [int(chain.block(before + number)["timestamp"], 16) for number in range(13)]
        assert times == sorted(times)
        assert len(set(times)) < 13


def test_a_reorg_drops_the_transactions_of_its_blocks() -> None:
    with LocalChain.start() as chain:
        chain.mine(3)
        old = chain.send(chain.accounts[0], chain.accounts[1])
        surviving = chain.block(3)["hash"]
        chain.reorg(1)
        assert chain.rpc("eth_getTransactionReceipt", old["transactionHash"]) is None
        assert chain.rpc("eth_getBlockByHash", old["blockHash"], False) is None
        assert chain.height() == 4
        assert chain.block(3)["hash"] == surviving
        assert chain.block(4)["hash"] != old["blockHash"]


def test_stopping_ends_the_processes() -> None:
    with LocalChain.start() as chain:
        assert os.getpgid(chain.process.pid) == chain.process.pid
    assert chain.process.poll() is not None
    with pytest.raises(httpx.ConnectError):
        httpx.get(chain.url, trust_env=False)


def test_a_port_in_use_is_an_error(chain: LocalChain) -> None:
    with pytest.raises(RuntimeError, match="anvil ended at once"):
        LocalChain.start(port=int(chain.url.rsplit(":", 1)[1]))
