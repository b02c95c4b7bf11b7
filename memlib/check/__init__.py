"""Checks for exercises: which case fails, the smallest counterexample, and the likely mistake.

Each function takes a student's function or result, returns None if it is right, and raises
`Mistake` with a message to learn from if it is not. The right answers come from the library
itself, and a mistake is named only if it reproduces what the student's function returned in every
case that was tried.

Example:
    >>> from memlib import check
    >>> def learning_times(correct):
    ...     first = correct.argmax(0)
    ...     return first, first
    >>> check.first_learned(learning_times)
    Traceback (most recent call last):
    ...
    memlib.check.comparison.Mistake: learning_times is wrong in 26 of 110 cases. The smallest:
        correct   [[0]]
        expected  [1]
        first     [0]
    A sample that is never learned gets 0: argmax of all-False is 0, and never is N.
"""

from memlib.check.comparison import Mistake, compare
from memlib.check.design import cost, false_alarms, power, statistic
from memlib.check.dynamics import (
    cumulative_gradient,
    cumulative_loss,
    first_learned,
    stably_learned,
)
from memlib.check.estimates import (
    best_fraction,
    masked_means,
    masked_means_missing,
    networks_needed,
    standard_errors,
)
from memlib.check.evidence import (
    cosines,
    most_memorized,
    number,
    rank_correlation,
    share_of_top,
    verdicts,
)
from memlib.check.exact import (
    exact_memorization,
    gibbs_memorization,
    refutation,
    subset_memorization,
    worst_world,
)
from memlib.check.learning import (
    gradient_times,
    learning_bound,
    rescaled,
    reversal,
    runs_needed,
    tight_run,
)
from memlib.check.readings import among_the_hard, never_learned, regression
from memlib.check.terms import (
    break_even,
    csl_gibbs,
    csl_nats,
    proxy_correlation,
    two_terms,
    two_terms_missing,
    upside_down,
    wrong_epochs,
)

__all__ = [
    "Mistake",
    "among_the_hard",
    "best_fraction",
    "break_even",
    "compare",
    "cosines",
    "cost",
    "csl_gibbs",
    "csl_nats",
    "cumulative_gradient",
    "cumulative_loss",
    "exact_memorization",
    "false_alarms",
    "first_learned",
    "gibbs_memorization",
    "gradient_times",
    "learning_bound",
    "masked_means",
    "masked_means_missing",
    "most_memorized",
    "networks_needed",
    "never_learned",
    "number",
    "power",
    "proxy_correlation",
    "rank_correlation",
    "refutation",
    "regression",
    "rescaled",
    "reversal",
    "runs_needed",
    "share_of_top",
    "stably_learned",
    "standard_errors",
    "statistic",
    "subset_memorization",
    "tight_run",
    "two_terms",
    "two_terms_missing",
    "upside_down",
    "verdicts",
    "worst_world",
    "wrong_epochs",
]
