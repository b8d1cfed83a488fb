"""Entry point of `python -m stateless_billing`."""

import gc
import sys


def main() -> int:
    """Run the command given by this process's arguments and return its exit code.

    Disable GC while importing (saves about 10 % of startup), then freeze the imported objects so that later collections
    skip them.
    """
    gc.disable()
    from stateless_billing.commands import cli

    gc.freeze()
    gc.enable()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
