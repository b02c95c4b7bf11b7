"""The claims of the anonymous draft `orders`; a theorem's module is named after it."""

from memlib.theory.orders import (
    adjacency_and_proximal,
    definitions,
    eq_33,
    interpreting,
    learning_time,
    loss_and_memorization,
    remarks,
    takeaways,
    thm_4_1,
    thm_4_2,
    thm_4_3,
    thm_4_4,
    thm_4_5,
    thm_4_6,
)

CLAIMS = (
    *definitions.CLAIMS,
    *loss_and_memorization.CLAIMS,
    *learning_time.CLAIMS,
    *adjacency_and_proximal.CLAIMS,
    *eq_33.CLAIMS,
    *thm_4_1.CLAIMS,
    *thm_4_2.CLAIMS,
    *thm_4_3.CLAIMS,
    *thm_4_4.CLAIMS,
    *thm_4_5.CLAIMS,
    *thm_4_6.CLAIMS,
    *interpreting.CLAIMS,
    *takeaways.CLAIMS,
    *remarks.CLAIMS,
)
