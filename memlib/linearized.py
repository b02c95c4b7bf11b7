"""Linearized networks: Jacobians in bounded memory, the neural tangent kernel, training exactly.

`f_lin(x) = f_0(x) + J(x) (w - w_0)` is the first-order Taylor expansion of a network in its weights
(`unique`, Section 5; Lee et al. 2019). All of it is computed in float64.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import vjp

from memlib import runtime
from memlib.descent import GradientDescent
from memlib.errors import (
    EmptySelection,
    LabelOutOfRange,
    NonFiniteImages,
    NonFiniteNumber,
    NotDifferentiable,
    TrainMode,
    WrongShape,
    WrongType,
)
from memlib.leave_one_out import spectrum, trained_coefficients
from memlib.ntk import (
    Kernel,
    Sketch,
    push,
    rows_per_block,
    sketch_error,
    tangent_kernel,
    trainable,
)
from memlib.piecewise import called, outputs_of, refuse_mixing
from memlib.runtime import whole_number

#: Images that go through a network at once where nothing is differentiated.
CHUNK = 500


@dataclass(frozen=True, eq=False)
class LinearizedModel:
    """A network's Taylor expansion at its initial weights, with the samples that it is trained on.

    Made by `linearize`. A row of the kernel is one output of one sample; the k outputs of a sample
    lie next to each other.

    Attributes:
        network: A copy of the network in float64, in eval mode, at the initial weights.
        images: `(n, ...)`, float64.
        outputs: f_0, `(n, k)`.
        targets: y, `(n, k)`.
        kernel: `J J^T`, `(n k, n k)`, or its estimate.
        sketch: How the kernel was computed.
        kernel_error: Relative error (Frobenius) of the kernel on a few samples; 0 if exact.
        memory: MiB for Jacobians.
    """

    network: nn.Module
    images: Tensor
    outputs: Tensor
    targets: Tensor
    kernel: Tensor
    sketch: Sketch
    kernel_error: float
    memory: int

    def __len__(self) -> int:
        """Return the number of samples n."""
        return len(self.images)

    @property
    def residuals(self) -> Tensor:
        """Y - f_0, `(n, k)`."""
        return self.targets - self.outputs

    @cached_property
    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues and eigenvectors of the kernel, computed once."""
        return spectrum(self.kernel)

    def coefficients(self, descent: GradientDescent) -> Tensor:
        """Return a, `(n k,)`: the trained weights are `w_0 + J^T a`."""
        return trained_coefficients(self.kernel, self.residuals, descent, eigen=self.eigen)

    def weights(self, descent: GradientDescent) -> dict[str, Tensor]:
        """Return the trained weights `w_t = w_0 + J^T a`, by name (`unique`, Eq. 10 mended, F.50).

        Frozen weights are left out. With a sketched kernel the coefficients are estimates.

        Args:
            descent: The training.

        Raises:
            TooLarge: The learning rate makes steps diverge.

        Cost: one eigendecomposition, once, and one backward pass through the samples.
        """
        pull = self.coefficients(descent).view_as(self.outputs)
        weights = trainable(self.network)
        moved = {name: weight.clone() for name, weight in weights.items()}
        for images, part in zip(self._chunks(self.images), self._chunks(pull), strict=True):
            _, back, *_ = vjp(lambda w, x=images: called(self.network, w, x), weights)
            for name, change in back(part)[0].items():
                moved[name] += change
        return moved

    def predictions(self, descent: GradientDescent, images: Tensor | None = None) -> Tensor:
        """Return the outputs of the trained linearized network, `(m, k)` (`unique`, Eq. 11, F.53).

        Args:
            descent: The training.
            images: `(m, ...)`; None for the training samples.

        Raises:
            TooLarge: The learning rate makes steps diverge.
            WrongShape, NonFiniteImages: The images cannot be used.

        Cost: one eigendecomposition, once; for new images also a cross kernel, or with an exact
        kernel one backward pass through the samples and two through the images.
        """
        if images is None:
            return self.outputs + (self.kernel @ self.coefficients(descent)).view_as(self.outputs)
        images = self._checked(images)
        with torch.no_grad():
            initial = torch.cat([called(self.network, {}, part) for part in self._chunks(images)])
        if self.sketch.kind != "exact":
            moved = cross_kernel(self, images, progress=False) @ self.coefficients(descent)
            return initial + moved.view_as(initial)
        start = trainable(self.network)
        end = self.weights(descent)
        change = {name: end[name] - start[name] for name in start}
        parts = [push(self.network, start, change, part) for part in self._chunks(images)]
        return initial + torch.cat(parts)

    def _checked(self, images: Tensor) -> Tensor:
        check_images(images, self.images.shape[1:])
        return images.detach().to(self.images.device, torch.float64)

    def _chunks(self, table: Tensor) -> tuple[Tensor, ...]:
        size = sum(weight.numel() for weight in trainable(self.network).values())
        return table.split(rows_per_block(self.memory, size))


