"""Words the readiness checks for operators: what is so, and what to do. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from stateless_billing.services.readiness import CheckResponse

NOT_FINISHED = CheckResponse(ok=False, age=None, detail="the check did not finish in time")
_TITLES = {
    "chain": "Chain",
    "nodes": "Nodes",
    "finality": "Finality",
    "stripe": "Stripe",
    "price": "Prices",
    "signer": "Quotes",
}
_NEXT = {
    "chain": "Nothing is credited until a node answers properly. Payments stay safe on the chain. Check the nodes in"
    " RPC_URLS and their provider.",
    "nodes": "Credits go on by the other nodes. Check the nodes that are named, or replace them in RPC_URLS.",
    "finality": "Plain and large payments wait by themselves. Look at the chain's own status page.",
    "stripe": "Nothing is credited and no grant is given until Stripe answers. Look at Stripe's status page, then at"
    " the log.",
    "price": "No quotes are given and plain payments wait. An admin can set a rate by hand on the page Rate.",
    "signer": "No quotes are accepted. Check SIGNER_KEY, or have the gateway's owner set the signer.",
}


@dataclass(frozen=True, slots=True)
class HealthLine:
    """One line of the health list: `sentence` says what is so, `advice` what to do about it."""

    title: str
    ok: bool
    sentence: str
    advice: str = ""


def create_lines(checks: Mapping[str, CheckResponse]) -> list[HealthLine]:
    """Word each check."""
    return [_create_line(name, check) for name, check in checks.items()]


def _create_line(name: str, check: CheckResponse) -> HealthLine:
    title = _TITLES.get(name, name)
    if not check.ok:
        return HealthLine(title, False, f"{_capitalize(check.detail)}.", _NEXT.get(name, "The log says more."))
    return HealthLine(title, True, f"{_describe_health(name, check)}.")


def _describe_health(name: str, check: CheckResponse) -> str:
    age = max(0, check.age or 0)  # blocks may be dated a little ahead of the clock
    if name == "chain":
        extra = check.detail.partition(";")[2]
        return f"The newest block is {age} s old" + (f";{extra}" if extra else "")
    if name == "finality":
        return f"The newest final block is {age} s old"
    if name == "price":
        return f"The newest price is {age} s old, from {check.detail}"
    if name == "stripe" and check.age is None:
        return "Stripe has not been asked since this process started"
    if name == "stripe":
        warning = check.detail.partition(";")[2]
        return f"Stripe answered {age} s ago" + (f";{warning}" if warning else "")
    return _capitalize(check.detail)


def create_budget_line(used: int, limit: int) -> HealthLine:
    """Word how many of today's look-ups of unknown wallets are used."""
    sentence = f"{used:,} of {limit:,} look-ups of unknown wallets are used today, by this process."
    if used >= limit:
        advice = (
            "Visitors whose wallets have not paid here before are refused until midnight UTC. Registered wallets work."
            " Raise VISITOR_READS_PER_DAY if these visitors are real."
        )
        return HealthLine("Read budget", False, sentence, advice)
    if used * 5 >= limit * 4:
        advice = "Four fifths are used. Raise VISITOR_READS_PER_DAY if these visitors are real."
        return HealthLine("Read budget", False, sentence, advice)
    return HealthLine("Read budget", True, sentence)


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")
