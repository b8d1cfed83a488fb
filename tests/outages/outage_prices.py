"""The price feed is away, silent or empty: no quotes, plain payments wait, and no page does."""

import time
from collections.abc import Callable

from tests.outages.world import Recovery, Scene, World

RETURN_SECONDS = 40.0  # the feed is asked every 15 s while it fails
PAGE_SECONDS = 5.0


def outage_prices_away(world: World) -> Recovery:
    """The price feed refuses connections."""
    return _without_prices(world, lambda scene: scene.prices.refuse())


def outage_prices_silent(world: World) -> Recovery:
    """The price feed takes requests and does not answer."""
    return _without_prices(world, lambda scene: scene.prices.swallow())


def outage_prices_empty(world: World) -> Recovery:
    """The price feed answers without a single price."""
    fault = {"name": "empty", "times": None}
    return _without_prices(world, lambda scene: scene.stack.control("POST", "price/faults", fault))


def _without_prices(world: World, begin: Callable[[Scene], object]) -> Recovery:
    with world.started() as scene:
        web, _ = scene.start()
        bill = scene.plain_bill(web)
        scene.stack.stop_services()
        begin(scene)
        web, _ = scene.start()  # nothing is cached
        [tx_hash] = scene.pay_all([bill])
        scene.wait_until_final(tx_hash)
        with scene.observe(web, [tx_hash]) as observer:
            _require_no_quote(scene, web.url)
            time.sleep(world.lasting(45, 5))
        since = time.monotonic()
        scene.prices.restore()
        scene.stack.control("DELETE", "faults")
        seconds = scene.seconds_until_credited([bill], since)
    payers, unsaid = f"503 rate_unavailable, {observer.payers}", observer.unsaid("held: rate_unavailable")
    return Recovery(seconds, RETURN_SECONDS, payers, observer.readiness, unsaid)


def _require_no_quote(scene: Scene, url: str) -> None:
    """Require that a quote is refused for want of a rate, and that the page does not wait for one."""
    wallet = scene.customer().wallet
    answer = scene.stack.http.post(f"{url}/api/quotes", json={"wallet": wallet, "cents": 5000})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/rate_unavailable"), answer.text
    begun = time.monotonic()
    assert scene.stack.http.get(f"{url}/pay", params={"wallet": wallet, "usd": "50"}).is_success
    assert time.monotonic() - begun < PAGE_SECONDS, "the page waited for the price"
