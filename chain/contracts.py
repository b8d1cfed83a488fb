"""The gateway and token contracts: calldata and return data by web3, from the compiled ABI.

web3 accepts return data that no contract returns: 96 bytes for a uint256, or extra words behind an array. Every value
is therefore encoded again and compared byte by byte; a difference is the node's failure.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from chain import decoding, provider
from chain.errors import ChainError, InvalidResponse, NoContract, NodeError
from chain.payment import customer_id_to_bytes32, registered_customer
from chain.provider import Call, ChainClient, NodeProvider, preload_web3
from chain.signatures import domain_separator, is_imported, preload_crypto

if TYPE_CHECKING:
    from eth_abi.codec import ABICodec

T = TypeVar("T")

GATEWAY_ABI = "PaymentGateway"
ERC20_ABI = "ERC20Permit"
ABI_FOLDER = Path(__file__).parent / "abi"
_PERMIT_VERSIONS = ("1", "2")
# Calldata and decoder of what a start reads before web3 is loaded; tests/chain/test_abi.py recomputes the calldata.
EARLY_VIEWS: Mapping[str, tuple[str, Callable[[bytes], Any]]] = {
    "token": ("0xfc0c546a", lambda raw: decoding.word_as_address(decoding.uint256(raw))),
    "signer": ("0x238ac933", lambda raw: decoding.word_as_address(decoding.uint256(raw))),
    "totalPayments": ("0x005b4487", decoding.uint256),
    "decimals": ("0x313ce567", decoding.uint256),
    "symbol": ("0x95d89b41", decoding.text),
}


class ContractFunction:
    """Encodes the arguments and decodes the result of one function.

    It holds web3's codec and the function's types: `web3.contract` looks both up at every call, for a millisecond.
    """

    def __init__(
        self, codec: "ABICodec", name: str, *, selector: bytes, inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        self._codec = codec
        self.name = name
        self.selector = selector
        self._inputs = inputs
        self._outputs = outputs

    def encode(self, *arguments: object) -> str:
        """Encode the calldata of a call. Addresses are hex strings in any case."""
        return "0x" + (self.selector + self._codec.encode(self._inputs, _encodable(self._inputs, arguments))).hex()

    def decode(self, raw: bytes) -> Any:
        """Decode return data that is exactly one value, or raise InvalidResponse; addresses become lower case."""
        try:
            [value] = values = self._codec.decode(self._outputs, raw)
            encoded = self._codec.encode(self._outputs, _encodable(self._outputs, values))
        except _rejections() as error:
            raise InvalidResponse(f"{self.name} returned 0x{raw[:64].hex()}: {type(error).__name__}") from error
        if encoded != raw:
            raise InvalidResponse(f"{self.name} returned {len(raw)} bytes where {len(encoded)} encode its value")
        return list(value) if isinstance(value, tuple) else value


def _encodable(types: Sequence[str], values: Sequence[object]) -> list[object]:
    """Convert addresses to bytes: web3 would insist on EIP-55."""
    return [
        bytes.fromhex(value[2:]) if kind == "address" and isinstance(value, str) else value
        for kind, value in zip(types, values, strict=True)
    ]


@cache
def _rejections() -> tuple[type[Exception], ...]:
    """The exceptions that are a node's failure; web3's cover reverts, OffchainLookup and BadFunctionCallOutput."""
    from eth_abi.exceptions import DecodingError, EncodingError
    from web3.exceptions import Web3Exception

    codec_errors = DecodingError, EncodingError, KeyError, TypeError, ValueError, OverflowError, RecursionError
    return InvalidResponse, Web3Exception, *codec_errors


@cache
def contract_functions(abi: str) -> Mapping[str, ContractFunction]:
    """Build the functions of a contract from the web3 contract object of a committed ABI."""
    preload_web3()
    from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types, get_abi_output_types
    from web3 import AsyncWeb3
    from web3.providers.async_base import AsyncBaseProvider

    web3 = AsyncWeb3(AsyncBaseProvider(), middleware=[])
    contract = web3.eth.contract(abi=json.loads((ABI_FOLDER / f"{abi}.json").read_text()))
    return {
        function["name"]: ContractFunction(
            web3.codec,
            function["name"],
            selector=function_abi_to_4byte_selector(function),
            inputs=get_abi_input_types(function),
            outputs=get_abi_output_types(function),
        )
        for function in (element.abi for element in contract.all_functions())
    }


class Contract:
    """One deployed contract, read through `reader`. Every method raises ChainError if it cannot be read."""

    abi = ""

    def __init__(self, reader: ChainClient, address: str) -> None:
        self.reader = reader
        self.address = address

    async def load_function(self, name: str) -> ContractFunction:
        """Return a function's codec; load web3 first, in a thread, if nothing has loaded it yet."""
        if not is_imported("web3"):
            await asyncio.to_thread(preload_web3)
        return contract_functions(self.abi)[name]

    def view_call(self, function: ContractFunction, *arguments: object) -> Call:
        """Build the JSON-RPC call of a view for a batch."""
        return "eth_call", [{"to": self.address, "data": function.encode(*arguments)}, "latest"]

    async def _read(self, name: str, *arguments: object, convert: Callable[[Any], T]) -> T:
        """Call a view and convert its value, both within the failover."""
        function = await self.load_function(name)
        calldata = function.encode(*arguments)

        async def read(node: NodeProvider) -> T:
            try:
                return convert(function.decode(await node.call(self.address, calldata)))
            except _rejections() as error:
                raise node.reject("eth_call", str(error)) from error

        return await self.reader.with_failover(read)


