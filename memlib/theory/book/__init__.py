"""The book's own results: what holds in place of a printed statement, with proof."""

from memlib.theory.book import cumulative_loss, curvature, learning_time, no_signal, orders_of_loss

CLAIMS = (
    *learning_time.CLAIMS,
    *cumulative_loss.CLAIMS,
    *orders_of_loss.CLAIMS,
    *no_signal.CLAIMS,
    *curvature.CLAIMS,
)
