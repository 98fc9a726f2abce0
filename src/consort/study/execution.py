"""How a study is executed: the tables [run], [cluster] and [grow]. None of them changes what a member or a run is."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from consort.settings import STORED, AsList, PositiveInt, Table

MAX_SEEDS = 10_000
MAX_NODES = 100
"""Of one member. A pod is called `<member id>-worker-<number>`, and the name of a pod has at most 63 characters: 48
of the id, 8 of `-worker-` and 2 of the number stay below that."""
MAX_PACK = 64
"""Members of one job."""
MEBIBYTE = 2**20
MAX_SECONDS = 2**31 - 1
"""The longest deadline: Kubernetes keeps seconds as signed numbers of 32 bits."""

_UNITS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_QUANTITY = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([kMGT]i?|Ki)")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_IMAGE = re.compile(r"([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*"
                    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?")
_PATH = re.compile(r"(/[A-Za-z0-9_.-]+)+")
_TAKEN_FOLDERS = ("bin", "dev", "etc", "lib", "lib64", "opt", "proc", "run", "sbin", "scratch", "sys", "tmp", "usr")


def bytes_of(quantity: str) -> int:
    """The bytes of a quantity such as "2Gi"; raises ValueError for what is none."""
    match = _QUANTITY.fullmatch(quantity)
    if match is None or match[2] not in _UNITS:
        raise ValueError('it should be a Kubernetes quantity with a unit, such as "2Gi" or "500Mi"')
    return int(float(match[1]) * _UNITS[match[2]])


def _quantity(value: str) -> str:
    if bytes_of(value) < MEBIBYTE:
        raise ValueError('it should be at least "1Mi"')
    return value


def _object_name(value: str) -> str:
    if len(value) > 253 or not _SUBDOMAIN.fullmatch(value):
        raise ValueError("it should be the name of a Kubernetes object: lower-case letters, digits, hyphens and dots")
    return value


def _label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if not _LABEL_VALUE.fullmatch(name) or (slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix))):
        raise ValueError("it should be a label's key, such as disk or example.com/disk, its name of at most 63 "
                         "letters, digits, '-', '_' and '.'")
    return value


def _label_value(value: str) -> str:
    if value and not _LABEL_VALUE.fullmatch(value):
        raise ValueError("it should be a label's value: at most 63 letters, digits, '-', '_' and '.'")
    return value


def _resource_name(value: str) -> str:
    if "/" not in _label_key(value):
        raise ValueError("it should be an extended resource with its domain, such as nvidia.com/gpu")
    return value


def _image(value: str) -> str:
    if len(value) > 500 or not _IMAGE.fullmatch(value):
        raise ValueError("it should be an image such as registry.example/consort-torch:1.0")
    return value


def _mount_path(value: str) -> str:
    parts = value.split("/")[1:]
    if not _PATH.fullmatch(value) or ".." in parts or "." in parts or parts[0] in _TAKEN_FOLDERS:
        raise ValueError("it should be an absolute folder such as /data, and not below one that the image or Consort "
                         "uses (/tmp, /scratch, /usr, ...)")
    return value


Quantity = Annotated[str, AfterValidator(_quantity)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
QueueName = Annotated[str, Field(min_length=1), AfterValidator(_label_value)]
ResourceName = Annotated[str, AfterValidator(_resource_name)]
Image = Annotated[str, AfterValidator(_image)]
MountPath = Annotated[str, AfterValidator(_mount_path)]
Seconds = Annotated[int, Field(ge=1, le=MAX_SECONDS)]


class RunSettings(Table):
    """How to execute; nothing here changes what a member is. `workers` is of one machine."""

    workers: PositiveInt | None = None
    """Processes that train side by side, each with a core or a GPU of its own; by default as many as there are."""
    members_per_gpu: PositiveInt | None = None
    """Members that one process trains side by side on a GPU; by default as many as fill it (`train.packs`)."""
    loader_workers: Annotated[int, Field(ge=0)] = 2
    """Processes per member that decode streamed images; small images need none."""
    checkpoint_seconds: Annotated[float, Field(ge=0.1)] = 60.0
    checkpoint_steps: PositiveInt | None = None
    deterministic: bool | None = None
    """On GPUs: bits that no interruption changes, at some cost. CPUs have them in any case."""
    compile: bool = False
    """torch.compile, where a C compiler is at hand."""


class Volume(Table):
    """[cluster.data]: large image folders on a volume of the cluster, read where they lie."""

    claim: ObjectName
    """A PersistentVolumeClaim in the namespace; it is mounted read-only."""
    path: MountPath = "/data"
    """Where the images' folder appears in the pods."""


