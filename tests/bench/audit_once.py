"""Runs one audit in a dedicated process; arguments: Stripe, node, gateway, rate, and `--deep`."""

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from stateless_billing import settings
from stateless_billing.audit.auditor import Auditor, ProgressReporting
from stateless_billing.audit.command import exit_code
from stateless_billing.audit.progress import ignore_progress
from stateless_billing.audit.report.formats import write_jsonl
from stateless_billing.audit.report.report import Options
from stateless_billing.runtime.clock import SystemClock

CHAIN = "payments of the chain"


async def audit(stripe: str, node: str, gateway: str, rate: str, *, deep: bool) -> dict[str, Any]:
    """Run the audit and return its cost; the report is written and discarded."""
    environ = {"STRIPE_API_KEY": "sk_test_sandbox", "STRIPE_API_BASE": stripe, "RPC_URLS": node}
    audit_settings = settings.load(settings.AUDIT, environ | {"GATEWAY_ADDRESSES": gateway, "CHAIN_ID": "8453"})
    begun, cpu = time.perf_counter(), time.process_time()
    marks: dict[str, float] = {}
    computed: dict[str, float] = {}

    def note_time(stage: str, done: int, total: int) -> None:
        marks[stage], computed[stage] = time.perf_counter(), time.process_time()

    reporting = ProgressReporting(note_time, ignore_progress)
    async with Auditor(
        settings=replace(audit_settings, stripe_rate=int(rate), stripe_total_rate=4 * int(rate)),
        clock=SystemClock(),
        reporting=reporting,
        explorer=None,
    ) as auditor:
        report = await auditor.run(Options(deep=deep))
    written = sum(len(piece) for piece in write_jsonl(report))
    return {
        "exit": exit_code(report),
        "missing": sorted(report.coverage.missing)[:3],
        "written": written,
        "payments": report.chain_totals["payments_read"],
        "reads": report.coverage.counts["stripe_reads"],
        "chain_seconds": round(marks[CHAIN] - begun, 1),
        "stripe_seconds": round(marks["ledgers"] - marks[CHAIN], 1),
        "seconds": round(time.perf_counter() - begun, 1),
        "megabytes": peak(),
        "page_ms": round((computed["ledgers"] - computed[CHAIN]) * 1000 / report.coverage.counts["stripe_reads"], 2),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def peak() -> int:
    """Return the peak memory of this process in MB, without that of its parent."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(audit(*sys.argv[1:5], deep="--deep" in sys.argv))))
