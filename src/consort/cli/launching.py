"""consort launch, render, submit and schedule: a study as objects of Kubernetes, and as runs of KFP."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consort.cli.connecting import cluster_target, connect_for, images_of
from consort.cli.options import DEFAULT_STORE, ContextOption, NamespaceOption, StoreOption, StudyArgument, open_store_at
from consort.cli.signals import interrupt_on_sigterm

if TYPE_CHECKING:
    from consort.run.run import Run
    from consort.store import Store

HostOption = Annotated[str | None, typer.Option(
    "--host", envvar="CONSORT_KFP_HOST", metavar="URL", show_default=False,
    help="Address of Kubeflow Pipelines, such as http://localhost:8080.")]
CronOption = Annotated[str, typer.Option("--cron", metavar="'M H D M W'", help="Five fields, as cron has them (UTC).")]


def launch(
    member: Annotated[list[str], typer.Option("--member", help="Id of a planned member; may be repeated.")],
    run: Annotated[str, typer.Option("--run", metavar="NAME/RUN", help="The run whose [cluster] settings apply.")],
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
) -> None:
    """Train members as PyTorchJobs on a cluster, or adopt their jobs, and follow them to their ends.

    Several share a job as [cluster] members_per_job says. SIGTERM ends the jobs too (their state is saved): KFP stops a
    step so when its run is terminated.
    """
    from rich.console import Console

    from consort import members
    from consort.cli.planning import planned_study
    from consort.cluster.reap import release
    from consort.errors import IncompleteRun, MemberFailed, Terminated
    from consort.events import without_name
    from consort.screen.live import Screen

    console, opened = Console(soft_wrap=True), open_store_at(store)
    api = connect_for(opened, namespace, context)
    screen = Screen(console)
    target, of_run = cluster_target(api, screen.listen), planned_study(opened, Path(run), console).run
    wanted = [members.find(opened, name) for name in member]
    interrupt_on_sigterm()
    try:
        with screen:
            failed = target.launch(of_run, wanted).failed
    except KeyboardInterrupt:
        release(api, wanted, target.owner)
        raise Terminated(f"the launcher of {', '.join(wanted)} was asked to stop.") from None
    if failed:
        known = all(members.read_failure(opened, one) is not None for one in failed)
        text = "\n".join(f"{one}: {without_name(one, reason)}" if len(wanted) > 1 else reason
                         for one, reason in failed.items())
        raise (MemberFailed if known else IncompleteRun)(text)


def render(
    study: StudyArgument,
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    job: Annotated[bool, typer.Option("--job", help="Only the Job that starts the members by itself.")] = False,
    sampler: Annotated[str | None, typer.Option(
        "--sampler", help="Of a search: katib-<algorithm>, one of Katib's own instead of the study's.",
        show_default=False)] = None,
    dry_run: Annotated[str | None, typer.Option(
        "--dry-run", metavar="server", help="Ask the API server whether it would accept each object.",
        show_default=False)] = None,
) -> None:
    """Print a STUDY's Kubernetes objects as YAML.

    `consort render STUDY | kubectl apply -f -` runs it: a PyTorchJob for every member or pack that is not done (of a
    search, an Experiment of Katib for every kind and sampler), and the Job that adopts them, evaluates and reports.
    """
    from consort.errors import unknown_name
    from consort.kube.yaml import to_yaml

    if dry_run not in (None, "server"):
        raise unknown_name("kind of --dry-run", dry_run, ["server"])
    opened = open_store_at(store)
    objects = study_objects(_planned(opened, study), job, sampler)
    if dry_run is None:
        for document in to_yaml(objects):
            sys.stdout.write(document)
        return
    api = connect_for(opened, namespace, context)
    for item in objects:
        api.apply(item, dry_run=True)
        print(f"accepted: {item['kind']} {item['metadata']['name']}")


def study_objects(run: "Run", only_job: bool = False, sampler: str | None = None) -> list[dict]:
    """The PyTorchJobs of the members that are not done, and the Job that brings the study to its answer.

    Of a search its Experiments, and that Job; its members are known when it has ended.
    """
    from consort.kube.experiment import experiments
    from consort.kube.member_job import member_job
    from consort.kube.step_jobs import launch_job
    from consort.run.packs import to_launch

    images = images_of(run.study)
    asked = run.store.uri, run.study, run.plan.run
    if run.study.search is not None:
        arms = [] if only_job else experiments(*asked, images, sampler)
        return [*arms, launch_job(*asked, images, sampler)]
    packs = [] if only_job else to_launch(run, run.states())
    return [*(member_job(pack, *asked, images) for pack in packs), launch_job(*asked, images)]


def submit(
    study: StudyArgument,
    host: HostOption = None,
    experiment: Annotated[str | None, typer.Option(help="KFP experiment; by default the study's name.",
                                                   show_default=False)] = None,
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
) -> None:
    """Run a STUDY on Kubeflow Pipelines.

    Uploads the pipeline where its version is missing, creates the run and prints its address.
    """
    from consort_pipelines import client

    run = _planned_to_train(open_store_at(store), study)
    print(client.submit(_host(host), run.ref, store, experiment or run.study.name, namespace))


def schedule(
    study: StudyArgument,
    cron: CronOption,
    kubectl: Annotated[bool, typer.Option("--kubectl", help="Print a CronJob instead; it needs no KFP.")] = False,
    host: HostOption = None,
    store: StoreOption = DEFAULT_STORE,
    namespace: NamespaceOption = None,
) -> None:
    """Run a STUDY again and again: a recurring run of KFP, or a CronJob.

    Each time only what is new is trained; with `grow` in the study, more seeds until the answer is narrow enough.
    """
    from consort.kube.step_jobs import cron_job
    from consort.kube.yaml import to_yaml

    run = _planned_to_train(open_store_at(store), study)
    if kubectl:
        job = cron_job(run.store.uri, run.study, run.plan.run, images_of(run.study), cron)
        sys.stdout.write("".join(to_yaml([job])))
        return
    from consort_pipelines import client

    print(client.schedule(_host(host), run.ref, store, run.study.name, cron, namespace))


def _planned(store: "Store", study: Path) -> "Run":
    """The run of a study that goes to a cluster, with what is doubtful of its settings there on standard error."""
    from rich.console import Console

    from consort.cli.planning import planned_study
    from consort.run.packs import doubts

    run = planned_study(store, study, Console(stderr=True)).run
    for text in doubts(run.study):
        print(f"warning: {text}", file=sys.stderr)
    return run


def _planned_to_train(store: "Store", study: Path) -> "Run":
    """A run that names members; InputError where it has a search alone, whose members only its end tells."""
    from consort.errors import InputError

    run = _planned(store, study)
    if not run.ids:
        raise InputError(
            f"the study {run.study.name} names no architectures, only a [search], and submit and schedule train "
            f"members that are named. `consort search {run.ref} --target cluster` searches, and `consort render "
            f"{run.ref} --job | kubectl apply -f -` does so from within the cluster; on Kubeflow Pipelines, upload "
            f"pipelines/compiled/search_then_ensemble.yaml and start a run with study = {run.ref}. What `consort "
            f"winners {run.ref}` names in the end can be submitted and scheduled.")
    return run


def _host(host: str | None) -> str:
    from consort.errors import InputError

    if host is None:
        raise InputError("where is Kubeflow Pipelines? Give --host or set CONSORT_KFP_HOST, for example "
                         "http://localhost:8080 after `kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`.")
    return host

