"""What can go wrong with the chain is one family, so that one clause catches all of it."""

import pytest

from chain.errors import BadAnswer, ChainError, Inconsistent, NodeError


@pytest.mark.parametrize("error", [BadAnswer, Inconsistent, NodeError])
def test_every_failure_is_a_chain_error_and_none_is_another(error: type[ChainError]) -> None:
    assert error.__bases__ == (ChainError,)
