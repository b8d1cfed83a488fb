"""A price feed with CoinGecko's addresses, at a price that a scenario sets."""

import json
import time
from urllib.parse import parse_qs, urlsplit

from tests.outsider.stripe.desk import Answer, Request

STEP_SECONDS = 300


class PriceFeed:
    """Tells `dollars` (a decimal text) for every moment; empty: no samples."""

    def __init__(self, dollars: str) -> None:
        self.dollars = dollars

    async def answer(self, request: Request) -> Answer:
        """Answer a request of the feed's API."""
        url = urlsplit(request.target)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        headers = {"Content-Type": "application/json"}
        if url.path.endswith("/market_chart/range"):
            first, last = int(query["from"].partition(".")[0]), int(query["to"].partition(".")[0])
            last = min(last, int(time.time()))
            step = STEP_SECONDS if last - first <= 86400 else 3600
            moments = range(first - first % step + step, last + 1, step) if self.dollars else ()
            samples = ",".join(f"[{moment * 1000},{self.dollars}]" for moment in moments)
            return Answer(200, f'{{"prices":[{samples}],"market_caps":[],"total_volumes":[]}}'.encode(), headers)
        if url.path.endswith("/simple/price"):
            told = {query.get("ids", ""): {query.get("vs_currencies", "usd"): json.loads(self.dollars)}}
            return Answer(200, json.dumps(told).encode(), headers)
        return Answer(404, b"{}", headers)
