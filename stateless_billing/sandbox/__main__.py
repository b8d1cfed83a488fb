"""Serves the Stripe, price feed and mailbox stand-ins: `python -m stateless_billing.sandbox --port 12111`.

Prints one line, `sandbox http://…`, when ready. `--key` adds API keys (`sk_test_…` full; `rk_…` without permissions
until `/_sandbox/api_keys` grants some), `--price` sets the price, `--seed` determines the generated identifiers.
"""

import argparse
import asyncio
import contextlib
from decimal import Decimal, InvalidOperation

from stateless_billing.sandbox.api_keys import ApiKey
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.server import SandboxServer, listening_socket


def main(arguments: list[str] | None = None) -> None:
    """Serve until a signal arrives."""
    options = _parser().parse_args(arguments)
    sandbox = Sandbox(seed=options.seed)
    for secret in options.key:
        permissions: frozenset[str] | None = frozenset() if secret.startswith("rk_") else None
        sandbox.stripe.keys.add(ApiKey(secret, permissions=permissions))
    sandbox.stripe.search_lag = options.search_lag
    sandbox.prices.set_price(options.price)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(sandbox, options.port, options.host))


async def _serve(sandbox: Sandbox, port: int, host: str) -> None:
    bound, base = listening_socket(port, host)
    server = SandboxServer(sandbox)
    task = asyncio.create_task(server.serve([bound]))
    await server.ready.wait()
    print(f"sandbox {base}", flush=True)
    await task


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stateless_billing.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=12111, help="0 selects a free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--key", action="append", default=[], help="an additional API key; may be repeated")
    parser.add_argument("--price", type=_price, default=Decimal("0.006"), help="dollars per token")
    parser.add_argument("--search-lag", type=int, default=0, help="seconds by which search trails writes")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _price(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError("not a decimal number") from None


if __name__ == "__main__":
    main()
