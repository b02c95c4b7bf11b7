"""Checks of what is read off the stored training runs: numbers are right or wrong, never shown."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from memlib import decomposition, trajectories
from memlib.check.evidence import number

if TYPE_CHECKING:
    import pandas as pd


@cache
def _stored() -> tuple[list[trajectories.Trajectories], pd.DataFrame]:
    tracked = [run for run in trajectories.load() if run.model == "mlp"]
    sets = [runs_ for runs_ in decomposition.load() if runs_.model == "mlp"]
    return tracked, decomposition.decompose(decomposition.join(sets))


def _gibbs_sums(last: bool = False) -> np.ndarray:
    loss = _stored()[0][0].loss
    return (1 - np.exp(-(loss if last else loss[:-1]).astype(np.float64))).sum(0)


def _coefficients(
    csl: np.ndarray, table: pd.DataFrame, constant: bool = True
) -> tuple[float, float]:
    columns = [table["held_out"].to_numpy(), table["memorized"].to_numpy()]
    design = np.column_stack([*columns, np.ones(len(csl))] if constant else columns)
    a, b, *_ = np.linalg.lstsq(design, csl, rcond=None)[0]
    return float(a), float(b)


def regression(answer: Any, table: pd.DataFrame) -> None:
    """Check the regression of a run's CSL (Gibbs loss) on difficulty and memorization.

    Args:
        answer: `(a, b)`: the coefficients of `held_out` and `memorized`, with a constant, for the
            CSL of the stored MLP of seed 0.
        table: The decomposition of the stored MLPs, in the order that the student was given.

    Raises:
        Mistake: A coefficient is another one.
    """
    tracked, right = _stored()
    a, b = _coefficients(_gibbs_sums(), right)
    mistakes = {
        "The rows are paired by position: the table has another order, pair them by id.": (
            _coefficients(_gibbs_sums(), table)
        ),
        "The constant is missing from the regression.": (
            _coefficients(_gibbs_sums(), right, constant=False)
        ),
        "This is for cross-entropy: the Gibbs loss is 1 - exp(-loss).": (
            _coefficients(tracked[0].csl, right)
        ),
        "The last row of the losses is w_N: CSL sums rows 0 to N - 1.": (
            _coefficients(_gibbs_sums(last=True), right)
        ),
        "The two are in the wrong order: the coefficient of held_out comes first.": (b, a),
    }
    number(answer, (a, b), mistakes, name="The pair of coefficients", tolerance=2e-4)


def never_learned(answer: Any) -> None:
    """Check the share of images that are never learned by Eq. 4, with its spread over seeds.

    Args:
        answer: `(mean, spread)` over the three stored runs of the MLP (divisor two), tau being half
            the median over the images of the squared gradient of the untrained network.

    Raises:
        Mistake: The mean or the spread is another one.
    """

    def shares(factor: float = 0.5, rows: int = -1, least: int = 1) -> np.ndarray:
        found = []
        for run in _stored()[0]:
            squares = run.gradient[: rows or None].astype(np.float64)
            time = trajectories.learning_time(squares, factor * float(np.median(squares[0])))
            found.append((time >= len(squares) + least).mean())
        return np.array(found)

    def pair(values: np.ndarray, ddof: int = 1) -> tuple[float, float]:
        return float(values.mean()), float(values.std(ddof=ddof))

    right = pair(shares())
    mistakes = {
        "tau is the median itself: half of it is asked for.": pair(shares(factor=1.0)),
        "The last row of the gradients is w_N: learning times look at rows 0 to N - 1.": (
            pair(shares(rows=0))
        ),
        "T = N counts as never: never is N + 1.": pair(shares(least=0)),
        "The spread divides by the number of seeds: divide by one less.": pair(shares(), ddof=0),
        "This is the share that is learned.": (1 - right[0], right[1]),
    }
    number(answer, right, mistakes, name="The share with its spread", tolerance=1e-4)


def among_the_hard(answer: Any) -> None:
    """Check the correlation of CSL with cumulative memorization among the hardest images.

    Args:
        answer: Pearson's correlation of the CSL (Gibbs loss) of the stored MLP of seed 0 with
            `memorized`, over the 500 images with the largest `held_out`.

    Raises:
        Mistake: The correlation is another one.
    """
    _, table = _stored()

    def within(csl: np.ndarray, column: str | None) -> float:
        chosen = slice(None)
        if column is not None:
            chosen = np.argsort(-table[column].to_numpy(), kind="stable")[:500]  # type: ignore[assignment]
        return float(np.corrcoef(csl[chosen], table["memorized"].to_numpy()[chosen])[0, 1])

    own = _gibbs_sums()
    mistakes = {
        "This is over all images: the 500 with the largest held_out are asked for.": (
            within(own, None)
        ),
        "These are the 500 with the largest memorized: held_out chooses.": within(own, "memorized"),
        "This is for cross-entropy: the Gibbs loss is 1 - exp(-loss).": (
            within(_stored()[0][0].csl, "held_out")
        ),
        "This is the correlation of CSL from the subset networks: take that of the run.": (
            within(table["csl"].to_numpy(), "held_out")
        ),
    }
    number(answer, within(own, "held_out"), mistakes, name="The correlation", tolerance=1e-3)
