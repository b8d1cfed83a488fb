"""Stripe's SDK without `requests`, which it loads for a synchronous client that is never made here.

Loading that takes a fifth of the time from the service's start to its first answer.
"""

import sys
from typing import Any, cast

_unloaded = "requests" not in sys.modules
if _unloaded:
    sys.modules["requests"] = cast("Any", None)
try:
    import stripe as stripe
finally:
    if _unloaded:
        del sys.modules["requests"]
