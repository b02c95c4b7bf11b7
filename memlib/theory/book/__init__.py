"""The book's own results: what holds in place of a printed statement, with proof."""

from memlib.theory.book import (
    cumulative_loss,
    curvature_range,
    curvature_twins,
    learning_time,
    privacy,
    privacy_profile,
)

CLAIMS = (
    *learning_time.CLAIMS,
    *cumulative_loss.CLAIMS,
    *privacy.CLAIMS,
    *privacy_profile.CLAIMS,
    *curvature_range.CLAIMS,
    *curvature_twins.CLAIMS,
)
