"""What a guarantee allows: accountants against each other, closed forms and exact worlds."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from scipy.optimize import brentq
from scipy.special import ndtr

from memlib import accounting
from memlib.accounting import MemorizationBound, epsilon_spent, noise_for
from memlib.errors import InvalidInput
from memlib.theory.privacy_worlds import chance, is_private, membership_response

RUNS = [(1.0, 0.05, 20), (2.0, 0.1, 100), (0.6, 0.02, 200)]
GRID = np.linspace(0, 1, 101)


def gaussian_delta(mu, epsilon):
    """The privacy profile of the Gaussian mechanism (Balle and Wang, 2018)."""
    return ndtr(mu / 2 - epsilon / mu) - np.exp(epsilon) * ndtr(-mu / 2 - epsilon / mu)


def accountant(noise, rate, steps):
    event = PoissonSampledDpEvent(rate, GaussianDpEvent(noise))
    return PLDAccountant().compose(SelfComposedDpEvent(event, steps))


@pytest.mark.parametrize("run", RUNS)
def test_the_bound_of_a_run_is_the_delta_at_zero_of_dp_accounting(run):
    other = accountant(*run)
    bound = MemorizationBound.dp_sgd(*run)
    assert bound.value == pytest.approx(other.get_delta(0.0), rel=5e-5)
    for epsilon, delta in bound.profile[:: len(bound.profile) // 3]:
        assert delta == pytest.approx(other.get_delta(epsilon), rel=1e-3, abs=1e-8)


@pytest.mark.parametrize(("noise", "steps"), [(2.0, 10), (5.0, 1), (0.5, 1)])
def test_without_sampling_the_bound_is_that_of_the_gaussian_mechanism(noise, steps):
    mu = math.sqrt(steps) / noise
    exact = 2 * ndtr(mu / 2) - 1
    assert MemorizationBound.gaussian(mu).value == pytest.approx(exact, rel=1e-12)
    value = MemorizationBound.dp_sgd(noise, 1.0, steps).value
    assert exact - 1e-9 <= value <= exact + 2e-6


@pytest.mark.parametrize(("noise", "rate"), [(1.0, 0.3), (0.5, 0.01)])
def test_one_sampled_step_has_the_sampling_rate_times_the_gaussian_distance(noise, rate):
    exact = rate * (2 * ndtr(1 / (2 * noise)) - 1)
    value = MemorizationBound.dp_sgd(noise, rate, 1).value
    assert exact - 1e-9 <= value <= exact + 2e-6


@pytest.mark.parametrize(("noise", "steps"), [(10.0, 500), (2.0, 2000)])
def test_the_bound_is_tight_where_a_step_costs_little(noise, steps):
    """Many steps that cost little are Gaussian: mu = q sqrt(T (e^(1/sigma^2) - 1))."""
    limit = MemorizationBound.gaussian(1e-4 * math.sqrt(steps * math.expm1(noise**-2))).value
    assert MemorizationBound.dp_sgd(noise, 1e-4, steps).value == pytest.approx(limit, rel=0.02)


def test_without_noise_the_bound_is_the_chance_of_being_drawn_at_all():
    assert MemorizationBound.dp_sgd(0, 0.1, 3).value == pytest.approx(1 - 0.9**3)
    assert MemorizationBound.dp_sgd(0, 1.0, 1).value == 1
    assert MemorizationBound.dp_sgd(0, 1e-12, 5).value == pytest.approx(5e-12)


@pytest.mark.parametrize("factor", [1, 2, 3, 20])
@pytest.mark.parametrize("reveal", [Fraction(0), Fraction(1, 10)])
def test_exact_mechanisms_attain_the_bounds(factor, reveal):
    sample, other, factor = (0, 1), (1, 1), Fraction(factor)
    respond = membership_response(sample, factor / (1 + factor), reveal=reveal)
    assert is_private(respond, [sample, other], factor, reveal)
    yes = (1, ("certain", 1))
    p, q = (float(chance(respond(data), yes.__contains__)) for data in ((sample, other), (other,)))
    epsilon = math.log(factor)
    bound = MemorizationBound.approximate(epsilon, float(reveal))
    assert bound.value == pytest.approx(p - q, abs=1e-12)
    assert float(bound.given_accuracy(p)) == pytest.approx(p - q, abs=1e-12)
    assert float(bound.given_held_out(q)) == pytest.approx(p - q, abs=1e-12)
    if not reveal:
        assert MemorizationBound.pure(epsilon).value == pytest.approx(p - q, abs=1e-12)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.3, 0.0), (1.0, 0.05), (4.0, 0.001)])
def test_the_bounds_given_an_accuracy_are_the_largest_differences_that_privacy_allows(
    epsilon, delta
):
    p, q = np.meshgrid(GRID, GRID, indexing="ij")
    e, slack = math.exp(epsilon), delta + 1e-12
    allowed = (p <= e * q + slack) & (q <= e * p + slack)
    allowed &= (1 - p <= e * (1 - q) + slack) & (1 - q <= e * (1 - p) + slack)
    gain = np.where(allowed, p - q, -1)
    bound = MemorizationBound.approximate(epsilon, delta)
    for given, largest in (
        (bound.given_accuracy(GRID), gain.max(1)),
        (bound.given_held_out(GRID), gain.max(0)),
    ):
        assert (largest <= given + 1e-9).all()
        assert (given <= largest + 0.01).all()  # the grid has this mesh


def test_the_profile_of_a_run_knows_the_trade_off_of_the_gaussian_mechanism():
    sampled = MemorizationBound.dp_sgd(2.0, 1.0, 4)
    exact = MemorizationBound.gaussian(1.0)
    for mine, true in (
        (sampled.given_accuracy(GRID), exact.given_accuracy(GRID)),
        (sampled.given_held_out(GRID), exact.given_held_out(GRID)),
    ):
        assert (mine >= true - 1e-7).all()
        assert (mine <= true + 2e-3).all()


def test_a_fitted_sample_cannot_have_been_memorized():
    for bound in (
        MemorizationBound.pure(1.0),
        MemorizationBound.gaussian(1.0),
        MemorizationBound.dp_sgd(1.0, 0.05, 20),
    ):
        assert bound.given_accuracy([0.0, 1.0]) == pytest.approx([0.0, 0.0], abs=1e-7)
        assert (bound.given_accuracy(GRID) <= bound.value + 1e-12).all()
        assert bound.given_accuracy(GRID).max() == pytest.approx(bound.value, abs=5e-3)


def test_no_privacy_bounds_nothing_but_what_the_accuracy_does():
    for bound in (
        MemorizationBound.pure(math.inf),
        MemorizationBound.pure(1e4),
        MemorizationBound.gaussian(math.inf),
    ):
        assert bound.value == 1
        inside = GRID[:-1]
        assert bound.given_accuracy(inside) == pytest.approx(inside)
        assert bound.given_held_out(inside[1:]) == pytest.approx(1 - inside[1:])


def test_a_whole_profile_says_more_than_one_of_its_points():
    noise, rate, steps = 1.0, 0.05, 20
    whole = MemorizationBound.dp_sgd(noise, rate, steps).value
    for delta in (1e-7, 1e-5, 1e-3):
        epsilon = epsilon_spent(noise, rate, steps, delta)
        assert MemorizationBound.approximate(epsilon, delta).value > 3 * whole


@pytest.mark.parametrize(("noise", "steps"), [(5.0, 1), (2.0, 10)])
def test_the_epsilon_spent_is_a_tight_upper_bound_without_sampling(noise, steps):
    mu, delta = math.sqrt(steps) / noise, 1e-5
    exact = brentq(lambda e: gaussian_delta(mu, e) - delta, 1e-3, 100)
    assert exact <= epsilon_spent(noise, 1.0, steps, delta) <= 1.01 * exact + 0.001


@pytest.mark.parametrize("run", RUNS)
def test_the_two_accountants_agree(run):
    other = accountant(*run).get_epsilon(1e-5)
    assert 0.999 * other <= epsilon_spent(*run, 1e-5) <= 1.01 * other + 0.001


@pytest.mark.parametrize("epsilon", [0.5, 40.0])
def test_the_noise_for_a_budget_keeps_it_and_is_not_wasteful(epsilon):
    rate, steps, delta = 0.05, 20, 1e-5
    noise = noise_for(epsilon, delta, rate, steps)
    assert epsilon_spent(noise, rate, steps, delta) <= epsilon
    assert accountant(noise, rate, steps).get_epsilon(delta) <= epsilon
    assert epsilon_spent(0.97 * noise, rate, steps, delta) > epsilon


def test_a_delta_that_covers_everything_leaves_an_epsilon_of_zero():
    assert MemorizationBound.dp_sgd(5.0, 0.1, 5).value < 0.03
    assert epsilon_spent(5.0, 0.1, 5, delta=0.3) == 0


def test_an_epsilon_beyond_the_accountant_is_infinite():
    assert epsilon_spent(0, 0.1, 5, 1e-5) == math.inf
    assert accounting._prv(0.2, 0.5, 20, 1e-5, 1.0) < 300
    assert accounting._prv(0.2, 0.5, 60, 1e-5, 1.0) == math.inf  # 580 by Opacus
    assert epsilon_spent(0.2, 0.5, 100, 1e-5) == math.inf


def test_accounting_warns_of_nothing_unexpected_and_hides_nothing_else():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        accounting._prv.cache_clear()
        accounting._prv(0.3, 0.05, 20, 1e-5, 1.0)  # beyond e^709
        accounting._prv(30.0, 0.05, 20, 1e-5, 0.001)  # an order at the end of its list
        with (
            pytest.raises(UserWarning, match="something else"),
            accounting._expected_warnings(),
        ):
            warnings.warn("something else", stacklevel=1)


def test_a_missing_package_is_named_with_the_fix():
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'memlib\[privacy\]'"):
        accounting.optional("opacus_is_not_there")


def test_every_bound_names_what_it_assumes_and_a_claim_that_proves_it():
    from memlib.theory import get

    for bound, word in (
        (MemorizationBound.pure(1), "1-differential"),
        (MemorizationBound.approximate(1, 1e-5), "1e-05"),
        (MemorizationBound.gaussian(0.5), "0.5-Gaussian"),
        (MemorizationBound.dp_sgd(0, 0.25, 7), "sampling rate 0.25, 7 steps"),
    ):
        assert word in bound.assumption
        assert get(bound.source).id == bound.source


@pytest.mark.parametrize("budget", [0.05 - 1e-9, 501])
def test_a_budget_out_of_reach_is_refused(budget):
    with pytest.raises(InvalidInput, match="epsilon"):
        noise_for(budget, 1e-5, 0.1, 10)


def test_a_budget_that_takes_almost_no_noise_is_refused():
    with pytest.raises(InvalidInput, match="less noise than"):
        noise_for(400, 1e-5, 0.01, 2)


def test_the_ledger_has_the_noise_and_a_bound_above_the_accountants():
    from flint import arb, fmpq

    from memlib.theory.book.dp_sgd import NOISES, RATE, STEPS, dp_sgd_bound

    rate = float(RATE)
    for epsilon, noise in NOISES:
        assert 0.98 * epsilon < epsilon_spent(float(noise), rate, STEPS, 1e-5) <= epsilon
        elementary = float(dp_sgd_bound(arb(noise), arb(fmpq(1, RATE.denominator)), STEPS))
        value = MemorizationBound.dp_sgd(float(noise), rate, STEPS).value
        assert value < elementary < 1.5 * value
