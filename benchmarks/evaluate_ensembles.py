"""Time the scoring of every ensemble of up to 4 members of a pool, against one numpy iteration per ensemble.

    python benchmarks/evaluate_ensembles.py [--members 40] [--images 10000] [--classes 10]

Both means, accuracy and NLL. The logits are synthetic and look like those of small networks on CIFAR-10: members are
right on about 85 % of the images, they share most of their mistakes, and confidence varies.
"""

import argparse
import random
import resource
import time

import numpy as np

from consort.ensembles.composition import all_subsets, log_softmax
from consort.ensembles.subset_scores import score_subsets

METHODS = ("geometric", "arithmetic")


def synthetic_logits(members: int, images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits float32 [members, images, classes]: what the image looks like to all, plus what each member sees."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=images)
    shared = 1.5 * rng.standard_normal((images, classes), dtype=np.float32)
    shared[np.arange(images), labels] += 5.0
    logits = np.empty((members, images, classes), dtype=np.float32)
    for member in logits:
        member[:] = shared + rng.standard_normal((images, classes), dtype=np.float32)
    return logits, labels


def loop_iteration(logits: np.ndarray, labels: np.ndarray, subset: tuple[int, ...]) -> list[float]:
    """One ensemble as one would write it down: both means, accuracy and NLL; members' log-probabilities are given."""
    images = np.arange(len(labels))
    members = logits[list(subset)]
    figures = []
    for log_probs in (log_softmax(members.mean(axis=0)), np.log(np.exp(members).mean(axis=0))):
        figures.append(float((log_probs.argmax(axis=1) == labels).mean()))
        figures.append(-float(log_probs[images, labels].mean()))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=40)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--largest", type=int, default=4, help="members of the largest ensembles")
    parser.add_argument("--threads", type=int, default=None, help="by default one per core")
    parser.add_argument("--sample", type=int, default=300, help="ensembles that the loop is measured on")
    args = parser.parse_args()

    logits, labels = synthetic_logits(args.members, args.images, args.classes)
    log_probs = log_softmax(logits)
    subsets = all_subsets(args.members, args.largest)
    accuracy = (log_probs.argmax(axis=2) == labels).mean(axis=1)
    print(f"{len(subsets):,} ensembles of up to {args.largest} of {args.members} members ({accuracy.mean():.1%} right "
          f"on average), {args.images:,} images, {args.classes} classes")

    wall, cpu = time.perf_counter(), time.process_time()
    scores = {}
    for method in METHODS:
        started = time.perf_counter()
        scores[method] = score_subsets(log_probs, labels, subsets, method, threads=args.threads)
        print(f"  {method}: {time.perf_counter() - started:.1f} s")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"all at once: {wall:.1f} s, {cpu:.1f} CPU-seconds, peak resident memory {peak_mib:,.0f} MiB")

    sample = random.Random(0).sample(range(len(subsets)), min(args.sample, len(subsets)))
    loop_wall, loop_cpu = time.perf_counter(), time.process_time()
    figures = np.array([loop_iteration(log_probs, labels, subsets[i]) for i in sample])
    loop_wall, loop_cpu = time.perf_counter() - loop_wall, time.process_time() - loop_cpu
    share = len(subsets) / len(sample)
    print(f"one iteration per ensemble, measured on {len(sample)} of them drawn at random and extrapolated: "
          f"{loop_wall * share:,.0f} s, {loop_cpu * share:,.0f} CPU-seconds")
    print(f"ratio: {loop_wall * share / wall:.1f} in seconds, {loop_cpu * share / cpu:.1f} in CPU-seconds")

    ours = np.stack([values[sample] for m in METHODS for values in (scores[m].accuracy, scores[m].nll)], axis=1)
    print(f"largest difference between the two on the sample: {np.abs(ours - figures).max():.1e}")


if __name__ == "__main__":
    main()
