"""consort members, show and rm: what the store holds."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from consort.cli.options import DEFAULT_STORE, JsonOption, StoreOption, cache_folder, open_store_at

if TYPE_CHECKING:
    from consort.errors import IntegrityError
    from consort.members.records import MemberRecord
    from consort.store import Store
    from consort.study.data import Data
    from consort.study.recipe import Recipe

Found = TypeVar("Found")
group = typer.Typer(help="List the members in the store, or import one.", invoke_without_command=True)


@group.callback()
def members(context: typer.Context, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """List the members in the store."""
    if context.invoked_subcommand is not None:
        return
    import dataclasses
    import json

    from consort import members as stored
    from consort.run.member_state import DAMAGED

    opened = open_store_at(store)
    faults: dict[str, IntegrityError] = {}
    records = {m: _noted(faults, m, partial(stored.read_record, opened, m)) for m in stored.begun(opened)}
    states = {m: "done" if record else _noted(faults, m, partial(_state, opened, m)) or DAMAGED
              for m, record in records.items()} | dict.fromkeys(faults, DAMAGED)
    if as_json:
        print(json.dumps([dataclasses.asdict(r) if r else {"id": m, "state": states[m]} for m, r in records.items()],
                         indent=1))
    else:
        _print_members(opened, records, states, faults)
    if faults:
        raise stored.all_damaged(faults)


def _noted(faults: "dict[str, IntegrityError]", member: str, read: "Callable[[], Found]") -> "Found | None":
    """What is read of a member; None where its files are damaged, which is noted."""
    from consort.errors import IntegrityError

    try:
        return read()
    except IntegrityError as e:
        faults.setdefault(member, e)
        return None


def _print_members(store: "Store", records: "Mapping[str, MemberRecord | None]", states: "Mapping[str, str]",
                   faults: "dict[str, IntegrityError]") -> None:
    from consort.run.overview import members_of_runs

    runs = members_of_runs(store)
    for member, record in records.items():
        accuracy = f"{100 * record.val_accuracy:6.2f} % val" if record and record.val_accuracy is not None else ""
        cost = f"{record.macs / 1e6:10,.2f} M MACs  {record.train_cpu_seconds:8,.0f} CPU s" if record else ""
        print(f"{member:50} {states[member]:8} {accuracy:14} {cost}".rstrip())
        origin = _noted(faults, member, partial(_origin, store, member)) or "what it was made of cannot be read"
        print(f"  {origin}  of {', '.join(runs.get(member, [])) or 'no run that is planned here'}")


def _origin(store: "Store", member: str) -> str:
    """The data and the recipe of a member, as far as the recipe differs from its defaults."""
    from consort import members as stored

    spec = stored.read_spec(store, member)
    recipe = ", ".join(f"{name} {value}" for name, value in spec.recipe.identity().items())
    return f"data {spec.data}  {recipe or 'recipe wrn-reference'}"


def _state(store: "Store", member: str) -> str:
    from consort import members as stored

    return "failed" if stored.read_failure(store, member) else "not done"


@group.command("import")
def import_member(
    architecture: Annotated[str, typer.Argument(metavar="ARCH", help="The network, such as resnet18.")],
    weights: Annotated[str, typer.Option("--weights", help="A .safetensors file, or torchvision's name of weights, "
                                         "such as IMAGENET1K_V1.")],
    study: Annotated[Path | None, typer.Option(
        "--study", help="The study whose data and input size the member is for.", show_default=False)] = None,
    data: Annotated[str | None, typer.Option(
        "--data", metavar="SOURCE", help="Without a study: the images; with one: use these instead of its own.",
        show_default=False)] = None,
    transforms: Annotated[str | None, typer.Option(
        "--transforms", help='How the weights want images: "published", a name of torchvision\'s weights, a tag of '
        'timm\'s, or "data", as for members that are trained.', show_default=False)] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Make existing weights a member, without training, and predict with it.

    A study that names `"ARCH" = { weights = "..." }` does this by itself and evaluates it beside the others.
    """
    from rich.console import Console

    from consort.cli.planning import preparation
    from consort.data.prepare import prepare
    from consort.members.spec import MemberSpec
    from consort.run.plan import imported_recipe, transforms_of, weights_source
    from consort.train.imported_weights import import_member as import_one
    from consort.train.prediction import predict

    settings, recipe, named = _as_in_a_study(architecture, study, data)
    opened = open_store_at(store)
    source = weights_source(weights, Path())
    with preparation(Console(stderr=True)) as shown:
        prepared = prepare(opened, settings, study.parent if study else Path(), cache_folder(), shown)
    wanted = transforms_of(architecture, source, named if transforms is None else transforms, prepared)
    spec = MemberSpec(architecture, prepared.fingerprint, imported_recipe(source, recipe, wanted), 0)
    record = import_one(opened, spec, prepared, source)
    predict(opened, record.id, prepared, {})
    print(record.id)


def _as_in_a_study(architecture: str, study: Path | None, data: str | None) -> "tuple[Data, Recipe, str | None]":
    """The images, the recipe and the `transforms` that a study would give the member; without a study its defaults."""
    from consort.cli.planning import read_study
    from consort.errors import InputError
    from consort.study.data import Data
    from consort.study.recipe import Recipe

    if study is not None:
        loaded, _ = read_study(study, data)
        row = loaded.architectures.get(architecture)
        return loaded.data, loaded.recipe, row.transforms if row is not None else None
    if data is None:
        raise InputError("name the images that the member will predict: --study STUDY, or --data with digits, cifar10, "
                         "cifar100, a folder or a zip.")
    return Data(source=data), Recipe(), None


def show(member: Annotated[str, typer.Argument(help="A member's id, or the start of it.")],
         store: StoreOption = DEFAULT_STORE) -> None:
    """Print everything that is known of a member, as JSON."""
    import dataclasses
    import json

    from consort import members as stored

    opened = open_store_at(store)
    name = stored.find(opened, member)
    record = stored.read_record(opened, name)
    if record is not None:
        print(json.dumps(dataclasses.asdict(record), indent=1))
        return
    print(json.dumps({"id": name, "state": _state(opened, name), "reason": stored.read_failure(opened, name),
                      **stored.read_spec(opened, name).to_dict()}, indent=1))


def rm(
    member: Annotated[list[str], typer.Argument(metavar="MEMBER...", help="Ids, or the starts of ids.")],
    store: StoreOption = DEFAULT_STORE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete members from the store."""
    from consort import members as stored
    from consort.store import keys

    opened = open_store_at(store)
    names = [stored.find(opened, m) for m in member]
    if not yes and not typer.confirm(f"delete {', '.join(names)}?"):
        print("nothing was deleted")
        return
    for name in names:
        opened.delete(keys.member_folder(name))
        print(f"deleted {name}")
