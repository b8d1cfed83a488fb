"""Idempotency keys: saved answers, keys in use, and keys of other requests."""

from dataclasses import dataclass, field

from tests.outsider.stripe.account import Clock
from tests.outsider.stripe.refusals import Refusal, key_in_use, key_of_another_request

LIFE_SECONDS = 24 * 3600
MAX_LENGTH = 255


@dataclass
class Use:
    """The first request of a key, and its answer once there is one."""

    request: tuple[str, str]  # path and parameters
    at: float
    request_id: str
    answer: tuple[int, bytes, dict[str, str]] | None = None


@dataclass
class Keys:
    """All keys of an account, which live for `life` seconds from their first request on."""

    clock: Clock
    life: float = LIFE_SECONDS
    uses: dict[str, Use] = field(default_factory=dict)

    def begin(self, key: str, path: str, parameters: str, request_id: str) -> Use | None:
        """Reserve a key and return None, or return the use whose answer is to be replayed. Raises: Refusal."""
        if len(key) > MAX_LENGTH:
            raise Refusal(400, f"Idempotency keys are at most {MAX_LENGTH} characters.")
        use = self.uses.get(key)
        if use and use.answer and self.clock() - use.at >= self.life:
            use = None
        if use is None:
            self.uses[key] = Use((path, parameters), self.clock(), request_id)
            return None
        if use.request != (path, parameters):
            raise key_of_another_request(key, path, use.request[0])
        if use.answer is None:
            raise key_in_use(key)
        return use

    def save(self, key: str, answer: tuple[int, bytes, dict[str, str]]) -> None:
        """Keep the answer of a request whose execution began."""
        self.uses[key].answer = answer

    def release(self, key: str) -> None:
        """Forget a request that was refused before its execution began."""
        self.uses.pop(key, None)
