"""Training runs that several theorems of the draft are tried on, and the draft's assumptions there.

Each assumption is a string that claims quote, and a computation on the run.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations, pairwise, product

from memlib.theory import trajectories
from memlib.theory.linear_classifier import BOUND, Training, input_gradient, loss, weight_gradient
from memlib.theory.linear_classifier import mean_gradient as classifier_gradient
from memlib.theory.trajectories import Vector, dot
from memlib.theory.worlds import Data, mean, total

SMOOTH = r"the gradient of the loss is $\mathcal L$-Lipschitz (Eq. 16)"
MOMENT = r"$\mathbb E_t\|\tilde\nabla\ell\|^3\le\Gamma^3$ (Eq. 18)"
UNBIASED = "the gradient estimator is unbiased"
RANK = "the inputs are linearly independent (Lemma D.1 with a finite $k_g$)"
BOUNDED = r"$0\le\ell\le L$"
STABLE = r"error stability $\beta$ (Eq. 1)"
VARIANCE = r"at each step the standard deviation of the loss over samples is at most $\sigma_l$"
PL = r"$\mu$-PL: $\frac12\|\nabla_w\ell\|^2\ge\mu(\ell-\ell^*)$ (Eq. 19)"
PROXIMAL = r"$\ell(w_{T_{ref}})=(1-\lambda)\,\ell(w_0)$ for a reference sample ($\lambda$-proximal)"
SIGN = r"E.2: $\ell^{\setminus b}(w^*)\ge\ell(w_{T_b})$ and $T_a>T_b$"
CONFIDENCE = r"confidence $1-\delta$: at most a fraction $\delta$ of the samples is exempt"

#: A point of the sample space, with its label, besides the data.
ORIGIN = Fraction(0)

#: The larger one of the residuals that training starts from.
START = Fraction(1, 2)


def twins(ratio: Fraction) -> Training:
    """Two samples with nearly equal inputs that one step of gradient descent fits exactly.

    The starting residuals are an eigenvector of the Gram matrix, so that they shrink alike.

    Args:
        ratio: The smaller residual over the larger one, below 1; the closer to 1, the more alike
            are the samples.
    """
    a = (2 * ratio, Fraction(0))
    b = (ratio**2 + 2 * ratio - 1, 1 - ratio**2)
    rate = 2 / (dot(a, a) + ratio * dot(a, b))
    fitted = (1 / a[0], (1 - b[0] / a[0]) / b[1])
    start = tuple(
        end - rate * START * (s + ratio * t) / 2 for end, s, t in zip(fitted, a, b, strict=True)
    )
    return Training(((a, 1), (b, 1)), start, rate, 2)


#: Two samples, two weights, one step that matters. Sample 0 is `a`, sample 1 the reference.
TWINS = twins(Fraction(99, 100))
#: The threshold at which the reference is learned at once.
TWINS_TAU = TWINS.squares(1)[0]
#: Confidence 99 %; its square root is a tenth.
DELTA, ROOT_DELTA = Fraction(1, 100), Fraction(1, 10)


def sgd(training: Training) -> Mapping[str, bool]:
    """The assumptions of SGD convergence, computed on every run of an exact classifier."""
    return {
        SMOOTH: _smooth(training),
        MOMENT: training.largest_gradient() <= training.smoothness(),
        UNBIASED: all(
            end == tuple(v - training.rate * g for v, g in zip(start, gradient, strict=True))
            for start, end in pairwise(training.weights())
            for gradient in [classifier_gradient(start, training.data)]
        ),
    }


def _smooth(training: Training) -> bool:
    """Lipschitz in w with `smoothness()` along every run, and in x with the constant `|w|**2`."""
    runs = [training.weights(i) for i in (None, *range(len(training.data)))]
    in_w = training.smoothness()
    return all(
        _square(weight_gradient(v, z), weight_gradient(w, z)) <= in_w**2 * _square(v, w)
        for run in runs
        for v, w in pairwise(run)
        for z in training.data
    ) and all(
        _square(input_gradient(w, y), input_gradient(w, z)) <= dot(w, w) ** 2 * _square(y[0], z[0])
        for run in runs
        for w in run
        for y, z in combinations(training.data, 2)
        if y[1] == z[1]
    )


def bounded(training: Training) -> bool:
    """Every loss of every run lies between 0 and `BOUND`."""
    weights = [w for i in (None, *range(len(training.data))) for w in training.weights(i)]
    return all(0 <= loss(w, z) <= BOUND for w, z in product(weights, training.data))


def independent(data: Data) -> bool:
    """Whether two inputs are linearly independent."""
    (a, _), (b, _) = data
    return gram_determinant(a, b) > 0


def gram_determinant(a: Vector, b: Vector) -> Fraction:
    """The squared area of the parallelogram that two vectors span."""
    return dot(a, a) * dot(b, b) - dot(a, b) ** 2


def squared_k_g(w: Vector, data: Data) -> Fraction:
    """Lemma D.1's constant for one neuron and two independent inputs, squared:
    `|w|**2` times the squared Frobenius norm of the pseudo-inverse of X.
    """
    (a, _), (b, _) = data
    return dot(w, w) * (dot(a, a) + dot(b, b)) / gram_determinant(a, b)


def _square(a: Vector, b: Vector) -> Fraction:
    return total((Fraction(s) - t) ** 2 for s, t in zip(a, b, strict=True))


def time_of(squares: Sequence[Fraction], tau: Fraction) -> int:
    """Learning time (least T) from squared input gradients; one more than there are, if never."""
    return trajectories.learning_time(squares, tau) or len(squares) + 1


# A plateau -------------------------------------------------------------------------------------

#: Least squares: two nearly equal inputs whose labels disagree slightly, and the weights and the
#: step size of a run that fits their mean at once and their difference hardly at all.
PLATEAU: Data = (
    ((Fraction(1), Fraction(1, 100)), Fraction(101, 100)),
    ((Fraction(1), Fraction(-1, 100)), Fraction(99, 100)),
)
PLATEAU_START, PLATEAU_RATE, PLATEAU_STEPS = (Fraction(1022, 10**5), Fraction(0)), Fraction(1), 20


def plateau() -> tuple[Vector, ...]:
    """The weights of that run: gradient descent on the mean loss."""
    weight = Fraction(1, len(PLATEAU))
    return trajectories.descend(PLATEAU, PLATEAU_START, PLATEAU_RATE, PLATEAU_STEPS, weight)


def least_squares_sgd(
    run: tuple[Vector, ...], data: Data, rate: Fraction, bound: Fraction
) -> Mapping[str, bool]:
    """The assumptions of SGD convergence on a least-squares run.

    Args:
        run: The weights.
        data: The samples.
        rate: The step size.
        bound: Gamma squared.
    """
    gradients = {
        w: tuple(mean([trajectories.residual(w, z) * z[0][k] for z in data]) for k in range(len(w)))
        for w in run
    }
    lipschitz = max(dot(x, x) for x, _ in data)
    return {
        SMOOTH: all(
            _square(gradients[v], gradients[w]) <= lipschitz**2 * _square(v, w)
            for v, w in product(run, run)
        )
        and all(_smooth_in_z(w, data) for w in run),
        MOMENT: all(dot(g, g) <= bound for g in gradients.values()),
        UNBIASED: all(
            end == tuple(v - rate * g for v, g in zip(start, gradients[start], strict=True))
            for start, end in pairwise(run)
        ),
    }


def _smooth_in_z(w: Vector, data: Data) -> bool:
    """Lipschitz in the sample, input and label, with `|w|**2 + 1`: on the data and the origin."""
    points = [(*x, y) for x, y in data] + [(ORIGIN,) * (len(w) + 1)]
    direction = (*w, Fraction(-1))
    gradients = {z: tuple(dot(direction, z) * v for v in direction) for z in points}
    constant = dot(direction, direction)
    return all(
        _square(gradients[y], gradients[z]) <= constant**2 * _square(y, z)
        for y, z in combinations(points, 2)
    )


# One weight ------------------------------------------------------------------------------------

#: Least squares with one weight and one sample (input a tenth, label 1), fitted in one step.
ONE_SAMPLE: Data = (((Fraction(1, 10),), Fraction(1)),)
ONE_START, ONE_RATE = (Fraction(5),), Fraction(100)
#: The whole run, as what a check calls its instance.
ONE_WEIGHT = (ONE_SAMPLE, ONE_START, ONE_RATE)


def one_weight() -> tuple[Vector, ...]:
    """The two weights of that run, 5 and 10: before the step and after it."""
    return trajectories.descend(ONE_SAMPLE, ONE_START, ONE_RATE, 1)
