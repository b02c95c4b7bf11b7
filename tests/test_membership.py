"""The likelihood-ratio attack is the likelihood ratio, and its curve counts what it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import beta, norm
from sklearn.metrics import roc_auc_score, roc_curve

from memlib import attacks, data, models
from memlib.ensemble import Recipe
from memlib.errors import InvalidInput, NonFiniteNumber, NotPositive, UnknownName, WrongShape
from memlib.membership import Membership, Roc, lira, roc
from memlib.runs import Runs, draw_subsets, subset_runs
from memlib.shards import log_odds


def world(networks, samples, inside, outside, spread_in, spread_out, seed=0):
    """Runs whose log odds are Gaussian with known means and deviations (n,) in and out."""
    random = np.random.default_rng(seed)
    members = draw_subsets(samples, networks, 0.5, seed)
    mean = np.where(members, inside, outside)
    spread = np.where(members, spread_in, spread_out)
    odds = mean + spread * random.standard_normal((networks, samples))
    nobody = np.empty(0, dtype=np.int64)
    verdicts = odds > 0
    return Runs(
        ids=np.arange(samples) + 100,
        members=members,
        correct=verdicts,
        probability=None,
        target_ids=nobody,
        target_correct=nobody,
        log_odds=odds.astype(np.float32),
    )


def spread_world(networks, samples, seed=0):
    random = np.random.default_rng(99)
    outside = random.normal(0, 3, samples)
    return world(networks, samples, outside + 2, outside, 0.8, 1.3, seed), outside


@pytest.mark.parametrize("variance", ["per-sample", "pooled"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_every_score_is_the_fit_to_all_other_networks(mode, variance):
    runs, _ = spread_world(10, 7)
    score = lira(runs, mode=mode, variance=variance, progress=False).score
    for attacked in range(10):
        others = np.delete(np.arange(10), attacked)
        fits = {}
        for side in (True, False):
            values = [runs.log_odds[others][runs.members[others, i] == side, i] for i in range(7)]
            own = np.array([np.var(v.astype(float), ddof=1) for v in values])
            if variance == "pooled":
                squares = sum(((v - v.astype(float).mean()) ** 2).sum() for v in values)
                own[:] = squares / sum(len(v) - 1 for v in values)
            fits[side] = norm([v.astype(float).mean() for v in values], np.sqrt(own))
        confidence = runs.log_odds[attacked]
        expected = -fits[False].logsf(confidence)
        if mode == "online":
            expected = fits[True].logpdf(confidence) - fits[False].logpdf(confidence)
        np.testing.assert_allclose(score[attacked], expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("variance", ["per-sample", "pooled"])
def test_the_attack_approaches_the_exact_likelihood_ratio_as_the_root_of_the_networks(variance):
    def error(networks):
        runs, outside = spread_world(networks, 40)
        inside = norm.logpdf(runs.log_odds, outside + 2, 0.8)
        exact = inside - norm.logpdf(runs.log_odds, outside, 1.3)
        return np.abs(lira(runs, variance=variance, progress=False).score - exact).mean()

    few, many = error(200), error(3200)
    assert many < 0.1
    assert 3 < few / many < 6


def test_between_two_equal_gaussians_the_curve_is_the_closed_form():
    """With distance d and unit spread: TPR = Phi(d - z), AUC = Phi(d / sqrt 2)."""
    outside = np.linspace(-5, 5, 400)
    runs = world(100, 400, outside + 1.5, outside, 1, 1)
    curve = roc(lira(runs, variance="pooled", progress=False), rates=np.array([0.01, 0.1, 0.5]))
    exact = norm.cdf(1.5 - norm.isf(curve.false_positive_rate))
    np.testing.assert_allclose(curve.true_positive_rate, exact, atol=0.02)
    assert curve.auc == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.01)


def test_one_confidence_for_all_samples_finds_less_than_the_ratio():
    """The attack's point: samples differ, so a global threshold on the confidence is weaker."""
    runs, _ = spread_world(40, 300)
    ratio = roc(lira(runs, progress=False)).auc
    plain = roc(Membership(runs.ids, runs.log_odds, runs.members)).auc
    assert ratio > plain + 0.1


