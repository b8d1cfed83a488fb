"""`python -m stateless_billing`: loads the commands and runs one."""

import gc
import sys


def main() -> int:
    """Run the command of this process's arguments; its exit code.

    Nothing that is loaded becomes garbage, so nothing is looked for meanwhile, a tenth of the time to the first answer,
    nor afterwards among it: a collection that does stops the service for longer than a request takes.
    """
    gc.disable()
    from stateless_billing import commands

    gc.freeze()
    gc.enable()
    return commands.main()


if __name__ == "__main__":
    sys.exit(main())
