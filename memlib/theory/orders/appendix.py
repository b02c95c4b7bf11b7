"""The claims of the draft's appendices, joined."""

from memlib.theory.orders import (
    chebyshev,
    chebyshev_own_time,
    costs,
    e7_substitution,
    eq_14_17,
    eq_18_21,
    eq_36_39,
    eq_40,
    eq_41,
    lemma_a_1,
    lemma_d_1,
    lemma_d_2,
    steps_e2,
    steps_e3,
    steps_e7,
    thm_b_1,
)

CLAIMS = (
    *eq_14_17.CLAIMS,
    *eq_18_21.CLAIMS,
    *lemma_a_1.CLAIMS,
    *thm_b_1.CLAIMS,
    *lemma_d_1.CLAIMS,
    *lemma_d_2.CLAIMS,
    *eq_36_39.CLAIMS,
    *eq_40.CLAIMS,
    *chebyshev.CLAIMS,
    *chebyshev_own_time.CLAIMS,
    *steps_e2.CLAIMS,
    *steps_e3.CLAIMS,
    *steps_e7.CLAIMS,
    *e7_substitution.CLAIMS,
    *eq_41.CLAIMS,
    *costs.CLAIMS,
)
