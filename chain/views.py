"""What the gateway contract says of itself, one view function at a time, at the head."""

from itertools import pairwise

from chain import decoding, provider
from chain.calls import view
from chain.errors import InconsistentChainData, InvalidResponse
from chain.payment import customer_id_from_bytes32, customer_id_to_bytes32
from chain.provider import ChainClient


class GatewayContract:
    """One deployed gateway, read through `reader`. Every method raises ChainError where it could not be told."""

    def __init__(self, reader: ChainClient, chain_id: int, address: str) -> None:
        self.reader = reader
        self.chain_id = chain_id
        self.address = address

    @property
    def short(self) -> str:
        """The first eight hex digits of the address, as Stripe's metadata keys carry them."""
        return self.address[2:10]

    async def _word(self, function: str, *arguments: int | str | bytes) -> int:
        def parse(raw: bytes) -> int:
            if len(raw) != 32:
                raise InvalidResponse(f"{function} answered {len(raw)} bytes")
            return int.from_bytes(raw)

        return await provider.call(self.reader, self.address, view(function, *arguments), parse)

    async def _address(self, function: str) -> str:
        return decoding.word_as_address(await self._word(function))

    async def token(self) -> str:
        """The token's address."""
        return await self._address("token")

    async def treasury(self) -> str:
        """Where all tokens go."""
        return await self._address("treasury")

    async def owner(self) -> str:
        """The account that may change the settings."""
        return await self._address("owner")

    async def code_hash(self) -> str:
        """The hash of the contract's code, immutable values included."""
        from eth_utils.crypto import keccak

        return "0x" + keccak(await provider.code(self.reader, self.address)).hex()

    async def signer(self) -> str:
        """The address whose quotes and registrations the contract accepts."""
        return await self._address("signer")

    async def paused(self) -> bool:
        """Whether paying is paused."""
        return await self._word("paused") != 0

    async def minimum_amount(self) -> int:
        """The smallest payment, in base units."""
        return await self._word("minimumAmount")

    async def rate_ceiling(self) -> int:
        """The most a quote may promise: millionths of a cent per whole token; 0 = quotes off."""
        return await self._word("rateCeiling")

    async def customer_of(self, wallet: str) -> str | None:
        """The Stripe customer registered for a wallet, None where there is none."""
        word = (await self._word("customerOf", wallet)).to_bytes(32)
        customer_id = customer_id_from_bytes32(word)
        if customer_id is None and any(word):
            raise InvalidResponse("customerOf answered something that is no customer ID")
        return customer_id

    async def total_payments(self) -> int:
        """How many payments the gateway has ever taken, at the head."""
        return await self._word("totalPayments")

    async def payment_count(self, customer_id: str) -> int:
        """How many of them for one customer: the sequence of the next."""
        return await self._word("paymentCount", customer_id_to_bytes32(customer_id))

    async def payment_blocks(self, start: int, stop: int) -> list[int]:
        """The blocks of the payments `[start, stop)` in the contract's own order."""
        return await self._blocks(stop - start, view("paymentBlocks", start, stop))

    async def payment_blocks_of(self, customer_id: str, start: int, stop: int) -> list[int]:
        """The blocks of one customer's payments with the sequences `[start, stop)`."""
        customer = customer_id_to_bytes32(customer_id)
        return await self._blocks(stop - start, view("paymentBlocksOf", customer, start, stop))

    async def _blocks(self, expected: int, calldata: str) -> list[int]:
        blocks = await provider.call(self.reader, self.address, calldata, decoding.uint64_array)
        if len(blocks) != expected:
            raise InconsistentChainData(f"asked the gateway for {expected} blocks, got {len(blocks)}")
        if any(later < earlier for earlier, later in pairwise(blocks)):
            raise InconsistentChainData("the gateway's index goes backwards")
        return blocks
