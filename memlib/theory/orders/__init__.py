"""The claims of the anonymous draft `orders`; a theorem's module is named after it."""

from memlib.theory.orders import (
    definitions,
    eq_33,
    learning_time,
    loss_and_memorization,
    thm_4_1,
    thm_4_2,
    thm_4_3,
    thm_4_4,
    thm_4_6,
)

CLAIMS = (
    *definitions.CLAIMS,
    *loss_and_memorization.CLAIMS,
    *learning_time.CLAIMS,
    *eq_33.CLAIMS,
    *thm_4_1.CLAIMS,
    *thm_4_2.CLAIMS,
    *thm_4_3.CLAIMS,
    *thm_4_4.CLAIMS,
    *thm_4_6.CLAIMS,
)
