"""Finite worlds in which memorization is an exact number: finite data, finite randomness.

A sample is a pair `(x, y)`; a data set is a tuple of samples. A *learner* maps a data set to a
predictor, and a predictor maps `x` to the exact distribution of the predicted label, as a dict
from label to `Fraction`: all the randomness of training and of predicting is summed out. Nothing
here rounds.

Example:
    >>> from memlib.theory.worlds import memorization, nearest_neighbor
    >>> data = ((0, "cat"), (1, "cat"), (9, "dog"))
    >>> [int(memorization(nearest_neighbor, data, i)) for i in range(3)]
    [0, 0, 1]
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, product
from math import comb
from typing import Any

Sample = tuple[Any, Any]
Data = tuple[Sample, ...]
Distribution = Mapping[Any, Fraction]
Predictor = Callable[[Any], Distribution]
Learner = Callable[[Data], Predictor]
Loss = Callable[[Any, Any], Fraction]

ONE = Fraction(1)


# Learners --------------------------------------------------------------------------------------


def uniform(labels: Sequence[Hashable]) -> Distribution:
    """The distribution of a label drawn from `labels`; a repeated label counts as often."""
    return {label: Fraction(n, len(labels)) for label, n in Counter(labels).items()}


def nearest_neighbor(data: Data) -> Predictor:
    """1-nearest-neighbor on a line; of several nearest samples each is drawn equally often."""

    def predict(x: Any) -> Distribution:
        nearest = min(abs(x - other) for other, _ in data)
        return uniform([y for other, y in data if abs(x - other) == nearest])

    return predict


def gibbs(hypotheses: Sequence[Mapping[Any, Any]], factor: Fraction) -> Learner:
    """The Gibbs posterior under a uniform prior: a hypothesis with k training errors weighs
    `factor**k`, and one hypothesis is drawn for each prediction.

    `factor` is exp(-lambda): between 0 and 1, errors cost weight; 0 keeps the hypotheses without
    errors (a version space); above 1, errors are rewarded.
    """

    def learn(data: Data) -> Predictor:
        weights = [Fraction(factor) ** sum(h[x] != y for x, y in data) for h in hypotheses]
        whole = sum(weights)

        def predict(x: Any) -> Distribution:
            votes: dict[Any, Fraction] = {}
            for h, weight in zip(hypotheses, weights, strict=True):
                votes[h[x]] = votes.get(h[x], Fraction(0)) + weight / whole
            return votes

        return predict

    return learn


def randomized_response(labels: Sequence[Hashable], keep: Fraction) -> Learner:
    """Answers the label of a training sample with probability `keep`, else one of the others.

    On an `x` that it was not trained on, every label is equally likely. (The mechanism of Warner,
    1965; it is differentially private.)
    """

    def learn(data: Data) -> Predictor:
        seen = dict(data)

        def predict(x: Any) -> Distribution:
            if x not in seen:
                return uniform(labels)
            rest = (ONE - keep) / (len(labels) - 1)
            return {label: keep if label == seen[x] else rest for label in labels}

        return predict

    return learn


def parity(data: Data) -> Predictor:
    """Predicts, everywhere, the parity of the training labels: one sample more can turn it over."""
    odd = sum(y for _, y in data) % 2
    return lambda x: {odd: ONE}


def all_functions(inputs: Sequence[Any], labels: Sequence[Any]) -> list[Mapping[Any, Any]]:
    """Every function from `inputs` to `labels`, as a dict."""
    return [
        dict(zip(inputs, values, strict=True)) for values in product(labels, repeat=len(inputs))
    ]


# What is measured ------------------------------------------------------------------------------


def total(values: Iterable[Fraction]) -> Fraction:
    """The sum, exactly."""
    return sum(values, Fraction(0))


def without(data: Data, i: int) -> Data:
    """The data set with sample `i` left out."""
    return data[:i] + data[i + 1 :]


def accuracy(learner: Learner, data: Data, sample: Sample) -> Fraction:
    """Probability that the learner, trained on `data`, predicts the label of `sample`."""
    x, y = sample
    return learner(data)(x).get(y, Fraction(0))


def memorization(learner: Learner, data: Data, i: int) -> Fraction:
    """Feldman's memorization of sample `i`: accuracy on it in training minus out of training.

    Signed, in [-1, 1]; higher = more memorized.
    """
    return accuracy(learner, data, data[i]) - accuracy(learner, without(data, i), data[i])


def expected_loss(learner: Learner, data: Data, sample: Sample, loss: Loss) -> Fraction:
    """Mean of `loss(prediction, label)` on `sample`, over the randomness of the learner."""
    x, y = sample
    return total(p * loss(label, y) for label, p in learner(data)(x).items())


def stability(
    learner: Learner, data: Data, population: Sequence[tuple[Sample, Fraction]], loss: Loss
) -> Fraction:
    """The least beta of error stability (`orders` Eq. 1): over all samples that may be left out,
    the largest change of the mean loss on the population.

    Args:
        learner: The learner.
        data: Training set.
        population: Samples with their probabilities.
        loss: `loss(prediction, label)`.
    """

    def risk(training: Data) -> Fraction:
        return total(p * expected_loss(learner, training, z, loss) for z, p in population)

    full = risk(data)
    return max(abs(full - risk(without(data, i))) for i in range(len(data)))


def total_variation(p: Distribution, q: Distribution) -> Fraction:
    """Total variation distance between two distributions of labels."""
    zero = Fraction(0)
    return total(abs(p.get(k, zero) - q.get(k, zero)) for k in {**p, **q}) / 2


# The subset estimator --------------------------------------------------------------------------


def mean(values: Sequence[Fraction]) -> Fraction:
    """The mean, exactly."""
    return total(values) / len(values)


def subset_accuracy(learner: Learner, data: Data, i: int, m: int, inside: bool) -> Fraction:
    """Accuracy on sample `i`, averaged over all training subsets of size `m` that contain it
    (`inside`) or do not. Cost: every such subset is trained on.
    """
    rest = [j for j in range(len(data)) if j != i]
    own = (i,) if inside else ()
    subsets = combinations(rest, m - len(own))
    return mean([accuracy(learner, select(data, own + s), data[i]) for s in subsets])


def select(data: Data, subset: Sequence[int]) -> Data:
    """The samples at the positions `subset`, in their order in `data`."""
    return tuple(data[j] for j in sorted(subset))


def subset_memorization(learner: Learner, data: Data, i: int, m: int) -> Fraction:
    """Accuracy on `i` over subsets of size m with it, minus over subsets of size m without it."""
    inside = subset_accuracy(learner, data, i, m, inside=True)
    return inside - subset_accuracy(learner, data, i, m, inside=False)


def subset_influence(learner: Learner, data: Data, i: int, m: int) -> Fraction:
    """Feldman and Zhang's infl_m of a sample on itself: the memorization of `i`, averaged over all
    training sets of size m that contain it (so that the sets without it have size m - 1).
    """
    inside = subset_accuracy(learner, data, i, m, inside=True)
    return inside - subset_accuracy(learner, data, i, m - 1, inside=False)


def balanced_designs(n: int, runs: int, m: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every way to give each of `runs` runs a subset of size m so that each of n samples is in
    equally many runs. Cost: `comb(n, m) ** runs` candidates are looked at.
    """
    for design in product(combinations(range(n), m), repeat=runs):
        counts = Counter(j for subset in design for j in subset)
        if all(counts[j] * n == runs * m for j in range(n)):
            yield design


