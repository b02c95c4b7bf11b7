"""How much information a sample gives to a network: sample information in weights and predictions.

Smooth sample information (`unique`; Harutyunyan et al. 2021) is a divergence between what is
trained with and without the sample, blurred by Gaussian noise. For a linearized network it needs no
retraining, for all samples one factorization (`memlib.leave_one_out`).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from memlib.descent import GradientDescent as GradientDescent
from memlib.errors import NonFiniteNumber, NotPositive, SingularKernel, UnknownName
from memlib.leave_one_out import Groups, changes, inverse, squared_changes
from memlib.linearized import LinearizedModel, cross_kernel
from memlib.linearized import linearize as linearize
from memlib.runtime import whole_number

__all__ = [
    "functional_sample_information",
    "langevin_sample_information",
    "sample_information",
    "sgd_sample_information",
    "steady_state",
]


def functional_sample_information(
    linearized: LinearizedModel,
    descent: GradientDescent | None = None,
    *,
    evaluation: Tensor | None = None,
    sigma: float = 1.0,
    groups: Groups | None = None,
    progress: bool | None = None,
) -> np.ndarray:
    """Return F-SI, how far leaving out each sample moves predictions, for all samples at once.

    `F-SI_sigma(z_i) = mean_x |f_w(x) - f_{w_{-i}}(x)|^2 / (2 sigma^2)`, over evaluation inputs x
    (`unique`, Eq. 8 and 16, whose square is missing in print): the divergence, in nats, between
    predictions with Gaussian noise of variance sigma^2.

    Args:
        linearized: The linearized network with its training samples.
        descent: How it is trained; None for the minimum without decay.
        evaluation: Inputs to predict, `(m, ...)`, as a validation set; None for the training
            samples.
        sigma: Standard deviation of the noise on a prediction.
        groups: Positions of samples to leave out together, one sequence per group; None for every
            sample alone.
        progress: Show a progress bar; None shows it where standard error is a terminal.

    Returns:
        `(n,)`, or one number per group, in nats, at least 0; higher = the predictions depend more
        on the sample.

    Raises:
        SingularKernel: The time is infinite and the kernel plus decay has no inverse.
        TooLarge: The learning rate makes steps diverge, or a group has more samples than there are.
        NotPositive, NonFiniteNumber: sigma is not a positive number.
        InvalidInput: Groups or evaluation inputs cannot be used.

    Cost: as `memlib.leave_one_out.changes`: one factorization of the kernel, whatever the number
    of samples and steps; plus `2 m n^2 k^3` operations and a cross kernel for evaluation inputs.

    Example:
        >>> import torch
        >>> from memlib.information import functional_sample_information, linearize
        >>> linear = linearize(torch.nn.Linear(2, 1), torch.eye(2), torch.ones(2))
        >>> functional_sample_information(linear).shape
        (2,)
    """
    descent = descent or GradientDescent()
    cross = None if evaluation is None else cross_kernel(linearized, evaluation, progress=progress)
    count = len(linearized) if evaluation is None else len(evaluation)
    variance = _positive("sigma", sigma) ** 2
    _, predictions = squared_changes(
        linearized.kernel,
        linearized.residuals,
        descent,
        cross=cross,
        groups=groups,
        eigen=_eigen(linearized, descent),
        progress=progress,
    )
    return (predictions / (2 * variance * count)).cpu().numpy()


def sample_information(
    linearized: LinearizedModel,
    descent: GradientDescent | None = None,
    *,
    sigma: float = 1.0,
    groups: Groups | None = None,
    progress: bool | None = None,
) -> np.ndarray:
    """Return SI with smoothing `sigma^2 I`, how far leaving out each sample moves the weights.

    `SI(z_i) = |w - w_{-i}|^2 / (2 sigma^2)` (`unique`, Prop. 3.2): the divergence, in nats, between
    weights with Gaussian noise of variance sigma^2. With the inverse Fisher information as the
    smoothing it is `functional_sample_information` with `sigma=1` (Prop. 4.2); with that of SGD's
    steady state, `sgd_sample_information`.

    Args:
        linearized: As in `functional_sample_information`, as are `descent`, `groups` and
            `progress`.
        sigma: Standard deviation of the noise on a weight.

    Returns:
        `(n,)`, or one number per group, in nats, at least 0; higher = the weights depend more on
        the sample.

    Raises:
        InvalidInput: As `functional_sample_information`.

    Cost: one eigendecomposition of the kernel, at infinite time too; see
    `memlib.leave_one_out.changes`.
    """
    descent = descent or GradientDescent()
    variance = _positive("sigma", sigma) ** 2
    weights, _ = squared_changes(
        linearized.kernel,
        linearized.residuals,
        descent,
        groups=groups,
        eigen=linearized.eigen,
        progress=progress,
    )
    return (weights / (2 * variance)).cpu().numpy()


def steady_state(
    linearized: LinearizedModel,
    *,
    learning_rate: float,
    batch_size: int,
    decay: float,
    isotropic: float = 0.0,
) -> Tensor:
    """Return the covariance of SGD's steady state where the samples' gradients reach, `(p, p)`.

    It solves `H S + S H = eta / b (Lambda + isotropic I)` (`unique`, Eq. 14) with
    `H = J^T J + decay I` and the covariance Lambda of one sample's gradient at the minimum. In the
    coordinates `U^T J / sqrt(s)`, from the p positive eigenvalues s of the kernel and their
    eigenvectors U, H is diagonal and each entry of S is a quotient: the d x d Lyapunov equation
    with its O(d^3) is not needed. H is the Hessian of the sum of losses and Lambda belongs to their
    mean, as printed: SGD on the mean has n times this covariance (claim `unique/eq-14`).

    Args:
        linearized: The linearized network with its training samples.
        learning_rate: eta.
        batch_size: b.
        decay: lambda, positive; without it the samples are fitted and nothing is noisy.
        isotropic: Variance of further noise on every coordinate of a gradient; 1 with very large
            batches is Langevin dynamics.

    Raises:
        NotPositive: learning_rate, batch_size or decay is not positive, or isotropic is negative.
        NonFiniteNumber: One of them is not finite.
    """
    rate, rows, values, h = _steady_inputs(linearized, learning_rate, batch_size, decay)
    if not 0 <= isotropic < math.inf:
        raise NotPositive("isotropic", isotropic, "Pass 0 or a positive number.")
    minimum = linearized.coefficients(GradientDescent(decay=decay))
    error = -decay * minimum.view_as(linearized.residuals)  # f - y where the gradient vanishes
    pulls = (rows.T.unflatten(1, error.shape) * error).sum(2) * values.sqrt()[:, None]  # (p, n)
    pulls = pulls - pulls.mean(1, keepdim=True)
    noise = pulls @ pulls.T / pulls.shape[1]  # Lambda, Appendix C
    noise += isotropic * torch.eye(len(noise), dtype=noise.dtype, device=noise.device)
    return rate * noise / (h[:, None] + h)


def sgd_sample_information(
    linearized: LinearizedModel,
    *,
    learning_rate: float,
    batch_size: int,
    decay: float,
    isotropic: float = 0.0,
    groups: Groups | None = None,
    progress: bool | None = None,
) -> np.ndarray:
    """Return SI at the minimum with the covariance of SGD's steady state as the smoothing.

    `(w - w_{-i})^T S^{-1} (w - w_{-i}) / 2` with S from `steady_state` (`unique`, Prop. 5.1, Eq.
    13). That this is the divergence between the two steady states needs equal covariances, which
    generically they are not (claim `unique/prop-5.1`): read it as a choice of smoothing.

    Args:
        linearized: As in `steady_state`, as are `learning_rate`, `batch_size`, `decay` and
            `isotropic`.
        groups: As in `functional_sample_information`, as is `progress`.

    Returns:
        `(n,)`, or one number per group, in nats; higher = the weights depend more on the sample.

    Raises:
        SingularKernel: S has no inverse in float64: so with more than one output or with many
            samples and little decay. A positive `isotropic` mends it.
        InvalidInput: As `steady_state`, `functional_sample_information`.
    """
    covariance = steady_state(
        linearized,
        learning_rate=learning_rate,
        batch_size=batch_size,
        decay=decay,
        isotropic=isotropic,
    )
    _, rows, values, _ = _steady_inputs(linearized, learning_rate, batch_size, decay)
    scale = covariance.diagonal().sqrt()
    correlation = covariance / scale / scale[:, None]
    factor, failed = torch.linalg.cholesky_ex(correlation)
    if int(failed) or float(factor.diagonal().min()) ** 2 < 1e-12:
        shown = f"{isotropic:g}: the covariance"
        fix = "Pass a positive isotropic, the variance of further noise on the gradients."
        raise SingularKernel("isotropic", shown, fix)
    descent = GradientDescent(decay=decay)
    _, batches = changes(
        linearized.kernel,
        linearized.residuals,
        descent,
        groups=groups,
        progress=progress,
    )
    count = len(linearized) if groups is None else len(groups)
    result = torch.empty(count, dtype=torch.float64, device=values.device)
    for numbers, _, delta, _ in batches:
        moved = (delta @ rows) * values.sqrt() / scale
        half = torch.linalg.solve_triangular(factor, moved.T, upper=False)
        result[numbers] = half.square().sum(0) / 2
    return result.cpu().numpy()


def langevin_sample_information(
    linearized: LinearizedModel,
    *,
    learning_rate: float,
    batch_size: int,
    decay: float,
    sigma: float = 1.0,
    form: Literal["exact", "printed"] = "exact",
) -> np.ndarray:
    """Return SI of Langevin dynamics, the divergence between its two steady states, of all samples.

    With the held-out residual `e` of the sample and `h = [K (K + decay I)^{-1}]_ii`, both k x k
    blocks, and `c = b / (eta sigma^2)`:

    - exact: `c e^T h (I - h) e - (tr h + log det(I - h)) / 2`, the divergence in nats;
    - printed: `c e^T h e`, which is `c (w - w_{-i})^T H (w - w_{-i})` (`unique`, Eq. 15): the
      quadratic part of the reverse divergence.

    Args:
        linearized: The linearized network with its training samples.
        learning_rate: eta.
        batch_size: b.
        decay: lambda, positive: without it a steady state does not exist without the sample.
        sigma: Standard deviation of a gradient's noise.
        form: Which of the two.

    Returns:
        `(n,)`, in nats, at least 0; higher = the weights depend more on the sample.

    Raises:
        NotPositive, NonFiniteNumber: A number is not positive, or not finite.
        UnknownName: There is no such form.

    Cost: one Cholesky factorization with inverse.
    """
    if form not in ("exact", "printed"):
        raise UnknownName("form", form, "Pass 'exact' or 'printed'.")
    rate = _positive("learning_rate", learning_rate) / whole_number("batch_size", batch_size)
    scale = 1 / (rate * _positive("sigma", sigma) ** 2)
    _positive("decay", decay)
    n, k = linearized.residuals.shape
    whole = inverse(linearized.kernel, decay)
    trained = (whole @ linearized.residuals.flatten()).view(n, k)
    places = torch.arange(n * k, device=whole.device).view(n, k)
    own = whole[places[:, :, None], places[:, None, :]]  # (n, k, k)
    force = torch.linalg.solve(own, trained)  # the held-out residual
    rest = decay * own  # I - h
    pushed = force - torch.einsum("nab,nb->na", rest, force)  # h e
    if form == "printed":
        return (scale * (force * pushed).sum(1)).cpu().numpy()
    square = torch.einsum("na,nab,nb->n", pushed, rest, force)
    # From the eigenvalues of -h: where h is small the two terms nearly cancel.
    shrunk = torch.linalg.eigvalsh(rest) - 1
    return (scale * square + (shrunk - shrunk.log1p()).sum(1) / 2).cpu().numpy()


def _positive(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise NonFiniteNumber(name, value, "Pass a positive number.")
    if value <= 0:
        raise NotPositive(name, value, "Pass a positive number.")
    return value


def _eigen(linearized: LinearizedModel, descent: GradientDescent) -> tuple[Tensor, Tensor] | None:
    """The spectrum, where it is needed."""
    return linearized.eigen if math.isfinite(descent.time) else None


def _steady_inputs(
    linearized: LinearizedModel, learning_rate: float, batch_size: int, decay: float
) -> tuple[float, Tensor, Tensor, Tensor]:
    """Eta / b; eigenvectors `(n k, p)` and eigenvalues `(p,)` that are not zero; H's diagonal."""
    rate = _positive("learning_rate", learning_rate) / whole_number("batch_size", batch_size)
    values, vectors = linearized.eigen
    kept = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    return rate, vectors[:, kept], values[kept], values[kept] + _positive("decay", decay)
