"""One sentence for each state, cause and cap that the operators' pages show. Pure."""

from collections.abc import Mapping

STATES: Mapping[str, str] = {
    "unknown": "No node has this EVM transaction, or not all of them yet.",
    "unrelated": "The EVM transaction was mined, and it paid none of our gateways. Nothing is credited for it.",
    "failed": "The EVM transaction reverted. No tokens moved and nothing is credited.",
    "confirming": "The payment is on the chain, but not deep enough yet. It is credited by itself once it is.",
    "pending": "The payment is deep enough, and its credit is being written. The service tries again by itself.",
    "held": "The payment is safe on the chain, but something must change before it is credited. The cause says what.",
    "reversed": "The payment was credited, and the credit was taken back by an entry that names it.",
    "credited": "The customer's Stripe balance has this payment's credit, exactly once.",
    "unchecked": "The payment is final, and this process has not looked at its credit since it started."
    " The stuck list looks.",
}
"""The states of a payment, and `unchecked` for what a process does not know without asking Stripe."""

CAUSES: Mapping[str, str] = {
    "over_limit": "The customer's payments within 24 hours are above MAX_PAYMENT_CENTS, or the order allows less than"
    " this one is worth. An admin's order releases it.",
    "rate_unavailable": "There is no price for the time of its block. It is credited when the price source has one, or"
    " at the rate of an admin's order.",
    "customer_deleted": "A customer that may hold its credit was deleted in Stripe, together with its ledger. An admin"
    " checks that it was not credited there and credits another customer.",
    "customer_invalid": "Stripe has no such customer. An admin's order credits another one.",
    "currency": "Its customer is not billed in dollars. An admin's order credits another one.",
    "test_clock": "Its customer is on a Stripe test clock, so the times of its ledger are not real. An admin's order"
    " credits another one.",
    "not_payable": "Its customer takes no payments: gateway_payments is off in its metadata. Remove that in Stripe, or"
    " an admin decides.",
    "ledger_altered": "The customer's ledger holds a credit of exactly this amount that does not say what it is for. An"
    " admin compares and decides.",
    "ledger_unproven": "Stripe's list does not prove that the credit is missing. It is read again every hour, and an"
    " admin may vouch for the ledger.",
    "stripe_refused": "Stripe refuses the credit. The log holds its message; an admin looks at the customer.",
    "stripe_unclear": "Stripe gave no clear answer to a write. The service looks for the credit before it tries again.",
    "stripe_down": "Stripe cannot be reached. The service tries again by itself, and at once when Stripe answers.",
    "rate_limited": "Stripe asked us to slow down. The service tries again by itself within seconds.",
    "node_unavailable": "Too few nodes answer properly and are up to date to confirm it. Check RPC_URLS.",
    "node_disagreement": "Two nodes must confirm it, and they do not show the same. Find out which of them is wrong.",
    "finality_stalled": "The chain has not made blocks final for much longer than usual. It is credited once it does.",
    "treasury_transfer": "The EVM transaction sent tokens straight to the treasury, past our gateways. The service"
    " never credits it.",
}

GRANT_STATES: Mapping[str, str] = {
    "given": "The credit is in the customer's ledger.",
    "open": "The grant is reserved and counts toward the caps, but its credit is not written yet. The service completes"
    " or reverses it.",
    "undone": "The grant was given and taken back by an entry that names it. It does not count toward the caps.",
    "refused": "The grant was reserved and then reversed, because of a cap or the customer. Nothing was given.",
}

ORDER_FATES: Mapping[str, str] = {
    "decides": "The newest order that counts. The payment follows it.",
    "counts": "A statement of an admin about a customer's ledger. It counts together with the order that stands.",
    "waits": "The order is above what one admin may decide alone, or Stripe's list of orders does not show"
    " whether it is. It counts once another admin confirms it.",
    "superseded": "A newer order replaced this one.",
    "withdrawn": "An admin withdrew this order. What it had credited by then stays credited.",
    "void": "The row confirms no order, so it changes nothing.",
}

CAPS: Mapping[str, str] = {
    "max_grant_cents": "The most of a single grant.",
    "max_grants_per_day_cents": "The most that one operator may give in any 24 hours. Grants taken back do not count.",
    "max_grants_all_cents": "The most that all operators together may give in any 24 hours.",
    "max_order_cents": "What one admin may order alone, per order and in any 24 hours. Above it another admin"
    " confirms.",
    "max_payment_cents": "The most that a customer's payments of 24 hours may credit without an admin. What is above"
    " it is held as over_limit.",
    "min_payment_cents": "The least that the pay page quotes. Smaller plain payments are credited all the same.",
    "max_unfinalized_cents": "The most that is credited, over all customers, before the chain has made it final. What"
    " is above it waits for finality.",
    "visitor_reads_per_day": "How many wallets unknown to the chain visitors may have looked up in Stripe per UTC"
    " day. Registered wallets do not count.",
}
"""By the setting that holds the cap."""


def anchor(group: str, term: str) -> str:
    """Return the fragment of a definition on the help page."""
    return f"{group}-{term}"
