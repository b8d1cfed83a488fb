"""Masks email addresses on public pages. Pure."""

import unicodedata

_MARKS = ("Mn", "Mc", "Me")
_UNSEEN = ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")


def mask_email(email: str | None) -> str | None:
    """Mask an email address so that its owner recognizes it: `c…s@l….com`. None without an address.

    It shows the ends of the name, the first letter of the host, and its top-level domain. How long they are stays
    unknown.
    """
    name, _, host = (email or "").rpartition("@")
    letters, labels = _letters(name), [_letters(label) for label in host.strip().strip(".").split(".")]
    if not letters or not all(labels):
        return None
    domain = f".{''.join(labels[-1])}" if len(labels) > 1 and labels[0][0] != "[" else ""
    return f"{letters[0]}…{letters[-1] if len(letters) > 1 else ''}@{labels[0][0]}…{domain}"


def _letters(text: str) -> list[str]:
    """Split a text into letters with their accents, without what cannot be seen."""
    letters: list[str] = []
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if category in _UNSEEN:
            continue
        if category in _MARKS and letters:
            letters[-1] += character
        else:
            letters.append(character)
    return letters
