"""What a registry of models is told of a bundle: a name, and a number or a text."""

from typing import Any


def facts(manifest: dict[str, Any]) -> dict[str, int | float | str]:
    test, latency = manifest["measured"]["test"], manifest["latency"]
    return {"study": manifest["study"], "run": manifest["run"], "candidate": manifest["candidate"],
            "label": manifest["label"], "members": ", ".join(m["id"] for m in manifest["members"]),
            "weights": manifest["weights"], "data": manifest["data"]["fingerprint"],
            "runtime": latency["runtime"], "hardware": latency["hardware"]["cpu"],
            "test_accuracy": test["accuracy"], "test_accuracy_low": test["low"], "test_accuracy_high": test["high"],
            "test_nll": test["nll"], "test_ece": test["ece"], "mean_macs": test["mean_macs"],
            "p50_ms": latency["p50_ms"], "p90_ms": latency["p90_ms"]}
