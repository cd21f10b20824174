"""A proof as one page of HTML that needs nothing else, on paper or on a telephone."""

from collections.abc import Mapping, Sequence
from importlib import resources
from math import inf, isfinite, isnan, nan
from pathlib import Path
from typing import Any

from albert_core.errors import MissingPackageError
from albert_zoo.backends import BACKENDS
from albert_zoo.console import printable
from albert_zoo.parity import charts
from albert_zoo.parity.budgets import MODES
from albert_zoo.parity.checks import FAILED, LEVELS, PASS, SKIPPED, TELLING

Json = Mapping[str, Any]

MOST_GRADIENTS = 20  # parameters that are seen without opening anything
MOST_BAD = 10  # places of a run that failed
# What is run, and what it can see; `inputs` makes them.
INPUTS = (
    ("rows", "a full row with both segments", "segments that are flipped or ignored"),
    (
        "rows",
        "padding on the right, on the left",
        "a mask that is ignored or moved",
    ),
    ("rows", "one token over and over", "positions that are off"),
    ("rows", "the special tokens", "their rows of the table"),
    ("rows", "padding only", "a mask too weak to swallow the scores"),
    ("single", "one token", "shapes that assume more"),
    ("longest", "as long as the model takes", "the last positions"),
    ("texts", "the user's own, if --texts gave any", "what matters to the user"),
    ("beams", "rows without labels, for a head that searches", "the search itself"),
)


def write_html(result: Json, path: str | Path) -> None:
    """Write a report.

    Args:
        result: What `Proof.to_dict` gave, or what was stored of it as JSON.
        path: The file.

    Raises:
        MissingPackageError: jinja2 or matplotlib is not installed.
        OSError: The file cannot be written.
    """
    Path(path).write_text(render(result), "utf-8")


def require() -> None:
    """Refuse to go on without what a report is made with.

    Raises:
        MissingPackageError: One is missing.
    """
    try:
        import jinja2  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import matplotlib  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as problem:
        raise MissingPackageError(
            f"A report cannot be made here: {problem}. Install what it is made with: "
            f"pip install 'albert-zoo[report]'"
        ) from problem


def render(result: Json) -> str:
    """The page as text; see `write_html`."""
    require()
    import jinja2

    result = _restored(result)
    place = resources.files("albert_zoo.parity").joinpath("report.html.jinja")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever a checkpoint calls its weights, it cannot turn the page's text round.
        finalize=lambda x: printable(x) if type(x) is str else x,
    )
    filters = {"number": number, "percent": percent, "place": placed, "why": why}
    environment.filters.update(filters)
    template = environment.from_string(place.read_text("utf-8"))
    pictures = charts_of(result["runs"])
    runs = [_seen(run) for run in result["runs"]]
    return template.render(
        result=result,
        sentence=sentence(result),
        runs=runs,
        levels=LEVELS,
        inputs=INPUTS,
        most=MOST_GRADIENTS,
        most_bad=MOST_BAD,
        bad_checks=[c for c in result["checks"] if _bad(c)],
        pictures=pictures,
        modes=dict.fromkeys(one["mode"] for one in pictures),
    )


def sentence(result: Json) -> str:
    """What was found, in one sentence."""
    runs = result["runs"]
    failed = [run for run in runs if run["verdict"] in FAILED]
    if result["verdict"] == PASS:
        return "Every framework computes what the float64 reference computes."
    if failed:
        named = ", ".join(f"{title(run)} in {run['dtype']}" for run in failed)
        return f"These do not compute what the float64 reference computes: {named}."
    if result["verdict"] in FAILED:
        return "The frameworks agree, but a check of the checkpoint itself failed."
    return "It cannot be said whether the frameworks compute the same numbers."


def charts_of(runs: Sequence[Json]) -> list[dict[str, Any]]:
    """The charts of all runs that have any, safe to stand in the page."""
    from markupsafe import Markup

    drawn: list[dict[str, Any]] = []
    for index, run in enumerate(sorted(runs, key=_mode)):
        made = charts.errors(run["checks"], f"e{index}")
        if made:
            bins = charts.ulps(run["checks"], f"u{index}")
            mode = run["dtype"]
            name = f"{title(run)}, {mode}"
            # Nothing in them but numbers and words of our own.
            svgs = {"errors": Markup(made), "ulps": Markup(bins)}
            drawn.append({"of": name, "mode": mode, **svgs})
    return drawn


def title(run: Json) -> str:
    """A framework as people call it."""
    known = BACKENDS.get(run["framework"])
    return known.title if known else str(run["framework"])


def _seen(run: Json) -> dict[str, Any]:
    """A run as the template wants it."""
    checks = run["checks"]
    by_level = {
        level: found
        for level in LEVELS
        if (found := [check for check in checks if check["level"] == level])
    }
    measured = [check for check in checks if check["metrics"]]
    gradients = [c for c in by_level.get("gradients", []) if c["metrics"]]
    return {
        **run,
        "checked": len(checks),
        "title": title(run),
        "by_level": by_level,
        "worst": _worst(measured),
        "worst_of": {level: _worst(found) for level, found in by_level.items()},
        "bad": [check for check in checks if _bad(check)],
        "loose": sum(1 for check in measured if check["budget"] > TELLING),
        "failed": run["verdict"] in FAILED,
        "gradients": sorted(gradients, key=_share, reverse=True),
    }


def _restored(result: Json) -> Json:
    """The figures, with what JSON has no numbers for in place of null."""

    def check(found: Json) -> Json:
        share, metrics = found["share_of_budget"], found["metrics"]
        if metrics:
            own = {k: nan for k, x in metrics.items() if x is None}
            own.pop("divergence", None)  # there are none where there are no scores
            metrics = {**metrics, **own}
        share = inf if share is None else share
        return {**found, "share_of_budget": share, "metrics": metrics}

    runs = [{**r, "checks": [check(c) for c in r["checks"]]} for r in result["runs"]]
    return {**result, "runs": runs}


def _mode(run: Json) -> int:
    known = list(MODES)
    return known.index(run["dtype"]) if run["dtype"] in known else len(known)


def _worst(checks: Sequence[Json]) -> Json | None:
    measured = [check for check in checks if check["metrics"]]
    return max(measured, key=_share, default=None)


def _share(check: Json) -> float:
    return check["share_of_budget"]


def _bad(check: Json) -> bool:
    return check["verdict"] not in (PASS, SKIPPED)


def number(value: float | None) -> str:
    """A figure as people read it."""
    if value is None:
        return "–"
    if isnan(value):
        return "NaN"
    if not isfinite(value):
        return "∞" if value > 0 else "-∞"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}e{int(exponent)}" if value else "0"


def percent(share: float | None) -> str:
    """A share of a budget as people read it."""
    if share is None:
        return "–"
    if not isfinite(share):
        return "beyond all"
    if share >= 10:
        return f"{share:,.0f} ×" if share < 1e6 else f"{number(share)} ×"
    return f"{share:.2%}" if share >= 1e-4 or share == 0 else "< 0.01%"


def placed(check: Json) -> str:
    """What a check is about, also where it is about a level as a whole."""
    return check["place"] or f"the level {check['level']}"


def why(check: Json) -> str:
    """What was found at a check."""
    metrics = check["metrics"]
    if check["why"] or not metrics or not _bad(check):
        return check["why"]
    batch, *place = metrics["worst"]
    return (
        f"{metrics['found']:.9g} where {metrics['expected']:.9g} is expected, in batch "
        f"{batch + 1} at {place}"
    )
