"""Linearized networks on a few samples, in rational numbers: training, leaving out, SGD noise.

Everything is measured from the start of training (initial weights 0, initial outputs 0, labels
minus initial outputs), which loses nothing for a network that is linear in its weights. The loss is
that of `unique`: half the squared error, summed over samples, plus half of lambda times the squared
length of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memlib.linearized import LinearizedModel


@dataclass(frozen=True)
class Network:
    """A linearized network with its training set.

    Args:
        jacobian: One row per output of each sample, `(n * k, d)`: how it changes with the weights.
        labels: What each output should become, `(n * k,)`.
        decay: lambda.
        outputs: k, the outputs of one sample.
    """

    jacobian: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]
    decay: Fraction = Fraction(0)
    outputs: int = 1

    @property
    def samples(self) -> int:
        """n, the number of samples."""
        return len(self.labels) // self.outputs


def rational(value: Fraction | int) -> Any:
    """The same number for sympy."""
    import sympy

    value = Fraction(value)
    return sympy.Rational(value.numerator, value.denominator)


def fraction(value: Any) -> Fraction:
    """A rational number of sympy as a `Fraction`."""
    return Fraction(int(value.p), int(value.q))


def rows(network: Network) -> Any:
    """The Jacobian as a matrix, `(n * k, d)`."""
    import sympy

    return sympy.Matrix(network.jacobian)


def targets(network: Network) -> Any:
    """The labels as a column, `(n * k, 1)`."""
    import sympy

    return sympy.Matrix(network.labels)


def kernel(network: Network) -> Any:
    """K = Theta + lambda I, `(n * k, n * k)`."""
    import sympy

    j = rows(network)
    return j * j.T + rational(network.decay) * sympy.eye(j.rows)


def hessian(network: Network) -> Any:
    """H, the Hessian of the regularized sum of losses, `(d, d)`."""
    import sympy

    j = rows(network)
    return j.T * j + rational(network.decay) * sympy.eye(j.cols)


def minimum(network: Network) -> Any:
    """Where training ends, `(d, 1)`: of all minima the nearest to the start.

    Solved through the kernel if that is invertible, else through the Hessian.

    Raises:
        ValueError: Neither is invertible.
    """
    j, k, h = rows(network), kernel(network), hessian(network)
    if k.det() != 0:
        return j.T * k.LUsolve(targets(network))
    if h.det() == 0:
        raise ValueError(
            f"with decay={network.decay} neither the kernel nor the Hessian of jacobian="
            f"{network.jacobian} is invertible: give a positive decay"
        )
    return h.LUsolve(j.T * targets(network))


def without(network: Network, i: int) -> Network:
    """The network with the training set that lacks sample `i`."""
    first, last = i * network.outputs, (i + 1) * network.outputs
    return Network(
        network.jacobian[:first] + network.jacobian[last:],
        network.labels[:first] + network.labels[last:],
        network.decay,
        network.outputs,
    )


def own(network: Network, i: int) -> slice:
    """The rows of sample `i`."""
    return slice(i * network.outputs, (i + 1) * network.outputs)


def gradients(network: Network, w: Any) -> Any:
    """Gradients of the samples' losses at w, without the regularizer, as columns `(d, n)`."""
    import sympy

    j, error = rows(network), rows(network) * w - targets(network)
    columns = [j[own(network, i), :].T * error[own(network, i), :] for i in range(network.samples)]
    return sympy.Matrix.hstack(*columns)


def noise(network: Network, w: Any) -> Any:
    """Lambda(w) of Section C, `(d, d)`: the covariance of one gradient, drawn uniformly."""
    g = gradients(network, w)
    mean = sum((g[:, i] for i in range(g.cols)), g[:, 0] * 0) / g.cols
    return g * g.T / g.cols - mean * mean.T


def lyapunov(h: Any, q: Any) -> Any:
    """The solution of h S + S h^T = q, in rationals.

    Args:
        h: No two eigenvalues add up to 0, `(d, d)`.
        q: Any matrix, `(d, d)`.
    """
    from sympy import QQ, Matrix, eye, kronecker_product

    one = eye(h.rows)
    system = (kronecker_product(h, one) + kronecker_product(one, h)).to_DM().convert_to(QQ)
    right = Matrix(h.rows**2, 1, list(q)).to_DM().convert_to(QQ)
    return Matrix(h.rows, h.rows, list(system.lu_solve(right).to_Matrix()))


def in_floats(network: Network) -> LinearizedModel:
    """The network as `memlib.information` takes it, in floating point: an image is its Jacobian."""
    import torch
    from torch import nn

    from memlib.linearized import linearize

    jacobian = torch.tensor(network.jacobian, dtype=torch.float64)
    first = nn.Linear(jacobian.shape[1], 1, bias=False)
    nn.init.zeros_(first.weight)
    model = nn.Sequential(first, nn.Flatten())
    labels = torch.tensor(network.labels, dtype=torch.float64).view(-1, network.outputs)
    images = jacobian.unflatten(0, labels.shape)
    return linearize(model, images, labels, device="cpu", progress=False)
