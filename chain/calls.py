"""Calldata: the views we call, and the calls a payer's wallet is handed. Pure.

Selectors are the first four bytes of keccak256 of the signature; a test recomputes them from the compiled contract.
"""

from collections.abc import Sequence

from chain.payment import customer_id_to_bytes32

SELECTORS = {
    "token": "fc0c546a",
    "treasury": "61d027b3",
    "signer": "238ac933",
    "owner": "8da5cb5b",
    "paused": "5c975abb",
    "minimumAmount": "bb0c8298",
    "rateCeiling": "87aae30c",
    "customerOf": "8fd1d421",
    "totalPayments": "005b4487",
    "paymentCount": "5456387b",
    "paymentBlocks": "f0e81aba",
    "paymentBlocksOf": "f1fea377",
    "payQuoted": "2eaaa15a",
    "register": "4549a27a",
    "multicall": "ac9650d8",
    "approve": "095ea7b3",
    "allowance": "dd62ed3e",
    "decimals": "313ce567",
    "symbol": "95d89b41",
    "name": "06fdde03",
    "nonces": "7ecebe00",
    "DOMAIN_SEPARATOR": "3644e515",
}


def view(function: str, *arguments: int | str | bytes) -> str:
    """Calldata of a function whose arguments are all static: integers, addresses (`0x…`) or 32 bytes."""
    return "0x" + SELECTORS[function] + "".join(_word(argument) for argument in arguments)


def approve(spender: str, amount: int) -> str:
    """The token's `approve` of exactly `amount` base units."""
    return view("approve", spender, amount)


def pay_quoted(wallet: str, amount: int, cents: int, deadline: int, signature: bytes) -> str:
    """The gateway's `payQuoted`."""
    return view("payQuoted", wallet, amount, cents, deadline, 5 * 32) + _bytes(signature)


def register(wallet: str, customer_id: str, deadline: int, signature: bytes) -> str:
    """The gateway's `register`."""
    return view("register", wallet, customer_id_to_bytes32(customer_id), deadline, 4 * 32) + _bytes(signature)


def multicall(calls: Sequence[str]) -> str:
    """The gateway's `multicall`: all of `calls` in one EVM transaction, or none."""
    encoded = [_bytes(bytes.fromhex(call[2:])) for call in calls]
    offsets, position = [], 32 * len(encoded)
    for one in encoded:
        offsets.append(position)
        position += len(one) // 2
    return view("multicall", 32, len(encoded), *offsets) + "".join(encoded)


def _word(value: int | str | bytes) -> str:
    if isinstance(value, int):
        return f"{value:064x}"
    if isinstance(value, bytes):
        return value.hex().rjust(64, "0")
    return value[2:].lower().rjust(64, "0")


def _bytes(value: bytes) -> str:
    padded = value + b"\0" * (-len(value) % 32)
    return _word(len(value)) + padded.hex()
