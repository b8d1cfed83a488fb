"""`make fuzz-api`: start the whole system on this machine, put what the description allows and forbids to the service.

The seed is fixed, so that a failure comes again; SEED=… tries others.
"""

import os
import sys
from pathlib import Path

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT
from stateless_billing.sandbox.stack import Stack
from tests.integration.conftest import SETTINGS
from tests.integration.shop import Shop

EXAMPLES = "40"
RATE = "18/s"  # below what one address may ask
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)


def main() -> int:
    """Run it; schemathesis' exit code, or 1 where the log holds a failure of ours."""
    with Stack.start(gateways=2, settings=SETTINGS) as stack:
        service = stack.serve()
        shop = Shop(stack)
        shop.claimed(service, shop.pay(service, shop.customer()))
        asked = [
            *(
                str(ROOT / ".venv-schemathesis/bin/schemathesis"),
                "--config-file",
                str(Path(__file__).parent / "fuzz.toml"),
            ),
            *("run", f"{service.url}/openapi.json", "--seed", os.environ.get("SEED", "8"), "--max-examples", EXAMPLES),
            *("--checks", ",".join(CHECKS), "--rate-limit", RATE, "--phases", "examples,coverage,fuzzing"),
            *("--generation-database", "none", "--no-color", "--max-time", "60"),
        ]
        done = processes.run(asked, cwd=ROOT, stdout=None, stderr=None)
        unforeseen = [line for line in service.log().splitlines() if "Traceback" in line or " ERROR " in line]
        for line in unforeseen:
            print(line)
        return done.returncode or bool(unforeseen)


if __name__ == "__main__":
    sys.exit(main())
