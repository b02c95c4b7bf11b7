"""The three learning times of a sample, from what was recorded of a whole run.

`memlib.dynamics.DynamicsTracker` streams the same times, with another value for never by Eq. 4.
"""

import numpy as np

from memlib.errors import NotPositive, WrongShape


def learning_time(gradient: np.ndarray, tau: float) -> np.ndarray:
    """Return the learning time of Eq. 4 of `orders`: min{T >= 1 : mean of the first T <= tau}.

    Args:
        gradient: Squared gradient norms `(N, n)`: `run.gradient[:-1]`, without the last row.
        tau: Threshold on their mean, positive.

    Returns:
        `(n,)` int64, from 1 to N; N + 1 where no T up to N qualifies (never learned).

    Raises:
        WrongShape: `gradient` is not `(N, n)`.
        NotPositive: `tau` is not positive.

    Example:
        >>> import numpy as np
        >>> from memlib.learning_times import learning_time
        >>> learning_time(np.array([[9.0, 1.0], [0.0, 9.0], [0.0, 0.0]]), tau=3).tolist()
        [3, 1]
    """
    if gradient.ndim != 2:
        raise WrongShape("gradient", gradient.shape, "Pass (epochs, n).")
    if not tau > 0:
        raise NotPositive("tau", tau, "Pass a positive squared gradient norm.")
    steps = np.arange(1, len(gradient) + 1)
    below = gradient.cumsum(0, dtype=np.float64) <= tau * steps[:, None]
    return np.where(below.any(0), below.argmax(0) + 1, len(gradient) + 1)


def first_correct(correct: np.ndarray) -> np.ndarray:
    """Return the epoch of the first correct prediction, the learning time of `orders`, C.5.

    Args:
        correct: `(N, n)` bool: `run.correct[:-1]`, without the last row.

    Returns:
        `(n,)` int64, 0-based; N where no prediction is correct.

    Raises:
        WrongShape: `correct` is not `(N, n)`.
    """
    if correct.ndim != 2:
        raise WrongShape("correct", correct.shape, "Pass (epochs, n).")
    return np.where(correct.any(0), correct.argmax(0), len(correct))


def stable_correct(correct: np.ndarray) -> np.ndarray:
    """Return the first epoch from which every prediction is correct.

    Args:
        correct: `(N, n)` bool: `run.correct[:-1]`, without the last row.

    Returns:
        `(n,)` int64, 0-based; N where the last prediction is wrong.

    Raises:
        WrongShape: `correct` is not `(N, n)`.
    """
    if correct.ndim != 2:
        raise WrongShape("correct", correct.shape, "Pass (epochs, n).")
    after_last_error = len(correct) - correct[::-1].argmin(0)
    return np.where(correct.all(0), 0, after_last_error)
