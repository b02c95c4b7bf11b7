"""What leaving out samples changes in a linearized network: for all samples, one factorization.

The algebra needs only the kernel and the residuals; `memlib.information` applies it to networks.

The weights of the trained network are `w_0 + J^T p_t(K + lambda I) (y - f_0)`, and
`memlib.descent.contour` writes `p_t` of a matrix as a sum of resolvents, `(K + lambda I - z)^{-1}`
at 18 points z of a curve around the spectrum. A resolvent without some rows and columns is one
block update away from the whole one, and its spectrum lies inside the same curve (interlacing). So
one eigendecomposition and the same points serve all samples, at any training time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from memlib.descent import GradientDescent, coefficients, contour
from memlib.errors import (
    DuplicateIds,
    EmptySelection,
    NonFiniteNumber,
    SingularKernel,
    TooLarge,
    UnknownIds,
    WrongShape,
    WrongType,
)
from memlib.runtime import progress as progress_bar

#: Numbers in one table of a batch, 1 MiB: small enough for the processor's cache.
TABLE = 2**17
#: Rows of a group from which on the points of the contour are taken one by one.
LARGE = 32

Groups = Sequence[Sequence[int]]
# Numbers of the groups, their rows (g, b), and two tables (g, n k): Delta and K Delta.
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
Solve = Callable[[Tensor], tuple[Tensor, Tensor]]


def check_system(kernel: Tensor, residuals: Tensor) -> tuple[Tensor, Tensor]:
    """Return kernel and residuals in float64 once they are known to fit each other.

    Args:
        kernel: `(n k, n k)`, symmetric.
        residuals: `(n, k)`, labels minus initial outputs.

    Raises:
        WrongShape: The kernel is not square, not symmetric, or not of the size of the residuals.
        NonFiniteNumber: One of them holds NaN or infinity.
        EmptySelection: There is no sample.
    """
    kernel, residuals = (part.detach().to(torch.float64) for part in (kernel, residuals))
    if residuals.ndim != 2:
        raise WrongShape("residuals", tuple(residuals.shape), "Pass shape (n, k).")
    if residuals.numel() == 0:
        raise EmptySelection("residuals", tuple(residuals.shape), "Pass at least one sample.")
    if kernel.shape != (residuals.numel(),) * 2:
        fix = f"Pass one row and one column for each of the {residuals.numel()} residuals."
        raise WrongShape("kernel", tuple(kernel.shape), fix)
    # One product with a vector finds what is not finite, and what is not symmetric, at a thousandth
    # of the cost of what follows.
    probe = torch.linspace(1.0, 2.0, len(kernel), dtype=kernel.dtype, device=kernel.device).sin()
    pushed = kernel @ probe
    for name, value in (("kernel", pushed), ("residuals", residuals)):
        if not bool(torch.isfinite(value).all()):
            raise NonFiniteNumber(name, "NaN or infinity", "Remove or repair those samples.")
    asymmetry = float((pushed - probe @ kernel).abs().max() / pushed.abs().max().clamp(min=1e-300))
    if asymmetry > 1e-9:
        raise WrongShape("kernel", f"asymmetric by {asymmetry:.1e}", "Pass a symmetric kernel.")
    return kernel, residuals


def spectrum(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues `(n k,)`, ascending, and the eigenvectors, as columns, of a kernel.

    Eigenvalues that are zero to rounding are zero: those of equal samples, or of n k above d.

    Raises:
        SingularKernel: An eigenvalue is negative by more than rounding.
    """
    values, vectors = torch.linalg.eigh(kernel)
    if float(values[0]) < -1e-10 * float(values[-1].abs()):
        shown = f"a matrix with the eigenvalue {float(values[0]):.1e}"
        raise SingularKernel("kernel", shown, "Pass a Gram matrix J J^T.")
    tiny = len(values) * torch.finfo(values.dtype).eps * values[-1]
    return values.masked_fill(values <= tiny, 0.0), vectors.contiguous()


