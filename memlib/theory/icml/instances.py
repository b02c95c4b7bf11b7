"""Training runs that the published theorems are tried on, and their printed assumptions there.

Every model is linear, `u = w.x`, with a per-sample loss that is a function of u and the label:
gradients in w and in x are then `f'(u) x` and `f'(u) w`, and Lemma 5.1's constant can be computed.
Randomness is a finite number of seeds, each as likely.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations, product

from memlib.theory.linear_classifier import chance, slope
from memlib.theory.trajectories import Vector, dot, learning_time
from memlib.theory.worlds import Data, Sample, mean, total, without

ONE, ZERO, HALF = Fraction(1), Fraction(0), Fraction(1, 2)
#: The `L` of an L-bounded loss, in all instances.
BOUND = ONE

SMOOTH = r"the gradient of the loss in $w$ is $\rho$-Lipschitz (Eq. 2)"
UNBIASED = "the gradient estimator is unbiased"
VARIANCE = r"its variance is at most $\Gamma_v^2$ (Eq. 16)"
BOUNDED = r"$0\le\ell\le L$"
STABLE = r"uniform stability: $|\ell(g_S^p,z)-\ell(g_{S^{\setminus i}}^p,z)|\le\beta$ (Eq. 4)"
RANK = "the inputs of the batch are linearly independent ($s_P=1$)"
GENERALIZES = r"$\mathbb E[\ell(\vec w_0,z_i)-\ell^{\setminus z_i}(\vec w^*,z_i)]\ge0$ (D.2.2)"


@dataclass(frozen=True)
class Loss:
    """A loss of the score u and the label: value, derivative, its Lipschitz constant, accuracy."""

    value: Callable[[Fraction, Fraction], Fraction]
    slope: Callable[[Fraction, Fraction], Fraction]
    lipschitz: int
    accuracy: Callable[[Fraction, Fraction], Fraction]


#: The chance of the wrong label, drawn from `linear_classifier.chance`; labels -1 and 1.
GIBBS = Loss(
    lambda u, y: 1 - chance(y * u), lambda u, y: -y * slope(y * u), 1, lambda u, y: chance(y * u)
)
#: Squared error; the prediction is right where it is exact.
SQUARE = Loss(lambda u, y: (u - y) ** 2 / 2, lambda u, y: u - y, 1, lambda u, y: Fraction(u == y))
#: Brier loss of the chance u of the label, which is 1.
BRIER = Loss(lambda u, y: (y - u) ** 2, lambda u, y: 2 * (u - y), 2, lambda u, y: u)


@dataclass(frozen=True)
class Run:
    """SGD on the mean loss, with finitely many seeds; the population is uniform on the data.

    `rate` is the step size on the mean loss, the same when a sample is left out. A seed is a tuple
    of vectors, one per step: what the estimator adds to the true gradient.
    """

    loss: Loss
    data: Data
    start: tuple[Fraction | int, ...]
    rate: Fraction
    steps: int
    noise: tuple[tuple[tuple[Fraction | int, ...], ...], ...] = ()

    def seeds(self) -> tuple[tuple[Vector, ...], ...]:
        """The noise of each seed at each step; one seed without noise if there is none."""
        still = (tuple(ZERO for _ in self.start),) * self.steps
        seeds = self.noise or (still,)
        return tuple(tuple(tuple(map(Fraction, step)) for step in seed) for seed in seeds)

    def paths(self, left_out: int | None = None) -> tuple[tuple[Vector, ...], ...]:
        """The weights w_0, ..., w_steps of each seed, without one sample if it is left out."""
        return _paths(self, left_out)

    def gradient(self, w: Vector, data: Data) -> Vector:
        """Gradient in w of the mean loss."""
        slopes = [self.loss.slope(dot(w, x), y) for x, y in data]
        return tuple(
            mean([s * x[k] for s, (x, _) in zip(slopes, data, strict=True)]) for k in range(len(w))
        )

    def at(self, w: Vector, sample: Sample) -> Fraction:
        """The loss of a sample at the weights w."""
        return self.loss.value(dot(w, sample[0]), Fraction(sample[1]))

    def curve(self, i: int, left_out: int | None = None) -> list[Fraction]:
        """The loss of sample i at each step, averaged over the seeds."""
        paths = self.paths(left_out)
        return [mean([self.at(p[t], self.data[i]) for p in paths]) for t in range(self.steps + 1)]

    def mean_curve(self) -> list[Fraction]:
        """The training loss at each step, averaged over the seeds."""
        return [mean(list(s)) for s in zip(*map(self.curve, range(len(self.data))), strict=True)]

    def squares(self, i: int, seed: int = 0) -> list[Fraction]:
        """The squared norm of sample i's input gradient at each step of one seed."""
        x, y = self.data[i]
        return [self.loss.slope(dot(w, x), y) ** 2 * dot(w, w) for w in self.paths()[seed]]

    def time(self, i: int, tau: Fraction, seed: int = 0) -> int | None:
        """Learning time of sample i by Eq. (7); None if the condition is never met."""
        return learning_time(self.squares(i, seed), tau)

    def memorization(self, i: int) -> Fraction:
        """Feldman's memorization of sample i, over all seeds."""
        x, y = self.data[i]
        inside, outside = (
            mean([self.loss.accuracy(dot(p[-1], x), Fraction(y)) for p in self.paths(left_out)])
            for left_out in (None, i)
        )
        return inside - outside

    def mean_memorization(self) -> Fraction:
        """The mean memorization of the data."""
        return mean([self.memorization(i) for i in range(len(self.data))])

    def beta(self) -> Fraction:
        """The least beta of Eq. (4): over seeds, left-out samples and samples of the population."""
        return max(
            abs(self.at(p[-1], z) - self.at(q[-1], z))
            for i in range(len(self.data))
            for p, q in zip(self.paths(), self.paths(i), strict=True)
            for z in self.data
        )

    def csl(self, i: int) -> Fraction:
        """Eq. (5): the mean over the seeds of the loss at w_0, ..., w_(steps - 1), summed."""
        return total(self.curve(i)[: self.steps])

    def xi(self) -> Fraction:
        """The offset of D.3: the training loss at w_1, ..., w_steps, summed."""
        return total(self.mean_curve()[1:])

    # The constants of the theorems

    def rho(self) -> Fraction:
        """A Lipschitz constant of the gradient of the mean loss."""
        inputs = [x for x, _ in self.data]
        orthogonal = all(dot(a, b) == 0 for a, b in combinations(inputs, 2))
        share = len(inputs) if orthogonal else 1
        return self.loss.lipschitz * max(dot(x, x) for x in inputs) / share

    def eta(self) -> Fraction:
        """Eq. (55)."""
        return self.rate - self.rho() * self.rate**2 / 2

    def squared_k_g(self, w: Vector) -> Fraction:
        """Lemma 5.1's constant, squared, for linearly independent inputs."""
        return dot(w, w) * inverse_norm(self.data)

    def kappa_m(self) -> Fraction:
        """The largest squared k_g along all paths."""
        return max(self.squared_k_g(w) for path in self.paths() for w in path)

    def kappa_t(self, tau: Fraction) -> Fraction:
        """The constant of Theorem 5.3, for a constant step size."""
        noise = self.rate**2 * self.rho() * self.variance() / 2
        return (tau * self.eta() / self.kappa_m() - noise) / BOUND

    def variance(self) -> Fraction:
        """The largest conditional variance of the gradient estimator."""
        return max(mean([dot(step, step) for step in group]) for group in self._next_noise())

    def _next_noise(self) -> list[list[Vector]]:
        """The noise of each step, grouped by the noise before it."""
        groups: dict[tuple[Vector, ...], list[Vector]] = {}
        for seed, t in product(self.seeds(), range(self.steps)):
            groups.setdefault(seed[:t], []).append(seed[t])
        return list(groups.values())

    def sgd(self) -> Mapping[str, bool]:
        """The assumptions of SGD convergence and of boundedness, computed on all paths."""
        choices = [None, *range(len(self.data))] if len(self.data) > 1 else [None]
        weights = {w for left in choices for path in self.paths(left) for w in path}
        return {
            SMOOTH: all(
                _square(self.gradient(v, self.data), self.gradient(w, self.data))
                <= self.rho() ** 2 * _square(v, w)
                for v, w in combinations(weights, 2)
            ),
            UNBIASED: all(
                all(total(step[k] for step in group) == 0 for k in range(len(self.start)))
                for group in self._next_noise()
            ),
            VARIANCE: self.variance() >= 0,
            BOUNDED: all(0 <= self.at(w, z) <= BOUND for w, z in product(weights, self.data)),
        }