def test_the_out_variance_comes_from_the_networks_that_left_the_sample_out():
    outside = np.zeros(50)
    narrow = world(40, 50, outside + 1, outside, 0.1, 5.0)
    # At the mean in, the ratio of the densities is about that of the deviations, 50.
    score = lira(narrow, variance="pooled", progress=False).score
    at_mean = np.abs(narrow.log_odds - 1) < 0.02
    assert score[at_mean & narrow.members].mean() == pytest.approx(np.log(50), abs=0.3)


def test_the_log_odds_do_not_round_where_the_probability_does():
    logits = torch.tensor([[40.0, 0.0, 0.0], [80.0, 0.0, 0.0], [0.0, 30.0, 1.0]])
    odds = log_odds(logits, torch.tensor([0, 0, 0]))
    expected = [40 - np.log(2), 80 - np.log(2), -np.logaddexp(30, 1)]
    np.testing.assert_allclose(odds, expected, rtol=1e-6)
    assert float(logits.softmax(1)[0, 0]) == float(logits.softmax(1)[1, 0]) == 1.0


def test_runs_hold_the_log_odds_of_their_probabilities(tmp_path):
    digits = data.load("digits").select(range(60))
    call = {"models": 4, "fraction": 0.5, "recipe": Recipe(epochs=2), "progress": False}
    runs = subset_runs(digits, lambda: models.mlp((1, 8, 8), width=8), folder=tmp_path, **call)
    np.testing.assert_allclose(1 / (1 + np.exp(-runs.log_odds)), runs.probability, atol=1e-6)
    again = subset_runs(digits, lambda: models.mlp((1, 8, 8), width=8), folder=tmp_path, **call)
    np.testing.assert_array_equal(again.log_odds, runs.log_odds)
    np.testing.assert_array_equal(runs.members.sum(0), 2)


def test_a_network_that_memorizes_is_attacked_better_than_chance():
    digits = data.load("digits").select(range(200))
    noisy, _ = data.flip_labels(digits, 0.3, seed=0)
    recipe = Recipe(epochs=60, batch_size=50)
    runs = subset_runs(
        noisy,
        lambda: models.mlp((1, 8, 8), width=64),
        models=16,
        fraction=0.5,
        recipe=recipe,
        progress=False,
    )
    curve = roc(attacks.lira(runs, variance="pooled", progress=False), band="networks")
    assert curve.auc > 0.6
    middle = np.searchsorted(curve.false_positive_rate, 0.1)
    assert curve.lower[middle] > curve.false_positive_rate[middle]


def random_scores(networks=9, samples=40, ties=False, seed=0):
    random = np.random.default_rng(seed)
    members = draw_subsets(samples, networks, 0.5, seed)
    score = random.normal(size=members.shape) + members
    if ties:
        score = np.round(score)
    return Membership(np.arange(samples), score, members)


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_is_that_of_scikit_learn(ties):
    chance = random_scores(ties=ties)
    rates = np.array([0, 0.003, 0.01, 0.1, 0.25, 0.5, 1])
    curve = roc(chance, rates=rates, resamples=2)
    false_positive_rate, true_positive_rate, _ = roc_curve(
        chance.members.ravel(), chance.score.ravel(), drop_intermediate=False
    )
    best = [true_positive_rate[false_positive_rate <= rate + 1e-12].max() for rate in rates]
    np.testing.assert_allclose(curve.true_positive_rate, best)
    assert curve.auc == pytest.approx(roc_auc_score(chance.members.ravel(), chance.score.ravel()))


