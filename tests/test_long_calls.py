"""Every call that can take long says how far it is, what it draws from, and where it computes."""

import inspect
from collections.abc import Callable
from importlib import import_module

import pytest
import torch

from memlib import attacks, curvature, detection, models, private_runs, private_training, runtime
from memlib.data import Dataset
from memlib.errors import UnknownName
from memlib.private_training import PrivateRecipe

MODULES = (
    "attacks",
    "curvature",
    "curvature_runs",
    "detection",
    "influence",
    "information",
    "leave_one_out",
    "linearized",
    "membership",
    "privacy",
    "private_ensemble",
    "private_runs",
    "private_training",
    "splits",
    "summarize",
)
DRAWS_NOTHING, NUMPY = "draws nothing", "NumPy"
THERE, IMAGES = "where the tensors or the linearized model are", "where the images are"
#: What a call does without, and why.
WITHOUT: dict[str, dict[str, str]] = {
    "attacks.adversarial_distance": {"seed": DRAWS_NOTHING},
    "attacks.fgsm": {"seed": DRAWS_NOTHING},
    "membership.lira": {"seed": DRAWS_NOTHING, "device": NUMPY},
    "influence.retraining": {"seed": DRAWS_NOTHING},
    "information.sample_information": {"seed": DRAWS_NOTHING, "device": THERE},
    "information.functional_sample_information": {"seed": DRAWS_NOTHING, "device": THERE},
    "information.sgd_sample_information": {"seed": DRAWS_NOTHING, "device": THERE},
    "leave_one_out.changes": {"seed": DRAWS_NOTHING, "device": THERE},
    "leave_one_out.held_out_predictions": {"seed": DRAWS_NOTHING, "device": THERE},
    "leave_one_out.squared_changes": {"seed": DRAWS_NOTHING, "device": THERE},
    "linearized.cross_kernel": {"seed": "that of linearize", "device": THERE},
    "splits.out_of_fold": {"device": IMAGES},
    "splits.second_split_forgetting": {"device": IMAGES},
    "summarize.summarize": {"seed": DRAWS_NOTHING, "device": THERE},
}


def public_functions() -> dict[str, Callable[..., object]]:
    """The functions that the modules themselves define and show."""
    found = {}
    for name in MODULES:
        module = import_module(f"memlib.{name}")
        for key, value in vars(module).items():
            own = inspect.isfunction(value) and value.__module__ == module.__name__
            if own and not key.startswith("_"):
                found[f"{name}.{key}"] = value
    return found


def long_calls() -> dict[str, Callable[..., object]]:
    """Those that show a bar, take a device, or are known to go without."""
    return {
        name: function
        for name, function in public_functions().items()
        if {"progress", "device"} & set(inspect.signature(function).parameters)
        if name not in ("influence.train", "linearized.prepare")  # one training; a check
    }


def test_the_long_calls_are_those_that_were_looked_for() -> None:
    calls = set(long_calls())
    assert set(WITHOUT) <= calls
    assert {
        "curvature.input_curvature",
        "curvature.finite_difference_errors",
        "curvature_runs.watch_curvature",
        "curvature_runs.record",
        "curvature_runs.tracked",
        "attacks.adversarial_copies",
        "detection.score_table",
        "detection.detection_table",
        "influence.influence",
        "linearized.linearize",
        "privacy.private_memorization",
        "privacy.score_by_privacy",
        "private_ensemble.train_private_ensemble",
        "private_runs.private_runs",
        "private_training.train_private",
    } <= calls


@pytest.mark.parametrize("name", long_calls())
def test_a_long_call_takes_progress_seed_and_device_or_has_a_reason(name: str) -> None:
    function = long_calls()[name]
    parameters, reasons = inspect.signature(function).parameters, WITHOUT.get(name, {})
    for wanted in ("progress", "seed", "device"):
        taken = [key for key in (wanted, f"{wanted}s") if key in parameters]
        assert bool(taken) != (wanted in reasons), f"{name} and {wanted}"
        for key in taken:
            assert key in (inspect.getdoc(function) or ""), f"{name} does not explain {key}"
    if "progress" in parameters:
        assert parameters["progress"].default in (None, False)
    if "device" in parameters:
        assert parameters["device"].default is None


