"""Does a bundle do what its manifest says? Measured by running it.

This file is part of every bundle and stands alone: `python verify.py` needs Python, onnxruntime (of a bundle for
PyTorch: torch), numpy and pillow, and no Consort. `consort verify` runs the same code.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

try:
    import numpy as np

    from consort.export.labelled_images import Images, labelled_images
    from consort.export.running import (
        RUNTIMES,
        BundleError,
        latencies_ms,
        model_of,
        open_session,
        processor,
        read_image_file,
        read_manifest,
        run,
        sha256,
    )
    from consort.plurals import counted
except ModuleNotFoundError as e:
    if __name__ != "__main__":
        raise
    print(f"error: {e}: pip install numpy pillow, and keep the bundle's files together.", file=sys.stderr)
    sys.exit(2)

EXAMPLE_FILES = ("examples/expected.json", "examples/study-answers.npy")
"""What a manifest has to list, since it is read here."""
SAME_CLASS = 0.999
"""The share of images that must get the same class, and the same number of members asked."""
TOLERANCE = 1e-3
"""The largest difference of a probability, between images of which as many members were asked."""


@dataclass(frozen=True)
class Check:
    """One promise. ok: None where it was only measured, or could not be checked; the text says why."""

    name: str
    ok: bool | None
    text: str
    values: dict[str, Any] = field(default_factory=dict)


def correct(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which images are answered correctly (bool [N]): the true class strictly above every other."""
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -1
    return probabilities[rows, labels] > others.max(axis=1)


def share_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of `count` images (Wilson 1927): never of no width, also where all are right."""
    z2 = 1.959964**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(z2 * share * (1 - share) / count + z2 * z2 / (4 * count * count)) / (1 + z2 / count)
    return float(max(0, centre - half)), float(min(1, centre + half))


def verify(bundle: Path, data: Path | Images | None = None, budget_ms: float | None = None,
           runtime: str | None = None) -> list[Check]:
    """Every check of a bundle, in order. data: a folder (see `labelled_images`), or images that are read already.
    runtime: of RUNTIMES; None: the one in which its latency was measured."""
    manifest = read_manifest(bundle)
    checks = [files_check(bundle, manifest)]
    if not checks[0].ok:
        return checks  # a damaged graph proves nothing about the one that was exported
    session = open_session(bundle / model_of(manifest), runtime=runtime)
    runtime = runtime or manifest["latency"]["runtime"]
    checks.append(examples_check(bundle, manifest, session))
    images = labelled_images(data, bundle, manifest) if isinstance(data, Path) else data
    if images is None:
        checks.append(Check("accuracy", None, "not checked: name the study's test images, or a folder of labelled "
                                              "images, with --data"))
    else:
        checks += accuracy_checks(manifest, session, images)
    timed = images.images if images is not None else example_images(bundle, manifest)
    return [*checks, latency_check(manifest, session, timed, budget_ms, runtime)]


def files_check(bundle: Path, manifest: dict[str, Any]) -> Check:
    """Every file that the manifest lists is there, byte for byte, and it lists what is read here."""
    wrong = [f"{name} is not in the manifest" for name in EXAMPLE_FILES if name not in manifest["files"]]
    for name, entry in manifest["files"].items():
        if fault := _fault(bundle, name, entry):
            wrong.append(f"{name} {fault}")
    text = "; ".join(wrong) or f"{len(manifest['files'])} files are what was exported"
    return Check("files", not wrong, text, {"wrong": wrong})


def _fault(bundle: Path, name: str, entry: Any) -> str | None:
    """What is wrong with a file that the manifest lists."""
    try:
        path = (bundle / name).resolve()
        if not path.is_relative_to(bundle.resolve()):
            return "is outside of the bundle"
        if not path.is_file():
            return "is missing"
        if not isinstance(entry, dict) or sha256(path) != entry.get("sha256"):
            return "was altered"
    except (OSError, RuntimeError, ValueError) as e:  # forbidden, a loop of links, a name that no file can have
        return f"cannot be read ({getattr(e, 'strerror', None) or e})"
    return None


def example_images(bundle: Path, manifest: dict[str, Any]) -> list[np.ndarray]:
    examples = json.loads((bundle / "examples/expected.json").read_text())
    return [read_image_file(bundle / "examples" / e["file"], manifest["input"]) for e in examples]


def examples_check(bundle: Path, manifest: dict[str, Any], session: Any) -> Check:
    """The examples get the answers that they got when the bundle was exported."""
    examples = json.loads((bundle / "examples/expected.json").read_text())
    probabilities, asked = run(session, example_images(bundle, manifest))
    difference = float(np.abs(probabilities - np.array([e["probabilities"] for e in examples])).max())
    other = int((asked != [e["members_asked"] for e in examples]).sum())
    ok = difference <= TOLERANCE and not other
    text = f"{counted(len(examples), 'example')}: probabilities differ by {difference:.1e} at most"
    return Check("examples", ok, text + (f", of {other} another number of members was asked" if other else ""),
                 {"largest_difference": difference, "other_members_asked": other})


def accuracy_checks(manifest: dict[str, Any], session: Any, images: Images) -> list[Check]:
    """Accuracy inside the promised interval, the study's own answers, and how many images were asked about again."""
    promised = manifest["measured"]["test"]
    probabilities, asked = run(session, images.images)
    accuracy, count = float(correct(probabilities, images.labels).mean()), len(images.labels)
    low, high = share_interval(accuracy, count)
    inside = promised["low"] <= accuracy <= promised["high"]
    if images.answers is None:  # other images: their own number of them counts too
        inside = low <= promised["high"] and high >= promised["low"]
    classes, known = len(np.unique(images.labels)), len(manifest["labels"])
    shown = "" if classes == known else f" of {classes} of the {known} classes"
    checks = [Check("accuracy", inside, f"{accuracy:.4f} on {counted(count, 'image')}{shown}; promised "
                    f"{promised['accuracy']:.4f} ({promised['low']:.4f} to {promised['high']:.4f})",
                    {"accuracy": accuracy, "low": low, "high": high, "images": count, "classes": classes})]
    if images.answers is None:
        checks.append(Check("study", None, "not checked: the study's answers are to its own test images, and these are "
                                           "others or not known to be them"))
    else:
        checks.append(study_check(manifest, probabilities, asked, images.answers))
    if len(promised["asked"]) > 1:
        again = float((asked > min(map(int, promised["asked"]))).mean())
        before = 1 - promised["asked"][min(promised["asked"], key=int)]
        checks.append(Check("asked again", None, f"{again:.1%} of the images; {before:.1%} at export",
                            {"share": again, "share_at_export": before}))
    return checks


