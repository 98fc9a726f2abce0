"""Plans that stay in the store and what members are there, data that is prepared already, and how a study grows.

On the digits, without torch.
"""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from consort import members
from consort.data.prepare import prepare, prepare_test_set
from consort.documents import canonical_json, sha256
from consort.errors import InputError, IntegrityError, MissingKey
from consort.members.spec import MemberSpec
from consort.members.stored import LISTED_ONE_BY_ONE
from consort.models.families import build
from consort.run.grow import Growth, at_level, headline_width, plan_growth
from consort.run.plan import Plan, open_plan, plan, planned_runs, run_name
from consort.run.run import Run, open_run
from consort.store import keys
from consort.store.folder import FolderStore
from consort.study.data import Data
from consort.study.file import parse_study
from consort.study.recipe import Recipe

STUDY = """
name = "tiny"
data = { source = "digits", train_images = 150, val_images = 20 }
recipe = { epochs = 2, milestones = [0.5] }
[architectures]
"wrn-10-1" = [0, 2]
"wrn-10-2" = { seeds = 1, recipe = { learning_rate = 0.05 } }
[cluster]
cpus = 2.0
tolerations = [{ key = "spot", operator = "Exists" }]
"""


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def planned(store: FolderStore, text: str = STUDY, base: Path = Path()) -> Plan:
    return plan(store, parse_study(text, "study.toml"), base, store.root / "unused-cache", study_text=text)


def run_of(store: FolderStore, text: str = STUDY) -> Run:
    return Run(planned(store, text), store, store.root / "unused-cache")


def reopened(store: FolderStore, ref: str) -> Plan:
    return open_plan(store, ref, store.root / "unused-cache")


def test_a_plan_is_opened_again_as_it_was(store: FolderStore) -> None:
    written = planned(store)
    assert reopened(store, written.ref) == written
    assert (len(written.specs), written.study_text) == (3, STUDY)
    assert planned_runs(store) == [written.ref] == [f"tiny/{written.run}"]
    assert [members.read_spec(store, spec.id) for spec in written.specs] == written.specs
    assert list(members.begun(store)) == [], "a plan leaves nothing of each single member"


def test_a_plan_needs_neither_its_source_nor_its_weights(store: FolderStore, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    save_file(build("wrn-10-3", 10).state_dict(), weights)
    written = planned(store, STUDY + '[architectures."wrn-10-3"]\nweights = "w.safetensors"', tmp_path)
    assert list(written.weights.values()) == [str(weights)]
    weights.unlink()
    assert reopened(store, written.ref) == written


def test_planning_again_writes_only_what_is_new(store: FolderStore) -> None:
    first = planned(store)
    times = {key: (store.root / key).stat().st_mtime_ns for key in store.list(keys.SPECS)}
    assert len(times) == 2, "one for each architecture with its recipe"
    more = planned(store, STUDY.replace("[0, 2]", "[0, 2, 5]"))
    assert more.run != first.run and len(more.specs) == 4
    assert times == {key: (store.root / key).stat().st_mtime_ns for key in store.list(keys.SPECS)}
    assert [members.read_spec(store, spec.id) for spec in more.specs] == more.specs
    plan_file = store.root / keys.study_plan(more.ref)
    before = plan_file.stat()
    planned(store, STUDY.replace("[0, 2]", "[0, 2, 5]"))
    assert (plan_file.stat().st_ino, plan_file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns), (
        "a store that may only be read can be asked with a study file")
    planned(store, STUDY.replace("epochs = 2", "epochs = 3"))
    assert times.keys() < set(store.list(keys.SPECS)) and len(list(store.list(keys.SPECS))) == 4


def test_how_a_study_is_executed_names_no_other_run(store: FolderStore) -> None:
    first = planned(store)
    again = planned(store, STUDY.replace("cpus = 2.0", "cpus = 4.0") + "[grow]\nseeds = 2")
    assert again.ref == first.ref
    assert reopened(store, first.ref).study.cluster.cpus == 4.0


def test_runs_keep_their_names(store: FolderStore) -> None:
    """What is in people's stores is found by them; `ema_warmup` came later than this name."""
    data = planned(store).data
    study = parse_study(STUDY, "study.toml")
    assert run_name(study, [replace(data, fingerprint="0123456789ab")]) == "1df905ece7"
    averaged = parse_study(STUDY.replace("epochs = 2", "epochs = 2, ema = 0.9"), "study.toml")
    cold = parse_study(STUDY.replace("epochs = 2", "epochs = 2, ema = 0.9, ema_warmup = false"), "study.toml")
    assert len({run_name(s, [data]) for s in (study, averaged, cold)}) == 3


def test_very_many_members_are_listed_at_once(store: FolderStore) -> None:
    many = planned(store, STUDY.replace("[0, 2]", "200"))
    failed = many.specs[7].id
    members.write_failure(store, failed, "why")
    members.write_failure(store, "wrn-10-9-s0-0123456789", "not asked for")
    found = members.files(store, [spec.id for spec in many.specs])
    assert len(found) == 201 > LISTED_ONE_BY_ONE
    assert {member: names for member, names in found.items() if names} == {failed: {"failed.json"}}


# What a member is

def finished(spec: MemberSpec) -> bytes:
    """Of a record, what is read of it here."""
    return json.dumps({"id": spec.id, **spec.to_dict(), "files": {}}).encode()


def test_one_specification_serves_all_seeds(store: FolderStore) -> None:
    written = planned(store)
    unplanned = MemberSpec("wrn-10-1", written.data.fingerprint, written.specs[0].recipe, 77)
    assert members.read_spec(store, unplanned.id) == unplanned
    known = written.specs[0].id
    for wrong in (known.replace("-s0-", "-s1-"), known[:-1], f"wrn-10-1-s{10**8}-0123456789", "wrn-10-7-s0-0123456789",
                  "x"):
        with pytest.raises(MissingKey, match=f"no member {wrong}.*consort plan"):
            members.read_spec(store, wrong)


def test_architectures_that_ids_shorten_to_the_same_are_told_apart(store: FolderStore) -> None:
    specs = [MemberSpec(name, "0123456789ab", Recipe(epochs=epochs), 0)
             for name in ("a.b", "a_b") for epochs in (1, 2)]
    members.write_specs(store, specs)
    assert {spec.slug for spec in specs} == {"a-b"} and len(list(store.list("specs/a-b"))) == 4
    assert [members.read_spec(store, spec.id) for spec in specs] == specs


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b"altered"])
def test_an_altered_specification_is_noticed(store: FolderStore, text: bytes) -> None:
    one, _, other = planned(store).specs
    key = keys.spec(one.slug, sha256(canonical_json(one.common()).encode())[:10])
    store.write(key, text or store.read(key).replace(b'"epochs":2', b'"epochs":9'))
    with pytest.raises(IntegrityError, match=f"{key} was altered.*plan the study again"):
        members.read_spec(store, one.id)
    assert members.read_spec(store, other.id) == other
    store.delete(key)
    assert members.read_spec(store, planned(store).specs[0].id) == one


