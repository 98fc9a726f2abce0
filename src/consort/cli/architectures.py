"""consort architectures: which networks there are, and what each costs."""

from typing import Annotated

import typer

from consort.cli.costs import ClassesOption
from consort.cli.options import JsonOption


def architectures(
    filter: Annotated[str | None, typer.Argument(
        metavar="FILTER", help="Part of a name, or a pattern such as 'resnet*'; timm: lists timm's.",
        show_default=False)] = None,
    classes: ClassesOption = None,
    as_json: JsonOption = False,
) -> None:
    """List networks by name, with the input they were published with, MACs and parameters.

    Also wrn-<depth>-<width> with depth = 6n+4, and the net-<stages> of searches.
    """
    from consort.costs.macs import count
    from consort.documents import canonical_json
    from consort.errors import InputError, unknown_name
    from consort.models.families import listed

    names = listed(filter or "")
    if not names:
        raise unknown_name("architecture", filter or "", listed(""), "timm's names begin with timm:.")
    if not as_json:
        print(f"{'name':44} {'input':>9} {'M MACs':>12} {'params':>13}")
    for name in names:
        try:
            cost = count(name, None, classes)
        except InputError as e:
            print(canonical_json({"name": name, "refused": str(e)}) if as_json else f"{name:44} {e}", flush=True)
            continue
        print(canonical_json({"name": name, "input": cost.input, "macs": cost.macs, "params": cost.params})
              if as_json else f"{name:44} {cost.input:>9} {cost.macs / 1e6:>12,.2f} {cost.params:>13,}", flush=True)
