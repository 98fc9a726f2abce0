"""consort data: fetch, import and look at data."""

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from consort.cli.options import DEFAULT_STORE, JsonOption, StoreOption, cache_folder, open_store_at

group = typer.Typer(no_args_is_help=True, help="Fetch, prepare and look at data.")


@group.command()
def fetch(name: Annotated[str, typer.Argument(metavar="cifar10|cifar100", help="Its name.")]) -> None:
    """Download a named data set and check its sha256."""
    from rich.console import Console

    from consort.data.builtin import CIFAR, fetch_cifar
    from consort.errors import unknown_name
    from consort.screen.answer import Bar

    if name not in CIFAR:
        raise unknown_name("data set", name, CIFAR, "digits need no download.")
    with Bar(Console(stderr=True), f"downloading {name}") as bar:
        print(fetch_cifar(name, cache_folder() / "downloads", bar))


@group.command("import")
def import_data(
    source: Annotated[str, typer.Argument(help="digits, cifar10, cifar100, or an image folder or zip.")],
    store: StoreOption = DEFAULT_STORE,
    train_images: Annotated[int | None, typer.Option(
        min=1, help="Train on so many only; by default on all.", show_default=False)] = None,
    val_images: Annotated[int | None, typer.Option(
        min=1, help="Kept from training; by default a tenth.", show_default=False)] = None,
    split_seed: Annotated[int, typer.Option(help="Which images are kept and which are drawn.")] = 0,
    image_size: Annotated[int | None, typer.Option(
        min=8, max=224, help="The side to which images are brought; by default their own, where they share one.",
        show_default=False)] = None,
    skip_unreadable: Annotated[bool, typer.Option(
        "--skip-unreadable", help="Leave unreadable images out, instead of stopping at the first.")] = False,
    duplicates: Annotated[str, typer.Option(metavar="warn|drop|stop", help="What comes more than once.")] = "warn",
) -> None:
    """Prepare data in the store and print its fingerprint.

    The options are those of a study's [data]. With [data] source = "store:FINGERPRINT" a study uses this data wherever
    the store can be reached.
    """
    from rich.console import Console

    from consort.cli.planning import preparation
    from consort.data.findings import lines
    from consort.data.prepare import prepare
    from consort.errors import unknown_name
    from consort.study.data import Data

    if duplicates not in (known := ("warn", "drop", "stop")):
        raise unknown_name("way with duplicates", duplicates, known)
    settings = Data(source=source, train_images=train_images, val_images=val_images, split_seed=split_seed,
                    image_size=image_size, skip_unreadable=skip_unreadable,
                    duplicates=cast("Any", duplicates))
    with preparation(Console(stderr=True)) as shown:
        prepared = prepare(open_store_at(store), settings, Path(), cache_folder(), shown)
    skipped = prepared.manifest.unreadable
    for line in lines(prepared.manifest.found):
        print(line, file=sys.stderr)
    print(f"{prepared.fingerprint}  {prepared.name}  {prepared.counts}"
          + (f"  {skipped} unreadable images left out" if skipped else ""))
    print(f'elsewhere: source = "store:{prepared.fingerprint}"')


@group.command()
def info(
    fingerprint: Annotated[str | None, typer.Argument(
        help="Of one; by default all are listed.", show_default=False)] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """What prepared data the store holds; with a FINGERPRINT, everything about it."""
    import dataclasses
    import json

    from consort.data.prepared import open_prepared
    from consort.store import keys

    opened = open_store_at(store)
    known = [key.split("/")[1] for key in opened.list(keys.DATA) if key.endswith("/manifest.json")]
    chosen = known if fingerprint is None else [fingerprint]
    prepared = [open_prepared(opened, name, cache_folder()) for name in chosen]
    if as_json or fingerprint is not None:
        print(json.dumps([{"fingerprint": p.fingerprint, **dataclasses.asdict(p.manifest)} for p in prepared],
                         indent=1))
        return
    for p in prepared:
        size = "x".join(map(str, p.manifest.image_size)) if p.manifest.image_size else "streamed"
        print(f"{p.fingerprint}  {p.name:24} {size:9} {len(p.classes):>5} classes  {p.counts}")