class GatewayContract(Contract):
    """One deployed gateway."""

    abi = GATEWAY_ABI

    def __init__(self, reader: ChainClient, chain_id: int, address: str) -> None:
        super().__init__(reader, address)
        self.chain_id = chain_id

    @property
    def address_prefix(self) -> str:
        """The first eight hex digits of the address, as Stripe's metadata keys carry them."""
        return self.address[2:10]

    async def token(self) -> str:
        """Read the token's address."""
        return await self._read("token", convert=str)

    async def treasury(self) -> str:
        """Read the address that receives all tokens."""
        return await self._read("treasury", convert=str)

    async def owner(self) -> str:
        """Read the account that may change the settings."""
        return await self._read("owner", convert=str)

    async def code_hash(self) -> str:
        """Hash the contract's code, immutable values included."""
        preload_crypto()
        from eth_utils.crypto import keccak

        return "0x" + keccak(await provider.code(self.reader, self.address)).hex()

    async def signer(self) -> str:
        """Read the address whose quotes and registrations the contract accepts."""
        return await self._read("signer", convert=str)

    async def paused(self) -> bool:
        """Read whether paying is paused."""
        return await self._read("paused", convert=bool)

    async def minimum_amount(self) -> int:
        """Read the smallest payment, in base units."""
        return await self._read("minimumAmount", convert=int)

    async def rate_ceiling(self) -> int:
        """Read the most a quote may promise: millionths of a cent per whole token; 0 = quotes off."""
        return await self._read("rateCeiling", convert=int)

    async def customer_of(self, wallet: str) -> str | None:
        """Read the Stripe customer registered for a wallet; None if there is none."""
        return await self._read("customerOf", wallet, convert=registered_customer)

    async def total_payments(self) -> int:
        """Read how many payments the gateway has ever taken."""
        return await self._read("totalPayments", convert=int)

    async def payment_count(self, customer_id: str) -> int:
        """Read how many payments the gateway has taken for a customer, which is the sequence of the next."""
        return await self._read("paymentCount", customer_id_to_bytes32(customer_id), convert=int)

    async def payment_blocks(self, start: int, stop: int) -> list[int]:
        """Read the blocks of the payments `[start, stop)` in the contract's own order."""
        check = partial(decoding.payment_blocks, expected=stop - start)
        return await self._read("paymentBlocks", start, stop, convert=check)

    async def payment_blocks_of(self, customer_id: str, start: int, stop: int) -> list[int]:
        """Read the blocks of one customer's payments with the sequences `[start, stop)`."""
        check = partial(decoding.payment_blocks, expected=stop - start)
        return await self._read("paymentBlocksOf", customer_id_to_bytes32(customer_id), start, stop, convert=check)


