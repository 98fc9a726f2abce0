"""The command line. Arguments and the environment are read here and nowhere else."""

import sys


def main() -> None:
    """Run `consort`; every expected error becomes one message and its exit code."""
    from consort.cli.app import app, debug_wanted
    from consort.errors import ConsortError

    try:
        app(prog_name="consort")
    except ConsortError as e:
        if debug_wanted():
            raise
        print(f"error: {e}", file=sys.stderr)
        sys.exit(e.exit_code)
    except BrokenPipeError:  # whoever read the output has gone, as `| head` does
        sys.exit(141)
    except Exception as e:
        if debug_wanted():
            raise
        print(f"error: {type(e).__name__}: {e}\nThis is a defect of Consort; `consort --debug ...` shows where.",
              file=sys.stderr)
        sys.exit(1)
