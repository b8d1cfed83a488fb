"""`python -m tests.outages.shifted_clock SECONDS COMMAND ...`: runs the service with its wall clock shifted."""

import runpy
import sys
import time


def main(shift: float, arguments: list[str]) -> None:
    """Run a command of the service."""
    actual = time.time
    time.time = lambda: actual() + shift
    sys.argv[1:] = arguments
    runpy.run_module("stateless_billing", run_name="__main__")


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
