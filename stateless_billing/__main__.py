"""Entry point of `python -m stateless_billing`."""

import signal
import sys

_LASTING = ("serve", "sweep")
_STOPPED_ONCE = 3  # a single sweep that was stopped has not read everything


def _end_at_once(*_: object) -> None:
    """End a start that has begun nothing yet."""
    sys.exit(_STOPPED_ONCE if "--once" in sys.argv else 0)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in _LASTING:
        # Until the event loop has handlers: without any, PID 1 of a container never hears the signal.
        signal.signal(signal.SIGTERM, _end_at_once)

    from stateless_billing.commands import cli

    sys.exit(cli.main())
