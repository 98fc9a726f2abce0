"""search_then_ensemble: search architectures, train the winners fully with new seeds, compare them.

    plan_study -> search_architecture -> train_and_answer -> confirm_answer -> export_bundle
                                                          -> compare_winners

The winners' study is an ordinary one: what trains, evaluates and reports it is that of train_ensembles.
"""

from kfp import dsl
from kfp.dsl import graph_component

from consort_components.compare_winners.component import compare_winners
from consort_components.confirm_answer.component import confirm_answer
from consort_components.export_bundle.component import export_bundle
from consort_components.plan_study.component import plan_study
from consort_components.search_architecture.component import search_architecture as search
from consort_pipelines.train_ensembles import MEMBERS_AT_A_TIME, pipeline_config, step, train_and_answer_of


def search_then_ensemble(members_at_a_time: int = MEMBERS_AT_A_TIME) -> graph_component.GraphComponent:
    """The pipeline that trains this many members of the winners at a time."""
    train_and_answer = train_and_answer_of(members_at_a_time)

    @dsl.pipeline(name="search-then-ensemble", description="Search architectures, train the winners, compare them.",
                  pipeline_config=pipeline_config())
    def pipeline(study: str, store: str = "", target: str = "cluster", sampler: str = "",
                 export: bool = True) -> None:
        planned = step(plan_study(study=study, store=store))
        found = step(search(run=planned.outputs["run"], store=store, target=target, sampler=sampler))
        answered = train_and_answer(run=found.outputs["run"], members=found.outputs["members"], store=store,
                                    target=target, recompute=False).set_caching_options(False)
        confirmed = step(confirm_answer(run=found.outputs["run"], store=store).after(answered))
        step(export_bundle(run=found.outputs["run"], store=store, wanted=export).after(confirmed))
        step(compare_winners(run=planned.outputs["run"], store=store, target=target, sampler=sampler).after(answered))

    return pipeline
