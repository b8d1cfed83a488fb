"""What a wallet and a reader need to know of a chain. Pure."""

from typing import Any

_ETHER = {"name": "Ether", "symbol": "ETH", "decimals": 18}
_KNOWN: dict[int, dict[str, Any]] = {
    8453: {"name": "Base", "explorer": "https://basescan.org", "rpc_urls": ["https://mainnet.base.org"]},
    84532: {
        "name": "Base Sepolia",
        "explorer": "https://sepolia.basescan.org",
        "rpc_urls": ["https://sepolia.base.org"],
    },
    31337: {"name": "Local chain", "explorer": None, "rpc_urls": []},
}


def network_name(chain_id: int) -> dict[str, Any]:
    """A chain for the pay page: id, name, explorer or None, public RPC URLs for adding it to a wallet, currency."""
    known = _KNOWN.get(chain_id, {"name": f"Chain {chain_id}", "explorer": None, "rpc_urls": []})
    return {"id": chain_id, "hex": hex(chain_id), "currency": _ETHER, **known}


def explorer_url(chain_id: int) -> str | None:
    """Where a chain's transactions can be looked at; None where nobody shows them."""
    found: str | None = network_name(chain_id)["explorer"]
    return found


def is_loopback(host: str) -> bool:
    """Whether a host name means this very machine."""
    return host in ("localhost", "127.0.0.1", "::1")
