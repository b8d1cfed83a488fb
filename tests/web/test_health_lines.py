"""Health in sentences: what is so, and what to do where something is wrong."""

from stateless_billing.services.readiness import CheckResponse
from stateless_billing.web.desk.health_lines import HealthLine, create_budget_line, create_lines


def test_each_check_is_a_sentence_and_a_fault_comes_with_advice() -> None:
    checks = {
        "chain": CheckResponse(ok=True, age=-2, detail="head 13, finalized 6 s old; no node shows block 9"),
        "nodes": CheckResponse(ok=False, age=None, detail="node 2 of 2 is away"),
        "finality": CheckResponse(ok=True, age=900, detail="finalized 11"),
        "stripe": CheckResponse(ok=True, age=None, detail="the last call was answered"),
        "price": CheckResponse(ok=True, age=30, detail="coingecko:lit-protocol"),
    }
    lines = create_lines(checks)
    assert [line.sentence for line in lines] == [
        "The newest block is 0 s old; no node shows block 9.",
        "Node 2 of 2 is away.",
        "The newest final block is 900 s old.",
        "Stripe has not been asked since this process started.",
        "The newest price is 30 s old, from coingecko:lit-protocol.",
    ]
    assert [line.title for line in lines if line.advice] == ["Nodes"]


def test_every_check_has_a_title_and_advice() -> None:
    names = ("chain", "nodes", "finality", "stripe", "price", "signer")
    lines = create_lines(dict.fromkeys(names, CheckResponse(ok=False, age=None, detail="x")))
    assert all(line.advice and line.advice != "The log says more." for line in lines)
    assert not {line.title for line in lines} & set(names)


def test_the_read_budget_warns_at_four_fifths() -> None:
    lines = [create_budget_line(used, 1_000) for used in (799, 800, 1_000)]
    assert [(line.ok, bool(line.advice)) for line in lines] == [(True, False), (False, True), (False, True)]
    assert "refused until midnight UTC" in lines[2].advice
    assert isinstance(lines[0], HealthLine)
