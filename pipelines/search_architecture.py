"""search_architecture: a search from its plan to its winners.

    plan_study -> search_architecture

The step follows Katib's Experiments and adopts those that run. `search_then_ensemble` goes on from there.
"""

from kfp import dsl
from kfp.dsl import graph_component

from consort_components.plan_study.component import plan_study
from consort_components.search_architecture.component import search_architecture as search
from consort_pipelines.train_ensembles import pipeline_config, step


def search_architecture() -> graph_component.GraphComponent:
    """The pipeline of a search alone."""

    @dsl.pipeline(name="search-architecture", description="Search the architectures of a study under a latency target.",
                  pipeline_config=pipeline_config())
    def pipeline(study: str, store: str = "", target: str = "cluster", sampler: str = "") -> None:
        planned = step(plan_study(study=study, store=store))
        step(search(run=planned.outputs["run"], store=store, target=target, sampler=sampler))

    return pipeline
