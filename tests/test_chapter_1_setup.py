"""The set-up that chapter 1 states in words is that of the exact world and of the stored runs."""

import re
from fractions import Fraction
from pathlib import Path

from memlib import results
from memlib.theory import worlds

PAGE = Path(__file__).resolve().parent.parent / "book/part1/what-memorization-is.md"
TEXT = PAGE.read_text("utf-8")


def stated(pattern: str) -> tuple[str, ...]:
    """What the page says in the one place where the pattern stands."""
    (found,) = re.findall(pattern, TEXT)
    return found


def test_the_balanced_designs_are_as_many_and_their_mean_is_what_the_page_says() -> None:
    twins = ((0, "cat"), (1, "cat"), (8, "dog"), (9, "dog"))
    count, low, high, above, below = stated(
        r"all (\d+) balanced designs of four runs in a world of four samples; the estimates range "
        r"from (\d) to (\d), their mean is \$\\mem_2\(i\) = (\d)/(\d)\$ exactly"
    )
    designs = list(worlds.balanced_designs(n=4, runs=4, m=2))
    values = [worlds.masked_means(worlds.nearest_neighbor, twins, 3, d, None) for d in designs]
    assert len(designs) == int(count)
    assert (min(values), max(values)) == (int(low), int(high))
    assert worlds.mean(values) == Fraction(int(above), int(below))


def test_the_stored_networks_were_trained_as_the_page_says() -> None:
    units, epochs, share, images = stated(
        r"one hidden layer of (\d+) units, (\d+) epochs, each on its own (\d+) % of the ([\d,]+) "
    )
    scores, made_by = results.load_table(results.stored("fmnist-mini-memorization.parquet"))
    assert re.findall(r"out_features=(\d+)", made_by.settings["model"]) == [units, "10"]
    assert made_by.settings["recipe"]["epochs"] == int(epochs)
    assert made_by.settings["fraction"] == int(share) / 100
    assert len(scores) == int(images.replace(",", ""))
