"""What must be so before anything is served or swept."""

import logging
from dataclasses import dataclass

from chain import provider, token
from chain.errors import ChainError, WrongChain
from chain.gateway import Gateway
from chain.provider import FailoverProvider

log = logging.getLogger(__name__)


class StartupRefused(Exception):
    """The service may not start: what was found, and what to do."""


class StartupReadFailed(StartupRefused):
    """The service may not start: Stripe or the chain could not be read."""


@dataclass(frozen=True, slots=True)
class Token:
    """The ERC-20 token that all gateways take."""

    address: str
    symbol: str
    decimals: int


async def check_chain(nodes: FailoverProvider, gateways: list[Gateway]) -> Token:
    """The gateways' token, once every node is on the right chain and every gateway has code. Raises NotFit, ChainError.

    A node that does not answer is no reason not to start, as long as one does.
    """
    for one in nodes.each:
        try:
            await provider.chain_id(one)
        except WrongChain as error:
            raise StartupRefused(f"{error}. Mend RPC_URLS or CHAIN_ID.") from error
        except ChainError as error:
            log.warning("%s", error)
    tokens = set()
    for gateway in gateways:
        if not await provider.code(nodes, gateway.address):
            raise StartupRefused(f"There is no contract at {gateway.address}. Mend GATEWAY_ADDRESSES.")
        tokens.add(await gateway.token())
        await gateway.total_payments()
    if len(tokens) > 1:
        raise StartupRefused("The gateways take different tokens. All of GATEWAY_ADDRESSES must take the same one.")
    address = tokens.pop()
    decimals = await token.decimals(nodes, address)
    if decimals != 18:
        raise StartupRefused(f"The token has {decimals} decimals; only 18 are supported.")
    return Token(address, await token.symbol(nodes, address), decimals)