def test_a_specification_of_another_version_hides_no_other(store: FolderStore) -> None:
    one = planned(store).specs[0]
    text = canonical_json({**one.common(), "recipe": {"not_yet_known": 1}}).encode()
    store.write(keys.spec(one.slug, sha256(text)[:10]), text)
    assert members.read_spec(store, one.id) == one
    with pytest.raises(IntegrityError, match=r"(?s)not a specification that this version.*not_yet_known"):
        members.read_spec(store, "wrn-10-1-s0-0123456789")


def test_a_member_that_was_finished_elsewhere_is_its_own_specification(store: FolderStore) -> None:
    one, two, _ = planned(store).specs
    store.delete(keys.SPECS)
    store.write(keys.member_record(two.id), finished(two))
    assert members.read_spec(store, two.id) == two
    assert list(members.begun(store)) == [two.id]
    store.write(keys.member_record(two.id), finished(one))
    with pytest.raises(IntegrityError, match=rf"member\.json describes {one.id}, not {two.id}.*consort rm"):
        members.read_spec(store, two.id)
    store.write(keys.member_record(two.id), b"{")
    with pytest.raises(IntegrityError, match=r"member\.json is not a specification"):
        members.read_spec(store, two.id)
    assert members.find(store, two.id) == two.id, "or nothing could remove it"


def test_members_are_found_by_the_start_of_their_ids(store: FolderStore) -> None:
    one, two, other = [spec.id for spec in planned(store).specs]
    store.write("studies/tiny/broken/plan.json", b"{")
    for member in (one, two, other):
        assert members.find(store, member) == members.find(store, member[:-1]) == member
    assert members.find(store, "wrn-10-2") == other
    with pytest.raises(InputError, match=f"'wrn-10-1' could be ({one}, {two}|{two}, {one}): give more"):
        members.find(store, "wrn-10-1")
    members.write_failure(store, two, "why")
    assert members.find(store, "wrn-10-1") == two, "one that has files goes before those to come"
    assert members.find(store, "wrn-10-1", [one, other]) == one, "one of the run that is spoken of goes first"
    with pytest.raises(InputError, match=f"unknown member '{other[:-1]}_': did you mean {other}"):
        members.find(store, f"{other[:-1]}_")


