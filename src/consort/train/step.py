"""The train step: members of one study, side by side on a GPU, one after another elsewhere."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

import torch

from consort import members
from consort.costs.macs import count
from consort.data.prepared import Prepared
from consort.data.resident import fits
from consort.errors import ConsortError, InputError, Terminated
from consort.events import Listener, Started, Warned, unheard
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.models.input_size import network_input
from consort.store import Store
from consort.train import loop, pack
from consort.train.member import Member, take_lock
from consort.train.number_format import measure_format
from consort.train.packs import packs
from consort.train.settings import Settings

Outcome = MemberRecord | ConsortError
Ended = Callable[[MemberSpec, Outcome], None]
GIB = 2**30


def train(store: Store, spec: MemberSpec, data: Prepared, settings: Settings, listen: Listener) -> MemberRecord:
    """Train a member, or go on where its newest checkpoint is; returns its record, at once where it is done.

    Raises MemberFailed when the loss is not finite, Terminated when `settings.stop` asked for it, and Busy when
    another process trains this member.
    """
    found: list[Outcome] = []
    train_members(store, [spec], data, settings, listen, lambda spec, outcome: found.append(outcome))
    if isinstance(found[0], ConsortError):
        raise found[0]
    return found[0]


def train_members(store: Store, specs: Sequence[MemberSpec], data: Prepared, settings: Settings, listen: Listener,
                  ended: Ended) -> None:
    """Train members; `ended` is told of each as soon as it is done, or of what it ended with.

    On one GPU that can hold the images they train side by side, elsewhere one after another.
    """
    listen = listen if settings.process.rank == 0 else unheard
    try:
        compute.check_gpu(settings.process.local_rank)
    except ConsortError as e:
        for spec in specs:
            ended(spec, e)
        return
    compute.use_determinism(settings.deterministic)
    place = compute.choose("auto", settings.process.local_rank)
    on_gpu = place.device.type == "cuda" and settings.process.processes == 1 and fits(data, place.device)
    for spec in {(s.architecture, s.recipe): s for s in specs}.values():
        with suppress(ConsortError):  # what is wrong with a network its own members say, and no others
            measure_format(store, spec, data, settings.process, listen, captured=on_gpu)
    stopped = False
    for part in parts(specs, data, settings.members_per_gpu, ended) if on_gpu else [[spec] for spec in specs]:
        if stopped:
            for spec in part:
                ended(spec, Terminated(f"member {spec.id} was asked to stop before it began."))
            continue
        stopped = (train_together if on_gpu else _train_alone)(store, part, data, settings, listen, ended)


def parts(specs: Sequence[MemberSpec], data: Prepared, most: int | None, ended: Ended) -> list[list[MemberSpec]]:
    """The packs of these members; those whose network cannot be built end here."""
    macs: dict[str, float] = {}
    for spec in {spec.architecture: spec for spec in specs}.values():
        try:
            macs[spec.architecture] = count(spec.architecture, network_input(spec, data), len(data.classes)).macs
        except ConsortError as e:
            for same in specs:
                if same.architecture == spec.architecture:
                    ended(same, e)
    return packs([spec for spec in specs if spec.architecture in macs], macs, most)


def train_together(store: Store, specs: Sequence[MemberSpec], data: Prepared, settings: Settings, listen: Listener,
                   ended: Ended) -> bool:
    """Train members side by side, all in one pack, or in smaller ones where they do not fit into the memory; whether
    they were asked to stop."""
    ends: list[Outcome] = []

    def noted(spec: MemberSpec, outcome: Outcome) -> None:
        ends.append(outcome)
        ended(spec, outcome)

    compute.use_determinism(settings.deterministic)
    deadline = time.monotonic() + settings.patience_seconds  # one for all: a GPU waits meanwhile
    with ExitStack() as held:
        wanted = [s for s in specs if _wanted(held, store, s, settings, deadline, listen, noted)]
        _packs(store, wanted, data, settings, listen, noted)
    compute.free_memory()
    return any(isinstance(end, Terminated) for end in ends)


def _wanted(held: ExitStack, store: Store, spec: MemberSpec, settings: Settings, deadline: float, listen: Listener,
            ended: Ended) -> bool:
    """Take the member's lock; false, and told, where it is done already or cannot be trained now."""
    try:
        if settings.process.rank == 0:
            take_lock(held, store, spec.id, settings, deadline, listen)
    except ConsortError as e:
        ended(spec, e)
        return False
    done = members.read_record(store, spec.id)
    if done is not None:
        ended(spec, done)
        return False
    listen(Started(spec.id))
    return True


def _train_alone(store: Store, specs: Sequence[MemberSpec], data: Prepared, settings: Settings, listen: Listener,
                 ended: Ended) -> bool:
    """Train one member by itself; whether it was asked to stop."""
    (spec,) = specs
    with ExitStack() as held:
        deadline = time.monotonic() + settings.patience_seconds
        if not _wanted(held, store, spec, settings, deadline, listen, ended):
            return False
        try:
            member = Member(store, spec, data, settings, listen)
            try:
                loop.run(member)
                record = member.finish()
            except ConsortError as e:
                member.failed(e)
                raise
            ended(spec, record)
        except ConsortError as e:
            ended(spec, e)
            return isinstance(e, Terminated)
        except RuntimeError as e:
            if not compute.is_out_of_memory(e) or not torch.cuda.is_available():
                raise
            ended(spec, _does_not_fit(spec, str(e).splitlines()[0]))
    return False


def _packs(store: Store, specs: Sequence[MemberSpec], data: Prepared, settings: Settings, listen: Listener,
           ended: Ended) -> None:
    """One pack; where it does not fit, two of half the size, one after the other."""
    left = {spec.id: spec for spec in specs}

    def conclude(member: Member, error: ConsortError | None) -> None:
        outcome = _outcome(member, error)
        del left[member.spec.id]
        ended(member.spec, outcome)

    try:
        opened = []
        for spec in specs:
            try:
                opened.append(Member(store, spec, data, settings, listen))
            except ConsortError as e:
                del left[spec.id]
                ended(spec, e)
        if opened:
            pack.run(opened, conclude)
        return
    except RuntimeError as e:
        if not compute.is_out_of_memory(e):
            raise
        too_large = str(e).splitlines()[0]
    opened = []
    compute.free_memory()
    rest = list(left.values())
    if len(rest) == 1:
        ended(rest[0], _does_not_fit(rest[0], too_large))
        return
    half = (len(rest) + 1) // 2
    for spec in rest:
        listen(Warned(spec.id, f"{len(rest)} members do not fit into the GPU's memory together: {half} at a time"))
    for part in (rest[:half], rest[half:]):
        _packs(store, part, data, settings, listen, ended)


def _outcome(member: Member, error: ConsortError | None) -> Outcome:
    """What a member of a pack ended with: its record, or why there is none."""
    try:
        if error is not None:
            raise error
        return member.finish()
    except RuntimeError as e:
        if compute.is_out_of_memory(e):
            member.save()  # it is done but for its predictions
        raise
    except ConsortError as e:
        member.failed(e)
        return e


def _does_not_fit(spec: MemberSpec, reason: str) -> ConsortError:
    """Another process may fill the GPU: that is said, since no other batch size helps then."""
    used = ""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        used = f" Of its {total / GIB:.0f} GiB {free / GIB:.1f} are free now: what another process holds is missing."
    return InputError(f"member {spec.id} does not fit into the GPU's memory: {reason[:200]}.{used} Lower [recipe] "
                      "batch_size, end the other process, or use another GPU.")
