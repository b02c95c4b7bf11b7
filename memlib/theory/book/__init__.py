"""The book's own results: what holds in place of a printed statement, with proof."""

from memlib.theory.book import (
    cumulative_loss,
    curvature,
    curvature_range,
    curvature_twins,
    dp_sgd,
    erf_bound,
    langevin_si,
    learning_time,
    loo_any_time,
    loo_one_inverse,
    no_signal,
    orders_of_loss,
    privacy,
    privacy_profile,
)

CLAIMS = (
    *learning_time.CLAIMS,
    *cumulative_loss.CLAIMS,
    *orders_of_loss.CLAIMS,
    *no_signal.CLAIMS,
    *curvature.CLAIMS,
    *curvature_range.CLAIMS,
    *curvature_twins.CLAIMS,
    *erf_bound.CLAIMS,
    *langevin_si.CLAIMS,
    *loo_one_inverse.CLAIMS,
    *loo_any_time.CLAIMS,
    *privacy.CLAIMS,
    *privacy_profile.CLAIMS,
    *dp_sgd.CLAIMS,
)
