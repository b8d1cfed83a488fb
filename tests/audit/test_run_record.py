"""Who ran an audit stands beside the report, without secrets."""

import json

from stateless_billing.audit.report.run_record import create_run_record
from tests.audit.world import KEY, World


def test_the_record_names_the_run_and_no_secret() -> None:
    settings = World.settings(RPC_URLS="https://node.example/v2/sesame", COINGECKO_API_KEY="sesame")
    text = create_run_record(settings, "auditor@example.org", 1_700_000_000, 1_700_000_060).as_json()
    record = json.loads(text)
    assert record["by"] == "auditor@example.org"
    assert (record["started_utc"], record["ended_utc"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z")
    assert record["settings"]["STRIPE_API_KEY"] == "a test key"
    assert "topup" in record["settings"]["OTHER_CREDITS"]
    assert KEY not in text
    assert "sesame" not in text


def test_a_run_without_a_name_says_so() -> None:
    record = create_run_record(World.settings(), None, 0, 0)
    assert record.sentence.startswith("Run by nobody named, 1970-01-01T00:00:00Z to ")
