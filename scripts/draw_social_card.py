"""Draw assets/social-card.png: what other sites show beside a link to the book.

Usage: python scripts/draw_social_card.py. The bars are those of the logo.
"""

from pathlib import Path

import yaml
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "assets" / "social-card.png"
PAPER, INK, BAR, ACCENT = "#ffffff", "#1f2933", "#6b7780", "#0b6b7d"
BARS = (260, 150, 95, 62, 45)  # pixels: many samples of a few kinds, few of many


def main() -> None:
    """Write the picture, 1200 × 630 pixels."""
    title = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["title"]
    subtitle = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["title"].split(": ")[1]
    figure = Figure(figsize=(12, 6.3), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, 1200), ylim=(0, 630))
    for place, height in enumerate(BARS):
        axes.add_patch(Rectangle((100 + 62.4 * place, 90), 34, height, color=BAR))
    axes.add_patch(Rectangle((412, 90), 34, 40, color=ACCENT))
    axes.add_patch(Circle((429, 155), 17, color=ACCENT))
    first, second = title.split(", ")
    for text, height in ((f"{first},", 500), (second, 420)):
        axes.text(100, height, text, fontsize=52, weight="bold", color=INK)
    begin, end = subtitle[: (cut := subtitle.index(" neural"))], subtitle[cut + 1 :]
    for text, height in ((begin, 140), (end, 96)):
        axes.text(500, height, text, fontsize=21, color=INK)
    figure.savefig(TARGET, dpi=100, metadata={"Software": None})
    print(TARGET)


if __name__ == "__main__":
    main()
