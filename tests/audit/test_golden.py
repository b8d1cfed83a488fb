"""Reports as they are known to those who read them with programs."""

import pytest

from tests.audit.golden import FILES, FOLDER, written

pytestmark = pytest.mark.anyio


async def test_every_form_is_byte_for_byte_what_it_was() -> None:
    found = await written()
    for name in FILES:
        assert found[name] == (FOLDER / name).read_bytes().decode(), f"{name}: see tests/audit/golden.py"
