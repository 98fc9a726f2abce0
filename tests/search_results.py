"""A search.json made by hand: three kinds, evolution against random, winners that were trained again."""

import copy
import random
from typing import Any

from report_summary import HOSTILE

MIXED = ["net-s-w16d1k3-m24d2k3e4-q32d1k5e3", "net-s-w16d1k3-w16d2k3-w32d1k3", "net-s-w16d2k3-w16d1k3-w32d1k3n"]
SINGLE = "net-s-w16d1k3-w16d2k3-w32d1k3"
UNIFORM = "net-s-w16d1k3-w32d1k3-w32d1k3"
_BLOCKS = ("w{}d1k3", "w{}d2k3", "m{}d1k3e4", "m{}d2k5e2", "q{}d1k3e3")


def _network(rng: random.Random) -> str:
    return "net-s-" + "-".join(rng.choice(_BLOCKS).format(rng.choice(widths))
                               for widths in ((8, 16), (16, 32), (32, 64)))


def _trial(number: int, kind: str, rng: random.Random, luck: float) -> dict[str, Any]:
    networks = [_network(rng)] * (1 if kind == "single" else 3)
    if kind == "joint":
        networks = [_network(rng) for _ in range(3)]
    each = [round(rng.uniform(0.35, 1.2), 3)] * len(networks)
    latency, accuracy = max(each), min(0.52 + luck + 0.05 * max(each) + rng.gauss(0, 0.02) + 0.02 * len(each), 0.9)
    return {
        "number": number, "id": f"t-{rng.randrange(16**10):010x}", "kind": kind, "networks": networks,
        "members": [f"{name}-s{i}" for i, name in enumerate(networks)], "state": "done", "reason": None,
        "accuracy": accuracy, "member_accuracies": [accuracy - 0.02] * len(networks),
        "reward": accuracy * (latency / 0.8) ** -0.07, "latency_ms": latency, "parallel_latency_ms": latency,
        "serial_latency_ms": sum(each), "network_latencies_ms": dict(zip(networks, each, strict=True)),
        "latency_spread_ms": None, "latency_source": "table", "hardware_id": "0123abcdef", "macs": 900_000 * len(each),
        "largest_macs": 900_000, "params": 77_000 * len(each), "train_seconds": 31.5, "reused": number % 2,
        "versions": {"torch": "2.9"}, "finished_at": "2026-01-01T00:00:00+00:00"}


def _arm(kind: str, sampler: str, seed: int) -> dict[str, Any]:
    rng, control = random.Random(seed), sampler == "random"
    trials = [_trial(n, kind, rng, 0.0 if control else 0.002 * n) for n in range(24)]
    unknown = dict.fromkeys(("accuracy", "reward", "latency_ms", "parallel_latency_ms", "serial_latency_ms", "macs",
                             "largest_macs", "params"))
    trials[5] |= unknown | {"state": "failed", "reason": "its loss became NaN", "member_accuracies": []}
    return {"kind": kind, "sampler": sampler, "control": control, "trials": trials,
            "train_macs": 2_000_000_000_000}


def _retraining(arms: list[dict]) -> dict[str, Any]:
    """The best two of each kind, of which the second wins where it is single networks."""
    rows = []
    for kind in ("single", "uniform", "joint"):
        within = {t["id"]: t for arm in arms if arm["kind"] == kind for t in arm["trials"]
                  if t["reward"] is not None and t["latency_ms"] <= 0.8}
        best = sorted(within.values(), key=lambda trial: -trial["reward"])[:2]
        for place, trial in enumerate(best):
            second = trial["reward"] - (0.05 if (place == 0) == (kind == "single") else 0.01)
            rows.append({"kind": kind, "networks": trial["networks"], "trial": trial["id"], "second_trial":
                         f"t-{kind}-{place}", "reward": trial["reward"], "accuracy": trial["accuracy"],
                         "reward_second": second, "accuracy_second": trial["accuracy"] - 0.01,
                         "reward_mean": (trial["reward"] + second) / 2, "winner": (place == 1) == (kind == "single"),
                         "state": "done", "reason": None, "train_seconds": 30.0})
    return {"rows": rows, "train_macs": dict.fromkeys(("single", "uniform", "joint"), 170_000_000_000)}


def _ensemble(kind: str, networks: list[str], accuracy: float, latency: float, differences: dict) -> dict[str, Any]:
    counts = {name: networks.count(name) for name in networks}
    return {"kind": kind, "ensemble": " + ".join(f"{count} x {name}" for name, count in counts.items()),
            "networks": networks, "accuracy": accuracy, "low": accuracy - 0.012, "high": accuracy + 0.011,
            "parallel_latency_ms": latency, "serial_latency_ms": latency * len(networks),
            "macs": 900_000 * len(networks), "params": 77_000 * len(networks), "num_subsets": 1,
            "differences": [_difference(gain, low, high) | {"minus": other}
                            for other, (gain, low, high) in differences.items()]}


