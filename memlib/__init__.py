"""memlib: measure what a neural network memorized, one row per sample and one column per score.

Submodules load on first use, so that `import memlib` costs next to nothing:

Example:
    >>> import memlib
    >>> dataset = memlib.data.load("fmnist-mini")
    >>> len(dataset), dataset.num_classes
    (5000, 10)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memlib.runtime import device, scale, seeded

__version__ = "0.1.0"
__all__ = ["__version__", "device", "scale", "seeded"]

_SUBMODULES = frozenset(
    {
        "accounting",
        "attacks",
        "batches",
        "bounds",
        "check",
        "checkpoints",
        "cli",
        "corruptions",
        "cumulative_runs",
        "curvature",
        "curvature_estimators",
        "curvature_runs",
        "data",
        "datasets",
        "decomposition",
        "descent",
        "detection",
        "dynamics",
        "ensemble",
        "epochs",
        "errors",
        "files",
        "first_layer",
        "influence",
        "information",
        "layers",
        "learning_times",
        "leave_one_out",
        "linearized",
        "losses",
        "membership",
        "models",
        "notebook",
        "ntk",
        "piecewise",
        "places",
        "plotting",
        "privacy",
        "private_ensemble",
        "private_models",
        "private_runs",
        "private_training",
        "results",
        "runs",
        "runtime",
        "schedules",
        "selfcheck",
        "shards",
        "splits",
        "stability",
        "summarize",
        "theory",
        "training",
        "trajectories",
        "weight_space",
    }
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"memlib.{name}")
    if name in {"device", "scale", "seeded"}:
        return getattr(importlib.import_module("memlib.runtime"), name)
    raise AttributeError(f"module 'memlib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