def test_an_unknown_run_names_the_near_ones(store: FolderStore) -> None:
    ref = planned(store).ref
    with pytest.raises(MissingKey, match=f"unknown run '{ref[:-1]}': did you mean {ref}"):
        reopened(store, ref[:-1])


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"study": {"name": "tiny"}}'])
def test_a_broken_plan_is_an_integrity_error(store: FolderStore, content: bytes) -> None:
    ref = planned(store).ref
    store.write(keys.study_plan(ref), content)
    with pytest.raises(IntegrityError, match=r"plan\.json.*consort plan"):
        reopened(store, ref)


def test_a_plan_of_a_newer_version_is_told_in_a_line(store: FolderStore) -> None:
    ref = planned(store).ref
    values = json.loads(store.read(keys.study_plan(ref)))
    values["study"]["novelty"] = 3
    store.write(keys.study_plan(ref), json.dumps(values).encode())
    with pytest.raises(IntegrityError, match=r"unknown key 'novelty'.*newer version.*consort plan") as raised:
        reopened(store, ref)
    assert len(str(raised.value).splitlines()) == 1 and "pydantic" not in str(raised.value)


def test_prepared_data_is_a_source(store: FolderStore) -> None:
    written = planned(store)
    from_store = planned(store, STUDY.replace('source = "digits", train_images = 150, val_images = 20',
                                              f'source = "store:{written.data.fingerprint}"'))
    assert from_store.data == written.data and from_store.ref == written.ref


@pytest.mark.parametrize("settings", [{"val_images": 20}, {"split_seed": 3}, {"image_size": 8, "train_images": 9}])
def test_prepared_data_cannot_be_split_again(store: FolderStore, settings: dict) -> None:
    fingerprint = planned(store).data.fingerprint
    with pytest.raises(InputError, match=f"store:{fingerprint} is prepared already, so {', '.join(sorted(settings))}"):
        prepare(store, Data(source=f"store:{fingerprint}", **settings), Path(), store.root)


def test_a_source_in_the_store_must_be_there(store: FolderStore) -> None:
    with pytest.raises(MissingKey, match="no prepared data 0123456789ab"):
        prepare(store, Data(source="store:0123456789ab"), Path(), store.root)
    with pytest.raises(InputError, match=r"store:<fingerprint>.*'store:../x'"):
        prepare(store, Data(source="store:../x"), Path(), store.root)
    data = planned(store).data
    itself = prepare_test_set(store, "same", f"store:{data.fingerprint}", data, Data(source="digits"), Path(),
                              store.root)
    assert np.array_equal(itself.labels("test"), data.labels("test"))


# Growing

def evaluated(store: FolderStore, growth: Growth, width: float | None = 0.05, missing: tuple[str, ...] = ()) -> None:
    """A summary of this level as an evaluation would leave it, written by hand."""
    anew = None if width is None else {"low": 0.01, "high": 0.01 + width, "resolved": True}
    summary = {"answers": [{"low": 0.01, "high": 0.011, "anew": anew}], "missing": dict.fromkeys(missing, "why")}
    key = keys.study_file("tiny", growth.run.plan.run, "summary.json")
    store.write(key, json.dumps(summary).encode())


def seeds(growth: Growth) -> list[tuple[int, ...]]:
    return [a.seeds for a in growth.run.plan.study.architectures.values()]


def test_each_level_adds_the_next_unused_seeds(store: FolderStore) -> None:
    base = run_of(store, STUDY + "[grow]\nmax_seeds = 4")
    zero = plan_growth(base)
    assert (zero.level, seeds(zero), zero.words) == (0, [(0, 2), (0,)], "level 0: the study as it is written")
    assert zero.run == base == plan_growth(base).run
    evaluated(store, zero)
    one = plan_growth(base)
    assert (one.level, seeds(one)) == (1, [(0, 2, 1), (0, 1)])
    assert one.words == "level 1: one more seed of 2 architectures"
    assert one.run.plan.run == run_name(one.run.study, [base.plan.data]) != base.plan.run
    text = one.run.plan.study_text
    assert text.startswith("# grown to level 1") and text.endswith(STUDY + "[grow]\nmax_seeds = 4")
    assert open_run(store, one.run.ref, base.cache) == one.run
    assert plan_growth(base) == one
    evaluated(store, one)
    assert seeds(plan_growth(base)) == [(0, 2, 1, 3), (0, 1, 2)]
    evaluated(store, plan_growth(base))
    three = plan_growth(base)
    assert (seeds(three), three.words) == ([(0, 2, 1, 3), (0, 1, 2, 3)], "level 3: one more seed of 1 architecture")
    evaluated(store, three)
    end = plan_growth(base)
    assert (end.level, end.run) == (3, three.run)
    assert end.words == "level 3: every architecture has its 4 seeds or more: nothing to train"


