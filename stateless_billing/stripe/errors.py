"""The ways a call to Stripe can fail."""


class StripeFailure(Exception):
    """A call to Stripe did not succeed. The message says why and carries Stripe's request id where there is one."""


class NotSent(StripeFailure):
    """Nothing was sent: the connection was gone, or what had been decided was no longer true."""


class InQuietZone(StripeFailure):
    """Nothing was sent: a border between two keys is near, and will have passed in `seconds`."""

    def __init__(self, seconds: int, why: str = "waiting for the border between two keys to pass") -> None:
        super().__init__(why)
        self.seconds = seconds


class NeedsSecondReading(InQuietZone):
    """Nothing was sent: the ledger must tell the same once more, not before `seconds` have passed."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds, "the ledger told it once; it must do so twice, half an hour apart")


class LedgerUnproven(StripeFailure):
    """Nothing was sent: the ledger does not prove what has to be known before."""


class OutcomeUnknown(StripeFailure):
    """It was sent and may have been done; only a later look can tell."""


class KeyReusedDifferently(OutcomeUnknown):
    """This key was used for another request: whatever that one did, it was not exactly this."""


class RequestInProgress(OutcomeUnknown):
    """Another request with the same key is under way: somebody else is writing this very thing."""


class RateLimited(StripeFailure):
    """Stripe asked us to slow down; nothing was done."""


class LockTimeout(RateLimited):
    """Somebody else was at work on the object; nothing was done."""


class StripeUnavailable(StripeFailure):
    """Stripe could not be read, or does not accept our key."""


class RequestRejected(StripeFailure):
    """Stripe refused this request for good; `code` is Stripe's."""

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code