def test_the_exact_binomial_band_is_that_of_clopper_and_pearson():
    curve = roc(random_scores(), band="clopper-pearson", rates=np.array([0.0, 0.2, 1.0]))
    positive = int(random_scores().members.sum())
    hits = np.round(curve.true_positive_rate * positive)
    assert curve.upper[-1] == 1
    assert curve.lower[1] == pytest.approx(beta.ppf(0.025, hits[1], positive - hits[1] + 1))
    assert curve.upper[1] == pytest.approx(beta.ppf(0.975, hits[1] + 1, positive - hits[1]))
    # The defining tail: at the lower end, so many hits or more have probability 2.5 %.
    assert (curve.lower <= curve.true_positive_rate).all()
    assert (curve.upper >= curve.true_positive_rate).all()


def test_the_bootstrap_covers_the_closed_form_where_samples_differ():
    """Over repeated worlds, the band around TPR at 10 % covers the truth about as promised."""
    exact, hits, shift = norm.cdf(1 - norm.isf(0.1)), 0, 1.0
    for seed in range(60):
        random = np.random.default_rng(seed)
        members = draw_subsets(300, 4, 0.5, seed)
        own = random.normal(size=300)  # all networks agree on a sample: pairs are dependent
        score = np.where(members, shift + own, random.normal(size=members.shape))
        curve = roc(
            Membership(np.arange(300), score, members), rates=np.array([0.1]), resamples=100
        )
        hits += curve.lower[0] <= exact <= curve.upper[0]
    assert hits >= 52  # of 57 expected, with a deviation of 1.7


def test_an_infinite_score_is_let_in_at_rate_one_only():
    members = np.array([[True, True, False, False]])
    score = np.array([[1.0, -np.inf, 0.0, -np.inf]])
    curve = roc(Membership(np.arange(4), score, members), rates=np.array([0, 1]), resamples=2)
    np.testing.assert_allclose(curve.true_positive_rate, [0.5, 1])


def test_what_the_attack_cannot_use_is_refused():
    runs, _ = spread_world(6, 5)
    with pytest.raises(UnknownName, match="mode"):
        lira(runs, mode="both")
    with pytest.raises(UnknownName, match="variance"):
        lira(runs, variance="none")
    with pytest.raises(InvalidInput, match="log_odds"):
        lira(replace(runs, log_odds=None))
    broken = runs.log_odds.copy()
    broken[2, 3] = np.inf
    with pytest.raises(NonFiniteNumber, match="log odds"):
        lira(replace(runs, log_odds=broken))
    few, _ = spread_world(4, 6)
    with pytest.raises(NotPositive, match="2 networks out for id 100"):
        lira(few)
    lira(few, variance="pooled", progress=False)
    with pytest.raises(NotPositive, match="networks out"):
        lira(spread_world(2, 6)[0], variance="pooled")
    alone = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], dtype=bool)  # the first is in all
    with pytest.raises(NotPositive, match="1 networks beside one"):
        lira(
            replace(few, ids=few.ids[:2], members=alone, log_odds=few.log_odds[:, :2]),
            variance="pooled",
        )


def test_what_the_curve_cannot_use_is_refused():
    good = random_scores()
    with pytest.raises(UnknownName, match="band"):
        roc(good, band="normal")
    with pytest.raises(InvalidInput, match="all or none"):
        roc(replace(good, members=np.ones_like(good.members)))
    with pytest.raises(WrongShape, match="membership"):
        roc(replace(good, score=good.score[:1]))
    with pytest.raises(InvalidInput, match="increasing"):
        roc(good, rates=np.array([0.5, 0.1]))
    with pytest.raises(InvalidInput, match="0 to 1"):
        roc(good, rates=np.array([0.5, 1.1]))
    hole = good.score.copy()
    hole[0, 0] = np.nan
    with pytest.raises(NonFiniteNumber, match="score"):
        roc(replace(good, score=hole))


def test_the_curve_is_drawn_with_logarithmic_axes():
    from memlib import plotting

    curve = roc(random_scores(), resamples=5)
    assert isinstance(curve, Roc)
    figure = plotting.roc_curves({"LiRA": curve}, least=1e-3)
    axis = figure.axes[0]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    np.testing.assert_allclose(axis.lines[0].get_ydata(), curve.true_positive_rate)
    assert figure.legends[0].get_texts()[0].get_text() == f"LiRA, AUC {curve.auc:.2f}"
