"""Local stand-ins for the services the project talks to: Stripe, CoinGecko and Resend.

For tests, simulations and demos; the service itself never imports this package.

Each stand-in is a deterministic core without I/O (clock and `random.Random` are arguments), so that one can run

- in process, as in a simulation: `StripeStandIn(clock, rng).handle(method, path, headers, body)` answers at once, and
  `.exchange(...)` is a generator that yields the seconds to wait at each stage and returns the `Answer`;
- over HTTP on 127.0.0.1: `async with serving(Sandbox()) as base:` or `with serving_in_thread(Sandbox()) as base:`
  (module `server`), or `python -m stateless_billing.sandbox --port 12111`.

`stripe_api` holds the Stripe rules' entry, `faults` what can go wrong on demand, `control` the JSON interface under
`/_sandbox/`, `prices` and `mailbox` the other two. `StripeStandIn` follows docs.stripe.com for API version
2026-10-28.endive; where the documentation is silent the stricter reading was taken, and the docstring says so.
"""

from stateless_billing.sandbox.answers import Answer, Delivery
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.stripe_api import StripeStandIn

__all__ = ["Answer", "Delivery", "Sandbox", "StripeStandIn"]
