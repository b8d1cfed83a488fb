"""What can go wrong between us and the chain. None of these ever means "there is nothing there"."""

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

_MIN_KEY_LENGTH = 12  # shorter parts of a URL are words, versions or numbers, which messages have too
_MIN_NAMED_KEY_LENGTH = 6  # of what its name or place says to be a key
_KEY_NAME = re.compile("key|token|secret|auth|password", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]*|[vV]?[0-9]{1,8}")


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


def redact_url(text: str, url: str) -> str:
    """Remove the path, the query and the keys of a URL from a message about it.

    Raises: ValueError if it is none.
    """
    parts = urlsplit(url)
    path, query = parts.path.rstrip("/"), parts.query
    whole = {path, f"?{query}", f"{path}?{query}"} | {part for part in (path[1:], query) if "/" in part or "=" in part}
    forms = _with_decoded(part for part in whole if part not in ("", "?")) | set(keys_in_url(url))
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "…")
    return text


def keys_in_url(url: str) -> list[str]:
    """Return the parts of a URL that may be keys, which no message and no log line may show; longest first.

    Raises: ValueError if it is none.
    """
    parts = urlsplit(url)
    path, pairs = parts.path.rstrip("/"), [pair.partition("=") for pair in parts.query.split("&")]
    texts = {text for text in (parts.username, *path.split("/"), *(value or name for name, _, value in pairs)) if text}
    keys = {text for text in texts if len(text) >= _MIN_KEY_LENGTH}
    keys |= {value for name, _, value in pairs if _KEY_NAME.search(name) and len(value) >= _MIN_NAMED_KEY_LENGTH}
    whole = {parts.password or "", parts.query if "=" in parts.query else ""}
    if not all(_WORD.fullmatch(word) for word in re.split(r"[/._-]", path)):
        whole |= {path, path[1:]}
    keys |= {text for text in whole if len(text) >= _MIN_NAMED_KEY_LENGTH}
    return sorted(_with_decoded(keys), key=lambda key: (-len(key), key))


def _with_decoded(texts: Iterable[str]) -> set[str]:
    return {form for text in texts for form in (text, unquote(text))}
