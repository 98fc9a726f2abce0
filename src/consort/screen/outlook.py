"""What `consort plan` says beside the list of members: images, networks, time, and what to look out for."""

import importlib.util
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from consort import hardware
from consort.errors import ConsortError
from consort.members.spec import MemberSpec
from consort.report.units import duration, scaled
from consort.run.outlook import Network, Outlook
from consort.run.run import Run

if TYPE_CHECKING:
    from consort.train.pace_estimate import PackSpeed

MOST_CLASSES = 12
"""That are listed one by one."""


def outlook_lines(run: Run, found: Outlook) -> Iterator[str]:
    """The lines of text, warnings last."""
    yield ""
    yield from _images(run, found)
    yield ""
    yield from _networks(found)
    if found.disk_bytes:
        yield f"the members to come take {scaled(found.disk_bytes)}B in the store"
    yield from _time(run, found)
    yield from (f"warning: {text}" for text in found.warnings)


def _images(run: Run, found: Outlook) -> Iterator[str]:
    splits = list(found.images)
    yield f"{'images of ' + run.plan.data.name:44} " + " ".join(f"{split:>9}" for split in splits)
    classes = run.plan.data.classes
    if len(classes) <= MOST_CLASSES:
        rows = {name: [found.images[split][name] for split in splits] for name in classes}
    else:
        sizes = [sorted(found.images[split].values()) for split in splits]
        rows = {f"smallest of {len(classes):,} classes": [s[0] for s in sizes], "largest": [s[-1] for s in sizes]}
    rows["all"] = [sum(found.images[split].values()) for split in splits]
    for name, counts in rows.items():
        yield f"  {_fitted(name, 42)} " + " ".join(f"{count:>9,}" for count in counts)


def _fitted(name: str, columns: int) -> str:
    """The name in so many columns of a terminal, of which some letters take two."""
    return set_cell_size(name if cell_len(name) <= columns else set_cell_size(name, columns - 3) + "...", columns)


def _networks(found: Outlook) -> Iterator[str]:
    if found.networks:
        yield f"{'networks':38} {'members':>22} {'steps':>9} {'MACs':>9} {'params':>9}"
    for network in found.networks:
        states = ", ".join(f"{count} {state}" for state, count in network.states.items())
        yield (f"  {network.architecture:36} {states:>22} {network.steps or '-':>9} {scaled(network.macs):>9} "
               f"{scaled(network.params):>9}")


def _time(run: Run, found: Outlook) -> Iterator[str]:
    """An estimate, where there is something to train and torch to measure with."""
    todo = [network for network in found.networks if network.to_train]
    if not todo or not found.train_macs or not importlib.util.find_spec("torch"):
        return
    from consort.models import compute

    smallest = min(todo, key=lambda network: network.macs or 0)
    try:
        compute.check_gpu()
        together = _pack(run, smallest)
        seconds, how = (_one_by_one(run, todo, smallest, found.train_macs) if together is None
                        else _in_packs(run, todo, smallest, together))
    except ConsortError as e:
        yield f"nothing would be trained here: {e}"
    except RuntimeError as e:
        if not compute.is_out_of_memory(e):
            raise
        yield (f"warning: how long training takes is not known: {smallest.architecture} could not be measured, since "
               f"it does not fit into the GPU's memory as it is now ({str(e).splitlines()[0][:200]})")
    else:
        yield (f"training takes about {duration(float(f'{seconds:.2g}'))} here, {how} (an estimate: other networks "
               "and a busy machine differ, and decoding large images is not counted)")


def _one_by_one(run: Run, todo: Sequence[Network], smallest: Network, macs: int) -> tuple[float, str]:
    """The seconds, and how they were found, where each place trains one member at a time."""
    at_a_time = min(sum(network.to_train for network in todo), len(hardware.gpus()) or hardware.cores())
    return macs / _speed(run, smallest) / at_a_time, (
        f"{at_a_time} at a time: {scaled(macs)} MACs at the speed of one measured step of {smallest.architecture}"
        f"{_how(run, compiled=False)}")


def _pack(run: Run, network: Network) -> list[MemberSpec] | None:
    """The first pack of this network where members train in packs: on a GPU that can hold the images."""
    if not hardware.gpus():
        return None
    from consort.data.resident import fits
    from consort.models import compute
    from consort.train.packs import packs

    place = compute.choose("auto")
    if place.device.type != "cuda" or not fits(run.plan.data, place.device):
        return None
    specs = [spec for spec in run.to_train() if spec.architecture == network.architecture]
    return packs(specs, {network.architecture: network.macs or 0}, run.study.run.members_per_gpu)[0]


def _in_packs(run: Run, todo: Sequence[Network], measured: Network, together: Sequence[MemberSpec]
              ) -> tuple[float, str]:
    """The same where each GPU trains pack after pack."""
    from consort.train.packs import image_work

    together, speed = _measured_pack(run, together)
    images = sum(n.to_train * n.steps * n.batch_size * image_work(n.macs or 0) for n in todo
                 ) / image_work(measured.macs or 0)
    gpus = len(hardware.gpus())
    return images / speed.images_per_second / gpus, (
        f"on {gpus} GPU{'s' if gpus > 1 else ''}, in packs: measured on some steps of {len(together)} "
        f"{measured.architecture} side by side{_how(run, speed.compiled)}")


def _measured_pack(run: Run, specs: Sequence[MemberSpec]) -> tuple[Sequence[MemberSpec], "PackSpeed"]:
    """These members, or as many as fit into the GPU, and their speed; raises as `pack_speed` where none does."""
    from consort.models import compute
    from consort.train.pace_estimate import pack_speed
    from consort.train.settings import Settings

    settings = Settings(deterministic=run.study.run.deterministic, compile=run.study.run.compile)
    while True:
        try:
            return specs, pack_speed(run.store, specs, run.plan.data, settings)
        except RuntimeError as e:
            if len(specs) == 1 or not compute.is_out_of_memory(e):
                raise
        specs = specs[:(len(specs) + 1) // 2]  # as a pack is halved that does not fit
        compute.free_memory()


def _how(run: Run, compiled: bool) -> str:
    """What of [run] changes a training's speed, as it was in what was measured."""
    ways = ["compiled" if compiled else "not compiled"] if run.study.run.compile else []
    ways += ["deterministic"] if run.study.run.deterministic else []
    return "".join(f", {way}" for way in ways)


def _speed(run: Run, network: Network) -> float:
    from consort.models.input_size import network_input
    from consort.train.number_format import format_of
    from consort.train.pace_estimate import macs_per_second

    spec = next(s for s in run.to_train() if s.architecture == network.architecture)
    assert network.macs is not None
    return macs_per_second(network.architecture, network_input(spec, run.plan.data), len(run.plan.data.classes),
                           network.batch_size, format_of(run.store, spec, run.plan.data), network.macs,
                           run.study.run.deterministic)
