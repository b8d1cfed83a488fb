"""The witness finds untrue texts."""

import re

import pytest

from tests.browser.chromium import ROOT
from tests.browser.witness import JUDGED, Witness

SENTENCES = (ROOT / "static" / "pay" / "strings.js").read_text()
MONEY = re.compile(
    r"\b(sent|send|paid|pays?|payments?|credit(ed|s|ing)?|tokens?|money|took|takes?n?|safe(ly)?|added|refus\w+"
    r"|reversed|fee)\b",
    re.I,
)
UNJUDGED = {
    "what to do, or a button": r"(Add|Adding|Answer|Ask|Check|Checking|Choose|Confirm|Do not|In that case|Looking|Pay"
    r"|Press|Send|Wait|Write|You do not need to pay)\b",
    "what may be, and is not said to be": r".*\b(may|could|would|cannot tell|If|if|unless|usually)\b",
    "what the wallet does or said": r"Your wallet (allowed|asks|is|refused|says|was asked|will)"
    r"|We wait for|This wallet",
    "what the service or its rules do at any time": r"(Payments (are|you)|Each price|The (largest|smallest) payment"
    r"|More can|We (add|are crediting|check|cannot (find|look|read))|This page keeps"
    r"|The contract (refuses such|could|takes)|A payment that arrives|There is no|This account('s| does| cannot| has)"
    r"|The (network|token)|It is credited auto|The credit still)",
    "a pointer or a label": r"(The (warning|recent)|Payment (X|not)|Paying|Not a|Wallet of|It is safe|this payment"
    r"|your earlier|a payment that|the credit does|for a signature|to allow|You paid only the network fee for)",
}


@pytest.mark.parametrize(
    ("at", "text", "fault"),
    [
        (9.0, "Nothing was sent. Press the button.", ""),
        (12.0, "Nothing was sent. Press the button.", "something was sent"),
        (19.0, "No payment was sent. The warning shows it.", ""),  # of the second press
        (22.0, "Nothing more was sent.", "something was sent"),
        (9.0, "You can safely pay again", "the payment arrived"),
        (30.0, "You can safely pay again", "the payment arrived"),
        (9.0, "Payment received, confirming", "there is no payment"),
        (10.0, "Payment received, confirming", ""),
        (14.0, "$25.00 added", "there is no credit"),
        (15.0, "The credit is on the account.", ""),
        (12.0, "No payments yet.", ""),
        (14.0, "No payments yet.", "the list is behind the chain"),
        (9.0, "Your wallet was not asked to pay.", ""),
        (12.0, "Your wallet was not asked to pay.", "something was sent"),
        (12.0, "The payment failed. No tokens were taken.", "the payment arrived"),
        (12.0, "This transaction did not pay our contract", "the payment arrived"),
        (14.0, "A payment of $25.00, made 4 seconds ago, is credited", "there is no credit"),
        (15.0, "A payment of $25.00, made 5 seconds ago, is credited", ""),
        (9.0, "A payment of $25.00, sent 5 seconds ago, is held", "there is no payment"),
        (12.0, "Our staff must release this one.", ""),
        (50.0, "Our staff must release this one.", ""),  # the second payment has no credit
        (17.0, "Waiting for Base to show your payment", ""),
        (31.0, "Waiting for Base to show your payment", "the chain shows it"),
        (9.0, "Another payment to this account came first", "there is no payment"),
        (15.0, "This credit was taken back", "nothing was reversed"),
        (99.0, "Connect wallet", ""),
    ],
)
def test_a_text_is_judged_by_what_was_true_then(at: float, text: str, fault: str) -> None:
    witness = Witness(lambda: 0, lambda: 0)
    witness.truth.mined += [(9.9, 10.0), (19.9, 20.0)]
    witness.truth.credited.append((14.9, 15.0))
    witness.presses += [5.0, 18.0]
    witness.texts.append((at, text))
    assert [untrue.split(": ", 1)[1].split("\n")[0] for untrue in witness.untrue()] == ([fault] if fault else [])


def test_paying_again_is_safe_where_what_arrives_was_asked_for_later() -> None:
    witness = Witness(lambda: 0, lambda: 0)
    witness.truth.mined.append((9.9, 10.0))
    witness.presses += [1.0, 6.0]
    witness.texts.append((5.0, "You can safely pay again. It took no tokens."))
    assert witness.untrue() == []


def sentences() -> list[str]:
    """Return what the page's script can say of money, sentence by sentence."""
    constants = dict(re.findall(r'^const ([A-Z_]+) = "(.*)";', SENTENCES, re.MULTILINE))
    texts = [double or single for double, single in re.findall(r'"([^"\\\n]*)"|`([^`]*)`', SENTENCES)]
    whole = [re.sub(r"\$\{([A-Z_]+)\}", lambda name: constants[name[1]], text) for text in texts]
    filled = [re.sub(r"\$\{\w+\}", "X", text.replace("${amount}", "$25.00")) for text in whole]
    parts = {part.strip() for text in filled for part in re.split(r"(?<=[.:!?])\s+", text)}
    return sorted(part for part in parts if " " in part and MONEY.search(part))


def test_every_sentence_about_money_is_judged_or_listed_with_a_reason() -> None:
    facts = sentences()
    assert len(facts) > 100
    listed = re.compile("|".join(f"(?:{pattern})" for pattern in UNJUDGED.values()))
    judged = {fact for fact in facts if any(pattern.search(fact) for pattern in JUDGED)}
    assert [fact for fact in facts if fact not in judged and not listed.match(fact)] == []
    for reason, pattern in UNJUDGED.items():
        assert any(re.match(pattern, fact) for fact in facts if fact not in judged), reason
