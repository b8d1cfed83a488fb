"""Entry point of `python -m stateless_billing`."""

import sys

from stateless_billing.commands import cli

if __name__ == "__main__":
    sys.exit(cli.main())
