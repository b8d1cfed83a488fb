"""What can go wrong with the chain is one family, so that one clause catches all of it."""

import pytest

from chain.errors import ChainError, InconsistentChainData, InvalidResponse, NodeError


@pytest.mark.parametrize("error", [InvalidResponse, InconsistentChainData, NodeError])
def test_every_failure_is_a_chain_error_and_none_is_another(error: type[ChainError]) -> None:
    assert error.__bases__ == (ChainError,)
