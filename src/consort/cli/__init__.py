"""The command line. Arguments are read here and nowhere else."""

import codecs
import io
import sys


def main() -> None:
    """Run `consort`; every expected error becomes one message and its exit code."""
    from consort.cli.app import app, debug_wanted
    from consort.errors import ConsortError

    codecs.register_error("consort", _shown)
    if isinstance(sys.stdout, io.TextIOWrapper):  # Python sees to it that stderr can always be written to
        sys.stdout.reconfigure(errors="consort")
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


def _shown(error: UnicodeError) -> tuple[str | bytes, int]:
    """What a locale cannot show: bytes of a file's name as they are, so that it still names the file, else escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start:error.end]
    try:
        return text.encode("ascii", "surrogateescape"), error.end
    except UnicodeEncodeError:
        return codecs.backslashreplace_errors(error)
