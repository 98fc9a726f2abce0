"""Members in the store: their specification, their record, and files that are checked against the record."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from consort.documents import FileRecord, canonical_json, from_json, sha256, to_json
from consort.errors import InputError, IntegrityError, MissingKey, unknown_name
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.store import Store, keys
from consort.study.file import stored_study

LISTED_ONE_BY_ONE = 64
ID = re.compile(r"([a-z0-9-]+)-s([0-9]{1,7})-[0-9a-f]{10}")


def write_specs(store: Store, specs: Iterable[MemberSpec]) -> None:
    """Leave what members are where a step finds it: one object for all that differ in the seed only."""
    present = set(store.list(keys.SPECS))
    one_each = {(spec.architecture, spec.data, spec.recipe): spec for spec in specs}
    for spec in one_each.values():
        data = canonical_json(spec.common()).encode()
        key = keys.spec(spec.slug, sha256(data)[:10])
        if key not in present:
            store.write(key, data)


def files(store: Store, ids: Sequence[str]) -> dict[str, set[str]]:
    """Member -> names of its files in the store, those in folders of its own included."""
    found: dict[str, set[str]] = {member_id: set() for member_id in ids}
    # A list of few folders is quicker than that of a store with very many members, and the other way round.
    folders = map(keys.member_folder, found) if len(found) <= LISTED_ONE_BY_ONE else (keys.MEMBERS,)
    for folder in folders:
        for key in store.list(folder):
            _, member_id, name = key.split("/", 2)
            if member_id in found:
                found[member_id].add(name)
    return found


def read_spec(store: Store, member_id: str) -> MemberSpec:
    """What a planned or finished member is: the one specification that gives its id, which is a hash over it.

    Raises MissingKey where the store has none, and IntegrityError where what could be it was altered.
    """
    altered = None
    if parts := ID.fullmatch(member_id):
        for key in store.list(keys.spec_folder(parts[1])):
            try:
                spec = _read_common(store, key, int(parts[2]))
            except IntegrityError as e:
                altered = e  # perhaps another member's
                continue
            if spec.id == member_id:
                return spec
    if store.exists(keys.member_record(member_id)):
        return _of_record(store, keys.member_record(member_id), member_id)
    raise altered or MissingKey(f"the store {store.uri} has no member {member_id}. `consort plan STUDY` plans a "
                                "study's members and prints their ids.")


def _read_common(store: Store, key: str, seed: int) -> MemberSpec:
    """The member of this seed; the key says how the sha256 of what it names begins."""
    data = store.read(key)
    if key != keys.spec(key.split("/")[1], sha256(data)[:10]):
        raise IntegrityError(f"{key} was altered: its sha256 is not the one in its name. Delete it and plan the study "
                             "again.")
    return _spec(key, data, seed=seed)


def _of_record(store: Store, key: str, member_id: str) -> MemberSpec:
    """A finished member, which its record describes too."""
    spec = _spec(key, store.read(key))
    if spec.id != member_id:
        raise IntegrityError(f"{key} describes {spec.id}, not {member_id}: it was altered. Remove the member "
                             f"(`consort rm {member_id}`) and run the study again.")
    return spec


def _spec(key: str, data: bytes, **more: int) -> MemberSpec:
    try:
        return MemberSpec.from_dict({**json.loads(data), **more})
    except (ValueError, TypeError, KeyError) as e:  # pydantic's ValidationError is a ValueError
        raise IntegrityError(f"{key} is not a specification that this version of Consort reads: {e}. Delete it and "
                             "plan the study again.") from e


def read_record(store: Store, member_id: str) -> MemberRecord | None:
    """The record of a finished member, or None while it is not finished."""
    key = keys.member_record(member_id)
    try:
        return from_json(MemberRecord, store.read(key), key)
    except MissingKey:
        return None


def write_files(store: Store, member_id: str, files: dict[str, bytes]) -> dict[str, dict]:
    """Write a member's files; returns what its record says of them."""
    for name, data in files.items():
        store.write(keys.member_file(member_id, name), data)
    return {name: {"sha256": sha256(data), "bytes": len(data)} for name, data in files.items()}


