"""Every state, cause and cap that a page can show has its sentence."""

import re
from dataclasses import fields

from stateless_billing.crediting.payment_status import (
    CONFIRMING_CAUSES,
    HELD_CAUSES,
    PENDING_CAUSES,
    STATES,
    UNRELATED_CAUSES,
)
from stateless_billing.grants import grant_ledger
from stateless_billing.settings import Settings
from stateless_billing.support.decisions import order_rows
from stateless_billing.support.recent_payments import UNCHECKED
from stateless_billing.web.desk import definitions
from stateless_billing.web.pages.pages import TEMPLATES
from tests.test_architecture import ROOT


def test_every_state_and_cause_has_its_sentence() -> None:
    assert set(definitions.STATES) == {*STATES, UNCHECKED}
    assert set(definitions.CAUSES) == {*HELD_CAUSES, *PENDING_CAUSES, *CONFIRMING_CAUSES, *UNRELATED_CAUSES}
    fates = {
        order_rows.DECIDES,
        order_rows.COUNTS,
        order_rows.WAITS,
        order_rows.SUPERSEDED,
        order_rows.VOID,
        order_rows.WITHDRAWN,
    }
    assert set(definitions.ORDER_FATES) == fates
    source = (ROOT / "stateless_billing" / "grants" / "grant_ledger.py").read_text()
    assert grant_ledger.__file__.endswith("grant_ledger.py")
    written = set(re.findall(r'state(?:: str)? ?= ?"(\w+)"', source)) | {"refused"}
    assert set(definitions.GRANT_STATES) >= written


def test_every_cap_among_the_settings_has_its_sentence() -> None:
    caps = {field.name for field in fields(Settings) if re.search(r"^m(ax|in)_.*_cents$|_per_day$", field.name)}
    assert set(definitions.CAPS) == caps


def test_every_sentence_is_a_sentence() -> None:
    groups = (definitions.STATES, definitions.CAUSES, definitions.GRANT_STATES, definitions.ORDER_FATES)
    for group in (*groups, definitions.CAPS):
        for term, sentence in group.items():
            assert re.fullmatch(r"[A-Z].+\.", sentence), term


def test_every_link_to_help_leads_to_a_definition() -> None:
    names = {
        "state": definitions.STATES,
        "cause": definitions.CAUSES,
        "grant": definitions.GRANT_STATES,
        "order": definitions.ORDER_FATES,
        "cap": definitions.CAPS,
    }
    links = {
        match
        for path in TEMPLATES.glob("admin*.html")
        for match in re.findall(r"/admin/help#(\w+)-([\w.]*)", path.read_text())
    }
    assert ("cap", "max_grant_cents") in links
    assert not [(group, term) for group, term in links if group not in names or (term and term not in names[group])]
