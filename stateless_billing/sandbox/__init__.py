"""Local stand-ins for the services the project talks to: Stripe, CoinGecko and Resend.

For tests, simulations and demos. The service never imports this package.

Each stand-in is a deterministic core without I/O; the clock and `random.Random` are arguments. It runs

- in process, as in a simulation: `StripeStandIn(clock, rng).handle(method, path, headers, body)` answers at once, and
  `.exchange(...)` is a generator that yields the seconds to wait at each stage and returns the `Answer`;
- over HTTP on 127.0.0.1: `async with serving(Sandbox()) as base:` or `with serving_in_thread(Sandbox()) as base:`
  (module `server`), or `python -m stateless_billing.sandbox --port 12111`.

`stripe_api` is the entry point of the Stripe stand-in, `faults` selects the requests that fail, `control` is the JSON
interface under `/_sandbox/`, and `prices` and `mailbox` are the other two stand-ins. `StripeStandIn` follows
docs.stripe.com for API version 2026-10-28.endive. Undocumented behavior takes the stricter reading, noted in the
docstring.
"""

from stateless_billing.sandbox.answers import Answer, Delivery
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.stripe_api import StripeStandIn

__all__ = ["Answer", "Delivery", "Sandbox", "StripeStandIn"]