class TokenContract(Contract):
    """The ERC-20 token."""

    abi = ERC20_ABI

    async def allowance(self, owner: str, spender: str) -> int:
        """Read how many base units `spender` may take from `owner`."""
        return await self._read("allowance", owner, spender, convert=int)

    async def decimals(self) -> int:
        """Read the token's decimals."""
        return await self._read("decimals", convert=int)

    async def symbol(self) -> str:
        """Read the token's symbol."""
        return await self._read("symbol", convert=str)

    async def permit_domain(self, chain_id: int) -> dict[str, str] | None:
        """Find `name` and `version` of the token's EIP-712 domain if it takes EIP-2612 permits; None if unknown.

        A token without permits reverts, which is no failure of the node.
        """
        for node in self.reader.providers:
            token = TokenContract(node, self.address)
            try:
                name = await token._read("name", convert=str)
                separator = await token._read("DOMAIN_SEPARATOR", convert=bytes)
                await token._read("nonces", self.address, convert=int)
            except ChainError:
                continue
            for version in _PERMIT_VERSIONS:
                if domain_separator(name, version, chain_id, self.address) == separator:
                    return {"name": name, "version": version}
        return None


async def read_early(reader: ChainClient, views: Sequence[tuple[str, str]]) -> list[Any]:
    """Read views as `(contract, name)` in one request, without web3, which takes a second to import.

    Names are those of EARLY_VIEWS. A node that answers no batches is asked one by one.

    Raises: ChainError; NoContract if there is no code at an address.
    """
    addresses = list(dict.fromkeys(address for address, _ in views))
    calls: list[Call] = [("eth_getCode", [address, "latest"]) for address in addresses]
    calls += [("eth_call", [{"to": address, "data": EARLY_VIEWS[name][0]}, "latest"]) for address, name in views]

    async def read(node: NodeProvider) -> list[Any]:
        try:
            results = await node.request_batch(calls, decoding.data)
        except NodeError as error:
            if not isinstance(error.__cause__, InvalidResponse):
                raise
            results = await asyncio.gather(*(node.request(*call, decoding.data) for call in calls))
        for address, code in zip(addresses, results, strict=False):
            if not code:
                raise NoContract(f"There is no contract at {address}")
        try:
            return [EARLY_VIEWS[name][1](raw) for (_, name), raw in zip(views, results[len(addresses) :], strict=True)]
        except InvalidResponse as error:
            raise node.reject("eth_call", str(error)) from error

    return await reader.with_failover(read)


def encode_approve(spender: str, amount: int) -> str:
    """Encode the token's `approve` of exactly `amount` base units."""
    return contract_functions(ERC20_ABI)["approve"].encode(spender, amount)


def encode_pay_quoted(wallet: str, amount: int, cents: int, deadline: int, signature: bytes) -> str:
    """Encode the gateway's `payQuoted`."""
    return contract_functions(GATEWAY_ABI)["payQuoted"].encode(wallet, amount, cents, deadline, signature)


def encode_register(wallet: str, customer_id: str, deadline: int, signature: bytes) -> str:
    """Encode the gateway's `register`."""
    customer = customer_id_to_bytes32(customer_id)
    return contract_functions(GATEWAY_ABI)["register"].encode(wallet, customer, deadline, signature)


def encode_multicall(calls: Sequence[str]) -> str:
    """Encode the gateway's `multicall`: all of `calls` in one EVM transaction, or none."""
    return contract_functions(GATEWAY_ABI)["multicall"].encode([bytes.fromhex(call[2:]) for call in calls])
