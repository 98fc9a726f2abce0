"""Put a planned study on a KFP server: what `consort submit` and `consort schedule` do."""

import contextlib
import hashlib
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import kfp
import urllib3
from kfp_server_api import ApiClient, ApiException, Configuration, HealthzServiceApi

from consort import __version__
from consort.errors import ClusterUnavailable, InputError
from consort_pipelines.compile import compile_package

PIPELINE = "consort-train-ensembles"


def submit(host: str, study: str, store: str, experiment: str, namespace: str | None = None,
           service_account: str | None = None) -> str:
    """Create a run of a study (NAME/RUN of a planned one, or a study file's text); returns its address.

    The pipeline's version is uploaded where the server has none of this Consort with these images.
    """
    parameters = _parameters(study, store, grow=False)
    with _server(host, namespace) as client:
        place = client.create_experiment(experiment, namespace=namespace).experiment_id
        pipeline, version = _uploaded(client, namespace)
        run = client.run_pipeline(place, _name(study), params=parameters, pipeline_id=pipeline, version_id=version,
                                  service_account=service_account)
    return f"{host.rstrip('/')}/#/runs/details/{run.run_id}"


def schedule(host: str, study: str, store: str, experiment: str, cron: str, namespace: str | None = None,
             service_account: str | None = None) -> str:
    """Create the recurring run of a study, in place of those that this experiment has; returns its address.

    One tick at a time, none made up for. cron: five fields, UTC. Each tick grows the study where its file says so.
    """
    trigger, parameters = six_fields(cron), _parameters(study, store, grow=True)
    with _server(host, namespace) as client:
        place = client.create_experiment(experiment, namespace=namespace).experiment_id
        pipeline, version = _uploaded(client, namespace)
        name = _name(study)
        before = _all(lambda token: client.list_recurring_runs(
            page_token=token, page_size=100, experiment_id=place, namespace=namespace), "recurring_runs")
        made = client.create_recurring_run(
            place, name, cron_expression=trigger, max_concurrency=1, no_catchup=True, params=parameters,
            pipeline_id=pipeline, version_id=version, service_account=service_account)
        for old in before:
            if old.display_name.partition("/")[0] == name.partition("/")[0]:
                client.delete_recurring_run(old.recurring_run_id)
    return f"{host.rstrip('/')}/#/recurringrun/details/{made.recurring_run_id}"


def six_fields(cron: str) -> str:
    """KFP's cron expression, which begins with seconds, from the five fields of cron; Sunday is 0 there, never 7."""
    fields = cron.split()
    if len(fields) != 5:
        raise InputError(f"a schedule has five fields (minute, hour, day of month, month, day of week), such as "
                         f"'0 3 * * *' for 3 o'clock every night; {cron!r} has {len(fields)}.")
    fields[4] = ",".join("0" if day == "7" else day for day in fields[4].split(","))
    return " ".join(["0", *fields])


def _parameters(study: str, store: str, grow: bool) -> dict:
    if not store.startswith("s3://"):
        raise InputError(f"the steps of a pipeline share a store that all pods reach: --store is s3://bucket/prefix, "
                         f"got {store!r}.")
    return {"study": study, "store": store, "grow": grow, "target": "cluster"}


def _name(study: str) -> str:
    """How a run is called: NAME/RUN, or for a study file's text its first words."""
    return study if "=" not in study else study.strip().splitlines()[0][:60]


def _uploaded(client: kfp.Client, namespace: str | None) -> tuple[str, str]:
    """Ids of the pipeline and of the version that this Consort compiles; uploaded where the server lacks them."""
    with tempfile.TemporaryDirectory() as folder:
        package = compile_package(Path(folder))
        version = f"{__version__}-{hashlib.sha256(package.read_bytes()).hexdigest()[:8]}"
        known = client.list_pipelines(filter=_named(PIPELINE), namespace=namespace).pipelines or []
        pipeline = known[0] if known else client.upload_pipeline(
            str(package), PIPELINE, "Train a study's members, compare ensembles, report.", namespace)
        versions = client.list_pipeline_versions(pipeline.pipeline_id, filter=_named(version)).pipeline_versions or []
        found = versions[0] if versions else client.upload_pipeline_version(
            str(package), version, pipeline_id=pipeline.pipeline_id)
    return pipeline.pipeline_id, found.pipeline_version_id


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _all(page: Callable, field: str) -> list:
    """The items of every page of a list."""
    items, token = [], ""
    while True:
        answer = page(token)
        items += getattr(answer, field) or []
        token = answer.next_page_token or ""
        if not token:
            return items


@contextlib.contextmanager
def _server(host: str, namespace: str | None) -> Iterator[kfp.Client]:
    """A client of the KFP API; its errors become Consort's, and what it prints is left out."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore", FutureWarning)  # the client's own greeting
            HealthzServiceApi(ApiClient(Configuration(host.rstrip("/")))).healthz_service_get_healthz()
            # The client asks the same, but five times with pauses, and then hides why.
            yield kfp.Client(host=host, namespace=namespace or "kubeflow")
    except ApiException as e:
        text = f"Kubeflow Pipelines at {host} answered {e.status} {e.reason}: {_message(e)}"
        if e.status >= 500 or e.status == 429:
            raise ClusterUnavailable(f"{text}. Try again.") from e
        raise InputError(f"{text}.") from e
    except urllib3.exceptions.HTTPError as e:
        raise ClusterUnavailable(f"Kubeflow Pipelines at {host} does not answer: {e}. Is the address right, and does "
                                 "`kubectl port-forward` still run?") from e


def _message(error: ApiException) -> str:
    try:
        return json.loads(error.body)["message"].rstrip(".")
    except (ValueError, KeyError, TypeError):
        return str(error.body)[:200]