def _square(a: Vector, b: Vector) -> Fraction:
    return total((s - t) ** 2 for s, t in zip(a, b, strict=True))


@cache
def _paths(run: Run, left_out: int | None) -> tuple[tuple[Vector, ...], ...]:
    data = run.data if left_out is None else without(run.data, left_out)
    paths = []
    for seed in run.seeds():
        path = [tuple(map(Fraction, run.start))]
        for noise in seed:
            gradient, w = run.gradient(path[-1], data), path[-1]
            path.append(
                tuple(v - run.rate * (g + n) for v, g, n in zip(w, gradient, noise, strict=True))
            )
        paths.append(tuple(path))
    return tuple(paths)


def inverse_norm(data: Data) -> Fraction:
    """The squared Frobenius norm of the pseudo-inverse of X, for linearly independent inputs: the
    trace of the inverse Gram matrix.
    """
    import sympy

    gram = sympy.Matrix([[sympy.Rational(dot(a, b)) for b, _ in data] for a, _ in data])
    return Fraction(str(gram.inv().trace()))


def independent(data: Data) -> bool:
    """Whether the inputs are linearly independent."""
    import sympy

    return sympy.Matrix([[sympy.Rational(v) for v in x] for x, _ in data]).rank() == len(data)


# The runs --------------------------------------------------------------------------------------

