"""Private memorization: pairs that privacy speaks of, measured below the bound, and certified."""

import math
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from scipy.stats import beta, binom, norm
from sklearn.metrics import auc, roc_curve

from memlib import bounds, data, models, privacy, private_runs
from memlib.accounting import MemorizationBound, epsilon_spent, noise_for
from memlib.curvature import input_curvature
from memlib.errors import (
    EmptySelection,
    ForeignResult,
    FractionOutOfRange,
    InvalidInput,
    NonFiniteNumber,
    NotPositive,
    TrainingDiverged,
    UnknownName,
    WrongShape,
    WrongType,
)
from memlib.membership import lira
from memlib.models import with_group_norm
from memlib.privacy import (
    PrivateRecipe,
    certified_epsilon,
    certified_mu,
    draw_pairs,
    private_memorization,
    score_by_privacy,
)
from memlib.runtime import rng
from memlib.stability import memorization_scores

RECIPE = PrivateRecipe(
    epochs=3, batch_size=10, lr=0.5, noise=0.8, delta=1e-3, schedule="step", milestones=(2,)
)


def tiny():
    return models.mlp((1, 8, 8), width=8)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits").select(range(80))


def test_every_sample_is_in_one_set_of_each_pair():
    members = draw_pairs(50, 7, seed=3)
    assert members.shape == (14, 50)
    assert (members[::2] ^ members[1::2]).all()
    assert (members.sum(0) == 7).all()
    assert (draw_pairs(50, 3, seed=3) == members[:6]).all()


def test_other_samples_are_in_or_out_whatever_the_sample_itself_is():
    # Neighbors differ by one sample, so membership of one must say nothing of the others'.
    members = draw_pairs(60, 2000, seed=0)[::2].astype(float)
    correlation = np.corrcoef(members.T)[np.triu_indices(60, 1)]
    assert np.abs(correlation).max() < 5 / math.sqrt(2000)
    assert members.sum(1).var() == pytest.approx(60 / 4, rel=0.15)  # sets of equal size have 0


def test_trained_at_once_or_one_by_one_the_runs_are_the_same(digits):
    test = data.load("digits", "test").select(range(20))
    runs = [
        private_runs.private_runs(
            digits, tiny, RECIPE, pairs=3, seed=5, targets=test, method=method, shard=2
        )
        for method in ("batched", "sequential")
    ]
    assert np.abs(runs[0].probability - runs[1].probability).max() < 1e-5
    assert (runs[0].members == runs[1].members).all()
    assert runs[0].target_correct.shape == (6, 20)
    assert (runs[0].ids == digits.ids.numpy()).all()


def test_all_networks_of_a_run_are_trained_by_one_mechanism(digits, monkeypatch):
    seen = []
    real = private_runs.train_private

    def record(network, half, recipe, **rest):
        seen.append((len(half), rest["size"]))
        return real(network, half, recipe, **rest)

    monkeypatch.setattr(private_runs, "train_private", record)
    private_runs.private_runs(digits, tiny, RECIPE, pairs=3, method="sequential")
    assert {size for _, size in seen} == {40}
    assert len({own for own, _ in seen}) > 1


