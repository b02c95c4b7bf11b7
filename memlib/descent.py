"""Gradient descent on a network that is linear in its weights, as a function of the kernel.

Trained from `w_0` on the sum of squared errors, the weights are
`w_t = w_0 + J^T p_t(K + lambda I) (y - f_0)` with the Jacobian `J`, `(n k, d)`, the kernel
`K = J J^T` and a function `p_t` (`coefficients`), a sum of few simple fractions (`contour`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from memlib.errors import NonFiniteNumber, NotPositive, TooLarge, WrongType
from memlib.runtime import whole_number

#: Points of the parabola, of which the upper half is used: relative error 1e-14.
PARABOLA = 36
#: Points of the circle, for fewer steps than the parabola can serve.
CIRCLE, CIRCLE_STEPS = 128, 16


@dataclass(frozen=True)
class GradientDescent:
    """How a linearized network is trained: full-batch gradient descent from its initial weights.

    The loss is `1/2 sum_i |f(x_i) - y_i|^2 + decay/2 |w - w_0|^2`: a sum over samples. For the mean
    over samples, multiply the learning rate by n and the decay by n.

    Attributes:
        time: Number of steps t; infinity for the minimum. With `continuous`, any positive time.
        learning_rate: eta; needed for a finite time.
        decay: lambda, pulling towards the initial weights (`unique`, Appendix F).
        continuous: Gradient flow, `dw/dt = -eta gradient`, in place of steps.

    Raises:
        NotPositive: time or learning_rate is not positive, or decay is negative.
        NonFiniteNumber: learning_rate or decay is not finite.
        WrongType: One of them is no number, a number of steps is not whole, or a finite time has
            no learning rate.
    """

    time: float = math.inf
    learning_rate: float | None = None
    decay: float = 0.0
    continuous: bool = False

    def __post_init__(self) -> None:
        for name in ("time", "learning_rate", "decay"):
            value = getattr(self, name)
            if value is None and name == "learning_rate":
                continue
            if isinstance(value, bool) or not isinstance(value, Real):
                raise WrongType(name, value, "Pass a number.")
        if not self.time > 0:
            raise NotPositive("time", self.time, "Pass a positive time, or infinity.")
        if math.isfinite(self.time):
            if self.learning_rate is None:
                raise WrongType("learning_rate", None, "Pass the rate of a finite training.")
            if not self.continuous:
                exact = int(self.time) if self.time == int(self.time) else self.time
                whole_number("time", exact)
        for name, value in (("learning_rate", self.learning_rate), ("decay", self.decay)):
            if value is not None and not math.isfinite(value):
                raise NonFiniteNumber(name, value, "Pass a finite number.")
        if self.learning_rate is not None and self.learning_rate <= 0:
            raise NotPositive("learning_rate", self.learning_rate, "Pass a positive rate.")
        if self.decay < 0:
            raise NotPositive("decay", self.decay, "Pass 0 or a positive number.")


def coefficients(descent: GradientDescent, values: Tensor) -> Tensor:
    """Return `p_t(s + decay)` of eigenvalues s: the weights are `J^T p_t(K + decay I) (y - f_0)`.

    `p_t(s)` is `(1 - (1 - eta s)^t) / s` for steps (`unique`, Eq. 10, F.50) and
    `(1 - exp(-eta t s)) / s` for gradient flow; at t = infinity both are `1 / s`, with 0 for s = 0.

    Args:
        descent: The training.
        values: Eigenvalues of the kernel, `(m,)`, not negative.

    Raises:
        TooLarge: The learning rate makes discrete steps diverge.
    """
    s = values + descent.decay
    if math.isinf(descent.time):
        tiny = s <= len(s) * torch.finfo(s.dtype).eps * s.max()
        return torch.where(tiny, 0.0, 1 / torch.where(tiny, 1.0, s))
    eta, t = _rate(descent, float(s.max())), descent.time
    zero = s == 0
    safe = torch.where(zero, 1.0, s)
    if descent.continuous:
        filtered = -torch.expm1(-eta * t * safe) / safe
    else:
        factor = 1 - eta * safe
        slow = -torch.expm1(t * torch.log1p(-(eta * safe).clamp(max=0.5)))
        filtered = torch.where(factor > 0.5, slow, 1 - factor.pow(t)) / safe
    return torch.where(zero, eta * t, filtered)


def _rate(descent: GradientDescent, top: float) -> float:
    """The learning rate of a finite training, once it is known that its steps converge."""
    eta = descent.learning_rate
    assert eta is not None  # GradientDescent refuses a finite time without one
    if not descent.continuous and eta * top >= 2:
        fix = f"Steps diverge: pass less than 2 / {top:.3g} = {2 / top:.3g}."
        raise TooLarge("learning_rate", eta, fix)
    return eta


def contour(descent: GradientDescent, top: float) -> tuple[Tensor, Tensor]:
    """Return points z and weights c, complex `(q,)`, with `p_t(s) = Re sum_q c_q / (s - z_q)`.

    Exact to rounding for all s from 0 to `top`. At t = infinity it is the one point 0. Otherwise it
    integrates `h(z) / (z (s - z))`, with `h = (1 - eta z)^t` or `exp(-eta t z)`, around 0 and s:
    along the parabola of Trefethen, Weideman and Schmelzer (2006), which h makes decay fast; a
    second one, around `2 / eta`, where steps overshoot; or, for few steps, along a circle.

    Args:
        descent: The training.
        top: The largest eigenvalue of the kernel, plus the decay.

    Raises:
        TooLarge: The learning rate makes discrete steps diverge.

    Example:
        >>> from memlib.descent import GradientDescent, contour
        >>> z, c = contour(GradientDescent(2000, 0.5), 1.0)
        >>> len(z), round(float((c / (0.01 - z)).sum().real), 3)  # (1 - 0.995^2000) / 0.01
        (18, 99.996)
    """
    if math.isinf(descent.time):
        return torch.from_numpy(np.zeros(1, complex)), torch.from_numpy(np.ones(1, complex))
    eta, t = _rate(descent, top), descent.time
    if not descent.continuous and t < CIRCLE_STEPS:
        # |h| <= rho^t on the circle; the sum errs by rho^-CIRCLE.
        angle = (np.arange(CIRCLE // 2) + 0.5) * 2 * np.pi / CIRCLE
        w = 10 ** (17 / CIRCLE) * np.exp(1j * angle)
        z = (1 - w) / eta
        weights = -2 / CIRCLE * w ** (t + 1) / (eta * z)
        return torch.from_numpy(z), torch.from_numpy(weights)
    angle = (np.arange(PARABOLA // 2) + 0.5) * 2 * np.pi / PARABOLA
    zeta = PARABOLA * (0.1309 - 0.1194 * angle**2 + 0.25j * angle)
    slope = 2 / 1j * np.exp(zeta) * (-0.2388 * angle + 0.25j)
    if descent.continuous:  # zeta = -eta t z
        z = -zeta / (eta * t)
        return torch.from_numpy(z), torch.from_numpy(slope / zeta)
    w = np.exp(zeta / t)  # w = 1 - eta z, zeta = t log w
    z = -np.expm1(zeta / t) / eta
    weights = -slope * w / (eta * t * z)
    if eta * top > 1 and t * math.log(eta * top - 1) > -45:  # w < 0, and |w|^t is not negligible
        sign = 1 - 2 * (int(t) % 2)
        z = np.concatenate([z, (1 + w) / eta])
        weights = np.concatenate([weights, sign * slope * w / (eta * t * (1 + w) / eta)])
    return torch.from_numpy(z), torch.from_numpy(weights)
