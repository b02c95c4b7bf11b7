"""The claims of the draft's appendices, joined."""

from memlib.theory.orders import lemma_a_1, lemma_d_1, thm_b_1

CLAIMS = (*lemma_a_1.CLAIMS, *lemma_d_1.CLAIMS, *thm_b_1.CLAIMS)
