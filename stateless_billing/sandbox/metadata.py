"""Metadata limits and merging by key (docs.stripe.com/api/metadata)."""

from dataclasses import dataclass, field

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.forms import Value

MOST_KEYS = 50
LONGEST_KEY = 40
MAX_VALUE_LENGTH = 500


@dataclass(frozen=True, slots=True)
class MetadataChange:
    """A requested change: an empty value unsets its key; `clear` unsets every key first."""

    clear: bool = False
    values: dict[str, str] = field(default_factory=dict)

    def applied(self, old: dict[str, str]) -> dict[str, str]:
        """Return a new mapping; `old` is unchanged, so snapshots stay valid. Raises: `Refusal` 400 beyond 50 keys."""
        new = {} if self.clear else dict(old)
        for key, value in self.values.items():
            if value:
                new[key] = value
            else:
                new.pop(key, None)
        if len(new) > MOST_KEYS:
            raise Refusal(400, f"Metadata can have at most {MOST_KEYS} keys", param="metadata")
        return new


NO_CHANGE = MetadataChange()


def metadata_change(value: Value) -> MetadataChange:
    """Parse the `metadata` parameter. Raises: `Refusal` 400 for invalid keys, values or shapes."""
    if isinstance(value, str):
        if value:
            raise Refusal(400, "Invalid hash", param="metadata")
        return MetadataChange(clear=True)
    values: dict[str, str] = {}
    for key, text in value.items():
        if "[" in key or "]" in key:
            raise Refusal(400, f"Invalid key: {key} must not have square brackets", param="metadata")
        if len(key) > LONGEST_KEY:
            raise Refusal(400, f"Invalid key: {key} must be a string under {LONGEST_KEY} characters", param="metadata")
        if not isinstance(text, str) or len(text) > MAX_VALUE_LENGTH:
            message = f"Invalid val: {text} must be a string under {MAX_VALUE_LENGTH} characters"
            raise Refusal(400, message, param=f"metadata[{key}]")
        values[key] = text
    return MetadataChange(values=values)
