"""search.png: reward over trials, a panel per kind of candidate, the best so far of each sampler and of its control."""

import io

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from consort.answer.search_rows import KINDS, arms_of, best_so_far, kinds, reward_floor
from consort.report.plot import style_of

CONTROL = "#777777"


def rewards_png(results: dict) -> bytes:
    """The picture as PNG on white, 560 pixels for each kind and 420 of legend and title."""
    shown = kinds(results)
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 11, "text.parse_math": False}):
        figure = Figure(figsize=(1.2 + 4.2 * max(len(shown), 1), 4.6), dpi=160, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, max(len(shown), 1), sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, shown, strict=False):
            _draw(axes, results, kind)
        _dress(figure, panels[0], results)
        data = io.BytesIO()
        figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _draw(axes: Axes, results: dict, kind: str) -> None:
    color, marker = style_of(list(KINDS).index(kind))
    for arm in arms_of(results, kind):
        own, line = (CONTROL, "--") if arm["control"] else (color, "-")
        trials = sorted(arm["trials"], key=lambda trial: trial["number"])
        points = [(i, trial["reward"]) for i, trial in enumerate(trials, 1) if trial["reward"] is not None]
        axes.plot([x for x, _ in points], [y for _, y in points], linestyle="none", marker=marker, markersize=3.5,
                  markerfacecolor="white", markeredgecolor=own, markeredgewidth=0.9, alpha=0.8)
        curve = best_so_far(trials)
        name = f"{arm['sampler']} (control)" if arm["control"] else arm["sampler"]
        axes.plot([x for x, _ in curve], [y for _, y in curve], drawstyle="steps-post", linestyle=line, color=own,
                  linewidth=2, label=name)
    axes.set_title(KINDS[kind], loc="left", fontsize=11)
    axes.set_xlabel("trials")
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", framealpha=0.9, edgecolor="none", fontsize=9.5)


def _dress(figure: Figure, first: Axes, results: dict) -> None:
    rewards = [trial["reward"] for arm in results["arms"] for trial in arm["trials"] if trial["reward"] is not None]
    if rewards:
        low, high = reward_floor(rewards), max(rewards)
        room = 0.06 * (high - low) or 0.01
        first.set_ylim(low - room, high + room)
    first.set_ylabel("reward (validation)")
    figure.suptitle(f"{results['study']}: reward over trials, lines are the best so far", x=0.01, ha="left",
                    fontsize=12)
