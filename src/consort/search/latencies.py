"""The latencies that a search sees, from the source that its study names.

table: the sum of a network's measured blocks (`consort.costs.blocks`). measured: the whole network. Both are of one
hardware, `[latency] hardware` or this machine: milliseconds of different machines do not compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from consort import hardware
from consort.costs import blocks
from consort.costs.records import LatencyRecord, LatencyTable
from consort.costs.stored import chosen
from consort.errors import InputError
from consort.run.plan import Plan
from consort.space.choices import Space
from consort.space.networks import SKELETONS
from consort.store import Store
from consort.study.file import Study
from consort.study.search import Search


@dataclass(frozen=True)
class NetworkLatencies:
    """Milliseconds of one forward pass of each network."""

    ms: dict[str, float]
    spread: dict[str, tuple[float, float]] | None
    """10th and 90th percentile; None from a table."""
    source: str
    hardware_id: str


def hardware_of(study: Study) -> str:
    """The hardware that the study's latencies are of."""
    return study.latency.hardware or hardware.hardware_id(hardware.describe())


def network_size(plan: Plan) -> tuple[int, int]:
    """Height and width of the images that searched networks see."""
    if plan.data.manifest.image_size is not None and plan.data.manifest.layout == "arrays":
        height, width = plan.data.manifest.image_size
        return height, width
    search = _search(plan)
    side = search.trial_recipe(plan.study.recipe).input_size or SKELETONS[search.space_settings.skeleton].input_size
    return side, side


def latencies(store: Store, plan: Plan, networks: Sequence[str]) -> NetworkLatencies:
    """Of these networks; measures what is not known of this machine yet, which imports torch."""
    names, source = sorted(set(networks)), _search(plan).objective.source
    if source == "table":
        table = search_table(store, plan)
        return NetworkLatencies({name: blocks.predict(table, name) for name in names}, None, source,
                                table.hardware_id)
    records = {name: _measured(store, plan, name) for name in names}
    return NetworkLatencies({name: record.median_ms for name, record in records.items()},
                            {name: (record.p10_ms, record.p90_ms) for name, record in records.items()}, source,
                            hardware_of(plan.study))


def search_table(store: Store, plan: Plan) -> LatencyTable:
    """The latency table of the search's space, built where this machine has none yet, which imports torch."""
    found = known_table(store, plan)
    if found is not None:
        return found
    wanted = hardware_of(plan.study)
    if wanted != hardware.hardware_id(hardware.describe()):
        raise InputError(f"the store {store.uri} has no latency table of this search space for [latency] hardware = "
                         f"{wanted}. `consort latency-table STUDY` on that machine makes one.")
    return measured_table(store, plan)


def measured_table(store: Store, plan: Plan, again: bool = False) -> LatencyTable:
    """The table of this machine, from the store or measured now, which imports torch."""
    from consort.costs.table import build

    settings, space = plan.study.latency, _search(plan).space("single")
    return build(store, space, network_size(plan), len(plan.data.classes), settings.batch_size, settings.threads,
                 settings.repeats, again)


def known_table(store: Store, plan: Plan) -> LatencyTable | None:
    """The same where it is there; InputError where there are tables of other hardware only."""
    settings, space = plan.study.latency, _search(plan).space("single")
    return blocks.stored_table(store, space, network_size(plan), len(plan.data.classes), settings.batch_size,
                                      settings.threads, settings.hardware)


def check_target(store: Store, plan: Plan) -> None:
    """Raises InputError where no candidate of some kind meets the target latency; the message has the fastest one's."""
    search = _search(plan)
    target = search.objective.target_latency_ms
    copies = max(search.size(kind) for kind in search.kinds) if search.objective.latency == "serial" else 1
    space, source = search.space("single"), search.objective.source
    if source == "table":
        name, ms = blocks.fastest(search_table(store, plan), space)
    else:
        name = _smallest(space)
        ms = _measured(store, plan, name).median_ms
    if ms * copies > target:
        of_all = f" for {copies} members one after another" if copies > 1 else ""
        raise InputError(f"[search] objective.target_latency_ms is {target:g}, which no candidate of the space meets: "
                         f"the {'fastest' if source == 'table' else 'smallest'} network, {name}, takes "
                         f"{ms * copies:.3g} ms{of_all} (batch {plan.study.latency.batch_size}, "
                         f"{plan.study.latency.threads} thread(s), hardware {hardware_of(plan.study)}). Raise the "
                         "target or put smaller choices into [search.space].")


def _smallest(space: Space) -> str:
    """The network with the least of everything; of several kinds of blocks the first that the space names."""
    def least(values: tuple) -> int:
        return values.index(min(values))

    indices: list[int] = []
    for stage in space.stages:
        indices += [0, least(stage.width), least(stage.depth), least(stage.kernel), least(stage.expansion), 0]
    return space.decode(indices)[0]


def _measured(store: Store, plan: Plan, name: str) -> LatencyRecord:
    settings, size, classes = plan.study.latency, network_size(plan), len(plan.data.classes)
    known = chosen(store, {name: f"{size[0]}x{size[1]}"}, classes, settings).get(name)
    if known is not None and known.hardware_id == hardware_of(plan.study):
        return known
    if settings.hardware is not None:
        raise InputError(f"the store {store.uri} has no latency of {name} for [latency] hardware = "
                         f"{settings.hardware}, and this machine is {hardware.hardware_id(hardware.describe())}.")
    from consort.costs.latency import measured

    return measured(store, name, size, classes, settings.batch_size, settings.threads, settings.repeats)


def _search(plan: Plan) -> Search:
    assert plan.study.search is not None
    return plan.study.search
