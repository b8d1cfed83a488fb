"""What the contracts say of themselves, cached for a while."""

from cachetools import TTLCache

from chain.contracts import TokenContract, read_early
from chain.failover import FailoverProvider
from chain.gateway import Gateway
from chain.signatures import Signer
from stateless_billing.runtime.clock import Clock
from stateless_billing.services import health
from stateless_billing.settings import Settings

_PERMIT_TTL_SECONDS = 600
_SIGNER_TTL_SECONDS = 60


class ContractFacts:
    """The token's permit domain, and whether the newest gateway accepts our signatures."""

    def __init__(self, nodes: FailoverProvider, gateway: Gateway, settings: Settings, clock: Clock) -> None:
        self._nodes = nodes
        self._gateway = gateway
        self._settings = settings
        self._permit_domains: TTLCache[str, dict[str, str] | None] = TTLCache(1, _PERMIT_TTL_SECONDS, clock.boot)
        self._signers: TTLCache[None, str] = TTLCache(1, _SIGNER_TTL_SECONDS, clock.boot)

    async def permit_domain(self, token_address: str) -> dict[str, str] | None:
        """`name` and `version` by which the token's permits are signed; None if it has no permit. Raises ChainError."""
        if token_address not in self._permit_domains:
            token = TokenContract(self._nodes, token_address)
            self._permit_domains[token_address] = await token.permit_domain(self._settings.chain_id)
        return self._permit_domains[token_address]

    async def signer_fault(self) -> str | None:
        """Why the newest gateway refuses our signatures; None if it accepts them. Raises ChainError."""
        if None not in self._signers:
            [self._signers[None]] = await read_early(self._nodes, [(self._gateway.address, "signer")])
        own = Signer(self._settings.signer_key, self._settings.chain_id).address
        return health.signer_fault(own, self._signers[None], self._gateway.address)