def test_growing_ends_when_the_interval_if_trained_again_is_narrow(store: FolderStore) -> None:
    base = run_of(store, STUDY + "[grow]\nuntil_width = 0.01")
    evaluated(store, plan_growth(base), width=0.04)
    evaluated(store, plan_growth(base), width=None)  # unknown; that of other images is 0.1 points wide
    assert plan_growth(base).level == 2
    evaluated(store, plan_growth(base), width=0.006)
    end = plan_growth(base)
    assert (end.level, len(end.run.ids)) == (2, 7)
    assert end.words == ("level 2: trained again, the gain has an interval 0.6 points wide, narrower than 1: nothing "
                         "to train")


def test_growing_by_nll_is_measured_in_nats(store: FolderStore) -> None:
    base = run_of(store, STUDY + '[answer]\nmetric = "nll"\n[grow]\nseeds = 2\nuntil_width = 0.01')
    evaluated(store, plan_growth(base))
    evaluated(store, plan_growth(base), width=0.006)
    assert plan_growth(base).words == ("level 1: trained again, the gain has an interval 0.006 nats wide, narrower "
                                       "than 0.01: nothing to train")


def test_two_seeds_or_no_width_at_all_end_no_growing(store: FolderStore) -> None:
    base = run_of(store, STUDY + "[grow]\nuntil_width = 0.01")
    for level in (0, 1):  # one and two seeds of the second architecture
        assert plan_growth(base).level == level
        evaluated(store, plan_growth(base), width=0.006)
    evaluated(store, plan_growth(base), width=0.0)
    assert plan_growth(base).level == 3


def test_a_level_evaluated_by_an_earlier_version_ends_no_growing(store: FolderStore) -> None:
    base = run_of(store, STUDY + "[grow]\nseeds = 3\nuntil_width = 0.01")
    evaluated(store, plan_growth(base))
    earlier = {"answers": [{"low": 0.01, "high": 0.012}], "missing": {}}
    store.write(keys.study_file("tiny", plan_growth(base).run.plan.run, "summary.json"), json.dumps(earlier).encode())
    assert plan_growth(base).level == 2


def test_a_level_with_members_to_come_is_not_complete(store: FolderStore) -> None:
    base = run_of(store, "grow = 2\n" + STUDY)
    (lost, *_) = base.ids
    evaluated(store, plan_growth(base), missing=(lost,))
    assert plan_growth(base).level == 0
    members.write_failure(store, lost, "its loss became NaN")
    assert (plan_growth(base).level, seeds(plan_growth(base))) == (1, [(0, 2, 1, 3), (0, 1, 2)])


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_summary_is_named_when_a_study_grows(store: FolderStore, text: str) -> None:
    base = run_of(store, "grow = 2\n" + STUDY)
    store.write(base.key("summary.json"), text.encode())
    with pytest.raises(IntegrityError, match=r"summary.json is not a readable summary .*run the study again"):
        plan_growth(base)


def test_a_study_without_grow_stays_as_it_is(store: FolderStore) -> None:
    base = run_of(store)
    evaluated(store, plan_growth(base))
    assert plan_growth(base) == Growth(0, base, "the study has no `grow`: it stays as it is")


def test_imported_weights_do_not_grow() -> None:
    study = parse_study('grow = 3\nname = "a"\ndata = { source = "digits" }\n[architectures]\n"wrn-10-1" = 25\n'
                        '"resnet18" = { weights = "IMAGENET1K_V1" }', "study.toml")
    assert at_level(study, 4).architectures == study.architectures


def test_width_is_that_of_the_headlines_gain_if_trained_again() -> None:
    assert headline_width({"answers": [{"low": -0.25, "high": 0.5, "anew": None}]}) == math.inf
    assert headline_width({"answers": [{"anew": {"low": -0.25, "high": 0.5}}, {"anew": {"low": 0, "high": 0}}]}) == 0.75


def test_a_table_of_answers_changes_the_run_only_where_it_says_something() -> None:
    base = 'name = "tiny"\ndata = { source = "digits" }\narchitectures = { "wrn-10-1" = 2 }\n'
    plain, empty, other = (parse_study(base + text, "tiny.toml") for text in
                           ("", "[answer]\n", "[answer]\nmargin = 0.01\n"))
    assert run_name(plain, []) == run_name(empty, []) == "fa056e821d"  # as before there was such a table
    assert run_name(other, []) != run_name(plain, [])
