"""accuracy-macs.png: the paper's plot, one line per architecture and a point per number of members; accuracy-ms.png:
the same against latency.

Form: Kondratyuk et al. 2020, the figure of accuracy against FLOPs; the intervals and the front are ours.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from consort.report.select import architectures, lines, main_rows
from consort.report.units import tick

# Okabe and Ito's colours that stand out on white, told apart with any colour vision; page.css has the same.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#56b4e9", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "h")
FRONT = "#f3d98b"


@dataclass(frozen=True)
class Cost:
    """What the horizontal axis counts."""

    column: str
    front: str
    """Column that says which rows are on its front."""
    name: str
    label: str
    tick: Callable[[float], str]


MACS = Cost("macs", "pareto_macs", "MACs", "MACs for one image (log scale)", tick)
SERIAL_MS = Cost("latency_serial_ms", "pareto_latency_serial", "latency",
                 "milliseconds, one member after the other (log scale)", lambda ms: f"{ms:.3g} ms")


def style_of(index: int) -> tuple[str, str]:
    """Colour and marker of an architecture by its place in the order of cost; 49 pairs before one repeats."""
    return COLORS[index % 7], MARKERS[(index + index // 7) % 7]


def accuracy_macs_png(summary: dict) -> bytes:
    """The picture as PNG, 1680 x 1050 pixels, on white."""
    return _png(summary, main_rows(summary), MACS)


def accuracy_ms_png(summary: dict) -> bytes | None:
    """The same against serial latency; None where no latency is known."""
    rows = [row for row in main_rows(summary) if row[SERIAL_MS.column] is not None]
    return _png(summary, rows, SERIAL_MS) if rows else None


def _png(summary: dict, rows: list[dict], cost: Cost) -> bytes:
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 11, "text.parse_math": False}):
        figure = Figure(figsize=(8.4, 5.25), dpi=200, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _draw_front(axes, rows, cost)
        _draw_mixed(axes, rows, cost)
        places = {name: place for place, name in enumerate(architectures(main_rows(summary)))}
        for name, line in lines(rows).items():
            _draw_line(axes, name, line, cost, *style_of(places[name]))
        _dress(axes, summary, cost)
        data = io.BytesIO()
        figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _draw_front(axes: Axes, rows: list[dict], cost: Cost) -> None:
    front = sorted((row for row in rows if row.get(cost.front)), key=lambda row: row[cost.column])
    if front:
        axes.plot(_x(front, cost), _y(front), color=FRONT, linewidth=9, solid_capstyle="round", solid_joinstyle="round",
                  zorder=1, label="front, chosen on validation")


def _draw_mixed(axes: Axes, rows: list[dict], cost: Cost) -> None:
    mixed = [row for row in rows if row["kind"] == "mixed"]
    if mixed:
        axes.plot(_x(mixed, cost), _y(mixed), linestyle="none", marker="o", markersize=3.5, markerfacecolor="white",
                  markeredgecolor="#999999", markeredgewidth=0.8, zorder=2, label="mixed ensembles")


def _draw_line(axes: Axes, name: str, line: list[dict], cost: Cost, color: str, marker: str) -> None:
    for row in line:
        if row["accuracy_low"] is not None and row["accuracy_high"] is not None:
            axes.plot([row[cost.column]] * 2, [100 * row["accuracy_low"], 100 * row["accuracy_high"]], color=color,
                      linewidth=1.2, alpha=0.45, zorder=3)
    axes.plot(_x(line, cost), _y(line), color=color, marker=marker, markersize=7, linewidth=1.8,
              markeredgecolor="white", markeredgewidth=0.8, zorder=4, label=name)
    for row in line:
        if row["num_members"] in (*range(1, 7), 8, 12, 16):
            axes.annotate(str(row["num_members"]), (row[cost.column], 100 * row["accuracy_mean"]), xytext=(-4, 6),
                          textcoords="offset points", ha="right", fontsize=8.5, color=color, zorder=5)


def _dress(axes: Axes, summary: dict, cost: Cost) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks_between(*axes.get_xlim())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cost.tick(value)))
    axes.set_xlabel(cost.label)
    axes.set_ylabel("test accuracy, %")
    axes.set_title(f"{summary['study']}: accuracy against {cost.name}, numbers count the members", loc="left",
                   fontsize=12)
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        title = f"bars: {100 * summary['confidence']:g} % interval over {summary['test_images']:,} test images"
        legend = axes.legend(loc="best", framealpha=0.9, edgecolor="none", title=title, fontsize=10)
        legend.get_title().set_fontsize(8.5)


def ticks_between(low: float, high: float) -> list[float]:
    """Round figures on a logarithmic axis, as many as have room for their labels: a tenth of its length each."""
    def apart(ticks: list[float]) -> bool:
        return all(math.log(b / a) >= 0.1 * math.log(high / low) for a, b in pairwise(ticks))

    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for multiples in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**power for power in powers for m in multiples if low <= m * 10.0**power <= high]
        if len(ticks) > 1 and apart(ticks):
            return ticks
    return [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]


def _x(rows: list[dict], cost: Cost) -> list[Any]:
    return [row[cost.column] for row in rows]


def _y(rows: list[dict]) -> list[float]:
    return [100 * row["accuracy_mean"] for row in rows]
