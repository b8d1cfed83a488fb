"""Starts the whole system on this machine and fuzzes the service with valid and invalid requests: `make fuzz-api`.

The seed is fixed, so that failures are reproducible; SEED=… sets another.
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
RATE = "18/s"  # below the limit of one address
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
    """Run schemathesis; return its exit code, or 1 if the log contains an unexpected error."""
    with Stack.start(gateways=2, settings=SETTINGS) as stack:
        service = stack.serve()
        shop = Shop(stack)
        shop.claimed(service, shop.pay(service, shop.customer()))
        command = [
            *(
                str(ROOT / ".venv-schemathesis/bin/schemathesis"),
                "--config-file",
                str(Path(__file__).parent / "fuzz.toml"),
            ),
            *("run", f"{service.url}/openapi.json", "--seed", os.environ.get("SEED", "8"), "--max-examples", EXAMPLES),
            *("--checks", ",".join(CHECKS), "--rate-limit", RATE, "--phases", "examples,coverage,fuzzing"),
            *("--generation-database", "none", "--no-color", "--max-time", "60"),
        ]
        done = processes.run(command, cwd=ROOT, stdout=None, stderr=None)
        unforeseen = [line for line in service.log().splitlines() if "Traceback" in line or " ERROR " in line]
        for line in unforeseen:
            print(line)
        return done.returncode or bool(unforeseen)


if __name__ == "__main__":
    sys.exit(main())
