"""The charts of a report: SVG that takes its colours and its type from the page."""

import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from math import isfinite, log10
from typing import Any

from albert_zoo.parity.measure import ULPS

Checks = Sequence[Mapping[str, Any]]

# What matplotlib is told -> what stands in the page, where dark mode can change it.
INKS = {
    "#010101": "currentColor",
    "#020202": "var(--line)",
    "#030303": "var(--free)",
    "#040404": "var(--forced)",
    "#050505": "var(--gradients)",
    "#060606": "var(--bad)",
}
INK, LINE, FREE, FORCED, GRADIENTS, BAD = INKS
SERIES = {"free": (FREE, "o"), "forced": (FORCED, "^"), "gradients": (GRADIENTS, "s")}
CALL = re.compile(r"layer\.(\d+)\.inner\.(\d+)\.(attention|feed_forward)$")
SIZE = (4.6, 2.9)  # inches of 72 units
SMALLEST = 1e-18  # an error of 0 is drawn here
BINS = ("½", *(f"{most:g}" for most in ULPS[1:-2]), "1k", "65k", "∞")


def errors(checks: Checks, name: str) -> str:
    """Relative errors against depth, with their budgets; "" if there are none.

    Args:
        checks: Of one run, as JSON has them.
        name: Keeps the parts of this chart apart from those of others in the page.
    """
    shown = {
        level: [c for c in checks if c["level"] == level and c["metrics"]]
        for level in ("free", "forced")
    }
    places = [check["place"] for found in shown.values() for check in found]
    if not places:
        return ""
    where, last = depths(places)
    figure, axes = _canvas("layer", "relative error")
    for level, found in shown.items():
        colour, marker = SERIES[level]
        found = sorted(found, key=lambda check: where[check["place"]])
        x = [where[check["place"]] for check in found]
        y = [_drawn(check["metrics"]["relative"]) for check in found]
        axes.plot(x, y, marker, color=colour, markersize=4.5, alpha=0.9)
        for attends in (False, True):  # they have budgets of their own
            line = [
                (where[check["place"]], check["budget"])
                for check in found
                if ("attention" in check["place"]) == attends
            ]
            axes.plot(*zip(*line, strict=True), "--", color=colour, linewidth=1.2)
        over = [
            (one, _drawn(check["metrics"]["relative"]))
            for one, check in zip(x, found, strict=True)
            if not check["metrics"]["relative"] <= check["budget"]
        ]
        if over:
            axes.plot(*zip(*over, strict=True), "X", color=BAD, markersize=9)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(_power)
    every = max(1, round(last / 6))
    ticks = list(range(0, last, every))
    axes.set_xticks([*ticks, last + 1], [*map(str, ticks), "head"])
    return _svg(figure, name)


def ulps(checks: Checks, name: str) -> str:
    """How many numbers are off by how many units in the last place; "" if none are.

    Args:
        checks: Of one run, as JSON has them.
        name: See `errors`.
    """
    counts = dict(_counts(checks))
    if not counts:
        return ""
    figure, axes = _canvas("units in the last place, at most", "of all numbers")
    width = 0.84 / len(counts)
    for number, (level, found) in enumerate(counts.items()):
        shift = (number - (len(counts) - 1) / 2) * width
        x = [place + shift for place in range(len(BINS))]
        y = [100 * count / (sum(found) or 1) for count in found]
        axes.bar(x, y, width, color=SERIES[level][0])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.set_xticks(range(len(BINS)), BINS)
    axes.tick_params(axis="x", labelsize=10)
    return _svg(figure, name)


def depths(places: Sequence[str]) -> tuple[dict[str, float], int]:
    """Where calls and outputs lie on the axis of layers, and how many layers there are.

    The input of layer i is at i; what comes before the first is at or below 0, and what
    comes behind the last beyond its end.
    """
    calls = {place: call for place in places if (call := CALL.search(place))}
    numbers = [int(p.split(".")[1]) for p in places if p.startswith("hidden_states.")]
    maps = [int(p.split(".")[1]) for p in places if p.startswith("attentions.")]
    layers = [int(call[1]) + 1 for call in calls.values()]
    last = max([*numbers, *layers, 1])
    inner = max([(max(maps, default=0) + 1) // last, 1])
    inner = max([inner, *(int(call[2]) + 1 for call in calls.values())])
    found: dict[str, float] = {}
    for place in places:
        kind, _, index = place.partition(".")
        if place in calls:
            layer, block, part = calls[place].groups()
            inside = int(block) + (0.5 if part == "attention" else 1)
            found[place] = int(layer) + inside / inner
        elif kind == "hidden_states":
            found[place] = int(index)
        elif kind == "attentions":
            found[place] = (int(index) + 0.5) / inner
        elif place in ("embeddings", "projection"):
            found[place] = -0.4 if place == "embeddings" else 0.0
        else:
            found[place] = last if place == "last_hidden_state" else last + 1.0
    return found, last


def _counts(checks: Checks) -> Iterator[tuple[str, list[int]]]:
    """Of every level that has any: the sum of the histograms of its places."""
    for level in SERIES:
        found = [
            check["metrics"]["ulps"]
            for check in checks
            if check["level"] == level and check["metrics"]
        ]
        if found:
            yield level, [sum(column) for column in zip(*found, strict=True)]


def _drawn(error: float) -> float:
    """An error as a logarithmic axis can show it."""
    return max(error, SMALLEST) if isfinite(error) else 1e3


def _power(value: float, _: object) -> str:
    return f"1e{round(log10(value))}"


def _canvas(across: str, up: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(SIZE, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.grid(True, which="major", axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(LINE)
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.tick_params(colors=INK, which="both", color=LINE)
    axes.minorticks_off()
    return figure, axes


def _svg(figure: Any, name: str) -> str:
    """A figure as an element of a page, without anything that is fetched or dated."""
    import matplotlib

    held = StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 11}
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(settings):
        figure.savefig(held, format="svg", metadata=nothing)
    text = held.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' (width|height|xmlns(:\w+)?|version)="[^"]*"', "", text, count=5)
    for mark in ('id="', "url(#", 'href="#'):
        text = text.replace(mark, f"{mark}{name}-")
    for ink, meant in INKS.items():
        text = text.replace(ink, meant)
    return text
