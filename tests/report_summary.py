"""A small summary.json, written by hand: three wrn-10-1, one wrn-10-2, a mixed ensemble, values that are unknown."""

import copy
from typing import Any

HOSTILE = '</script><b id="broken-out">"quoted" & <!--'

_UNKNOWN = dict.fromkeys(
    [f"{name}_{budget}{end}" for budget in ("macs", "latency_parallel", "latency_serial", "train_macs")
     for name, end in (("versus", ""), ("gain", ""), ("gain", "_low"), ("gain", "_high"))])


def _row(ensemble: str, kind: str, members: int, macs: int, accuracy: float, subsets: int, **values: Any) -> dict:
    return {
        "test_set": "test", "ensemble": ensemble, "kind": kind, "combine": "geometric", "num_members": members,
        "macs": macs, "flops": 2 * macs, "params": macs // 100, "latency_parallel_ms": None,
        "latency_serial_ms": None, "train_macs": 3 * macs * 900, "train_cpu_seconds": 2.5 * members,
        "num_subsets": subsets, "subsets_sampled": False, "accuracy_mean": accuracy,
        "accuracy_sd": None if subsets == 1 else 0.011, "nll_mean": 0.25, "nll_sd": None,
        "val_accuracy_mean": accuracy + 0.01, "val_nll_mean": 0.24, "accuracy_low": accuracy - 0.012,
        "accuracy_high": accuracy + 0.011, "chosen_members": "wrn-10-1-s0-aaaaaaaaaa", "accuracy": accuracy,
        "nll": 0.26, "nll_calibrated": 0.22, "temperature": 0.8, "ece": 0.031, "ece_calibrated": 0.012, "brier": 0.1,
        "disagreement": None, "error_correlation": None, "oracle_accuracy": 0.98, "member_accuracy": 0.92,
        "pareto_macs": True, "pareto_latency_parallel": False, "pareto_latency_serial": False,
        "pareto_train_macs": True, **_UNKNOWN, **values}


GAIN = {"versus_macs": "1 x wrn-10-2", "gain_macs": 0.0131, "gain_macs_low": 0.0052, "gain_macs_high": 0.0213}
TEXT = ("Under 3.2 M MACs deploy 3 x wrn-10-1: 95.1 % against 93.8 % for the best single that costs no less "
        "(1 x wrn-10-2), +1.3 points [+0.5, +2.1].")
SMALLER = "Under 0.9 M MACs deploy the single 1 x wrn-10-1: 92.3 %; no ensemble fits."

