"""The picture of docs/performance.md."""

from collections.abc import Sequence
from pathlib import Path


def draw(ratios: Sequence[tuple[str, float]], path: Path) -> None:
    """Bars of ratios by name, the line of 1 marked."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names, values = [name for name, _ in ratios], [value for _, value in ratios]
    with mpl.rc_context({"svg.hashsalt": "albert-zoo", "svg.fonttype": "none"}):
        figure, axes = plt.subplots(figsize=(8, 0.3 * len(names) + 1))
        colours = ["#2a7f62" if value >= 1 else "#b5483a" for value in values]
        bars = axes.barh(names, values, color=colours)
        axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=3)
        axes.axvline(1, color="black", linewidth=1)
        axes.invert_yaxis()
        axes.set_xlabel("the best peer's time over ours; more is better for us")
        axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
