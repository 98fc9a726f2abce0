"""The commands in the containers of what Consort creates on a cluster are commands of this command line."""

import shlex

import pytest
import typer

from consort.cli.app import app
from consort.kube.experiment import experiments
from consort.kube.images import Images
from consort.kube.member_job import member_job
from consort.kube.step_jobs import answer_job, cron_job, export_job, latency_table_job, launch_job
from consort.study.execution import RunSettings
from consort.study.file import Study

STORE, RUN = "s3://bucket/prefix", "0123456789"
IMAGES = Images("registry.example/consort:1", "registry.example/consort-torch:1")
STUDY = Study.model_validate({
    "name": "tiny", "data": {"source": "digits"}, "architectures": {"wrn-16-1": 1}, "cluster": {},
    "search": {"objective": {"target_latency_ms": 1}, "space": {"block": ["wide"], "width": [8], "depth": [1, 2]}}})
PACKED = STUDY.model_copy(update={"run": RunSettings(members_per_gpu=2)})
OBJECTS = {
    "member": member_job(["wrn-16-1-s0-f6b0de0c21"], STORE, STUDY, RUN, IMAGES),
    "pack": member_job(["wrn-16-1-s0-f6b0de0c21", "wrn-16-1-s1-5ab5f3dd26"], STORE, PACKED, RUN, IMAGES),
    "answer": answer_job(STORE, STUDY, RUN, IMAGES),
    "export": export_job(STORE, STUDY, RUN, IMAGES, ["--members", "wrn-16-1-s0", "--combine", "arithmetic", "--half",
                                                     "--format", "torch"]),
    "latency table": latency_table_job(STORE, STUDY, RUN, IMAGES),
    "launcher": launch_job(STORE, STUDY, RUN, IMAGES, "katib-tpe"),
    "schedule": cron_job(STORE, STUDY, RUN, IMAGES, "0 3 * * *"),
    "trials": experiments(STORE, STUDY, RUN, IMAGES)[0],
}


def commands(value):
    """The arguments of every `consort` that containers in an object run, in a shell or not."""
    if isinstance(value, dict):
        if value.get("command") == ["consort"]:
            yield value["args"]
        elif value.get("command") == ["sh", "-c"]:
            words = shlex.split(value["args"][0], comments=False)
            start = words.index("consort")
            yield words[start + 1:words.index("&", start)]
        for inner in value.values():
            yield from commands(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from commands(inner)


@pytest.mark.parametrize("what", OBJECTS)
def test_containers_run_commands_that_there_are(what):
    found = list(commands(OBJECTS[what]))
    assert found
    for name, *arguments in found:
        command = typer.main.get_command(app).get_command(None, name)
        assert command is not None, f"consort has no command {name}"
        command.make_context(name, arguments)  # raises where an option is unknown or an argument missing


def test_an_unknown_option_would_be_found():
    command = typer.main.get_command(app).get_command(None, "latency-table")
    with pytest.raises(Exception, match="No such option"):
        command.make_context("latency-table", ["tiny/0123456789", "--stor", STORE])
