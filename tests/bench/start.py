"""Measures a start inside the image, nodes 100 ms and Stripe 150 ms away: `python -m tests.bench.start`.

Each round starts an empty Starlette and the service. The first answer is that of `/healthz`; ready is the first 200 of
`/readyz`, which waits for the checks of the start, for chain, price and signer, and so for web3.
"""

import argparse
import time

from stateless_billing.sandbox.stack import START_SECONDS, free_port
from tests.bench.figures import FEWEST_ROUNDS, Figure, ratios, report
from tests.bench.floors import EMPTY, POLL_SECONDS, status
from tests.deployment.image import Container, Image
from tests.outages.world import World

NODE_SECONDS, STRIPE_SECONDS = 0.1, 0.15
HERE = {"HOST": "127.0.0.1", "SWEEP": "off"}


def seconds_until(port: int, path: str, began: float) -> float:
    """Ask until the path answers 200; the seconds since the start of the process."""
    while status(port, path) != 200:
        assert time.perf_counter() - began < START_SECONDS, f"{path} does not answer 200"
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - began


def start(image: Image, words: list[str], settings: dict[str, str], port: int, *paths: str) -> list[float]:
    """Start a process of the image; the seconds until each path answers."""
    began = time.perf_counter()
    with Container(image, words, settings | {"PORT": str(port)}):
        return [seconds_until(port, path, began) for path in paths]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS + 2)
    rounds = parser.parse_args().rounds
    floor, first, ready = [], [], []
    with World(short=True).started(nodes=2) as scene:
        for node in scene.nodes:
            node.delay(NODE_SECONDS)
        scene.stripe.delay(STRIPE_SECONDS)
        image = Image()
        for _ in range(rounds):
            port = free_port()
            floor += start(image, ["python", "-c", EMPTY, str(port)], {}, port, "/healthz")
            words, settings = ["python", "-m", "stateless_billing", "serve"], scene.stack.settings | HERE
            answered = start(image, words, settings, free_port(), "/healthz", "/readyz")
            first.append(answered[0])
            ready.append(answered[1])
        image.remove()
    report(Figure(name="start to the first answer", rounds=first, unit="s", goal=0.3, floor=floor))
    report(Figure(name="start to the first answer, times an empty Starlette's", rounds=ratios(first, floor), goal=2))
    report(Figure(name="start to ready, web3 included", rounds=ready, unit="s", goal=1.5))


if __name__ == "__main__":
    main()
