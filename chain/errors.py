"""What can go wrong between us and the chain. None of these ever means "there is nothing there"."""

from urllib.parse import unquote, urlsplit

_MIN_KEY_LENGTH = 12  # shorter parts of a URL are words, versions or numbers, which messages have too
_MIN_PASSWORD_LENGTH = 6


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


def keys_in_url(url: str) -> list[str]:
    """Return the parts of a URL that may be keys, which no message may show; longest first.

    Raises: ValueError if it is none.
    """
    parts = urlsplit(url)
    values = [pair.partition("=")[2] or pair for pair in parts.query.split("&")]
    texts = [text for text in (parts.username, *parts.path.split("/"), *values) if text]
    keys = {form for text in texts if len(text) >= _MIN_KEY_LENGTH for form in (text, unquote(text))}
    if parts.password and len(parts.password) >= _MIN_PASSWORD_LENGTH:
        keys |= {parts.password, unquote(parts.password)}
    return sorted(keys, key=len, reverse=True)