#: Brier loss. Two samples known with chance 9/10 are learned further in one step; a third one, with
#: a short input, starts at the loss L = 1 and stays near it.
FINISHING = Run(
    BRIER,
    (((1, 0, 0), 1), ((0, 1, 0), 1), ((0, 0, Fraction(1, 10)), 1)),
    (Fraction(9, 10), Fraction(9, 10), 0),
    ONE,
    1,
)
#: Gibbs loss, from weights 0: no input gradient at first, and then much is memorized.
FROM_ZERO = Run(GIBBS, (((1, 0), 1), ((0, 1), 1)), (0, 0), ONE, 1)
#: One input with the labels 0 and 1, at the least-squares solution.
CONFLICT = Run(SQUARE, (((1,), 0), ((1,), 1)), (HALF,), Fraction(1, 4), 16)
#: Least squares from its minimum, one noisy step.
SHAKEN = Run(SQUARE, (((1,), 1),), (1,), Fraction(1, 4), 1, (((ONE,),), ((-ONE,),)))
#: Two orthogonal samples, Gibbs loss, from weights that fit both; one noisy step.
AT_OPTIMUM = Run(
    GIBBS, (((1, 0), 1), ((0, 1), 1)), (1, 1), Fraction(1, 4), 1, (((ONE, ONE),), ((-ONE, -ONE),))
)
#: Gibbs loss: a sample with a long input and one with a shorter one. Of the third weight no score
#: depends; it makes input gradients visible.
LONG_SHORT = Run(GIBBS, (((1, 0, 0), 1), ((0, HALF, 0), 1)), (0, 0, 1), Fraction(2), 4)
#: The same with a still shorter input.
LONG_SHORTER = Run(GIBBS, (((1, 0, 0), 1), ((0, Fraction(1, 3), 0), 1)), (0, 0, 1), Fraction(2), 8)
