"""Figures: labeled axes, one style, clear refusals."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from memlib import data, plotting
from memlib.errors import EmptySelection, NotPositive, UnknownIds, UnknownName, WrongShape


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def luminance(color):
    channels = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
def test_text_reads_on_light_and_dark_pages(page):
    assert contrast(plotting.GRAY, page) > 3.9


@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
def test_the_first_three_series_stand_out_on_light_and_dark_pages(page):
    for index in range(3):
        assert contrast(plotting.color(index), page) > 3


def test_the_style_ends_with_its_block():
    before = plt.rcParams["text.color"]
    with plotting.style():
        assert plt.rcParams["text.color"] == plotting.GRAY
    assert plt.rcParams["text.color"] == before


def test_an_image_grid_shows_the_pixels_of_its_samples(digits):
    ids = digits.ids[[4, 2, 9]].tolist()
    figure = plotting.image_grid(digits, ids, ["a", "b", "c"], columns=2)
    shown = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in shown] == ["a", "b", "c"]
    np.testing.assert_allclose(shown[1].images[0].get_array(), digits.pixels()[2, 0], atol=1e-6)


def test_a_histogram_counts_every_finite_value():
    values = np.array([0.1, 0.2, np.nan, 0.9])
    figure = plotting.histogram({"a": values}, xlabel="score", bins=np.linspace(0, 1, 3))
    heights = figure.axes[0].patches[0].get_xy()[:, 1]
    assert heights.max() == 2
    assert figure.axes[0].get_xlabel() == "score"


def test_binned_means_are_the_means_of_the_bins():
    x = np.arange(100.0)
    figure = plotting.binned_scatter(x, {"twice": 2 * x}, xlabel="x", ylabel="y", bins=4)
    line = figure.axes[0].lines[0]
    means = np.array(line.get_ydata(), dtype=float)
    np.testing.assert_allclose(means, 2 * np.array(line.get_xdata(), dtype=float))
    assert len(line.get_xdata()) == 4


def test_a_binned_scatter_uses_the_finite_pairs_of_each_panel():
    x, y = np.arange(12.0), np.arange(12.0) ** 2
    holes, other = x.copy(), y.copy()
    holes[3], other[[5, 6]] = np.nan, [np.nan, np.inf]
    figure = plotting.binned_scatter(holes, {"a": y, "b": other}, xlabel="x", ylabel="y", bins=3)
    for axis, gone in zip(figure.axes, ([3], [3, 5, 6]), strict=True):
        across, up = np.delete(x, gone), np.delete(y, gone)
        alone = plotting.binned_scatter(across, {"y": up}, xlabel="x", ylabel="y", bins=3)
        drawn, expected = axis.lines[0].get_xydata(), alone.axes[0].lines[0].get_xydata()
        np.testing.assert_array_equal(drawn, expected)
        np.testing.assert_array_equal(axis.collections[0].get_offsets(), np.c_[across, up])
    with pytest.raises(EmptySelection, match="'c' selects nothing"):
        plotting.binned_scatter(holes, {"c": np.full(12, np.nan)}, xlabel="x", ylabel="y")


def test_a_constant_has_one_bin():
    figure = plotting.binned_scatter(np.ones(5), {"y": np.arange(5.0)}, xlabel="x", ylabel="y")
    np.testing.assert_allclose(np.array(figure.axes[0].lines[0].get_ydata(), dtype=float), [2.0])


def test_points_by_value_are_the_means_and_sizes_of_the_groups():
    times, y = np.array([1, 1, 1, 4]), np.array([0.0, 0.3, 0.6, 1.0])
    figure = plotting.by_value({"a": times, "b": times[::-1]}, y, xlabel="T", ylabel="y")
    points = figure.axes[0].collections[-1]
    np.testing.assert_allclose(points.get_offsets(), [[1, 0.3], [4, 1.0]])
    large, small = points.get_sizes() - 4
    assert large == pytest.approx(3 * small)
    np.testing.assert_allclose(
        figure.axes[1].collections[-1].get_offsets(), [[1, 1.9 / 3], [4, 0.0]]
    )
    with pytest.raises(WrongShape, match="a: 4"):
        plotting.by_value({"a": times}, y[:3], xlabel="T", ylabel="y")
    with pytest.raises(UnknownName, match="Pass the titles a"):
        plotting.by_value({"a": times}, {"b": y}, xlabel="T", ylabel="y")
    with pytest.raises(EmptySelection):
        plotting.by_value({}, y, xlabel="T", ylabel="y")


def test_lines_and_dots_name_their_series():
    x = np.array([1.0, 10.0])
    figure = plotting.lines(x, {"a": x, "b": x}, xlabel="x", ylabel="y", dashed=["b"], log="xy")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b"]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["1", "10"]
    figure = plotting.dots({"s": {"row": [1.0, 2.0]}}, xlabel="x", reference={"s": {"row": 3.0}})
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["row"]


def legend_box(figure):
    figure.draw_without_rendering()
    axis = figure.axes[0]
    return axis.get_legend().get_window_extent(), axis.get_window_extent()


def test_a_legend_covers_no_curve():
    x = np.linspace(0, 1, 30)
    empty_corner, inside = legend_box(
        plotting.lines(x, {"a": x, "b": x / 2}, xlabel="x", ylabel="y")
    )
    assert inside.y0 < empty_corner.y0 < empty_corner.y1 < inside.y1
    everywhere = {f"a rather long label {k}": 0 * x + k for k in range(12)}
    box, inside = legend_box(plotting.lines(x, everywhere, xlabel="x", ylabel="y"))
    assert box.y0 > inside.y1
    band = {"a": (0 * x, 0 * x + 1)}
    figure = plotting.lines(x, {"a": 0 * x, "b": 0 * x}, xlabel="x", ylabel="y", band=band)
    box, inside = legend_box(figure)
    assert box.y0 > inside.y1


def test_a_wide_axis_has_powers_of_ten_alone():
    y = np.array([1e-6, 1.0])
    axis = plotting.lines(y, {"a": y}, xlabel="x", ylabel="y", log="y").axes[0]
    labels = [tick.get_text() for tick in axis.get_yticklabels()]
    assert all("10^" in label for label in labels)


def test_bad_figures_are_refused(digits):
    with pytest.raises(EmptySelection):
        plotting.image_grid(digits, [], [])
    with pytest.raises(WrongShape, match="captions"):
        plotting.image_grid(digits, [int(digits.ids[0])], [])
    with pytest.raises(UnknownIds, match="-1"):
        plotting.image_grid(digits, [-1], ["x"])
    with pytest.raises(EmptySelection):
        plotting.histogram({}, xlabel="x")
    with pytest.raises(NotPositive, match="bins"):
        plotting.binned_scatter(np.ones(3), {"y": np.ones(3)}, xlabel="", ylabel="", bins=0)
    with pytest.raises(UnknownName, match="c"):
        plotting.lines(np.ones(2), {"a": np.ones(2)}, xlabel="", ylabel="", dashed=["c"])
    with pytest.raises(EmptySelection):
        plotting.dots({}, xlabel="x")
