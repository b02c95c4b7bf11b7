"""Checks of what is read off stored scores: numbers are right or wrong, and never shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from memlib import results
from memlib.check.comparison import Mistake, compare, describe

if TYPE_CHECKING:
    import pandas as pd


def number(
    given: Any,
    expected: Any,
    mistakes: Mapping[str, Any] | None = None,
    *,
    name: str = "The answer",
    tolerance: float = 1e-3,
) -> None:
    """Check one answer, without saying what the right one is.

    Args:
        given: The answer.
        expected: The right answer.
        mistakes: What to say, and the answer that this mistake gives.
        name: What the message calls the answer.
        tolerance: As in `memlib.check.comparison.compare`.

    Raises:
        Mistake: The two differ.
    """
    if given is None or given is Ellipsis:
        raise Mistake(f"{name} is not given yet.")
    variants = {text: lambda value=value: value for text, value in (mistakes or {}).items()}
    compare(
        lambda: given,
        lambda: expected,
        [{}],
        variants,
        name=name,
        returns="given",
        tolerance=tolerance,
        reveal=False,
    )


@cache
def _table() -> pd.DataFrame:
    return results.load_table(results.stored("fmnist-mini-memorization.parquet"))[0]


def _check_table(csl: pd.DataFrame | pd.Series) -> None:
    index = getattr(csl, "index", ())
    if len(index) != len(_table()) or {*index} != {*_table().index}:
        raise Mistake(f"csl is {describe(csl)}: run the cell that makes it, and leave it as it is.")


def most_memorized(ids: Any, count: int = 10) -> None:
    """Check which samples of `fmnist-mini` have the largest `memorization_gibbs`.

    Args:
        ids: Their ids, the largest first.
        count: How many are asked for.

    Raises:
        Mistake: The ids are not these, or in another order.
    """
    scores = _table()
    order = np.argsort(-scores["memorization_gibbs"].to_numpy(), kind="stable")

    def by(column: str, ascending: bool = False) -> list[int]:
        return scores[column].sort_values(ascending=ascending, kind="stable").index[:count].tolist()

    right = scores.index[order[:count]].tolist()
    mistakes = {
        "These are positions in the table: give ids, the table's index.": order[:count].tolist(),
        "These are the least memorized samples: sort from the largest on.": by(
            "memorization_gibbs", ascending=True
        ),
        "The order is reversed: the largest comes first.": right[::-1],
        "The column memorization has ties at the top: memorization_gibbs is asked for.": by(
            "memorization"
        ),
        "These are the samples with the largest standard error.": by("memorization_gibbs_se"),
    }
    given = [*ids] if isinstance(ids, Iterable) else ids
    number(given, right, mistakes, name="The list of the most memorized samples", tolerance=0)


def share_of_top(share: Any, fraction: float = 0.1) -> None:
    """Check which part of all memorization is that of the most memorized samples.

    Args:
        share: The sum of `memorization` over the most memorized samples divided by the sum over
            all samples, in [0, 1].
        fraction: How many samples count as most memorized.

    Raises:
        Mistake: The share is another one.
    """
    ranked = np.sort(_table()["memorization"].to_numpy())[::-1]
    top = ranked[: round(fraction * len(ranked))]
    mistakes = {
        "This is the mean score of the most memorized samples: divide their sum by the sum of "
        "all.": top.mean(),
        "This is what the others have: the share of the most memorized samples is asked for.": 1
        - top.sum() / ranked.sum(),
        "This is a percentage: give a share between 0 and 1.": 100 * top.sum() / ranked.sum(),
        "This is the share of samples above a threshold: add up their scores.": (
            ranked > 1 - fraction
        ).mean(),
    }
    number(share, top.sum() / ranked.sum(), mistakes, name="The share of the most memorized")


def _over_seeds(csl: pd.DataFrame, scores: pd.Series, method: Any) -> np.ndarray:
    return np.array([csl[seed].corr(scores, method=method) for seed in csl])


def rank_correlation(answer: Any, csl: pd.DataFrame) -> None:
    """Check Spearman's correlation of CSL with memorization, with its spread over seeds.

    Args:
        answer: `(mean, spread)`: the mean over the seeds and the standard deviation (divisor one
            less than the number of seeds).
        csl: CSL of `fmnist-mini`, index `sample` in any order, one column per seed.

    Raises:
        Mistake: The mean or the spread is another one, or the table is not that of the data set.
    """

    def both(values: np.ndarray, ddof: int = 1) -> tuple[float, float]:
        return float(values.mean()), float(values.std(ddof=ddof))

    _check_table(csl)
    scores = _table()["memorization"]
    ranks = _over_seeds(csl, scores, "spearman")
    by_position = _over_seeds(csl, scores.set_axis(csl.index), "spearman")
    mean, spread = both(ranks)
    mistakes = {
        "The rows are paired by position: the two tables have different orders, pair them by id.": (
            both(by_position)
        ),
        "This is Pearson's correlation: Spearman's is asked for.": both(
            _over_seeds(csl, scores, "pearson")
        ),
        "The spread divides by the number of seeds: divide by one less.": both(ranks, ddof=0),
        "This is the standard error of the mean: the standard deviation over seeds is asked for.": (
            mean,
            spread / len(ranks) ** 0.5,
        ),
        "This is the variance: the standard deviation is asked for.": (mean, spread**2),
    }
    given = tuple(answer) if isinstance(answer, list | np.ndarray) else answer
    number(given, (mean, spread), mistakes, name="The correlation with its spread", tolerance=1e-4)


def cosines(answer: Any, csl: pd.Series) -> None:
    """Check the cosine of CSL with memorization on the top 10 %, and that of a shuffled CSL.

    Args:
        answer: `(cosine, shuffled)` over the tenth of the samples with the largest
            `memorization_gibbs`: the cosine of CSL with `memorization`, and its mean over all
            orders of CSL among these samples.
        csl: CSL of `fmnist-mini`, index `sample`.

    Raises:
        Mistake: One of the two is another one, or the table is not that of the data set.
    """
    _check_table(csl)
    scores = _table()
    top = scores["memorization_gibbs"].sort_values(ascending=False).index[: len(scores) // 10]

    def pair(which: pd.Index) -> tuple[float, float]:
        a, b = csl.loc[which].to_numpy(), scores["memorization"].loc[which].to_numpy()
        lengths = np.sqrt((a @ a) * (b @ b))
        return a @ b / lengths, len(a) * a.mean() * b.mean() / lengths

    cosine, shuffled = pair(top)
    flat = scores["memorization"].loc[top]
    correlation = csl.loc[top].corr(flat)
    mistakes = {
        "These are the cosines over all samples: the top 10 % are asked for.": pair(scores.index),
        "The shuffled cosine is taken to be 0: a cosine is not centered.": (cosine, 0.0),
        "This is Pearson's correlation: the cosine does not subtract the means.": (
            correlation,
            shuffled,
        ),
        "This is the cosine of a constant score: shuffle CSL.": (
            cosine,
            float(flat.mean() / np.sqrt((flat**2).mean())),
        ),
        "The two are in the wrong order.": (shuffled, cosine),
    }
    # One random order is close to the mean over all of them, and is taken as well.
    number(answer, (cosine, shuffled), mistakes, name="The pair of cosines", tolerance=0.004)


def verdicts(given: Any, right: Mapping[str, bool], evidence: Mapping[str, str]) -> None:
    """Check which statements somebody calls supported by the data.

    Args:
        given: A dictionary from the statement's letter to True or False.
        right: The same, right, for the statements to look at.
        evidence: What to look at again, by letter.

    Raises:
        Mistake: A statement is missing, or a verdict is wrong or no verdict.
    """
    if not isinstance(given, dict) or not right.keys() <= given.keys():
        raise Mistake(f"The verdicts are {describe(given)}: give one for each of {[*right]}.")
    for letter, verdict in right.items():
        if not isinstance(given[letter], bool | np.bool_):
            shown = describe(given[letter])
            raise Mistake(f"Statement {letter}: {shown} is neither True nor False.")
        if bool(given[letter]) is not verdict:
            raise Mistake(f"Statement {letter}: not {given[letter]}. {evidence[letter]}")
