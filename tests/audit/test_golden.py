"""Reports stay byte for byte the same for the programs that read them."""

import pytest

from tests.audit.golden import FILES, FOLDER, write_reports

pytestmark = pytest.mark.anyio


async def test_every_format_matches_its_golden_file() -> None:
    reports = await write_reports()
    for name in FILES:
        assert reports[name] == (FOLDER / name).read_bytes().decode(), f"{name}: see tests/audit/golden.py"
