"""train_ensembles: a study from its plan to its report.

    plan_study -> train_and_answer -> confirm_answer -> export_bundle
                  members: a train_member for each member that is not done
                  answer, when they have ended, well or not: clean_up, predict_members -> evaluate_ensembles -> report

KFP's server runs a step after a failed one only as an exit task: an exit task sees no outputs of other tasks, only the
inputs of the pipeline that it is in, and its own failure does not make the run red. Hence the pipeline within the
pipeline, which has the run's name as an input, and confirm_answer, which turns a run without an answer red.
"""

import inspect

from kfp import dsl, kubernetes
from kfp.dsl import graph_component

from consort.kube.names import CONFIG_MAP, STORE_SECRET
from consort_components.clean_up.component import clean_up
from consort_components.confirm_answer.component import confirm_answer
from consort_components.evaluate_ensembles.component import evaluate_ensembles
from consort_components.export_bundle.component import export_bundle
from consort_components.plan_study.component import plan_study
from consort_components.predict_members.component import predict_members
from consort_components.report.component import report
from consort_components.train_member.component import train_member

MEMBERS_AT_A_TIME = 4
KEEP_SECONDS = 7 * 24 * 3600
"""How long the Workflow of a run stays, and with it the jobs of its failed members."""
SETTINGS = ("CONSORT_STORE", "CONSORT_IMAGE", "CONSORT_TORCH_IMAGE", "AWS_ENDPOINT_URL", "AWS_REGION")
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
USER_ID = 1000
"""The user of both images."""


def train_ensembles(members_at_a_time: int = MEMBERS_AT_A_TIME) -> graph_component.GraphComponent:
    """The pipeline that trains this many members at a time: a loop's limit is fixed when it is compiled."""

    train_and_answer = train_and_answer_of(members_at_a_time)

    @dsl.pipeline(name="train-ensembles", description="Train a study's members, compare ensembles, report.",
                  pipeline_config=pipeline_config())
    def pipeline(study: str, store: str = "", grow: bool = False, target: str = "cluster",
                 recompute: bool = False, export: bool = True) -> None:
        planned = step(plan_study(study=study, store=store, grow=grow))
        answered = train_and_answer(run=planned.outputs["run"], members=planned.outputs["members"], store=store,
                                    target=target, recompute=recompute).set_caching_options(False)
        confirmed = step(confirm_answer(run=planned.outputs["run"], store=store).after(answered))
        step(export_bundle(run=planned.outputs["run"], store=store, wanted=export).after(confirmed))

    return pipeline


def train_and_answer_of(members_at_a_time: int) -> graph_component.GraphComponent:
    """The part that trains the members of a planned run and brings it to its answer, with inputs run and members."""

    @dsl.pipeline(name="answer")
    def answer(run: str, store: str, target: str, recompute: bool) -> None:
        step(clean_up(target=target))
        predicted = step(predict_members(run=run, store=store, recompute=recompute))
        evaluated = step(evaluate_ensembles(run=run, store=store).after(predicted))
        step(report(run=run, store=store).after(evaluated))

    @dsl.pipeline(name="train-and-answer")
    def train_and_answer(run: str, members: list, store: str, target: str, recompute: bool) -> None:
        last = answer(run=run, store=store, target=target, recompute=recompute).set_caching_options(False)
        with (dsl.ExitHandler(last, name="members"),
              dsl.ParallelFor(members, name="each member", parallelism=members_at_a_time) as member):
            step(train_member(member=member, run=run, store=store, target=target))

    return train_and_answer


def step(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """What every step has: no cache (the store knows what is done), settings, credentials by name, its user."""
    task.set_caching_options(False)
    kubernetes.use_config_map_as_env(task, CONFIG_MAP, {name: name for name in SETTINGS}, optional=True)
    kubernetes.use_secret_as_env(task, STORE_SECRET, {name: name for name in CREDENTIALS}, optional=True)
    kubernetes.use_field_path_as_env(task, "POD_NAME", "metadata.name")
    kubernetes.set_image_pull_policy(task, "IfNotPresent")
    if hasattr(kubernetes, "set_security_context"):  # from kfp-kubernetes 2.16; before it the image's own user counts
        kubernetes.set_security_context(task, run_as_user=USER_ID, run_as_group=USER_ID, run_as_non_root=True)
    return task


def pipeline_config() -> dsl.PipelineConfig:
    """The Workflow's time to live, where this kfp can say it."""
    known = inspect.signature(dsl.PipelineConfig).parameters
    return dsl.PipelineConfig(**{name: KEEP_SECONDS for name in ("ttl_seconds_after_finished",) if name in known})
