"""Facts about chains for wallets and pages. Pure."""

from typing import Any

_ETHER = {"name": "Ether", "symbol": "ETH", "decimals": 18}
_NETWORKS: dict[int, dict[str, Any]] = {
    8453: {"name": "Base", "explorer": "https://basescan.org", "rpc_urls": ["https://mainnet.base.org"]},
    84532: {
        "name": "Base Sepolia",
        "explorer": "https://sepolia.basescan.org",
        "rpc_urls": ["https://sepolia.base.org"],
    },
    31337: {"name": "Local chain", "explorer": None, "rpc_urls": []},
}


def describe_network(chain_id: int) -> dict[str, Any]:
    """Describe a chain for pages and for adding it to a wallet. `explorer` may be None."""
    network = _NETWORKS.get(chain_id, {"name": f"Chain {chain_id}", "explorer": None, "rpc_urls": []})
    return {"id": chain_id, "hex": hex(chain_id), "currency": _ETHER, **network}


def explorer_url(chain_id: int) -> str | None:
    """Return the URL of a chain's block explorer, or None."""
    url: str | None = describe_network(chain_id)["explorer"]
    return url
