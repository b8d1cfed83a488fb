"""The catalog of faults by name, and how often each was injected."""

from collections import Counter
from collections.abc import Mapping

FAULTS = {
    "connect_refused": "no connection to Stripe: nothing is sent",
    "lost_before": "the connection to Stripe is reset before execution",
    "lost_after": "Stripe executes, the answer is lost",
    "cut_answer": "Stripe executes, half of the answer arrives",
    "broken_answer": "Stripe executes, the answer is not JSON",
    "closed_after": "Stripe closes the connection right after an answer",
    "arrives_late": "a request reaches Stripe up to a minute late",
    "slow_answer": "Stripe answers after our timeout",
    "edge_html": "Stripe's edge answers HTML, executed or not",
    "saved_500": "a 500 is saved under the key, nothing is executed",
    "saved_500_done": "a 500 is saved under the key, yet the row is written",
    "saved_500_completed": "Stripe completes a saved 500 later, before the epoch's end",
    "completed_next_epoch": "Stripe completes a saved 500 after the next epoch's key was used (the known hole)",
    "unsaved_500": "a 500 from before execution",
    "poison": "one customer's writes are always answered with a 500",
    "key_in_use": "409, another request holds the key",
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
    "key_pruned": "a payment is checked again after Stripe dropped its key",
    "stripe_down": "Stripe is down for hours",
    "opposite_entry": "a human reverses a credit by hand",
    "stripped": "a human removes a credit's metadata",
    "deleted": "a human deletes the customer",
    "currency": "the customer is billed in another currency",
    "metadata_full": "the customer's metadata has no room for a cursor",
    "cursor_back": "a cursor goes back",
    "cursor_forward": "a cursor names a payment that is not on the chain",
    "record_lost": "the sweep's record is lost",
    "charges": "other systems charge and top up the same customers",
    "same_cents": "another system credits exactly a payment's cents",
    "killed": "a process is killed at some step",
    "cancelled": "a process is terminated gracefully",
    "suspended": "a process sleeps between two steps",
    "suspended_a_day": "a process sleeps for more than 24 hours between two steps",
    "suspended_before_write": "a process sleeps right before a socket write",
    "clocks_stood_still": "a machine wakes and its wall clock, its boot clock or both missed the sleep",
    "clock_skew": "a machine's clock is off by minutes",
    "clock_jump": "a machine's clock is set while it runs",
    "block_ahead": "block timestamps are ahead of all clocks",
    "two_versions": "two versions that write different texts run concurrently",
    "same_moment": "several processes read a payment at the same moment",
    "reorg_dropped": "a reorg removes a payment",
    "reorg_moved": "a reorg moves a payment to another block",
    "reorg_renamed": "a reorg moves a payment to another EVM transaction",
    "finality_stalls": "`finalized` stalls for hours",
    "heads_backwards": "nodes alternate and one lags",
    "chain_stalls": "no blocks for a while",
    "logs_omitted": "a node omits logs without an error",
    "node_error": "a node answers with an error, 429, HTML, null or half an answer",
    "node_wrong_id": "a node answers another request",
    "node_lies": "one of several nodes reports a forged payment",
    "nodes_down": "no node answers for a while",
    "no_price": "the price feed fails or returns nonsense",
    "price_gap": "no price was recorded around a payment",
    "several_logs": "several payments in one EVM transaction",
    "second_gateway": "payments to an old and a new gateway",
    "reverted": "an EVM transaction fails",
    "unknown_hash": "a claim of an EVM transaction that does not exist",
    "grants_at_once": "several moderators submit in the same minute",
    "form_again": "a moderator's form is submitted again, or elsewhere",
    "over_cap": "grants reserved concurrently exceed a cap together",
    "undone": "a grant is reversed, perhaps while it is being written",
    "listing_cut": "a listing claims to end before its end",
    "listing_ends_empty": "a listing page is empty although rows remain",
    "listing_hole": "a listing omits one row",
    "same_second_order": "a listing returns the rows of one second in reverse order",
    "record_late": "the service record is read slowly: about as long as a reading is valid, or longer",
    "record_anew": "the service record is lost and recreated without its orders",
    "not_payable": "a customer is marked as not payable",
    "test_clock": "a customer is put on a test clock",
    "cause_vanishes": "the cause that holds a payment disappears",
    "one_cent_rows": "many entries of one cent, the balance crossing zero again and again",
    "initial_row": "a ledger begins with an entry of type initial",
    "deleted_target": "a customer that an order named is deleted",
    "deleted_credited": "a customer is deleted after its payment was credited",
    "order": "an admin writes an order",
    "order_withdrawn": "an admin withdraws an order",
    "order_superseded": "a newer order replaces an effective one",
    "order_again": "an order's form is submitted again, or elsewhere",
    "orders_race": "two orders for one payment are written within one second",
    "order_above_cap": "an order exceeds what one admin may decide alone",
    "order_confirmed": "another admin confirms an order",
    "order_self_confirmed": "an admin tries to confirm their own order",
    "order_too_small": "an order allows fewer cents than the payment is worth",
    "vouched": "an admin vouches, truthfully, for an unproven ledger",
    "gone_told": "an admin acknowledges, truthfully, that a deleted customer was not credited",
    "credit_reversed": "an admin reverses a credit",
    "reversed_again": "a credit is reversed again, elsewhere or in a later epoch",
    "stripe_503": "Stripe answers nothing but 503 for a while, or once",
    "stripe_closes": "Stripe closes the connection after every answer for a while",
    "stripe_resets": "Stripe resets every connection for a while, or once",
    "stripe_limits": "Stripe's rate limiter refuses everything for a while",
    "stripe_locks": "Stripe answers every write with a lock timeout for a while",
    "stripe_refuses_key": "Stripe refuses the key for a while",
    "node_away": "the first of two nodes is away",
    "node_frozen": "the first of two nodes stands still, and answers",
    "node_hangs": "the first of two nodes never answers",
    "nodes_hang": "no node ever answers, for a while",
    "feed_down": "the price feed is away",
    "over_limit": "a customer pays more in a day than may be credited",
}


class Coverage:
    """Counts injections; rejects names that are not in the catalog."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def hit(self, name: str, times: int = 1) -> None:
        """Count an injection."""
        assert name in FAULTS, name
        self.counts[name] += times

    def hit_all(self, names: Mapping[str, int]) -> None:
        """Count injections by name."""
        for name, times in names.items():
            self.hit(str(name), times)

    @property
    def total(self) -> int:
        """The total number of injections."""
        return self.counts.total()


def table(counts: Counter[str]) -> str:
    """Every fault of the catalog with its count."""
    return "\n".join(f"{counts[name]:8} {name:24} {meaning}" for name, meaning in FAULTS.items())