SUMMARY: dict[str, Any] = {
    "study": "digits", "run": "r1", "question": "One network or three?", "combine": "geometric", "confidence": 0.95,
    "answer": TEXT, "notes": [],
    "answers": [
        {"budget_macs": 3_200_000, "text": TEXT, "ensemble": "3 x wrn-10-1", "versus": "1 x wrn-10-2",
         "accuracy": 0.951, "versus_accuracy": 0.938, "gain": 0.0131, "low": 0.0052, "high": 0.0213, "resolved": True},
        {"budget_macs": 900_000, "text": SMALLER, "ensemble": "1 x wrn-10-1", "versus": None, "accuracy": 0.923,
         "versus_accuracy": None, "gain": None, "low": None, "high": None, "resolved": False},
    ],
    "rows": [
        _row("1 x wrn-10-1", "single", 1, 900_000, 0.923, 3),
        _row("2 x wrn-10-1", "uniform", 2, 1_800_000, 0.944, 3, **GAIN),
        _row("3 x wrn-10-1", "uniform", 3, 2_700_000, 0.951, 1, **GAIN),
        _row("1 x wrn-10-2", "single", 1, 3_200_000, 0.938, 1, pareto_macs=False),
        _row("1 x wrn-10-1 + 1 x wrn-10-2", "mixed", 2, 4_100_000, 0.947, 3, pareto_macs=False, subsets_sampled=True),
        _row("1 x wrn-10-1", "single", 1, 900_000, 0.923, 3, combine="arithmetic"),
        _row("3 x wrn-10-1", "uniform", 3, 2_700_000, 0.9487, 1, combine="arithmetic"),
        _row("1 x wrn-10-1", "single", 1, 900_000, 0.71, 3, test_set="noisy"),
        _row("1 x wrn-10-2", "single", 1, 3_200_000, 0.7, 1, test_set="noisy", accuracy_low=None, accuracy_high=None),
    ],
    "fair_pairs": [
        {"ensemble": "3 x wrn-10-1", "versus": "1 x wrn-10-2", "macs": 2_700_000, "versus_macs": 3_200_000,
         "gain": 0.0131, "low": 0.0052, "high": 0.0213, "accuracy": 0.951, "versus_accuracy": 0.938,
         "combine": "geometric", "resolved": True, "anew": {"low": -0.0031, "high": 0.0293, "resolved": False}}],
    "reliability": {
        "1 x wrn-10-1": {"confidence": [None] * 12 + [0.83, 0.9, 0.97], "accuracy": [None] * 12 + [0.8, 0.92, 0.99],
                         "count": [0] * 12 + [100, 300, 600]},
        "1 x wrn-10-2": {"confidence": [None] * 15, "accuracy": [None] * 15, "count": [0] * 15}},
    "diversity": [
        {"a": "wrn-10-1-s0-aaaaaaaaaa", "b": "wrn-10-1-s1-bbbbbbbbbb", "same_architecture": True,
         "disagreement": 0.061, "error_correlation": 0.31},
        {"a": "wrn-10-1-s0-aaaaaaaaaa", "b": "wrn-10-2-s0-cccccccccc", "same_architecture": False,
         "disagreement": 0.05, "error_correlation": None}],
    "members": [
        {"id": name, "architecture": name[:8], "seed": seed, "val_accuracy": 0.93, "test_accuracy": 0.923,
         "macs": 900_000, "params": 77_000, "train_seconds": 2.4, "train_cpu_seconds": 2.5, "train_images": 900,
         "precision": "float32", "attempts": 1, "imported": False,
         "history": [{"epoch": 1, "loss": 2.0, "val_accuracy": 0.4}, {"epoch": 2, "loss": 1.1 + 0.1 * seed,
                                                                     "val_accuracy": 0.93}]}
        for name, seed in (("wrn-10-1-s0-aaaaaaaaaa", 0), ("wrn-10-1-s1-bbbbbbbbbb", 1), ("wrn-10-1-s2-dddddddddd", 2),
                           ("wrn-10-2-s0-cccccccccc", 0))],
    "latencies": [], "missing": {"wrn-10-2-s1-eeeeeeeeee": "its loss became NaN"},
    "context": {"study": 'name = "digits"\n', "command": "consort run", "data": {"fingerprint": "5f1e0c2d"},
                "hardware": {"cpu": "some processor", "cores": 2, "gpu": None}, "versions": {"numpy": "2.4"}},
    "test_images": 1000, "val_images": 300, "classes": ["0", "1", "2"],
}


def with_latency(summary: dict) -> dict:
    """The same summary where every latency is known."""
    changed = copy.deepcopy(summary)
    for row in changed["rows"]:
        row |= {"latency_parallel_ms": 1.5, "latency_serial_ms": 1.5 * row["num_members"],
                "pareto_latency_parallel": True, "pareto_latency_serial": True}
    changed["latencies"] = [
        {"architecture": name, "median_ms": 1.5, "p10_ms": 1.4, "p90_ms": 1.7, "batch_size": 1, "threads": 1,
         "input": "8x8", "device": "cpu", "precision": "float32", "repeats": 50, "hardware_id": "0123abcdef",
         "hardware": {"cpu": "another processor", "gpu": None}} for name in ("wrn-10-1", "wrn-10-2")]
    return changed


def hostile() -> dict:
    """The same summary where every free text tries to break out of where it stands."""
    return SUMMARY | {
        "question": HOSTILE, "answer": HOSTILE, "notes": [HOSTILE], "missing": {HOSTILE: HOSTILE}, "classes": [HOSTILE],
        "context": {"study": f"# {HOSTILE}\nname = 1\n", HOSTILE: {HOSTILE: [HOSTILE]}},
        "reliability": {HOSTILE: SUMMARY["reliability"]["1 x wrn-10-1"]},
    }
