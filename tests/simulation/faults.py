"""The catalogue of what can go wrong, by short names, and how often each was really injected."""

from collections import Counter

FAULTS = {
    "connect_refused": "no connection to Stripe: nothing is sent",
    "lost_before": "the connection to Stripe resets before execution",
    "lost_after": "Stripe executes, the answer is lost",
    "cut_answer": "Stripe executes, half an answer arrives",
    "broken_answer": "Stripe executes, the answer is no JSON",
    "closed_after": "Stripe closes the connection right after an answer",
    "arrives_late": "a request reaches Stripe up to a minute late",
    "slow_answer": "Stripe takes longer to answer than we wait",
    "edge_html": "Stripe's edge answers HTML, executed or not",
    "saved_500": "a 500 is saved under the key, nothing is done",
    "saved_500_done": "a 500 is saved under the key, yet the row is made",
    "saved_500_completed": "Stripe completes a saved 500 later, before the epoch's end",
    "completed_next_epoch": "Stripe completes a saved 500 after the next epoch's key was used (the known hole)",
    "unsaved_500": "a 500 from before execution",
    "poison": "one customer's writes are always answered with a 500",
    "key_in_use": "409, somebody else holds the key",
    "rate_limited": "429 of a rate limiter, with its reason",
    "lock_timeout": "429 from inside execution, saved or not",
    "other_parameters": "400, the key was first used with other parameters",
    "unauthorized": "401 or 403",
    "wrong_account": "a key of another account",
    "wrong_date": "an answer's Date is wrong",
    "stale_list": "a list without the rows of the last minutes",
    "page_fault": "a later page of a listing fails",
    "rows_while_paging": "rows are written while a listing is read",
    "many_rows": "more rows since the payment than a page holds",
    "key_pruned": "a payment is looked at again after its key was forgotten",
    "stripe_down": "Stripe is away for hours",
    "opposite_entry": "a human takes a credit back by hand",
    "stripped": "a human removes a credit's metadata",
    "deleted": "a human deletes the customer",
    "currency": "the customer is billed in another currency",
    "metadata_full": "the customer's metadata has no room for a cursor",
    "cursor_back": "a cursor goes back",
    "cursor_forward": "a cursor names what is not on the chain",
    "record_lost": "the sweep's record is gone",
    "charges": "other systems charge and top up the same customers",
    "same_cents": "another system credits exactly a payment's cents",
    "killed": "a process is killed at some step",
    "cancelled": "a process is told to end",
    "suspended": "a process sleeps between two steps",
    "suspended_a_day": "a process sleeps for more than 24 hours between two steps",
    "suspended_before_write": "a process sleeps right before a socket write",
    "clocks_stood_still": "a machine wakes and its wall clock, its boot clock or both believe that no time has passed",
    "clock_skew": "a machine's clock is minutes wrong",
    "clock_jump": "a machine's clock is set while it runs",
    "block_ahead": "blocks carry a time ahead of everybody's clock",
    "two_versions": "two versions that write different texts run at once",
    "same_moment": "several processes see a payment in the same moment",
    "reorg_dropped": "a reorganisation removes a payment",
    "reorg_moved": "a reorganisation puts a payment into another block",
    "reorg_renamed": "a reorganisation gives a payment another EVM transaction",
    "finality_stalls": "`finalized` stands still for hours",
    "heads_backwards": "nodes take turns and one is behind",
    "chain_stalls": "no blocks for a while",
    "logs_omitted": "a node leaves logs out without an error",
    "node_error": "a node answers an error, 429, HTML, null or half an answer",
    "node_wrong_id": "a node answers another question",
    "node_lies": "one of several nodes tells of a payment that never was",
    "nodes_down": "no node answers for a while",
    "no_price": "the price feed fails or talks nonsense",
    "price_gap": "no price was recorded around a payment",
    "several_logs": "several payments in one EVM transaction",
    "second_gateway": "payments to an old and a new gateway",
    "reverted": "an EVM transaction fails",
    "unknown_hash": "a claim of a transaction that never was",
    "grants_at_once": "several moderators press in the same minute",
    "form_again": "a moderator's form is pressed again, or elsewhere",
    "over_cap": "grants that were reserved at once pass a cap together",
    "undone": "a grant is taken back, perhaps while it is being given",
    "listing_cut": "a listing says that it ends before its end",
    "listing_ends_empty": "a listing is empty where rows are left",
    "listing_hole": "a listing leaves one row out",
    "same_second_order": "a listing shows the rows of one second in the other order",
    "record_late": "the service record is read late: the answer takes longer than a reading counts, or nearly so",
    "record_anew": "the service record was lost and made anew, without its orders",
    "not_payable": "a customer is marked as not payable",
    "test_clock": "a customer is put on a test clock",
    "cause_vanishes": "what held a payment goes away again",
    "one_cent_rows": "many entries of one cent, the balance crossing zero again and again",
    "initial_row": "a ledger begins with an entry of type initial",
    "deleted_target": "a customer that an order named is deleted",
    "deleted_credited": "a customer is deleted after its payment was credited",
    "order": "an admin orders",
    "order_withdrawn": "an admin withdraws what was ordered",
    "order_superseded": "a newer order says otherwise than one that stands",
    "order_again": "an order's form is pressed again, or elsewhere",
    "orders_race": "two orders about one payment are written in one second",
    "order_above_cap": "an order is above what one admin decides alone",
    "order_confirmed": "another admin confirms an order",
    "order_self_confirmed": "an admin tries to confirm an order of the same admin",
    "order_too_small": "an order allows fewer cents than the payment is worth",
    "vouched": "an admin vouches, truthfully, for a ledger that proves nothing",
    "gone_told": "an admin says, truthfully, that a deleted customer was not credited",
    "credit_reversed": "an admin takes a credit back",
    "reversed_again": "a credit is taken back again, elsewhere or in a later epoch",
    "over_limit": "a customer pays more in a day than may be credited",
}


class Coverage:
    """Counts what was injected; refuses names that are not in the catalogue."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def hit(self, name: str, times: int = 1) -> None:
        """Count an injection."""
        assert name in FAULTS, name
        self.counts[name] += times

    @property
    def total(self) -> int:
        """All injections."""
        return self.counts.total()


def table(counts: Counter[str]) -> str:
    """Every row of the catalogue with its count."""
    return "\n".join(f"{counts[name]:8} {name:24} {meaning}" for name, meaning in FAULTS.items())
