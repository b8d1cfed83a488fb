"""Looks at everything the service depends on and says what to mend. Changes nothing, except with `--init`."""
