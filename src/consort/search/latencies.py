"""The latencies that a search sees, from the source that its study names.

table: the sum of a network's measured blocks (`consort.costs.blocks`). measured: the whole network. Both are of one
hardware, `[latency] hardware` or this machine: milliseconds of different machines do not compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from consort import hardware
from consort.costs import blocks
from consort.costs.conditions import Asked, Conditions, Network
from consort.costs.records import LatencyRecord, LatencyTable
from consort.costs.stored import chosen
from consort.errors import InputError
from consort.plurals import counted
from consort.run.plan import Plan
from consort.run.run import Run
from consort.space.choices import Space
from consort.space.networks import SKELETONS
from consort.study.file import Study
from consort.study.search import Search

ANY = "any"
"""All networks of a search are measured under the same conditions."""


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


def on_hardware(run: Run, hardware_id: str) -> Run:
    """The same run, with latencies of this hardware instead of this machine's."""
    latency = run.study.latency.model_copy(update={"hardware": hardware_id})
    return replace(run, plan=replace(run.plan, study=run.study.model_copy(update={"latency": latency})))


def network_size(plan: Plan) -> tuple[int, int]:
    """Height and width of the images that searched networks see."""
    if plan.data.manifest.image_size is not None and plan.data.manifest.layout == "arrays":
        height, width = plan.data.manifest.image_size
        return height, width
    search = _search(plan)
    side = search.trial_recipe(plan.study.recipe).input_size or SKELETONS[search.space_settings.skeleton].input_size
    return side, side


def measure_latencies(run: Run, networks: Sequence[str]) -> NetworkLatencies:
    """Of these networks, from the store; measures what is not known of this machine yet, which imports torch."""
    names, source = sorted(set(networks)), _search(run.plan).objective.source
    if source == "table":
        table = find_or_measure_table(run)
        return NetworkLatencies({name: blocks.predict(table, name) for name in names}, None, source,
                                table.hardware_id)
    records = _find_or_measure(run, names)
    return NetworkLatencies({name: record.median_ms for name, record in records.items()},
                            {name: (record.p10_ms, record.p90_ms) for name, record in records.items()}, source,
                            hardware_of(run.study))


def find_or_measure_table(run: Run) -> LatencyTable:
    """The latency table of the search's space, built where this machine has none yet, which imports torch."""
    table = known_table(run)
    if table is not None:
        return table
    wanted = hardware_of(run.study)
    if wanted != hardware.hardware_id(hardware.describe()):
        raise InputError(f"the store {run.store.uri} has no latency table of this search space for [latency] "
                         f"hardware = {wanted}. `consort latency-table STUDY` on that machine makes one.")
    return measure_table(run)


def measure_table(run: Run, again: bool = False) -> LatencyTable:
    """The table of this machine: from the store where it is there and `again` is false, else measured now, which
    imports torch."""
    from consort.costs.table import find_or_measure

    return find_or_measure(run.store, _search(run.plan).space("single"), _conditions(run), run.study.latency.repeats,
                           again)


def known_table(run: Run) -> LatencyTable | None:
    """The latency table of the search's space, where the store has it; InputError where it has tables of other
    hardware only."""
    return blocks.stored_table(run.store, _search(run.plan).space("single"), _conditions(run),
                               run.study.latency.hardware)


def measure_against_target(run: Run) -> None:
    """Measure the fastest network of the space, or its blocks, where that was not done before.

    Raises InputError where it misses the target latency, so that no candidate of some kind can meet it."""
    search = _search(run.plan)
    target = search.objective.target_latency_ms
    copies = max(search.size(kind) for kind in search.kinds) if search.objective.latency == "serial" else 1
    space, source = search.space("single"), search.objective.source
    if source == "table":
        name, ms = blocks.fastest(find_or_measure_table(run), space)
    else:
        name = _smallest(space)
        ms = _find_or_measure(run, [name])[name].median_ms
    if ms * copies > target:
        of_all = f" for {copies} members one after another" if copies > 1 else ""
        raise InputError(f"[search] objective.target_latency_ms is {target:g}, which no candidate of the space meets: "
                         f"the {'fastest' if source == 'table' else 'smallest'} network, {name}, takes "
                         f"{ms * copies:.3g} ms{of_all} (batch {run.study.latency.first_batch}, "
                         f"{counted(run.study.latency.threads, 'thread')}, hardware {hardware_of(run.study)}). Raise "
                         "the target or put smaller choices into [search.space].")


def _smallest(space: Space) -> str:
    """The network with the least of everything; of several kinds of blocks the first that the space names."""
    def least(values: tuple) -> int:
        return values.index(min(values))

    indices: list[int] = []
    for stage in space.stages:
        indices += [0, least(stage.width), least(stage.depth), least(stage.kernel), least(stage.expansion), 0]
    return space.decode(indices)[0]


def _find_or_measure(run: Run, names: Sequence[str]) -> dict[str, LatencyRecord]:
    asked, wanted = _asked(run, names), hardware_of(run.study)
    known = {name: record for name, record in chosen(run.store, asked).first.items() if record.hardware_id == wanted}
    unknown = [name for name in names if name not in known]
    if not unknown:
        return known
    if asked.settings.hardware is not None:
        raise InputError(f"the store {run.store.uri} has no latency of {unknown[0]} for [latency] hardware = "
                         f"{wanted}, and this machine is {hardware.hardware_id(hardware.describe())}.")
    from consort.costs.latency import find_or_measure_all

    new = find_or_measure_all(run.store, dict.fromkeys(unknown, _conditions(run)), asked.settings.repeats)
    return {name: known.get(name) or new[name] for name in names}


def _asked(run: Run, names: Sequence[str]) -> Asked:
    """What a search asks of these networks: at one batch size, and in torch unless the study says otherwise, as blocks
    are measured and as searches before there was another default."""
    settings = run.study.latency
    settings = settings.model_copy(update={
        "batch_size": settings.first_batch, "batch_sizes": None, "runtime": settings.runtime or "torch"})
    network = Network(network_size(run.plan), _search(run.plan).trial_recipe(run.study.recipe).precision)
    return Asked(settings, len(run.plan.data.classes), dict.fromkeys(names, network))


def _conditions(run: Run) -> Conditions:
    return _asked(run, [ANY]).conditions(gpu=False)[0][ANY]


def _search(plan: Plan) -> Search:
    assert plan.study.search is not None
    return plan.study.search