# Where they compute ------------------------------------------------------------------------------

with runtime.seeded(0, "long calls"):
    SMALL = Dataset(
        images=torch.randn(40, 1, 3, 3),
        labels=torch.arange(40) % 3,
        ids=torch.arange(40),
        class_names=("cat", "dog", "fox"),
        name="small",
        mean=(0.5,),
        std=(0.25,),
    )
    NETWORK = models.mlp((1, 3, 3), 3, width=4)
PRIVATE = PrivateRecipe(epochs=1, batch_size=5, noise=1.0, delta=1e-2)


def network() -> torch.nn.Module:
    with torch.device("cpu"):  # what a caller builds is the caller's business
        return models.mlp((1, 3, 3), 3, width=4)


def private_weights(device: torch.device | str | None) -> torch.Tensor:
    with runtime.seeded(1, "private"):
        trained = network()
    private_training.train_private(trained, SMALL, PRIVATE, progress=False, device=device)
    return torch.cat([p.detach().flatten() for p in trained.parameters()])


def private_chances(method: str, device: torch.device | str | None) -> torch.Tensor:
    runs = private_runs.private_runs(
        SMALL, network, PRIVATE, pairs=1, method=method, device=device, progress=False
    )
    return torch.from_numpy(runs.probability)


def scores(device: torch.device | str | None) -> torch.Tensor:
    table = detection.score_table(
        SMALL,
        network,
        scores=["functional_information"],
        device=device,
        progress=False,
    )
    return torch.from_numpy(table.to_numpy(copy=True))


PAIR = SMALL.images, SMALL.labels
CALLS: dict[str, Callable[..., torch.Tensor]] = {
    "curvature": lambda d: curvature.input_curvature(NETWORK, *PAIR, device=d).trace,
    "curvature by probes": lambda d: (
        curvature.input_curvature(NETWORK, *PAIR, estimator="hutchinson", device=d).square
    ),
    "errors of finite steps": lambda d: curvature.finite_difference_errors(
        NETWORK, *PAIR, [1e-3], device=d
    ),
    "distance": lambda d: attacks.adversarial_distance(NETWORK, *PAIR, steps=2, device=d),
    "sign method": lambda d: attacks.fgsm(NETWORK, SMALL, 0.1, device=d),
    "private training": private_weights,
    "private networks at once": lambda d: private_chances("batched", d),
    "private networks in turn": lambda d: private_chances("sequential", d),
    "table of scores": scores,
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_made_on_another_device_than_the_one_asked_for(name: str) -> None:
    # whatever names no device lands on "meta" here, where it has no values and cannot be mixed
    wanted = CALLS[name]("cpu")
    with torch.device("meta"):
        found = CALLS[name]("cpu")
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)


def test_a_model_elsewhere_is_copied_to_the_device_and_left_where_it_is() -> None:
    here = torch.device("cpu")
    same, place = runtime.placed(NETWORK, None, torch.device("meta"))
    assert same is NETWORK
    assert place == here
    assert runtime.placed(NETWORK, "cpu", here)[0] is NETWORK
    moved, place = runtime.placed(NETWORK, "meta", here)
    assert place.type == "meta"
    assert {p.device.type for p in moved.parameters()} == {"meta"}
    assert {p.device.type for p in NETWORK.parameters()} == {"cpu"}
    assert runtime.placed(torch.nn.Flatten(), None, here)[1] == here
    with pytest.raises(UnknownName, match="device: 'nowhere'"):
        runtime.placed(NETWORK, "nowhere", here)
