"""The settings of the simulated processes."""

from stateless_billing import settings
from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from tests.simulation.chain import CHAIN_ID
from tests.simulation.plan import ADMINS, DANAS_WALLET, GATEWAYS, SERVICE, Plan

OTHER_KEY = "sk_test_another"


def configured(plan: Plan, version: int) -> settings.Settings:
    """The settings of version 0 or 1 of the service, or (2) with the key of another account."""
    gateways = GATEWAYS[: plan.gateways]
    caps = zip(("MAX_GRANT_CENTS", "MAX_GRANTS_PER_DAY_CENTS", "MAX_GRANTS_ALL_CENTS"), plan.caps or (), strict=False)
    return settings.load(
        settings.SWEEP,
        {
            "STRIPE_API_KEY": OTHER_KEY if version == 2 else DEFAULT_KEY,
            "PLAIN_HTTP": "on",
            "STRIPE_API_BASE": "http://stripe.test",
            "STRIPE_RATE": "25",
            "STRIPE_TOTAL_RATE": "100",
            "RPC_URLS": ",".join(f"http://node{index}.test" for index in range(plan.nodes)),
            "PRICE_API_BASE": "http://prices.test",
            "GATEWAY_ADDRESSES": ",".join(reversed(gateways) if version == 1 else gateways),
            "SERVICE_CUSTOMER_ID": SERVICE,
            "CHAIN_ID": str(CHAIN_ID),
            "PROCESSES": str(plan.replicas),
            "OPERATORS": ",".join(f"{name}=admin" for name in (f"{ADMINS[0]}|{DANAS_WALLET}", *ADMINS[1:])),
            "SESSION_SECRETS": "0123456789abcdef" * 4,
            "MAX_ORDER_CENTS": str(plan.order_cap),
        }
        | {name: str(cents) for name, cents in caps},
    )
