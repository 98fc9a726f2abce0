"""Every error that Consort raises on purpose, and the exit code that each one becomes.

    ConsortError
    ├── InputError        2    the command, study, data or store URI is wrong; a retry cannot help
    ├── MemberFailed      3    this member cannot be trained (its loss became NaN); a retry cannot help
    ├── IncompleteRun     4    the run ended and something is missing; what finished is kept and reported
    ├── IntegrityError    5    a stored file is not what its sha256 says
    ├── MissingKey        2    the store has no such object
    ├── Busy            175    somebody else holds this member's lock; try again later
    ├── StoreUnavailable 175   the store did not answer within its deadline, or the disk is full; try again
    ├── AlreadyExists     2    the cluster has an object of this kind and name
    ├── ClusterUnavailable 175 the Kubernetes API did not answer within its deadline; try again
    ├── PeerLost        175    a process that trains this member too was lost, or was not found in time; try again
    ├── Stopped           6    this training is behind the others of its search, and was ended for that
    └── Terminated      143    SIGTERM arrived; the state was saved

Codes of 128 and above mean "a retry can help", as the Training Operator's restart policy `ExitCode` reads them.
Exit code 1 is a defect of Consort itself.
"""

import difflib
from collections.abc import Iterable


class ConsortError(Exception):
    """An error with a message for the user: the rule, the values, the remedy."""

    exit_code = 1


class InputError(ConsortError):
    """The command, the study, the data or the store is not right: a retry cannot help."""

    exit_code = 2


class MemberFailed(ConsortError):
    exit_code = 3


class IncompleteRun(ConsortError):
    """The run ended and something is missing; what finished is kept."""

    exit_code = 4


class IntegrityError(ConsortError):
    exit_code = 5


class MissingKey(InputError):
    """The store has no object under this key."""


class Busy(ConsortError):
    exit_code = 175


class StoreUnavailable(ConsortError):
    exit_code = 175


class AlreadyExists(InputError):
    """The cluster has an object of this kind and name."""


class ClusterUnavailable(ConsortError):
    exit_code = 175


class PeerLost(ConsortError):
    exit_code = 175


class Stopped(ConsortError):
    exit_code = 6


class Terminated(ConsortError):
    exit_code = 143


class StepFailed(ConsortError):
    """A step that ran as a process or a pod ended with an error; its message and exit code are passed on."""

    def __init__(self, step: str, exit_code: int, text: str) -> None:
        super().__init__(f"consort {step}: {text.removeprefix('error: ')}")
        self.exit_code = exit_code if exit_code > 0 else 128 - exit_code


def system_reason(error: Exception) -> str:
    """What the operating system said that made others raise this error; the error's class where it said nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


ALIKE = 4
"""First letters in common that make two names alike, such as evolve and evolution."""


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Up to four known names that are likely misspelt as `name`, the nearest first; else those that begin like it."""
    known = sorted(set(known))
    return (difflib.get_close_matches(name, known, n=4, cutoff=0.65)
            or ([other for other in known if name[:ALIKE] == other[:ALIKE]][:4] if len(name) >= ALIKE else []))


def unknown_name(kind: str, name: str, known: Iterable[str], remedy: str = "") -> InputError:
    """An InputError for a name that nothing answers to, listing near names where there are any, else all of a few."""
    known = sorted(set(known))
    near = near_names(name, known)
    if near:
        hint = f"did you mean {', '.join(near)}?"
    elif not known:
        hint = "there is none yet."
    elif len(known) <= 12:
        hint = f"known: {', '.join(known)}."
    else:
        hint = f"there are {len(known)} known names, for example {', '.join(known[:4])}."
    return InputError(f"unknown {kind} '{name}': {hint}{' ' + remedy if remedy else ''}")
