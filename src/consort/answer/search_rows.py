"""What a reader sees of search.json where. Shared by the page, the tables and the picture, so that they agree."""

from collections import Counter
from collections.abc import Iterable, Sequence

KINDS = {"single": "single network", "uniform": "copies of one network", "joint": "networks chosen together",
         "copies": "copies of the best single", "best": "best single of all"}
"""Kind -> what it is; in this order everywhere. Their place decides colour and marker."""
LATENCIES = {"parallel": "parallel_latency_ms", "serial": "serial_latency_ms"}
"""How an ensemble's latency is counted -> the column of trials and ensembles."""
COLUMNS: dict[str, type] = {
    "number": int, "kind": str, "sampler": str, "control": bool, "networks": str, "state": str, "reason": str,
    "reward": float, "accuracy": float, "latency_ms": float, "parallel_latency_ms": float, "serial_latency_ms": float,
    "macs": int, "largest_macs": int, "params": int, "train_seconds": float, "reused": int, "latency_source": str,
    "hardware_id": str, "trial": str, "members": str, "reward_second": float, "accuracy_second": float,
    "second_trial": str,
}
"""Columns of the tables of trials in order; a column may be null where it is not known."""


def kinds(results: dict) -> list[str]:
    """The kinds that were searched for."""
    found = {arm["kind"] for arm in results["arms"]}
    return [kind for kind in KINDS if kind in found]


def arms_of(results: dict, kind: str) -> list[dict]:
    """The arms of a kind, the control last."""
    return sorted((arm for arm in results["arms"] if arm["kind"] == kind), key=lambda arm: arm["control"])


def label(networks: Sequence[str]) -> str:
    """`2 x net-a + 1 x net-b`, in the order of first mention."""
    return " + ".join(f"{count} x {name}" for name, count in Counter(networks).items())


def trial_rows(results: dict) -> list[dict]:
    """A row per trial with COLUMNS, arm after arm."""
    rows, seconds = [], {(row["kind"], row["trial"]): row for row in second_trainings(results)}
    for arm in (arm for kind in kinds(results) for arm in arms_of(results, kind)):
        for trial in arm["trials"]:
            second = seconds.get((arm["kind"], trial["id"]), {})
            of_arm = {"kind": arm["kind"], "sampler": arm["sampler"], "control": arm["control"], "trial": trial["id"],
                      "networks": label(trial["networks"]), "members": "+".join(trial["members"]),
                      **{name: second.get(name) for name in ("reward_second", "accuracy_second", "second_trial")}}
            rows.append({name: of_arm.get(name, trial.get(name)) for name in COLUMNS})
    return rows


def second_trainings(results: dict) -> list[dict]:
    """The candidates that were trained a second time, kind after kind, the highest first reward first; none where an
    earlier version searched."""
    rows = (results.get("retraining") or {"rows": []})["rows"]
    return [row for kind in KINDS for row in rows if row["kind"] == kind]


def best_so_far(trials: Iterable[dict]) -> list[tuple[int, float]]:
    """(trials until then, best reward) where the best changes, and at the last trial; trials in order of number."""
    curve: list[tuple[int, float]] = []
    count = 0
    for count, trial in enumerate(sorted(trials, key=lambda trial: trial["number"]), 1):
        if trial["reward"] is not None and (not curve or trial["reward"] > curve[-1][1]):
            curve.append((count, trial["reward"]))
    if curve and curve[-1][0] < count:
        curve.append((count, curve[-1][1]))
    return curve


def best_within(trials: Iterable[dict], count: int) -> float | None:
    """The best reward of the first `count` trials."""
    first = sorted(trials, key=lambda trial: trial["number"])[:count]
    return max((trial["reward"] for trial in first if trial["reward"] is not None), default=None)


def front(points: Iterable[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    """(latency, accuracy) of those that none is both as fast and more accurate than, the fastest first."""
    known = [(ms, accuracy) for ms, accuracy in points if ms is not None and accuracy is not None]
    found: list[tuple[float, float]] = []
    for ms, accuracy in sorted(known, key=lambda point: (point[0], -point[1])):
        if not found or accuracy > found[-1][1]:
            found.append((ms, accuracy))
    return found


def reward_floor(rewards: Sequence[float]) -> float:
    """Where a plot of rewards ends below: a few failures of a search must not press all others together.

    The lower whisker of Tukey's box plot: 1.5 interquartile ranges below the first quartile, or the lowest reward.
    """
    ordered = sorted(rewards)
    first, third = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    return max(ordered[0], first - 1.5 * (third - first))


def leaders(results: dict) -> dict[str, list[str]]:
    """Kind -> the networks of its winner; before there are winners, of the candidate that leads: by both trainings
    where there were two, else the best trial within the target."""
    if results["final"]:
        return {row["kind"]: row["networks"] for row in results["final"]["winners"]}
    found, named = {}, {row["kind"]: row["networks"] for row in second_trainings(results) if row["winner"]}
    for kind in kinds(results):
        within = [trial for arm in arms_of(results, kind) for trial in arm["trials"]
                  if trial["reward"] is not None and trial["latency_ms"] <= results["objective"]["target_latency_ms"]]
        if within:
            found[kind] = max(within, key=lambda trial: trial["reward"])["networks"]
    return found | named


def ensembles(results: dict) -> dict[str, dict]:
    """Kind -> the winner that was trained again; empty before it was."""
    rows = results["final"]["ensembles"] if results["final"] else []
    by_kind = {row["kind"]: row for row in rows}
    return {kind: by_kind[kind] for kind in KINDS if kind in by_kind}


def difference(row: dict, other: str) -> dict | None:
    """The accuracy of an ensemble minus that of the one of another kind, with its interval."""
    return next((d for d in row["differences"] if d["minus"] == other), None)


def is_mixed(row: dict) -> bool:
    return len(set(row["networks"])) > 1