def changes(
    kernel: Tensor,
    residuals: Tensor,
    descent: GradientDescent,
    *,
    groups: Groups | None = None,
    eigen: tuple[Tensor, Tensor] | None = None,
    progress: bool | None = None,
) -> tuple[Tensor | None, Iterator[Batch]]:
    """Return how the coefficients of the trained network change when groups are left out.

    Trained on all samples the weights are `w_0 + J^T a`, trained without group g `w_0 + J^T a_g`.
    Training without a group is not the same as a label of zero: it takes the group's rows and
    columns out of the kernel.

    Args:
        kernel: `J J^T`, `(n k, n k)`, the k outputs of a sample next to each other.
        residuals: Labels minus initial outputs, `(n, k)`.
        descent: The training.
        groups: Positions of the samples to leave out together, one sequence per group; None for
            every sample alone.
        eigen: `spectrum(kernel)`, to save its time in later calls. At infinite time it is not
            needed; passed, it is used all the same: it takes longer than a Cholesky factorization,
            and changes of the weights keep their digits where samples are equal and decay small.
        progress: Show a progress bar; None shows it where standard error is a terminal.

    Returns:
        A basis and batches of groups. A batch is the numbers of its groups, their rows in the
        kernel `(g, b)`, and the tables `a - a_g` and `K (a - a_g)`, both `(g, n k)`: coefficients
        in the basis, an orthonormal `(n k, n k)`, or plain if the basis is None.

    Raises:
        SingularKernel: The kernel plus decay has no inverse, and the time is infinite.
        TooLarge: The learning rate makes steps diverge, or a group has more samples than there are.
        EmptySelection, DuplicateIds, UnknownIds: A group is empty, names a sample twice, or one
            that is not there.
        WrongType: A group is no sequence of whole numbers.
        WrongShape, NonFiniteNumber: As `check_system`.

    Cost: one Cholesky factorization with inverse (infinite time) or one eigendecomposition, of
    size n k; then `O(n^2 k^2 (1 + q b))` for groups of b rows in all, q = 18 points (36 where steps
    overshoot, 64 below 16 steps). Memory: the kernel's size, three times; a batch's tables have
    at most 1 MiB each, or one group.
    """
    kernel, residuals = check_system(kernel, residuals)
    n, k = residuals.shape
    sizes = _by_size(groups, n, kernel.device)
    if math.isinf(descent.time) and eigen is None:
        basis = None
        solve = _converged(kernel, residuals, descent.decay)
    else:
        values, basis = spectrum(kernel) if eigen is None else eigen
        solve = _stopped(values, basis, residuals, descent)

    def batches() -> Iterator[Batch]:
        offsets = torch.arange(k, device=kernel.device)
        with progress_bar(
            total=sum(len(numbers) for numbers, _ in sizes),
            desc="leave out",
            enabled=progress,
        ) as bar:
            for numbers, members in sizes:
                b = members.shape[1] * k
                count = max(1, TABLE // (n * k * b))
                for chunk, group in zip(numbers.split(count), members.split(count), strict=True):
                    rows = (group[:, :, None] * k + offsets).flatten(1)
                    yield chunk, rows, *solve(rows)
                    bar.update(len(chunk))

    return basis, batches()


def _by_size(groups: Groups | None, n: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Numbers `(g,)` and positions `(g, size)` of the groups, for each size that occurs."""
    if groups is None:
        everything = torch.arange(n, device=device)
        return [(everything, everything[:, None])]
    if len(groups) == 0:
        raise EmptySelection("groups", groups, "Pass at least one group of positions.")
    sizes: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        members = np.asarray(group)
        if members.size == 0:
            raise EmptySelection("groups", f"group {number}", "Put a sample into every group.")
        if members.ndim != 1 or members.dtype.kind not in "iu":
            fix = "Pass sequences of whole numbers."
            raise WrongType("groups", f"group {number}: {group}", fix)
        if len(members) > n:
            fix = f"There are {n} samples: leave out at most these."
            raise TooLarge("groups", f"group {number} of {len(members)} samples", fix)
        if members.min() < 0 or members.max() >= n:
            raise UnknownIds("groups", f"group {number}", f"Pass positions from 0 to {n - 1}.")
        if len(np.unique(members)) < len(members):
            raise DuplicateIds("groups", f"group {number}", "Name every sample once.")
        sizes.setdefault(len(members), []).append(number)
    return [
        (
            torch.tensor(numbers, device=device),
            torch.tensor(np.stack([np.asarray(groups[i]) for i in numbers]), device=device),
        )
        for numbers in sizes.values()
    ]


def inverse(kernel: Tensor, decay: float) -> Tensor:
    """Return the inverse of the kernel plus decay, `(n k, n k)`.

    Raises:
        SingularKernel: It has none, to rounding.
    """
    # In place, all of it: new memory of this size takes as long as a tenth of the arithmetic. The
    # transpose of a symmetric matrix is itself, in the order of LAPACK.
    table = kernel.mT.clone()
    table.diagonal().add_(decay)
    tiny = len(kernel) * torch.finfo(kernel.dtype).eps * float(table.diagonal().max())
    failed = torch.empty((), dtype=torch.int32, device=kernel.device)
    torch.linalg.cholesky_ex(table, out=(table, failed))
    if int(failed) or float(table.diagonal().square().min()) <= tiny:
        raise _singular()
    return torch.cholesky_inverse(table, out=table)


def _singular() -> SingularKernel:
    fix = "Pass a positive decay or a finite time; two samples may be equal, or n k above d."
    return SingularKernel("kernel", "K + decay I", fix)


def _converged(kernel: Tensor, residuals: Tensor, decay: float) -> Solve:
    """Infinite time: `a - a_g = B E (E^T B E)^{-1} E^T B r`, with `B` the inverse."""
    whole = inverse(kernel, decay)
    trained = whole @ residuals.flatten()

    def solve(rows: Tensor) -> tuple[Tensor, Tensor]:
        own = _rows(whole, rows)  # (g, b, n k)
        blocks = own.gather(2, rows[:, None, :].expand(-1, rows.shape[1], -1))
        force = torch.linalg.solve(blocks, trained[rows])
        delta = own[:, 0] * force[:, :1]
        for a in range(1, rows.shape[1]):
            delta += own[:, a] * force[:, a : a + 1]
        # (K + decay I) delta is the force, on the group's own rows.
        rest = -decay * delta if decay else torch.zeros_like(delta)
        return delta, rest.scatter_add_(1, rows, force)

    return solve


def _stopped(values: Tensor, vectors: Tensor, residuals: Tensor, descent: GradientDescent) -> Solve:
    """Any time, in the eigenvectors' basis: `sum_q c_q R(z_q) E (E^T R E)^{-1} E^T R r`."""
    shifted = values + descent.decay
    tiny = len(shifted) * torch.finfo(shifted.dtype).eps * shifted.max()
    if math.isinf(descent.time) and bool(shifted.min() <= tiny):
        raise _singular()
    points, weights = contour(descent, float(shifted.max()))
    points, weights = points.to(values.device), weights.to(values.device)
    resolvent = 1 / (shifted[:, None] - points)  # (n k, q), diagonal in the basis
    flat = torch.view_as_real(resolvent).flatten(1)  # real products take half the time
    rotated = vectors.T @ residuals.flatten()
    applied = torch.view_as_complex((vectors @ (rotated[:, None] * flat)).unflatten(1, (-1, 2)))
    weighted = torch.view_as_real((resolvent * weights).conj().resolve_conj()).flatten(1)

    def solve(rows: Tensor) -> tuple[Tensor, Tensor]:
        own, right = _rows(vectors, rows), applied[rows]  # (g, b, n k), (g, b, q)
        size = rows.shape[1]
        if size > LARGE:
            force = _forces(own, resolvent, right)
        else:
            columns = [(own * own[:, a : a + 1]) @ flat for a in range(size)]
            blocks = torch.view_as_complex(torch.stack(columns, 1).unflatten(3, (-1, 2)))
            if size == 1:
                force = right / blocks[:, 0]
            else:
                swapped = blocks.permute(0, 3, 1, 2)
                force = torch.linalg.solve(swapped, right.transpose(1, 2)).transpose(1, 2)
        pulls = torch.view_as_real(force.contiguous()).flatten(2)  # (g, b, 2 q)
        delta = own[:, 0] * (pulls[:, 0] @ weighted.T)
        for a in range(1, size):
            delta += own[:, a] * (pulls[:, a] @ weighted.T)
        return delta, delta * values

    return solve


def _forces(own: Tensor, resolvent: Tensor, right: Tensor) -> Tensor:
    """The forces `(g, b, q)` on large groups, point by point: one block of each is held."""
    forces = []
    for column, pulled in zip(resolvent.unbind(1), right.unbind(2), strict=True):
        real, imaginary = ((own * part) @ own.mT for part in (column.real, column.imag))
        forces.append(torch.linalg.solve(torch.complex(real, imaginary), pulled[:, :, None]))
    return torch.cat(forces, 2)


def _rows(table: Tensor, rows: Tensor) -> Tensor:
    """The rows of a table, `(g, b, n k)`; without copying them if they follow each other."""
    first, last = int(rows[0, 0]), int(rows[-1, -1])
    flat = rows.flatten()
    if last - first + 1 == len(flat) and bool((flat.diff() == 1).all()):
        return table[first : last + 1].unflatten(0, rows.shape)
    return table[rows]


def squared_changes(
    kernel: Tensor,
    residuals: Tensor,
    descent: GradientDescent,
    *,
    cross: Tensor | None = None,
    groups: Groups | None = None,
    eigen: tuple[Tensor, Tensor] | None = None,
    progress: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """Return how far weights and predictions move when each group is left out.

    Args:
        kernel: As in `changes`, as are `residuals`, `descent`, `groups`, `eigen` and `progress`.
        cross: Kernel between m other inputs and the training samples, `(m k, n k)`; None to look at
            the predictions on the training samples.

    Returns:
        `|w - w_g|^2` and `sum_x |f_w(x) - f_{w_g}(x)|^2`, both `(groups,)`, not negative.

    Raises:
        WrongShape: `cross` does not have a column for each row of the kernel.
        NonFiniteNumber: `cross` holds NaN or infinity.
        InvalidInput: As `changes`.

    Cost: as `changes`, plus `2 m k (n k)^2` for other inputs.
    """
    if cross is not None:
        if cross.ndim != 2 or cross.shape[1] != len(kernel):
            fix = f"Pass shape (m k, {len(kernel)})."
            raise WrongShape("cross", tuple(cross.shape), fix)
        if not bool(torch.isfinite(cross).all()):
            raise NonFiniteNumber("cross", "NaN or infinity", "Repair or remove those inputs.")
        cross = cross.to(kernel.device, torch.float64)
    basis, batches = changes(
        kernel,
        residuals,
        descent,
        groups=groups,
        eigen=eigen,
        progress=progress,
    )
    if cross is not None and basis is not None:
        cross = cross @ basis
    count = len(residuals) if groups is None else len(groups)
    weights, predictions = kernel.new_empty((2, count), dtype=torch.float64)
    for numbers, rows, delta, pushed in batches:
        if cross is None and basis is None and descent.decay == 0:
            # All training samples are fitted: only the group's own predictions move.
            delta, pushed = delta.gather(1, rows), pushed.gather(1, rows)
        moved = pushed if cross is None else delta @ cross.T
        weights[numbers] = torch.linalg.vecdot(delta, pushed).clamp(min=0.0)
        predictions[numbers] = torch.linalg.vecdot(moved, moved)
    return weights, predictions


def trained_coefficients(
    kernel: Tensor,
    residuals: Tensor,
    descent: GradientDescent,
    *,
    eigen: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return `a`, `(n k,)`: the trained weights are `w_0 + J^T a`.

    A singular kernel without decay gives the minimum nearest to the initial weights.

    Args:
        kernel: As in `changes`, as are `residuals`, `descent` and `eigen`.

    Raises:
        InvalidInput: As `changes`, but for singular kernels.
    """
    kernel, residuals = check_system(kernel, residuals)
    values, vectors = spectrum(kernel) if eigen is None else eigen
    rotated = vectors.T @ residuals.flatten()
    return vectors @ (coefficients(descent, values) * rotated)


def held_out_predictions(
    kernel: Tensor,
    residuals: Tensor,
    descent: GradientDescent,
    *,
    eigen: tuple[Tensor, Tensor] | None = None,
    progress: bool | None = None,
) -> Tensor:
    """Return what each sample's prediction becomes if the sample itself is left out.

    Exact leave-one-out cross-validation at any training time, for the cost of one factorization (at
    infinite time these are the PRESS residuals of ridge regression).

    Args:
        kernel: As in `changes`, as are `residuals`, `descent`, `eigen`, `progress`.

    Returns:
        `f_{w_{-i}}(x_i) - f_0(x_i)`, `(n, k)`: compare it with the residuals.

    Raises:
        InvalidInput: As `changes`.
    """
    kernel, residuals = check_system(kernel, residuals)
    if eigen is None and math.isfinite(descent.time):
        eigen = spectrum(kernel)
    basis, batches = changes(kernel, residuals, descent, eigen=eigen, progress=progress)
    held = torch.empty_like(residuals)
    if basis is None:
        for numbers, rows, delta, pushed in batches:
            # (K + decay I)(a - a_i) is the held-out residual, on the sample's own rows.
            force = (pushed + descent.decay * delta).gather(1, rows)
            held[numbers] = residuals[numbers] - force
        return held
    whole = kernel @ trained_coefficients(kernel, residuals, descent, eigen=eigen)
    for numbers, rows, _, pushed in batches:
        held[numbers] = whole[rows] - torch.einsum("gbj,gj->gb", basis[rows], pushed)
    return held