class Toleration(Table):
    """One of Kubernetes' own tolerations, in its spelling."""

    key: Annotated[str, AfterValidator(lambda key: key and _label_key(key))] = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: Annotated[int, Field(ge=0, le=MAX_SECONDS)] | None = None

    @model_validator(mode="after")
    def _as_kubernetes_has_it(self) -> "Toleration":
        if not self.key and self.operator != "Exists":
            raise ValueError('a toleration without a key tolerates everything, and needs operator = "Exists"')
        if self.operator == "Exists" and self.value:
            raise ValueError('operator = "Exists" takes no value')
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            raise ValueError('tolerationSeconds needs effect = "NoExecute"')
        return self


class Cluster(Table):
    """[cluster]: what a member's pods ask for, and where they run."""

    torch_image: Image | None = None
    """Trains, predicts and measures."""
    image: Image | None = None
    """Plans, launches, evaluates and reports; it has no torch."""
    members_at_a_time: Annotated[int, Field(ge=1, le=10_000)] = 4
    members_per_job: Annotated[int, Field(ge=1, le=MAX_PACK)] = 1
    """So many members of one architecture and recipe share a job, and its pod: on a GPU they train side by side."""
    nodes: Annotated[int, Field(ge=1, le=MAX_NODES)] = 1
    """Pods per member."""
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Per pod. All processes of all pods train one member together."""
    cpus: Annotated[float, Field(ge=0.1, le=1024)] = 1.0
    """Per pod, as are all amounts here; each is both request and limit."""
    memory: Quantity = "2Gi"
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    gpu_resource: ResourceName = "nvidia.com/gpu"
    scratch: Quantity = "10Gi"
    """The node's disk that a pod may fill: its copy of the prepared data."""
    shared_memory: Quantity = "1Gi"
    """Size of /dev/shm, for the processes that decode images; what is in it counts as memory."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    tolerations: Annotated[tuple[Toleration, ...], AsList] = ()
    priority_class: ObjectName | None = None
    queue: QueueName | None = None
    """A LocalQueue of Kueue, which then decides when jobs start."""
    spot: Literal["gke", "eks", "aks"] | None = None
    """Run members on this provider's interruptible nodes."""
    deadline_seconds: Seconds = 86_400
    """For each job: one that takes longer has failed."""
    failed_ttl_seconds: Annotated[int, Field(ge=0, le=MAX_SECONDS)] = 604_800
    """An ended job stays for so long, for its log. Members that are done leave at once."""
    cache_claim: ObjectName | None = None
    """A PersistentVolumeClaim that keeps prepared data between pods; by default each pod fetches its own copy."""
    data: Volume | None = None

    @model_validator(mode="after")
    def _each_process_has_a_gpu(self, info: ValidationInfo) -> "Cluster":
        """In study files: runs that were planned before there was this rule can still be read."""
        if info.context != STORED and 0 < self.gpus < self.processes:
            raise ValueError(f"each process of a member needs a GPU of its own; got processes = {self.processes} with "
                             f"gpus = {self.gpus} per pod. Set processes to {self.gpus}, gpus to {self.processes}, or "
                             "gpus to 0")
        return self

    @model_validator(mode="after")
    def _one_process_trains_a_pack(self) -> "Cluster":
        several = [f"{key} = {value}" for key, value in (("nodes", self.nodes), ("processes", self.processes),
                                                         ("gpus", self.gpus)) if value > 1]
        if self.members_per_job > 1 and several:
            raise ValueError(f"members_per_job > 1 is for members that one process trains, with one GPU or none; got "
                             f"members_per_job = {self.members_per_job} with {', '.join(several)}. Set members_per_job "
                             f"to 1, or {' and '.join(setting.split()[0] for setting in several)} to 1")
        return self


class Grow(Table):
    """[grow]: how each re-run of a scheduled study adds seeds; `grow = 1` is short for `seeds = 1`."""

    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)] = 1
    """Added to every trained architecture per re-run."""
    until_width: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Stop when the headline's gain, if the same recipes were trained again, has an interval narrower than this
    fraction (0.01: one point), from three seeds or more of each trained architecture."""
    max_seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)] = 20
    """Stop when an architecture has so many."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"seeds": value} if type(value) is int else value  # true and false are no numbers of seeds
