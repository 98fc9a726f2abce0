"""Members in the store: their specification, their record, and files that are checked against the record."""

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from consort.errors import InputError, IntegrityError, MissingKey, unknown_name
from consort.records import FileRecord, MemberRecord, canonical_json, from_json, sha256, to_json
from consort.store import Store, keys
from consort.study import MemberSpec

WRITERS = 16
"""Specifications that are written at the same time."""
LISTED_ONE_BY_ONE = 64


def write_spec(store: Store, spec: MemberSpec) -> None:
    """Leave the specification where a step finds it; it is the same text whoever writes it."""
    store.write(keys.member_spec(spec.id), canonical_json(spec.to_dict()).encode())


def write_specs(store: Store, specs: Sequence[MemberSpec]) -> None:
    """Leave the specifications that are not there yet, many at a time: each write waits for a disk or a network."""
    present = files(store, [spec.id for spec in specs])
    new = [spec for spec in specs if "spec.json" not in present[spec.id]]
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(lambda spec: write_spec(store, spec), new):  # raises what a write raised
            pass


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
    """The specification of a planned member; raises IntegrityError where it is not what the id says."""
    key = keys.member_spec(member_id)
    try:
        spec = MemberSpec.from_dict(json.loads(store.read(key)))
    except MissingKey as e:
        raise MissingKey(f"the store {store.uri} has no member {member_id}. `consort plan STUDY` plans a study's "
                         "members and prints their ids.") from e
    except (ValueError, KeyError, ValidationError) as e:
        raise IntegrityError(f"{key} is not a readable member specification: {e}. Plan the study again.") from e
    if spec.id != member_id:
        raise IntegrityError(f"{key} describes {spec.id}, not {member_id}: it was altered. Plan the study again.")
    return spec


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
        return json.loads(store.read(key))["reason"]
    except MissingKey:
        return None


def planned(store: Store) -> Iterator[str]:
    """The ids of all members that the store knows, finished or not."""
    yield from sorted({key.split("/")[1] for key in store.list(keys.MEMBERS)})


def is_id(name: str) -> bool:
    """Whether this has the form of a whole member id."""
    return re.fullmatch(r"[a-z0-9-]+-s[0-9]+-[0-9a-f]{10}", name) is not None


def find(store: Store, name: str) -> str:
    """The one id that is or starts with `name`; raises InputError for none or several."""
    if is_id(name) and store.exists(keys.member_spec(name)):
        return name  # one request, where listing thousands of members takes many
    ids = list(planned(store))
    matches = [name] if name in ids else [i for i in ids if i.startswith(name)]
    if not matches:
        raise unknown_name("member", name, ids, "`consort members` lists them.")
    if len(matches) > 1:
        raise InputError(f"'{name}' could be {', '.join(matches[:5])}: give more of the id.")
    return matches[0]
