"""Every key of the store in one place; no other module joins strings into keys."""

import re

MEMBERS = "members"
SPECS = "specs"
STUDIES = "studies"
DATA = "data"
LATENCIES = "latency"
TRIALS = "trials"


def member_file(member_id: str, name: str) -> str:
    return f"{MEMBERS}/{member_id}/{name}"


def member_folder(member_id: str) -> str:
    return f"{MEMBERS}/{member_id}"


def member_record(member_id: str) -> str:
    """Written last: its presence means that the member is done."""
    return member_file(member_id, "member.json")


def spec_folder(slug: str) -> str:
    return f"{SPECS}/{slug}"


def spec(slug: str, digest: str) -> str:
    """Written by the plan: architecture, data and recipe, all that members of different seeds share.

    With a member's id it is all that a step needs to know. digest: the first 10 hex digits of its content's sha256.
    """
    return f"{spec_folder(slug)}/{digest}.json"


def member_failure(member_id: str) -> str:
    """Why a member cannot be trained; a retry would end the same way."""
    return member_file(member_id, "failed.json")


def member_setback(member_id: str) -> str:
    """Why the last job that trained it ended without it; another attempt may succeed."""
    return member_file(member_id, "setback.json")


def member_curve(member_id: str) -> str:
    """Validation accuracy after each epoch; only searches with median stopping write it."""
    return member_file(member_id, "curve.json")


def member_lock(member_id: str) -> str:
    return f"locks/{member_id}"


def resume_folder(member_id: str) -> str:
    return member_file(member_id, "resume")


def resume_pointer(member_id: str) -> str:
    return member_file(member_id, "resume/newest.json")


def checkpoint_file(member_id: str, step: int, name: str) -> str:
    return member_file(member_id, f"resume/{step:08d}/{name}")


def logits_name(images: str) -> str:
    """Predictions of a member on `images`: val, test, or the fingerprint of a further test set."""
    return f"logits-{images}.npy"


def extra_logits_record_name(fingerprint: str) -> str:
    return f"logits-{fingerprint}.json"


def extra_logits(member_id: str, fingerprint: str) -> str:
    """Logits on a further test set."""
    return member_file(member_id, logits_name(fingerprint))


def extra_logits_record(member_id: str, fingerprint: str) -> str:
    """Written last: the sha256 of the logits on a further test set."""
    return member_file(member_id, extra_logits_record_name(fingerprint))


def data_file(fingerprint: str, name: str) -> str:
    return f"{DATA}/{fingerprint}/{name}"


def data_manifest(fingerprint: str) -> str:
    """Written last: its presence means that the prepared data is whole."""
    return data_file(fingerprint, "manifest.json")


def source_index(source_key: str) -> str:
    """Which prepared data a source file or folder became, so that it is not decoded again."""
    return f"{DATA}/sources/{source_key}.json"


def latency_record(hardware_id: str, architecture: str, conditions: str) -> str:
    """conditions: such as `32x32-c10-b1-t1`."""
    return f"{LATENCIES}/{hardware_id}/{_slug(architecture)}-{conditions}.json"


def training_format(hardware_id: str, architecture: str, size: str) -> str:
    """Which number format trains faster; size: such as 32x32."""
    return f"{LATENCIES}/{hardware_id}/{_slug(architecture)}-{size}-training.json"


def _slug(architecture: str) -> str:
    return re.sub(r"[^a-z0-9_.]+", "-", architecture.lower())


def latency_table_name(digest: str) -> str:
    return f"table-{digest}.json"


def latency_table(hardware_id: str, digest: str) -> str:
    """The measured pieces of a search space's networks; digest says of which space, image size, batch and threads."""
    return f"{LATENCIES}/{hardware_id}/{latency_table_name(digest)}"


def bundle(study: str, run: str, candidate: str) -> str:
    """The folder of an exported candidate."""
    return f"{STUDIES}/{study}/{run}/bundles/{candidate}"


def bundle_latency(hardware_id: str, digest: str) -> str:
    """How long an exported bundle takes; digest says of which graph and runtime."""
    return f"{LATENCIES}/{hardware_id}/bundle-{digest}.json"


def study_file(study: str, run: str, name: str) -> str:
    return f"{STUDIES}/{study}/{run}/{name}"


def study_plan(ref: str) -> str:
    """What a planned run will do; `ref` is NAME/RUN. Steps need no study file and no data source beside it."""
    return f"{STUDIES}/{ref}/plan.json"


def trial(trial_id: str) -> str:
    """How a candidate of a search did; content-addressed, so that searches share trials."""
    return f"{TRIALS}/{trial_id}.json"


def proposals(study: str, run: str, arm: str) -> str:
    return f"{STUDIES}/{study}/{run}/arms/{arm}"


def proposal(study: str, run: str, arm: str, number: int) -> str:
    """What one arm of a search tries as its number-th trial, counted from 0; written before the trial starts."""
    return f"{proposals(study, run, arm)}/{number:05d}.json"
