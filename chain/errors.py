"""What can go wrong between us and the chain. None of these ever means "there is nothing there"."""


class ChainError(Exception):
    """The chain could not be read well enough to decide anything."""


class NodeError(ChainError):
    """No configured node answered the question."""


class WrongChain(NodeError):
    """A node is on another chain than it should be."""


class NoContract(ChainError):
    """There is no contract at an address."""


class InvalidResponse(ChainError):
    """A node answered, but not in the shape the question asks for."""


class InconsistentChainData(ChainError):
    """Answers contradict each other: a log the contract does not count, a hole, two nodes, a reorganisation."""
