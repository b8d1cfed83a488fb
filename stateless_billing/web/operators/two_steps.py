"""The two steps of a decision: what it does is shown, and only what was shown is written."""

import hashlib
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.roster import Operator
from stateless_billing.operators.signed_tokens import BadToken
from stateless_billing.services.container import Services
from stateless_billing.support.decisions.shown import Shown

_SHOWN_SECONDS = 900
_PURPOSE = "shown"


@dataclass(frozen=True, slots=True)
class ShownBefore:
    """What the second step brings back of the first: a digest of the words, and when they were shown."""

    digest: str
    at: int


class TwoSteps:
    """Signs what was shown, and refuses to go on with anything else."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def show(self, shown: Shown, operator: Operator, act: str) -> Response:
        """Answer the first step of `act`: nothing is written."""
        values = {"operator": operator.name, "act": act, "digest": _digest(shown)}
        return JSONResponse(
            {
                "shown": self._services.sign_ins.tokens.seal(_PURPOSE, values),
                "sentence": shown.whole_sentence,
                "notes": list(shown.notes),
                "button": shown.button,
                "second": shown.second,
            }
        )

    def open(self, token: str, operator: Operator, act: str, nothing: str) -> ShownBefore:
        """Open what the first step of `act` answered to this operator.

        Raises: ProblemError, with `nothing` as what was done.
        """
        try:
            values = self._services.sign_ins.tokens.open(_PURPOSE, token, _SHOWN_SECONDS)
        except BadToken:
            values = {}
        if (values.get("operator"), values.get("act")) != (operator.name, act):
            raise ProblemError(
                "changed", f"What was shown is more than 15 minutes old, or of another form. {nothing} Look again."
            )
        return ShownBefore(str(values["digest"]), int(values["at"]))


def require_same(before: ShownBefore, shown: Shown, nothing: str) -> None:
    """Require that a decision still reads as it was shown.

    Raises: ProblemError.
    """
    if before.digest != _digest(shown):
        raise ProblemError("changed", f"What was shown has changed meanwhile. {nothing} No money moved. Look again.")


def _digest(shown: Shown) -> str:
    return hashlib.sha256(shown.text.encode()).hexdigest()