def test_an_interrupted_measurement_goes_on_and_ends_with_the_same_table(digits, tmp_path):
    call = {"pairs": 6, "shard": 2, "seed": 1}
    whole = private_memorization(digits, tiny, RECIPE, **call)
    out, trained = tmp_path / "table.parquet", []
    real = private_runs.train_private_ensemble

    def interrupted(*arguments, **rest):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(rest["numbers"])
        return real(*arguments, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(private_runs, "train_private_ensemble", interrupted)
        patch.setattr("memlib.shards.side_by_side", lambda f, items, where: map(f, items))
        with pytest.raises(KeyboardInterrupt):
            private_memorization(digits, tiny, RECIPE, **call, out=out)
        assert len(list(Path(f"{out}.runs").iterdir())) == 2
        trained.pop()  # one shard is left to train
        resumed = private_memorization(digits, tiny, RECIPE, **call, out=out)
    assert resumed.equals(whole)
    assert not Path(f"{out}.runs").exists()
    assert private_memorization(digits, tiny, RECIPE, **call, out=out).equals(whole)
    with pytest.raises(ForeignResult, match="pairs"):
        private_memorization(digits, tiny, RECIPE, pairs=5, shard=2, seed=1, out=out)
    anew = private_memorization(digits, tiny, RECIPE, pairs=2, seed=1, out=out, resume=False)
    assert (anew["runs_in"] == 2).all()


def test_memorization_is_measured_below_the_bound_and_rises_with_the_budget(digits):
    flipped, which = data.flip_labels(digits, 0.15, seed=0)
    means, pairs = [], 40
    for noise in (4.0, 0.0):
        recipe = PrivateRecipe(epochs=60, batch_size=20, lr=1.0, noise=noise)
        table = private_memorization(flipped, tiny, recipe, pairs=pairs)
        assert (table["runs_in"] == pairs).all()
        assert (table["runs_out"] == pairs).all()
        means.append(table["memorization"][which].mean())
        lower = table["memorization"] - 4 * np.sqrt(0.5 / pairs)  # at most 1/4 on each side
        assert (lower <= table["bound"]).all()
        # half of the samples are drawn at 20 / 40, in 60 epochs of two steps
        assert (table["bound"] == MemorizationBound.dp_sgd(noise, 0.5, 120).value).all()
        certified = certified_epsilon(
            (table["accuracy_in"] * pairs).round(),
            pairs,
            (table["accuracy_out"] * pairs).round(),
            pairs,
            delta=1e-5,
            samples=len(table),
        )
        spent = epsilon_spent(noise, 0.5, 120, 1e-5)
        assert certified.max() <= spent
        alone = table["epsilon_certified"].to_numpy()
        assert (alone >= certified).all()
        if noise == 0:
            assert certified.max() > 1  # some flipped label is learned by heart
    # Over two seeds the means were 0.06 and 0.08, and 0.53 and 0.54.
    assert means[0] + 0.3 < means[1]


def test_no_attack_on_private_networks_beats_their_bound(digits):
    advantage, area = [], []
    for noise in (4.0, 0.0):
        recipe = PrivateRecipe(epochs=60, batch_size=20, lr=1.0, noise=noise)
        runs = private_runs.private_runs(digits, tiny, recipe, pairs=30)
        attack = lira(runs)
        alarms, hits, _ = roc_curve(attack.members.ravel(), attack.score.ravel())
        advantage.append(float((hits - alarms).max()))
        area.append(float(auc(alarms, hits)))
    # An attack's true minus false positives are bounded as memorization is.
    assert advantage[0] <= MemorizationBound.dp_sgd(4.0, 0.5, 120).value
    # Over two seeds the areas were 0.56 twice, and 0.85 and 0.84; the advantages 0.08 and 0.09,
    # and 0.53 and 0.52.
    assert area[0] < 0.65 < 0.75 < area[1]
    assert advantage[0] + 0.3 < advantage[1]


def test_a_certificate_is_above_the_truth_no_more_often_than_it_says():
    """Exactly, over all counts: randomized response, where the bound is tight."""
    runs = 200
    counts = np.arange(runs + 1)
    for epsilon in (0.0, 0.5, 1.0, 3.0):
        p, q = bounds.randomized_response(epsilon)
        found = certified_epsilon(counts[:, None], runs, counts, runs, confidence=0.9)
        chance = binom.pmf(counts, runs, p)[:, None] * binom.pmf(counts, runs, q)
        missed = float(chance[found > epsilon + 1e-12].sum())
        assert missed <= 0.1
        assert float((chance * found).sum()) > 0.5 * epsilon  # and it is not empty


def test_the_largest_of_many_certificates_needs_their_number():
    """By simulation: 60 samples at epsilon = 1, 2,000 experiments."""
    p, q = bounds.randomized_response(1.0)
    random = rng(0, "certificates")
    hits_in, hits_out = random.binomial(50, p, (2000, 60)), random.binomial(50, q, (2000, 60))

    def missed(samples: int) -> float:
        found = certified_epsilon(hits_in, 50, hits_out, 50, samples=samples)
        return float((found.max(1) > 1.0).mean())

    assert missed(60) <= 0.05
    assert missed(1) > 0.2


def test_a_gaussian_certificate_holds_and_is_the_larger_one_for_gaussian_noise():
    runs, mu = 60, 2.0
    p = float(norm.cdf(mu / 2))
    counts = np.arange(runs + 1)
    found = certified_mu(counts[:, None], runs, counts, runs, confidence=0.9)
    chance = binom.pmf(counts, runs, p)[:, None] * binom.pmf(counts, runs, 1 - p)
    assert float(chance[found > mu].sum()) <= 0.1
    assert 1.2 < float((chance * found).sum()) < mu


def test_the_certificate_is_clopper_and_pearsons_and_inverts_the_bound():
    p0, q0 = beta.ppf(0.025, 90, 11), beta.ppf(0.975, 11, 90)
    found = float(certified_epsilon(90, 100, 10, 100))
    assert found == pytest.approx(math.log(p0 / q0))
    # By symmetry p0 + q0 = 1, where the certificate is the inverse of tanh(eps/2).
    assert bounds.memorization_bound(found) == pytest.approx(p0 - q0)
    with_delta = float(certified_epsilon(90, 100, 10, 100, delta=0.01))
    assert with_delta == pytest.approx(math.log((p0 - 0.01) / q0))
    # An accuracy near 1 certifies by its errors: 1 - q against 1 - p.
    skewed = float(certified_epsilon(400, 400, 200, 400))
    assert skewed > math.log(1 / 0.45)
    high = 1 - beta.ppf(0.975, 201, 200)
    assert skewed == pytest.approx(math.log(high / (1 - beta.ppf(0.025, 400, 1))))


def test_nothing_is_certified_from_nothing_or_the_wrong_way_round():
    assert certified_epsilon([0, 5, 0], [0, 10, 10], [0, 5, 10], [0, 10, 10]).tolist() == [0, 0, 0]
    assert certified_mu(0, 10, 10, 10) == 0
    assert math.isfinite(certified_epsilon(10**6, 10**6, 0, 10**6))


def test_scores_are_measured_at_every_privacy_level_and_seed(digits):
    def loss(network, samples):
        with torch.no_grad():
            logits = network(samples.images)
        return torch.nn.functional.cross_entropy(logits, samples.labels, reduction="none")

    levels = [PrivateRecipe(epochs=8, batch_size=20, lr=1.0, noise=noise) for noise in (0, 1, 5)]
    table = score_by_privacy(digits, tiny, levels, score=loss, seeds=(0, 1))
    assert table["noise"].tolist() == [0, 0, 1, 1, 5, 5]
    assert table["seed"].tolist() == [0, 1] * 3
    assert table["epsilon"].iloc[0] == math.inf
    mean = table.groupby("noise")[["mean", "accuracy", "bound", "epsilon"]].mean()
    assert mean["mean"].is_monotonic_increasing
    for name in ("accuracy", "bound", "epsilon"):
        assert mean[name].is_monotonic_decreasing
    other = score_by_privacy(digits, tiny, levels[:1], score=loss, on=digits.select([0]), seeds=[0])
    assert other["mean"].iloc[0] == other["median"].iloc[0] != table["mean"].iloc[0]
    with pytest.raises(WrongShape, match="one number"):
        score_by_privacy(digits, tiny, levels[:1], score=lambda network, samples: torch.ones(3))
    for empty in ({"recipes": []}, {"recipes": levels, "seeds": ()}):
        with pytest.raises(EmptySelection):
            score_by_privacy(digits, tiny, **empty)


def test_curvature_is_measured_at_every_privacy_level(digits):
    table = score_by_privacy(digits, tiny, [RECIPE], seeds=[2])
    kept = []

    def again(network, samples):
        found = input_curvature(network, samples.images, samples.labels)
        kept.append(found.trace)
        return found.trace

    assert score_by_privacy(digits, tiny, [RECIPE], score=again, seeds=[2]).equals(table)
    assert table["mean"].iloc[0] == pytest.approx(float(kept[0].mean()))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_diverging_private_run_is_named(digits):
    recipe = PrivateRecipe(epochs=5, batch_size=20, lr=1e30, clip=1e10, noise=0.0)
    with pytest.raises(TrainingDiverged, match="Lower lr"):
        private_runs.private_runs(digits, tiny, recipe, pairs=1)
    with pytest.raises(TrainingDiverged, match="Lower lr"):
        privacy.train_private(tiny(), digits, recipe)


def test_a_progress_bar_counts_the_networks(digits, capsys):
    runs = private_runs.private_runs(digits, tiny, RECIPE, pairs=2, progress=True)
    assert "private models" in (text := capsys.readouterr().err)
    assert "4/4" in text
    assert memorization_scores(runs)["runs_out"].eq(2).all()


# Bad input ---------------------------------------------------------------------------------------

not_number = st.one_of(st.text(max_size=5), st.none(), st.lists(st.integers(), max_size=2))
negative = st.one_of(st.floats(max_value=-1e-9), st.just(math.nan), st.integers(max_value=-1))
not_positive = st.one_of(st.just(0), negative)
not_count = st.integers(max_value=0)
not_whole = st.one_of(st.floats(), st.none(), st.text(max_size=3))
not_rate = st.one_of(st.just(0.0), st.floats(min_value=1.000001))
not_fraction = st.one_of(st.floats(max_value=0), st.floats(min_value=1), st.just(math.nan))
large = st.one_of(st.just(1.0), st.floats(min_value=1))
tiny_noise = st.floats(1e-300, 0.199)
not_probability = st.one_of(
    st.floats(max_value=-1e-9), st.floats(min_value=1 + 1e-9), st.just(math.nan)
)
bound = MemorizationBound.pure(1.0)

Kind = tuple[st.SearchStrategy, Callable[[object], object], type[Exception], str]
KINDS: dict[str, Kind] = {
    "negative epsilon": (negative, MemorizationBound.pure, NotPositive, "epsilon"),
    "epsilon of another type": (not_number, MemorizationBound.pure, WrongType, "epsilon"),
    "large delta": (
        large, lambda v: MemorizationBound.approximate(1.0, v), FractionOutOfRange, "delta",
    ),
    "negative delta": (
        negative, lambda v: MemorizationBound.approximate(1.0, v), NotPositive, "delta",
    ),
    "negative mu": (negative, MemorizationBound.gaussian, NotPositive, "mu"),
    "mu of another type": (not_number, MemorizationBound.gaussian, WrongType, "mu"),
    "negative noise": (
        negative, lambda v: MemorizationBound.dp_sgd(v, 0.1, 5), NotPositive, "noise",
    ),
    "noise that is almost none": (
        tiny_noise, lambda v: MemorizationBound.dp_sgd(v, 0.1, 5), InvalidInput, "noise",
    ),
    "infinite noise": (
        st.just(math.inf), lambda v: epsilon_spent(v, 0.1, 5, 1e-5), NonFiniteNumber, "noise",
    ),
    "rate that is none": (
        not_rate, lambda v: MemorizationBound.dp_sgd(1.0, v, 5), FractionOutOfRange, "sample_rate",
    ),
    "no steps": (
        not_count, lambda v: MemorizationBound.dp_sgd(1.0, 0.1, v), NotPositive, "steps",
    ),
    "half a step": (
        not_whole, lambda v: MemorizationBound.dp_sgd(1.0, 0.1, v), WrongType, "steps",
    ),
    "delta for a budget": (
        not_fraction, lambda v: epsilon_spent(1.0, 0.1, 5, v), FractionOutOfRange, "delta",
    ),
    "budget that is not positive": (
        not_positive, lambda v: noise_for(v, 1e-5, 0.1, 5), NotPositive, "epsilon",
    ),
    "budget of another type": (
        not_number, lambda v: noise_for(v, 1e-5, 0.1, 5), WrongType, "epsilon",
    ),
    "accuracy that is none": (not_probability, bound.given_accuracy, InvalidInput, "accuracy"),
    "held-out accuracy that is none": (
        not_probability, lambda v: bound.given_held_out([0.5, v]), InvalidInput, "accuracy",
    ),
    "recipe without privacy": (
        st.integers(1, 9), lambda v: PrivateRecipe(epochs=v), InvalidInput, "noise",
    ),
    "recipe with two budgets": (
        st.floats(0.5, 9), lambda v: PrivateRecipe(noise=v, epsilon=v), InvalidInput, "noise",
    ),
    "recipe with a budget of nothing": (
        not_positive, lambda v: PrivateRecipe(epsilon=v), NotPositive, "epsilon",
    ),
    "recipe with negative noise": (
        negative, lambda v: PrivateRecipe(noise=v), NotPositive, "noise",
    ),
    "recipe with delta": (
        not_fraction, lambda v: PrivateRecipe(noise=1.0, delta=v), FractionOutOfRange, "delta",
    ),
    "recipe without clipping": (
        not_positive, lambda v: PrivateRecipe(noise=1.0, clip=v), NotPositive, "clip",
    ),
    "recipe with a clip of another type": (
        not_number, lambda v: PrivateRecipe(noise=1.0, clip=v), WrongType, "clip",
    ),
    "recipe without a rate": (
        not_positive, lambda v: PrivateRecipe(noise=1.0, lr=v), NotPositive, "lr",
    ),
    "recipe with momentum": (
        st.one_of(large, negative, not_number),
        lambda v: PrivateRecipe(noise=1.0, momentum=v), InvalidInput, "momentum",
    ),
    "recipe with a schedule": (
        st.text(max_size=5), lambda v: PrivateRecipe(noise=1.0, schedule=v), UnknownName,
        "schedule",
    ),
    "recipe with milestones of no use": (
        st.lists(st.integers(1, 19), min_size=1, max_size=3),
        lambda v: PrivateRecipe(noise=1.0, milestones=v), InvalidInput, "milestones",
    ),
    "recipe without epochs": (
        not_count, lambda v: PrivateRecipe(noise=1.0, epochs=v), NotPositive, "epochs",
    ),
    "few samples": (st.integers(-3, 39), lambda v: draw_pairs(v, 2, 0), NotPositive, "n"),
    "no pairs": (not_count, lambda v: draw_pairs(50, v, 0), NotPositive, "pairs"),
    "more correct than there are": (
        st.integers(11, 10**6), lambda v: certified_epsilon(v, 10, 0, 10), InvalidInput,
        "correct_in",
    ),
    "negative count": (
        st.integers(max_value=-1), lambda v: certified_epsilon(1, 10, v, 10), InvalidInput,
        "correct_out",
    ),
    "half a network": (
        st.floats(0.1, 0.9), lambda v: certified_mu(0, v, 0, 10), InvalidInput, "runs_in",
    ),
    "counts of another type": (
        st.sampled_from(["many", ["one"], object()]), lambda v: certified_mu(0, 1, 0, v), WrongType,
        "runs_out",
    ),
    "counts that do not fit": (
        st.integers(3, 9), lambda v: certified_mu([1, 2], 9, [1] * v, 9), WrongShape,
        "correct_out",
    ),
    "confidence": (
        not_fraction, lambda v: certified_epsilon(9, 10, 0, 10, confidence=v),
        FractionOutOfRange, "confidence",
    ),
    "delta of a certificate": (
        large, lambda v: certified_epsilon(9, 10, 0, 10, delta=v), FractionOutOfRange, "delta",
    ),
    "no samples were tried": (
        not_count, lambda v: certified_epsilon(9, 10, 0, 10, samples=v), NotPositive, "samples",
    ),
    "groups": (not_count, lambda v: with_group_norm(tiny(), v), NotPositive, "groups"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_bad_input_is_refused_by_name(kind, data):
    values, call, error, argument = KINDS[kind]
    value = data.draw(values)
    with pytest.raises(error) as caught:
        call(value)
    assert isinstance(caught.value, InvalidInput)
    assert caught.value.argument == argument
    assert caught.value.fix.endswith(".")


def test_an_unknown_method_and_a_network_of_another_kind_are_refused(digits):
    with pytest.raises(UnknownName, match="method"):
        private_memorization(digits, tiny, RECIPE, pairs=2, method="both")
    with pytest.raises(InvalidInput, match="sequential"):
        private_memorization(
            digits, lambda: models.small_cnn((1, 8, 8)), RECIPE, pairs=2, method="batched"
        )
