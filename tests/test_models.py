"""The networks have the shapes that they promise and depend on one sample at a time."""

import pytest
import torch
from torch import nn

from memlib import models
from memlib.errors import NotPositive, WrongShape, WrongType
from memlib.runtime import seeded


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 5, 7)])
@pytest.mark.parametrize("build", [models.mlp, models.small_cnn])
def test_logits_have_one_column_for_each_class(build, shape):
    network = build(shape, classes=7)
    assert network(torch.rand(3, *shape)).shape == (3, 7)


@pytest.mark.parametrize(
    ("depth", "layers"),
    [
        (0, [nn.Flatten, nn.Linear]),
        (1, [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]),
        (2, [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]),
    ],
)
def test_mlp_has_depth_hidden_layers(depth, layers):
    network = models.mlp(width=5, depth=depth)
    assert [type(layer) for layer in network] == layers
    widths = [layer.out_features for layer in network if isinstance(layer, nn.Linear)]
    assert widths == [5] * depth + [10]


@pytest.mark.parametrize("build", [models.mlp, models.small_cnn])
def test_logits_of_a_sample_do_not_depend_on_its_batch(build):
    network, images = build(), torch.rand(4, 1, 28, 28)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone, rtol=1e-4, atol=1e-5)


def test_resnet18_keeps_the_resolution_of_small_images_only():
    small, large = models.resnet18((1, 28, 28), 4), models.resnet18((1, 224, 224), 4)
    assert small(torch.rand(2, 1, 28, 28)).shape == (2, 4)
    assert (small.conv1.stride, type(small.maxpool)) == ((1, 1), nn.Identity)
    assert (large.conv1.stride, large.conv1.in_channels) == ((2, 2), 1)
    assert sum(p.numel() for p in models.resnet18().parameters()) == 11_173_962


def test_initialization_is_that_of_the_seeded_generator():
    with seeded(0, "init"):
        first = models.mlp()
    with seeded(0, "init"):
        again = models.mlp()
    assert all(
        torch.equal(p, q) for p, q in zip(first.parameters(), again.parameters(), strict=True)
    )


@pytest.mark.parametrize("build", [models.mlp, models.small_cnn, models.resnet18])
@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("classes", 0, NotPositive),
        ("classes", 2.5, WrongType),
        ("classes", True, WrongType),
        ("shape", (28, 28), WrongShape),
        ("shape", (1, 0, 28), NotPositive),
        ("shape", (1, 28, "28"), WrongType),
    ],
)
def test_impossible_sizes_are_refused(build, argument, value, error):
    with pytest.raises(error, match=argument):
        build(**{argument: value})


def test_widths_and_depths_are_checked_and_images_must_survive_pooling():
    with pytest.raises(NotPositive, match="width: 0"):
        models.mlp(width=0)
    with pytest.raises(NotPositive, match="depth: -1"):
        models.mlp(depth=-1)
    with pytest.raises(WrongShape, match="at least 4 x 4"):
        models.small_cnn((1, 3, 8))
