"""The commands, in the groups in which `consort --help` shows them. Each imports what it needs when it runs."""

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from consort import __version__
from consort.cli import (
    answer,
    architectures,
    bundle,
    cluster,
    costs,
    data,
    export,
    launching,
    machine,
    members,
    run,
    runs,
    search,
    serving,
    starting,
    steps,
)

SECTIONS: dict[str, dict[str, Callable | typer.Typer]] = {
    "Start": {"init": starting.init, "doctor": machine.doctor},
    "Studies": {"run": run.run, "plan": run.plan, "answer": answer.answer, "search": search.search,
                "winners": search.winners, "list": runs.list_runs, "status": runs.status},
    "Members and data": {"members": members.group, "show": members.show, "rm": members.rm, "logs": runs.logs,
                         "data": data.group},
    "Costs": {"architectures": architectures.architectures, "flops": costs.flops, "latency": costs.latency,
              "latency-table": costs.latency_table},
    "Deploy": {"export": export.export, "verify": bundle.verify, "serve": bundle.serve,
               "register": bundle.register},
    "Cluster": {"attach": cluster.attach, "cancel": cluster.cancel, "gc": cluster.gc, "render": launching.render,
                "submit": launching.submit, "schedule": launching.schedule},
    "Steps of a run, as its processes and pods call them": {
        "train": steps.train, "predict": steps.predict, "evaluate": steps.evaluate, "report": steps.report,
        "trial": search.trial, "launch": launching.launch, "suggest-serve": serving.suggest_serve},
}
MOST_LETTERS = 500
"""Of a command's first sentence, which --help shows whole."""


class Sections(TyperGroup):
    """Lists the commands under the headings of SECTIONS, each with its whole first sentence."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(MOST_LETTERS)) for name in commands])


app = typer.Typer(
    cls=Sections, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="For a budget of FLOPs or milliseconds: one large network, several small ones, or a cascade?",
    epilog="Exit codes: 0 done · 1 a defect of Consort · 2 wrong input · 3 a member cannot be trained · 4 the run "
           "ended with members missing, or a bundle is not what was promised · 5 a stored file was altered · 130 "
           "interrupted · 143 stopped, state saved · "
           "175 store or member busy, try again.")
_debug = False


def debug_wanted() -> bool:
    return _debug


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True),
) -> None:
    global _debug
    _debug = debug


for _commands in SECTIONS.values():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name)
        else:
            app.command(_name)(_command)