def _difference(gain: float, low: float, high: float) -> dict[str, Any]:
    """Trained again it is half as sure."""
    anew = [2 * low - gain, 2 * high - gain]
    return {"accuracy": gain, "low": low, "high": high, "resolved": not low <= 0 <= high, "anew": anew,
            "anew_unknown": None, "resolved_anew": not anew[0] <= 0 <= anew[1]}


FINAL: dict[str, Any] = {
    "ref": "digits-search-final/0a1b2c3d", "combine": "geometric", "confidence": 0.95, "test_images": 10000,
    "winners": [
        {"kind": "single", "networks": [SINGLE], "trial": "t-1", "reward": 0.61, "accuracy": 0.6, "latency_ms": 0.78},
        {"kind": "uniform", "networks": [UNIFORM] * 3, "trial": "t-2", "reward": 0.65, "accuracy": 0.64,
         "latency_ms": 0.74},
        {"kind": "joint", "networks": MIXED, "trial": "t-3", "reward": 0.66, "accuracy": 0.65, "latency_ms": 0.79}],
    "ensembles": [
        _ensemble("single", [SINGLE], 0.68, 0.78, {"uniform": (-0.021, -0.027, -0.015), "copies": (-0.02, -0.03, -0.01),
                                                   "joint": (-0.032, -0.04, -0.024)}),
        _ensemble("uniform", [UNIFORM] * 3, 0.701, 0.74, {"single": (0.021, 0.015, 0.027),
                                                          "copies": (0.001, -0.004, 0.006),
                                                          "joint": (-0.011, -0.019, -0.003)}),
        _ensemble("copies", [SINGLE] * 3, 0.70, 0.78, {"single": (0.02, 0.01, 0.03), "uniform": (-0.001, -0.006, 0.004),
                                                       "joint": (-0.012, -0.02, -0.004)}),
        _ensemble("joint", MIXED, 0.712, 0.79, {"single": (0.032, 0.024, 0.04), "uniform": (0.011, 0.003, 0.019),
                                                "copies": (0.012, 0.004, 0.02)})],
    "mixing": [{"ensemble": f"3 x {UNIFORM}", **_difference(0.011, 0.006, 0.016)},
               {"ensemble": f"3 x {SINGLE}", **_difference(0.012, 0.007, 0.017)}],
    "missing": {},
}
ARMS = [_arm(kind, sampler, 10 * i + j) for i, kind in enumerate(("single", "uniform", "joint"))
        for j, sampler in enumerate(("evolution", "random"))]
RESULTS: dict[str, Any] = {
    "study": "digits-search", "run": "1a2b3c4d", "question": "Three networks chosen together, or copies of one?",
    "objective": {"target_latency_ms": 0.8, "reward": "soft", "exponent": None, "latency": "parallel",
                  "source": "table"},
    "members": 3, "hardware_id": "0123abcdef", "input": "32x32", "val_images": 5000,
    "confidence": 0.95,
    "arms": ARMS, "retraining": _retraining(ARMS),
    "train_macs": dict.fromkeys(("single", "uniform", "joint"), 3_900_000_000_000),
    "latency_table": {"hardware_id": "0123abcdef", "error": {
        "n": 30, "mean_absolute_percent": 3.4, "bias_percent": -1.2, "worst_percent": -9.1, "worst": SINGLE,
        "rank_correlation": 0.97}},
    "final": FINAL,
}


def changed(**values: Any) -> dict[str, Any]:
    """The same results with other values on top."""
    return copy.deepcopy(RESULTS) | values


def with_difference(gain: float, low: float, high: float, rival: int = 0) -> dict[str, Any]:
    """The same results where this is the joint winner's accuracy minus that of the copies of one of its rivals, with
    the interval of those trained again."""
    results = copy.deepcopy(RESULTS)
    joint = next(row for row in results["final"]["ensembles"] if row["kind"] == "joint")
    joint["accuracy"] = 0.701 + gain if rival == 0 else joint["accuracy"]
    results["final"]["mixing"][rival].update(accuracy=gain, low=low, high=high, anew=[low, high])
    return results


def hostile() -> dict[str, Any]:
    """The same results where every free text tries to break out of where it stands."""
    results = changed(question=HOSTILE, study=HOSTILE)
    results["arms"][0]["trials"][5]["reason"] = HOSTILE
    results["final"]["missing"] = {HOSTILE: HOSTILE}
    return results
