"""Decodes forms with bracketed names, as Stripe's API takes parameters (docs.stripe.com/api/metadata)."""

from typing import TypeAlias, Union
from urllib.parse import parse_qsl

from stateless_billing.sandbox.answers import Refusal

Value: TypeAlias = Union[str, "Group"]
Group: TypeAlias = dict[str, Value]

MAX_FIELDS = 1000


def decode_form(text: str) -> Group:
    """Decode `a=1&b[c]=2&d[]=3` into nested groups; members of `d[]` are named `[0]`, `[1]`, ….

    Raises: `Refusal` 400 for text that is not a form.
    """
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise Refusal(400, "Invalid request: the parameters are not form-encoded") from None
    group: Group = {}
    for name, value in pairs:
        if "[" in name:
            _put(group, name, value)
        else:
            group[name] = value
    return group


def _put(group: Group, name: str, value: str) -> None:
    head, _, rest = name.partition("[")
    if not head or not rest.endswith("]"):
        raise Refusal(400, f"Invalid parameter name: {name}", param=name)
    inner = group
    names = [head, *rest[:-1].split("][")]
    for part in names[:-1]:
        existing = inner.get(part)
        if not isinstance(existing, dict):
            existing = {}
            inner[part] = existing
        inner = existing
    inner[names[-1] or f"[{len(inner)}]"] = value
