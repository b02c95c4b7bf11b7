"""The claims of the anonymous draft `orders`; a theorem's module is named after it."""

from memlib.theory.orders import definitions, learning_time, loss_and_memorization

CLAIMS = (*definitions.CLAIMS, *loss_and_memorization.CLAIMS, *learning_time.CLAIMS)