def read_file(store: Store, record: MemberRecord, name: str) -> bytes:
    """A file of a finished member; raises IntegrityError where it is not what was written."""
    data = store.read(keys.member_file(record.id, name))
    expected = FileRecord(**record.files[name])
    if sha256(data) != expected.sha256:
        raise IntegrityError(f"{keys.member_file(record.id, name)} was altered: its sha256 is not the one in "
                             f"member.json. Remove the member (`consort rm {record.id}`) and run the study again.")
    return data


def write_record(store: Store, record: MemberRecord) -> None:
    """Write member.json: from now on the member is done."""
    store.write(keys.member_record(record.id), to_json(record))


def write_failure(store: Store, member_id: str, reason: str) -> None:
    """Remember why a member cannot be trained, for runs and reports to come."""
    store.write(keys.member_failure(member_id), canonical_json({"reason": reason}).encode())


def read_failure(store: Store, member_id: str) -> str | None:
    """Why this member cannot be trained, or None."""
    return _reason(store, keys.member_failure(member_id))


def write_setback(store: Store, member_id: str, reason: str) -> None:
    """Remember why a job ended without the member: what launched it knows, and its pods may be gone by the time that
    somebody reports."""
    store.write(keys.member_setback(member_id), canonical_json({"reason": reason}).encode())


def why_missing(store: Store, member_id: str) -> str | None:
    """Why a member that is not finished is not: it cannot be trained, or its last job ended without it."""
    return read_failure(store, member_id) or _reason(store, keys.member_setback(member_id))


def _reason(store: Store, key: str) -> str | None:
    try:
        return str(json.loads(store.read(key))["reason"])
    except MissingKey:
        return None
    except (ValueError, KeyError, TypeError) as e:
        raise IntegrityError(f"{key} does not say why the member is not there ({e!r}). Remove the member (`consort rm "
                             f"{key.split('/')[1]}`) and run the study again.") from e


def all_damaged(faults: Mapping[str, IntegrityError]) -> IntegrityError:
    """Of a list that shows what can be read: what is damaged, each with its remedy."""
    return IntegrityError("\n".join(dict.fromkeys(map(str, faults.values()))))


def begun(store: Store) -> Iterator[str]:
    """The ids of all members that have files in the store, finished or not; those to come are in plans only."""
    yield from sorted({key.split("/")[1] for key in store.list(keys.MEMBERS)})


def is_id(name: str) -> bool:
    """Whether this has the form of a whole member id."""
    return ID.fullmatch(name) is not None


def find(store: Store, name: str, of_run: Sequence[str] = ()) -> str:
    """The one id that is or starts with `name`; raises InputError for none or several.

    Those of the run that is spoken of (`of_run`) come first, then members with files: a plan's other members are looked
    at where none of those matches.
    """
    if len(matches := [i for i in of_run if i.startswith(name)]) == 1:
        return matches[0]
    if is_id(name) and _known(store, name):
        return name  # few requests, where listing thousands of members takes many
    ids = list(begun(store))
    matches = [name] if name in ids else [i for i in ids if i.startswith(name)]
    if not matches:
        to_come = _of_plans(store)
        matches, ids = sorted(i for i in to_come if i.startswith(name)), ids + list(to_come)
    if not matches:
        raise unknown_name("member", name, ids, "`consort members` lists those that were begun, `consort plan STUDY` "
                                                "all of a study.")
    if len(matches) > 1:
        raise InputError(f"'{name}' could be {', '.join(matches[:5])}: give more of the id.")
    return matches[0]


def _known(store: Store, member_id: str) -> bool:
    if any(store.list(keys.member_folder(member_id))):
        return True  # even where nothing in it can be read: `consort rm` takes it away
    try:
        return read_spec(store, member_id).id == member_id
    except MissingKey:
        return False


def _of_plans(store: Store) -> set[str]:
    """The ids of all members that planned runs train, from those plans that can be read."""
    return {member for key in store.list(keys.STUDIES) if key.endswith("/plan.json")
            for member in ids_of_plan(store.read(key))[0]}


def ids_of_plan(plan: bytes) -> tuple[list[str], list[str]]:
    """The ids of the members that a plan.json has trained, and imported; none where this version cannot read it."""
    try:
        values = json.loads(plan)
        study = stored_study(values["study"])
        trained = [MemberSpec(name, values["data"], study.recipe_of(name), seed).id
                   for name, a in study.architectures.items() if not a.weights for seed in a.seeds]
        return trained, list(values["weights"])
    except (ValueError, KeyError, TypeError, AttributeError):  # pydantic's ValidationError is a ValueError
        return [], []
