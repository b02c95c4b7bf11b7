"""The claims of the published version of `orders` (ICML 2025); `orders` has those of the draft."""

from memlib.theory.icml import (
    d_2_1,
    d_3_chain,
    definitions,
    eq_59,
    lemma_5_1,
    reading,
    thm_5_2,
    thm_5_3,
    thm_5_4,
    thm_5_5,
)

CLAIMS = (
    *definitions.CLAIMS,
    *lemma_5_1.CLAIMS,
    *thm_5_2.CLAIMS,
    *thm_5_3.CLAIMS,
    *eq_59.CLAIMS,
    *d_2_1.CLAIMS,
    *thm_5_4.CLAIMS,
    *d_3_chain.CLAIMS,
    *thm_5_5.CLAIMS,
    *reading.CLAIMS,
)