def study_check(manifest: dict[str, Any], probabilities: np.ndarray, asked: np.ndarray, answers: np.ndarray) -> Check:
    """The same answers as the study's predictions give, which the study's accuracy was reported of."""
    found = agreement(probabilities, asked, answers)
    wanted = manifest["study_agreement"]
    text = (f"the study's class on {found['same_class']:.2%} of the images, probabilities differ by "
            f"{found['largest_difference']:.1e} at most")
    if wanted["exact"]:
        ok = found["same_class"] >= SAME_CLASS and found["largest_difference"] <= TOLERANCE \
            and found["same_asked"] >= SAME_CLASS
        return Check("study", ok, text, found)
    ok = found["same_class"] >= wanted["same_class"] - (1 - SAME_CLASS)
    return Check("study", ok, f"{text}; at export {wanted['same_class']:.2%}, as {wanted['why']}", found)


def agreement(probabilities: np.ndarray, asked: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """How far the bundle's answers are the study's. Near a threshold, rounding decides whether one more member is
    asked; the largest difference is that of the images of which as many were."""
    same_asked = asked == answers["asked"]
    rows = np.arange(len(answers))
    differences = np.abs(probabilities[rows, answers["class"]] - answers["probability"])[same_asked]
    return {"same_class": float((probabilities.argmax(axis=1) == answers["class"]).mean()),
            "same_asked": float(same_asked.mean()),
            "largest_difference": float(differences.max(initial=0))}


def latency_check(manifest: dict[str, Any], session: Any, images: Sequence[np.ndarray],
                  budget_ms: float | None, runtime: str) -> Check:
    """Milliseconds of one image on one thread, here, beside what was measured at export."""
    clock = time.process_time if runtime == "openvino" else time.thread_time
    times = latencies_ms(session, images, clock=clock)
    p50, p90 = (float(q) for q in np.percentile(times, [50, 90]))
    promised, here = manifest["latency"], processor()
    same = here == promised["hardware"]["cpu"]
    text = (f"{p50:.3f} ms, p90 {p90:.3f} ms in {runtime}; at export {promised['p50_ms']:.3f} and "
            f"{promised['p90_ms']:.3f} ms in {promised['runtime']} on "
            + ("the same processor" if same else f"another processor ({promised['hardware']['cpu']})"))
    if predicted := promised.get("sum_of_members"):
        text += (f"; mean {times.mean():.3f} ms, where the study's latencies of the members in {predicted['runtime']} "
                 f"add up to {predicted['serial_ms']:.3f}")
    if budget_ms is not None:
        text += f"; budget {budget_ms:g} ms for 9 of 10 images"
    return Check("latency", None if budget_ms is None else p90 <= budget_ms, text,
                 {"p50_ms": p50, "p90_ms": p90, "mean_ms": float(times.mean()), "budget_ms": budget_ms,
                  "same_hardware": same, "hardware": here, "runtime": runtime})


def lines(checks: list[Check]) -> Iterator[str]:
    """What a reader sees."""
    for check in checks:
        state = {True: "ok", False: "DIFFERS", None: "-"}[check.ok]
        yield f"{state:8} {check.name:12} {check.text}"


def as_json(bundle: Path, checks: list[Check]) -> str:
    found = [asdict(check) for check in checks]
    for one in found:  # a damaged network may answer with no numbers, which JSON does not have
        one["values"] = {name: None if isinstance(value, float) and not np.isfinite(value) else value
                         for name, value in one["values"].items()}
    return json.dumps({"bundle": str(bundle), "ok": all(c.ok is not False for c in checks), "checks": found}, indent=1,
                      allow_nan=False)


def main() -> int:
    """The exit code: 0, 4 where something differs, 2 for wrong input."""
    parser = argparse.ArgumentParser(description="Check that a bundle does what its manifest says.")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).parent, help="its folder")
    parser.add_argument("--data", type=Path, help="the study's prepared test images, or <class>/*.jpg")
    parser.add_argument("--budget-ms", type=float, help="fail where 9 of 10 images are not answered within this")
    parser.add_argument("--runtime", choices=RUNTIMES, help="what executes the graph")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    asked = parser.parse_args()
    try:
        checks = verify(asked.bundle, asked.data, asked.budget_ms, asked.runtime)
    except BundleError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print(as_json(asked.bundle, checks) if asked.json else "\n".join(lines(checks)))
    return 0 if all(check.ok is not False for check in checks) else 4


if __name__ == "__main__":
    sys.exit(main())