def linearize(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    kernel: Kernel = "exact",
    size: int = 2000,
    memory: int = 1024,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> LinearizedModel:
    """Expand a network at its present weights and compute its neural tangent kernel.

    Only weights that require a gradient are linearized: freeze layers by `requires_grad_(False)`.

    Args:
        model: Any network `(n, ...) -> (n, k)`, with batch norm and dropout in eval mode; a copy
            is kept.
        images: `(n, ...)`.
        labels: What each output should become, `(n, k)` floats, or `(n,)` for one output; or
            classes `(n,)` of whole numbers, taken as one-hot vectors of length k > 1.
        kernel: `"exact"`; `"coordinates"`: `size` random coordinates per weight tensor, scaled to
            be right on average, as in `unique` (far off where gradients are sparse: see the claim
            `unique/random-coordinates`); `"projection"`: products with `size` random sign vectors,
            with a standard error of at most `sqrt(2 / size)` times the lengths of both gradients.
        size: See `kernel`.
        memory: MiB for Jacobians. Where they do not fit, blocks are computed again: the time grows
            with the number of blocks, the memory does not.
        seed: Of the coordinates and signs.
        device: Where to compute; None for `memlib.runtime.device()`, or the CPU if that is Apple's
            MPS, which has no float64.
        progress: Show a progress bar; None shows it where standard error is a terminal.

    Returns:
        The linearized network.

    Raises:
        TrainMode: Batch norm or dropout is in train mode.
        InvalidInput: A sample's outputs depend on the other samples.
        NotDifferentiable: No gradient comes to the weights, or to some of them at any sample.
        WrongShape: Images, outputs and labels do not fit each other.
        NonFiniteImages, NonFiniteNumber: An image, or a label or output, is not finite.
        LabelOutOfRange: A class is not the number of an output.
        UnknownName, NotPositive: `kernel`, `size` or `memory` cannot be used.

    Cost: n k backward passes and `(n k)^2 d` operations (exact, in one block).

    Example:
        >>> import torch
        >>> from memlib.linearized import linearize
        >>> linear = linearize(torch.nn.Linear(2, 1), torch.eye(2), torch.ones(2))
        >>> linear.kernel.tolist()  # inner products of (x, 1)
        [[2.0, 1.0], [1.0, 2.0]]
    """
    sketch = Sketch(kernel, size, seed)
    whole_number("memory", memory)
    network, images, outputs, targets = prepare(model, images, labels, device)
    weights = trainable(network)
    seen = dict.fromkeys(weights, False)
    gram = tangent_kernel(network, images, images, sketch, memory, progress, seen)
    dead = [name for name, reached in seen.items() if not reached]
    if dead:
        fix = (
            "A layer behind it is not differentiable (rounding, argmax, sign) or dead: replace it, "
            "or freeze the weight by requires_grad_(False)."
        )
        raise NotDifferentiable("model", f"weight {dead[0]}", fix)
    error = sketch_error(network, images, sketch, memory)
    return LinearizedModel(network, images, outputs, targets, gram, sketch, error, memory)


def cross_kernel(
    linearized: LinearizedModel, images: Tensor, *, progress: bool | None = None
) -> Tensor:
    """Return the kernel between other images and the training samples, `(m k, n k)`.

    Args:
        linearized: The linearized network.
        images: `(m, ...)`.
        progress: Show a progress bar; None shows it where standard error is a terminal.

    Raises:
        WrongShape, NonFiniteImages: The images cannot be used.

    Cost: the Jacobians of both, and `m n k^2 d` operations; where they do not fit in the memory of
    `linearize`, those of the training samples are computed once per block of images.
    """
    check_images(images, linearized.images.shape[1:])
    other = images.detach().to(linearized.images.device, torch.float64)
    network, sketch, memory = linearized.network, linearized.sketch, linearized.memory
    return tangent_kernel(network, other, linearized.images, sketch, memory, progress)


def prepare(
    model: nn.Module, images: Tensor, labels: Tensor, device: torch.device | str | None
) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Return a copy of the network, images, outputs `(n, k)` and targets `(n, k)`, in float64.

    Args:
        model: As in `linearize`, as are `images`, `labels` and `device`.

    Raises:
        InvalidInput: As `linearize`.
    """
    check_images(images)
    if device is None:
        found = runtime.device()
        device = torch.device("cpu") if found.type == "mps" else found
    network = _copy(model, device)
    images = images.detach().to(device, torch.float64)
    _check_network(network, images[:1])
    with torch.no_grad():
        outputs = torch.cat([called(network, {}, part) for part in images.split(CHUNK)])
    if not bool(torch.isfinite(outputs).all()):
        raise NonFiniteNumber("model", "an output that is NaN or infinite", "Repair its weights.")
    return network, images, outputs, _targets(labels, *outputs.shape).to(device)


def _copy(model: nn.Module, device: torch.device | str) -> nn.Module:
    """The network in float64, once it is known to treat every sample by itself."""
    coupling = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    for name, layer in model.named_modules():
        if isinstance(layer, coupling) and layer.training:
            shown = f"layer {name or 'itself'}: {type(layer).__name__}"
            raise TrainMode("model", shown, "Call model.eval() first.")
    network = copy.deepcopy(model).to(device, torch.float64).eval()
    if not trainable(network):
        fix = "Call requires_grad_(True) on the weights to linearize."
        raise NotDifferentiable("model", f"{type(model).__name__} with no trainable weight", fix)
    return network


def check_images(images: Tensor, shape: torch.Size | None = None) -> None:
    """Refuse what is no batch of finite images (of some shape), with the error that says why."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        raise WrongType("images", images, "Pass a tensor of floats.")
    if images.ndim < 2 or (shape is not None and images.shape[1:] != shape):
        fix = "Pass shape (n, ...)" + (f" with {tuple(shape)} after n." if shape else ".")
        raise WrongShape("images", tuple(images.shape), fix)
    if images.numel() == 0:
        raise EmptySelection("images", tuple(images.shape), "Pass at least one image.")
    if not bool(torch.isfinite(images).all()):
        raise NonFiniteImages("images", "an image", "Remove or repair it.")


def _check_network(network: nn.Module, image: Tensor) -> None:
    """Refuses outputs that are no row of floats, or that no gradient leaves."""
    outputs = outputs_of(network, image.clone())
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != 1:
        shown = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise WrongShape("model", shown, "It must map (n, ...) to outputs (n, k).")
    if not outputs.requires_grad:
        fix = "It ends in something that is not differentiable, as argmax: leave that out."
        raise NotDifferentiable("model", f"{type(network).__name__}: its output", fix)
    refuse_mixing(network, image)


def _targets(labels: Tensor, n: int, k: int) -> Tensor:
    """Labels as floats `(n, k)`."""
    if not isinstance(labels, Tensor):
        raise WrongType("labels", labels, "Pass a tensor.")
    if not labels.is_floating_point() and labels.shape == (n,) and k > 1:
        if int(labels.min()) < 0 or int(labels.max()) >= k:
            bad = labels[(labels < 0) | (labels >= k)][0]
            raise LabelOutOfRange("labels", int(bad), f"The network has {k} outputs.")
        return nn.functional.one_hot(labels.long(), k).to(torch.float64)
    if labels.shape != (n, k) and not (k == 1 and labels.shape == (n,)):
        fix = f"Pass floats ({n}, {k}), or classes ({n},) for more than one output."
        raise WrongShape("labels", tuple(labels.shape), fix)
    if not bool(torch.isfinite(labels).all()):
        raise NonFiniteNumber("labels", "NaN or infinity", "Pass finite labels.")
    return labels.detach().to(torch.float64).reshape(n, k)
