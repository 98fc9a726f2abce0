"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from consort.store.environment import DEFAULT_STORE as DEFAULT_STORE  # commands take these with the options
from consort.store.environment import cache_folder as cache_folder
from consort.store.environment import open_store_at as open_store_at

StoreOption = Annotated[str, typer.Option(
    "--store", envvar="CONSORT_STORE", metavar="URI",
    help="A folder, or s3://bucket/prefix (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).")]
StudyArgument = Annotated[Path, typer.Argument(
    metavar="STUDY", help="A study file (TOML), or NAME/RUN of a planned run in the store.", show_default=False)]
DataOption = Annotated[str | None, typer.Option(
    "--data", metavar="SOURCE", help="Use this instead of the study's [data] source.", show_default=False)]
GrowOption = Annotated[bool, typer.Option(
    "--grow", help="Add the seeds that the study's `grow` asks for, until its answer is narrow enough.")]
OutputOption = Annotated[Path | None, typer.Option(
    "--output", help="Copy the report into this folder; from a cluster by default into consort-report/.",
    show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
NamespaceOption = Annotated[str | None, typer.Option(
    "--namespace", "-n", envvar="CONSORT_NAMESPACE", show_default=False,
    help="Namespace of the jobs; by default the kubeconfig's, or the pod's own.")]
ContextOption = Annotated[str | None, typer.Option(
    "--context", help="Context of the kubeconfig.", show_default=False)]
LogOption = Annotated[str, typer.Option("--log", metavar="text|json", help="Plain lines, or one JSON event a line.")]
ImagesOption = Annotated[Path | None, typer.Option(
    "--images", help="Where streamed images are, when not where they were prepared.", show_default=False)]
DeterministicOption = Annotated[bool, typer.Option(
    "--deterministic", help="On a GPU: bits that no interruption changes.")]
CheckpointSecondsOption = Annotated[float, typer.Option(min=0.1, help="Save the state this often.")]
CheckpointStepsOption = Annotated[int | None, typer.Option(
    min=1, help="Save every N steps too.", show_default=False)]
LoaderWorkersOption = Annotated[int, typer.Option(min=0, help="Processes that decode streamed images.")]
CompileOption = Annotated[bool, typer.Option("--compile", help="torch.compile, where a C compiler is at hand.")]
MacsOption = Annotated[str | None, typer.Option(
    "--macs", metavar="AMOUNT", help="Multiply-adds an image, such as 100M; a cascade's mean.", show_default=False)]
MsOption = Annotated[float | None, typer.Option(
    "--ms", min=0, help="Milliseconds an image, one network after the other; a cascade's mean.", show_default=False)]
ParallelOption = Annotated[bool, typer.Option("--parallel", help="--ms is with one device per member.")]
ParamsOption = Annotated[str | None, typer.Option(
    "--params", metavar="AMOUNT", help="Parameters, such as 10M.", show_default=False)]
MbOption = Annotated[float | None, typer.Option(
    "--mb", min=0, help="Megabytes of weights.", show_default=False)]
WorstOption = Annotated[bool, typer.Option("--worst", help="--macs and --ms hold for every image, not on average.")]
