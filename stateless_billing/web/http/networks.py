"""Facts about chains for wallets and pages. Pure."""

from typing import Any

_ETHER = {"name": "Ether", "symbol": "ETH", "decimals": 18}
# `coin_price_feed`: Chainlink's ETH / USD, which pages read through the visitor's wallet to show the fee in dollars.
_NETWORKS: dict[int, dict[str, Any]] = {
    8453: {
        "name": "Base",
        "explorer": "https://basescan.org",
        "rpc_urls": ["https://mainnet.base.org"],
        "coin_price_feed": "0x71041dddad3595F9CEd3DcCFBe3D1F4b0a16Bb70",
    },
    84532: {
        "name": "Base Sepolia",
        "explorer": "https://sepolia.basescan.org",
        "rpc_urls": ["https://sepolia.base.org"],
        "coin_price_feed": "0x4aDC67696bA383F43DD60A9e78F2C97Fbbfc7cb1",
    },
    31337: {"name": "Local chain"},
}
_UNKNOWN: dict[str, Any] = {"explorer": None, "rpc_urls": [], "coin_price_feed": None}


def describe_network(chain_id: int) -> dict[str, Any]:
    """Describe a chain for pages and for adding it to a wallet. `explorer` and `coin_price_feed` may be None."""
    network = _NETWORKS.get(chain_id, {"name": f"Chain {chain_id}"})
    return {"id": chain_id, "hex": hex(chain_id), "currency": _ETHER, **_UNKNOWN, **network}


def explorer_url(chain_id: int) -> str | None:
    """Return the URL of a chain's block explorer, or None."""
    url: str | None = describe_network(chain_id)["explorer"]
    return url