def masked_means(
    learner: Learner,
    data: Data,
    i: int,
    design: Sequence[Sequence[int]],
    empty: Fraction | None = None,
) -> Fraction | None:
    """The estimator of Feldman and Zhang, expected over the randomness of the learner.

    Args:
        learner: The learner.
        data: All n samples.
        i: The sample to score.
        design: One training subset per run.
        empty: What the mean of no runs counts as; None gives no score to a sample that was in
            every run or in none.

    Returns:
        Mean accuracy on `i` of the runs with it minus that of the runs without it, or None.
    """
    means: list[Fraction] = []
    for inside in (True, False):
        runs = [select(data, subset) for subset in design if (i in subset) == inside]
        if runs:
            means.append(mean([accuracy(learner, run, data[i]) for run in runs]))
        elif empty is None:
            return None
        else:
            means.append(empty)
    return means[0] - means[1]


def binomial(successes: int, trials: int, p: Fraction) -> Fraction:
    """Probability of that many successes in that many independent trials."""
    return comb(trials, successes) * p**successes * (1 - p) ** (trials - successes)


def estimates(
    p_in: Fraction, p_out: Fraction, runs_in: int, runs_out: int
) -> list[tuple[Fraction, Fraction]]:
    """Every value that the masked means can take, with its probability: `(probability, score)`.

    Each run with the sample is right with probability `p_in` and each run without it with `p_out`,
    independently, so that its memorization is `p_in - p_out`.
    """
    return [
        (
            binomial(a, runs_in, p_in) * binomial(b, runs_out, p_out),
            Fraction(a, runs_in) - Fraction(b, runs_out),
        )
        for a, b in product(range(runs_in + 1), range(runs_out + 1))
    ]
