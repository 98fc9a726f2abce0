"""Consort: for a budget of FLOPs or milliseconds, one large network, several small ones, or a cascade?

From Python, three calls lead from a study to its answer, as `consort plan`, `run` and `answer` do in a shell:

    run = consort.plan("study.toml", store="consort-store")
    results = consort.execute(run)
    choice = results.choose({"macs": "100M"})

What `__all__` names is what stays the same from release to release; docs/python.md explains it. Nothing is printed
unless it is asked for, and whatever is wrong is raised as a `ConsortError` that says what to do about it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from consort.answer.choices import Budget
    from consort.errors import ConsortError, IncompleteRun, InputError
    from consort.face.calls import execute, open_run, plan
    from consort.run.results import Results
    from consort.run.run import Run
    from consort.study.file import Study

__version__ = "0.1.0"

__all__ = ["Budget", "ConsortError", "IncompleteRun", "InputError", "Results", "Run", "Study", "execute", "open_run",
           "plan"]

_MODULES = {
    "Budget": "answer.choices", "ConsortError": "errors", "IncompleteRun": "errors", "InputError": "errors",
    "Results": "run.results", "Run": "run.run", "Study": "study.file",
    "execute": "face.calls", "open_run": "face.calls", "plan": "face.calls",
}
"""Name -> the module that has it, imported when the name is first used: `import consort` itself takes no time."""

if not TYPE_CHECKING:  # a type checker takes the imports above, and finds a misspelt name

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module 'consort' has no attribute {name!r}; it has {', '.join(__all__)}")
        found = getattr(import_module(f"consort.{_MODULES[name]}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
