"""Study files: what is read is what was written, and everything else is refused with an InputError."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.errors import InputError
from consort.members.spec import MemberSpec
from consort.study.file import Architecture, Study, load_study, parse_study
from consort.study.recipe import RECIPES, Recipe
from recipe_values import counts, optional, recipe_values, seeds

untimed = settings(deadline=None)
"""The first example pays for imports, and other processes may have the cores."""

MINIMAL = """
name = "tiny"
[data]
source = "digits"
[architectures]
"wrn-10-1" = 2
"""

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
words = st.text(st.characters(exclude_categories=["C"]), max_size=20)
architecture_tables = st.fixed_dictionaries(
    {"seeds": st.lists(seeds, unique=True, min_size=1, max_size=4)}, optional={"recipe": recipe_values})
studies = st.fixed_dictionaries(
    {"name": names,
     "data": st.fixed_dictionaries({"source": words}, optional={
         "train_images": counts, "val_images": counts, "split_seed": st.integers(0, 2**31),
         "image_size": st.integers(8, 224), "skip_unreadable": st.booleans(),
         "also": st.lists(st.fixed_dictionaries({"name": names.filter(lambda n: n not in ("train", "val", "test")),
                                                 "source": words}), max_size=2, unique_by=lambda t: t["name"])}),
     "architectures": st.dictionaries(words, architecture_tables, min_size=1, max_size=3)},
    optional={
        "question": words, "recipe": recipe_values,
        "evaluate": optional(combine=st.permutations(["geometric", "arithmetic"]), mixed_members=st.integers(1, 6),
                             max_subsets=counts, bootstrap=st.integers(100, 10_000),
                             confidence=st.floats(0.501, 0.999)),
        "latency": optional(batch_size=counts, threads=counts, repeats=st.integers(3, 1000))
        | optional(batch_sizes=st.lists(counts, min_size=1, max_size=3, unique=True),
                   runtime=st.sampled_from(["torch", "graph", "onnxruntime"])),
        "run": optional(workers=counts, members_per_gpu=counts, checkpoint_seconds=st.floats(0.1, 1e6),
                        checkpoint_steps=counts)})


def toml(table: dict) -> str:
    """A table as TOML with inline tables; the keys and texts of JSON are those of TOML for printable characters."""
    return "".join(f"{json.dumps(key, ensure_ascii=False)} = {inline(value)}\n" for key, value in table.items())


def inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(v) for v in value) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def refusal(text: str) -> str:
    with pytest.raises(InputError) as raised:
        parse_study(text, "here.toml")
    message = str(raised.value)
    assert all(line.startswith("here.toml") for line in message.splitlines()), message
    return message


@settings(deadline=None, max_examples=50)
@given(studies)
def test_every_value_of_a_study_file_is_kept(values):
    study = parse_study(toml(values), "here.toml")
    read = json.loads(study.model_dump_json())
    assert includes(read, {**values, "recipe": {**RECIPES["fast"], **values.get("recipe", {})}})
    assert Study.model_validate(study.model_dump(exclude_unset=True)) == study


def includes(whole: object, part: object) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and includes(whole[key], value) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(whole) == len(part) and all(map(includes, whole, part))
    return whole == part


def test_defaults_are_the_fast_recipe_and_the_first_seeds():
    study = parse_study(MINIMAL, "here.toml")
    assert study.recipe == Recipe(**RECIPES["fast"])
    assert study.architectures["wrn-10-1"].seeds == (0, 1)
    assert study.evaluate.combine == ("geometric", "arithmetic")


@pytest.mark.parametrize(("row", "expected"), [
    ("3", (0, 1, 2)), ("[7, 4]", (7, 4)), ("{seeds = 2}", (0, 1)), ("{seeds = [5]}", (5,)), ("{}", (0,))])
def test_short_forms_of_an_architecture(row, expected):
    text = f'name = "a"\ndata.source = "digits"\narchitectures."wrn-10-1" = {row}\n'
    assert parse_study(text, "here.toml").architectures["wrn-10-1"].seeds == expected


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_named_recipe_with_a_value_of_its_own(name):
    study = parse_study(MINIMAL + f'[recipe]\nname = "{name}"\nepochs = 7\n', "here.toml")
    assert study.recipe == Recipe(**{**RECIPES[name], "epochs": 7})


def test_recipe_of_an_architecture_replaces_single_values_of_the_study():
    study = parse_study('name = "a"\ndata.source = "digits"\nrecipe = {epochs = 3, flip = false}\n[architectures]\n'
                        'plain = 1\nother = {recipe = {epochs = 9}}\n', "here.toml")
    assert study.recipe_of("plain") == study.recipe
    assert (study.recipe_of("other").epochs, study.recipe_of("other").flip) == (9, False)


@pytest.mark.parametrize(("line", "near"), [
    ('nmae = "x"', "did you mean name"),
    ("evalute = {}", "evaluate"),
    ("data.val_image = 3", "val_images"),
    ('data.also = [{name = "a", source = "b", sorce = "c"}]', "source"),
    ("recipe.epoch = 3", "epochs"),
    ("recipe.nme = 3", "name"),
    ('architectures."wrn-10-2" = {seed = 3}', "seeds"),
    ('architectures."wrn-10-2" = {recipe = {epoch = 3}}', "epochs"),
    ("evaluate.mixed_member = 3", "mixed_members"),
    ("latency.thread = 1", "threads"),
    ("run.worker = 1", "workers"),
])
def test_unknown_key_is_refused_with_the_near_one(line, near):
    message = refusal(f'name = "tiny"\ndata.source = "digits"\narchitectures."wrn-10-1" = 2\n{line}\n')
    assert "unknown key" in message
    assert near in message


WRONG = [
    ('name = 3', "name"), ('name = "Big"', "name"), ('name = ""', "name"), ('name = "-a"', "name"),
    ('name = "a-"', "name"), ('name = "a b"', "name"), (f'name = "{"a" * 41}"', "name"), ("question = 1", "question"),
    ('data = "digits"', "data"), ("data = {}", "source"), ("data.source = 1", "source"),
    ("data.source = 'd'\ndata.val_images = 0", "val_images"),
    ("data.source = 'd'\ndata.val_images = '5'", "val_images"),
    ("data.source = 'd'\ndata.skip_unreadable = 1", "skip_unreadable"),
    ("data.source = 'd'\ndata.image_size = 4", "image_size"), ("data.source = 'd'\ndata.also = 3", "also"),
    ("data.source = 'd'\ndata.also = [{name = 'a', source = 'b'}, {name = 'a', source = 'c'}]", "names of their own"),
    ("data.source = 'd'\ndata.also = [{name = 'test', source = 'b'}]", "names of their own"),
    ("recipe = 3", "recipe"), ("recipe.name = 3", "name"), ("recipe.name = ['fast']", "name"),
    ('recipe.epochs = "5"', "epochs"), ("recipe.epochs = true", "epochs"), ("recipe.epochs = 2.0", "epochs"),
    ("recipe.epochs = 0", "epochs"), ("recipe.learning_rate = inf", "learning_rate"),
    ("recipe.learning_rate = nan", "learning_rate"), ("recipe.learning_rate = -0.1", "learning_rate"),
    ("recipe.flip = 'no'", "flip"), ("recipe.schedule = 'cosine'", "schedule"),
    ("recipe.milestones = [0.6, 0.3]", "milestones"), ("recipe.milestones = ['0.3']", "milestones"),
    ("recipe.precision = 'float16'", "precision"), ("recipe.epochs = 1979-05-27", "epochs"),
    ("architectures = {}", "at least one architecture"), ("architectures = 3", "architectures"),
    ("architectures.a = 0", "1 to 10000 seeds"), ("architectures.a = -1", "seeds"),
    ("architectures.a = 1_000_000_000_000", "seeds"), ("architectures.a = []", "at least 1 seed"),
    ("architectures.a = [3, 1, 3]", "seeds must differ, [3]"), ("architectures.a = ['0']", "seeds"),
    ("architectures.a = [-1]", "seeds"), ("architectures.a = [10_000_000]", "seeds"),
    ("architectures.a = true", "seeds"), ("architectures.a = [true]", "seeds"),
    ("architectures.a = 2.5", "architectures"), ("architectures.a = 'x'", "a:"),
    ("architectures.a = {seeds = 2, weights = 'w'}", "imported weights are one member"),
    ("architectures.a = {recipe = {epochs = 0}}", "a.recipe.epochs"),
    ("architectures.a = {recipe = {milestones = [0.5, 0.5]}}", "milestones must rise"),
    ("architectures.a = {recipe = 3}", "recipe"),
    ("architectures.a = {transforms = 'published'}", "stand beside weights"), ("recipe.transforms = 'w'", "weights"),
    ("recipe.weights = 'w'", "weights"), ("architectures.a = {recipe = {weights = 'w'}}", "weights"),
    ("evaluate.combine = []", "combine"), ("evaluate.combine = ['geometric', 'geometric']", "combine"),
    ("evaluate.combine = ['median']", "combine"), ("evaluate.confidence = 1.0", "confidence"),
    ("evaluate.mixed_members = 7", "mixed_members"), ("latency.repeats = 2", "repeats"),
    ("latency.batch_sizes = []", "batch_sizes"), ("latency.batch_sizes = [8, 8]", "once each"),
    ("latency.batch_sizes = [1, 0]", "batch_sizes"), ("latency.batch_size = 0", "batch_size"),
    ("latency = {batch_size = 1, batch_sizes = [2]}", "one of the two"), ("latency.runtime = 'graphs'", "runtime"),
    ("run.workers = 0", "workers"), ("run.checkpoint_seconds = 0", "checkpoint_seconds"),
]


@pytest.mark.parametrize(("line", "named"), WRONG)
def test_wrong_value_is_refused_and_named(line, named):
    top_level = {"name": 'name = "tiny"', "data": "data.source = 'digits'", "architectures": "architectures.a = 1"}
    given_key = re.match(r"[a-z]+", line)[0]
    rest = "\n".join(text for key, text in top_level.items() if key != given_key)
    assert named in refusal(f"{rest}\n{line}\n")


@pytest.mark.parametrize(("line", "words"), [
    ("[evaluate]\ncombine = 'geometric'", "[evaluate] combine: it should be a list"),
    ("[recipe]\nflip = 1", "[recipe] flip: it should be true or false (got 1)."),
    ("[recipe]\nepochs = 2.5", "epochs: it should be a whole number (got 2.5)."),
    ("[architectures.resnet18]\nrecipe = 'fast'", "resnet18.recipe: it should be a table"),
    ("[answer]\nmetric = 'acuracy'", "(got 'acuracy'; did you mean accuracy?)."),
    ("[run]\nworkers = 'two'", "[run] workers: it should be a whole number (got 'two')."),
])
def test_a_wrong_value_is_answered_in_the_words_of_a_study_file(line, words):
    assert words in refusal(f"{MINIMAL}\n{line}\n")


@pytest.mark.parametrize("value", ["'3'", "2.5"])
def test_what_an_architecture_may_be_is_said(value):
    assert "resnet18: it should be a whole number of seeds, a list of them, or a table" in refusal(
        MINIMAL + f"resnet18 = {value}\n")


def test_a_misspelt_sampler_ends_with_one_mark():
    text = refusal(MINIMAL + "[search]\nsettings = {populaton = 3}\nobjective = {target_latency_ms = 2}\n"
                   'space = {block = ["wide"], width = [8], depth = [1]}\n')
    assert text.endswith("did you mean population?")


def test_a_misspelt_key_of_a_table_inside_search_is_held_to_the_keys_of_that_table():
    text = refusal(MINIMAL + "[search]\nobjective = {target_latency = 2}\n"
                   'space = {block = ["wide"], width = [8], depth = [1]}\n')
    assert "unknown key 'target_latency': did you mean target_latency_ms, latency? (in [search.objective])" in text


@pytest.mark.parametrize("key", ["name", "data", "architectures"])
def test_missing_key_is_named(key):
    values = {k: v for k, v in tomllib.loads(MINIMAL).items() if k != key}
    assert f"{key} is missing" in refusal(toml(values))


def test_unknown_recipe_lists_the_near_one():
    assert "did you mean fast?" in refusal(MINIMAL + '[recipe]\nname = "fasst"\n')


@pytest.mark.parametrize("text", ["name = ", "[a]\n[a]", 'x = "\n', "a = " + "[" * 100_000, "a = " + "9" * 5000])
def test_text_that_is_not_toml(text):
    assert "not valid TOML" in refusal(text)


def test_whole_number_of_more_than_64_bits():
    for number in (str(2**63), str(-2**63 - 1), "0x" + "f" * 5000):
        assert "64 bits" in refusal(f"{MINIMAL}[evaluate]\nmixed_members = {number}\n")
        assert "64 bits" in refusal(f'{MINIMAL}"wrn-10-2" = [0, {number}]\n')


def test_all_errors_are_told_at_once():
    message = refusal('name = "tiny"\nfoo = 1\ndata.source = "digits"\ndata.bar = 1\narchitectures."wrn-10-1" = 0\n')
    assert len(message.splitlines()) == 3


@untimed
@given(st.text())
def test_arbitrary_text_is_a_study_or_an_input_error(text):
    try:
        parse_study(text, "here.toml")
    except InputError as e:
        assert str(e).startswith("here.toml")


anything = st.recursive(
    st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=5)


@st.composite
def mutated_studies(draw):
    """A valid study in which one value, at any depth, became something else."""
    values = json.loads(json.dumps(draw(studies)))
    place, key = values, draw(st.sampled_from(sorted(values)))
    while isinstance(place[key], dict) and place[key] and draw(st.booleans()):
        place = place[key]
        key = draw(st.sampled_from(sorted(place)))
    place[key] = draw(anything)
    return values


@untimed
@given(mutated_studies())
def test_a_study_with_one_changed_value_is_a_study_or_an_input_error(values):
    try:
        study = parse_study(toml(values), "here.toml")
    except InputError as e:
        assert str(e).startswith("here.toml")
    else:
        for name, architecture in study.architectures.items():  # what was accepted has ids
            assert all(MemberSpec(name, "0123456789ab", study.recipe_of(name), s).id for s in architecture.seeds)


def test_load_study_reads_utf_8(tmp_path: Path):
    path = tmp_path / "study.toml"
    path.write_bytes((f'question = "größer?"\n{MINIMAL}').encode())
    assert load_study(path).question == "größer?"


def test_files_of_windows_editors(tmp_path: Path):
    path = tmp_path / "study.toml"
    path.write_bytes(("\ufeff" + MINIMAL.replace("\n", "\r\n")).encode())
    assert load_study(path) == parse_study(MINIMAL, "here")
    path.write_bytes(MINIMAL.encode("utf-16"))  # what PowerShell's > writes
    with pytest.raises(InputError, match="cannot be read"):
        load_study(path)


def test_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"absent\.toml cannot be read.*consort init"):
        load_study(tmp_path / "absent.toml")


def test_folder_is_no_study_file(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot be read: it is a folder.*consort init my-study\.toml --data"):
        load_study(tmp_path)


def test_a_misspelt_file_is_told_of_the_near_one(tmp_path: Path):
    (tmp_path / "photos.toml").touch()
    for name in ("photo.toml", "photos.tmol", "photos"):
        with pytest.raises(InputError, match=r"there is none\. Did you mean .*/photos\.toml\?"):
            load_study(tmp_path / name)
    with pytest.raises(InputError, match=r"there is none\. `consort init`"):
        load_study(tmp_path / "other.toml")


def test_bytes_that_are_not_text(tmp_path: Path):
    path = tmp_path / "study.toml"
    path.write_bytes(b"name = '\xff\xfe'")
    with pytest.raises(InputError, match=r"study\.toml cannot be read"):
        load_study(path)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "studies").glob("*.toml")), ids=lambda p: p.stem)
def test_studies_of_the_repository_are_valid(path):
    study = load_study(path)
    assert study.architectures or study.search


def test_architecture_default_is_one_seed():
    assert Architecture().seeds == (0,)
