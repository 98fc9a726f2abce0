"""`consort submit` and `consort schedule` against a server that answers as KFP's API is documented."""

from collections.abc import Iterator

import pytest
import yaml

from consort.errors import ClusterUnavailable, InputError
from consort_pipelines import client
from fake_kfp import FakeKfp

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kfp_server_api.*", "ignore::FutureWarning:kfp.*")
REF, STORE = "quick/0123456789", "s3://consort/here"


@pytest.fixture
def server() -> Iterator[FakeKfp]:
    with FakeKfp() as running:
        yield running


def submit(server: FakeKfp, **values: str) -> str:
    return client.submit(**{"host": server.host, "study": REF, "store": STORE, "experiment": "quick", **values})


def schedule(server: FakeKfp, **values: str) -> str:
    return client.schedule(**{"host": server.host, "study": REF, "store": STORE, "experiment": "quick",
                              "cron": "30 2 * * 7", **values})


def test_submit_uploads_the_pipeline_and_runs_its_version(server: FakeKfp, capsys: pytest.CaptureFixture[str]) -> None:
    address = submit(server)

    (run,), (version,) = server.runs, server.versions
    assert address == f"{server.host}/#/runs/details/{run['run_id']}"
    assert run["pipeline_version_reference"] == {"pipeline_id": server.pipelines[0]["pipeline_id"],
                                                 "pipeline_version_id": version["pipeline_version_id"]}
    assert run["runtime_config"]["parameters"] == {"study": REF, "store": STORE, "grow": False, "target": "cluster"}
    assert run["experiment_id"] == server.experiments[0]["experiment_id"] and run["display_name"] == REF
    assert "train-member" in str(next(yaml.safe_load_all(version["package"])))
    assert capsys.readouterr().out == ""


def test_a_second_submit_uploads_nothing(server: FakeKfp) -> None:
    submit(server)
    submit(server)

    assert [len(server.pipelines), len(server.versions), len(server.experiments), len(server.runs)] == [1, 1, 1, 2]


def test_other_images_are_another_version(server: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(server)
    original = client.compile_package

    def other_image(folder, *values):
        path = original(folder, *values)
        path.write_text(path.read_text().replace("docker.io/consort/consort:", "docker.io/other/consort:"))
        return path

    monkeypatch.setattr(client, "compile_package", other_image)
    submit(server)

    assert len(server.pipelines) == 1 and len({v["display_name"] for v in server.versions}) == 2


def test_schedule_makes_one_recurring_run_that_grows(server: FakeKfp) -> None:
    address = schedule(server)

    (made,) = server.recurring_runs
    assert address == f"{server.host}/#/recurringrun/details/{made['recurring_run_id']}"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 30 2 * * 0"}}
    assert made["runtime_config"]["parameters"]["grow"] is True
    assert (int(made["max_concurrency"]), made["no_catchup"], made["mode"]) == (1, True, "ENABLE")


def test_schedule_again_replaces_the_study_s_and_no_other(server: FakeKfp) -> None:
    first = schedule(server)
    other = schedule(server, study="slow/abcdefabcd")
    second = schedule(server, study="quick/ffffffffff", cron="0 4 * * *")

    assert {r["display_name"] for r in server.recurring_runs} == {"slow/abcdefabcd", "quick/ffffffffff"}
    assert len({first, other, second}) == 3


@pytest.mark.parametrize("cron", ["* * * *", "0 0 0 * * *", "", "hourly"])
def test_a_schedule_has_five_fields(server: FakeKfp, cron: str) -> None:
    with pytest.raises(InputError, match="five fields"):
        schedule(server, cron=cron)
    assert server.recurring_runs == []


def test_a_folder_is_no_store_of_a_pipeline(server: FakeKfp) -> None:
    with pytest.raises(InputError, match="s3://bucket/prefix, got 'consort-store'"):
        submit(server, store="consort-store")
    assert server.runs == []


@pytest.mark.parametrize(("status", "error"), [(403, InputError), (500, ClusterUnavailable), (429, ClusterUnavailable)])
def test_what_the_server_refuses_is_said(server: FakeKfp, status: int, error: type[Exception]) -> None:
    server.refuse = status, "Why it is so."
    with pytest.raises(error, match=rf"answered {status} .*Why it is so"):
        submit(server)


def test_a_server_that_is_not_there_may_be_tried_again() -> None:
    with FakeKfp() as gone:
        pass
    with pytest.raises(ClusterUnavailable, match="does not answer"):
        submit(gone)
