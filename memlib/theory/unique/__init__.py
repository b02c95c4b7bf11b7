"""The claims of `unique` (smooth unique information); a claim's module is named after it."""

from memlib.theory.unique import (
    def_3_1,
    def_4_1,
    eq_1,
    eq_2,
    eq_10,
    eq_12,
    eq_15,
    eq_16,
    lemma_b_1,
    prop_3_2,
    prop_4_2,
    prop_5_1,
    section_c,
    section_d,
    section_d_sentences,
)

CLAIMS = (
    *eq_1.CLAIMS,
    *lemma_b_1.CLAIMS,
    *eq_2.CLAIMS,
    *def_3_1.CLAIMS,
    *prop_3_2.CLAIMS,
    *def_4_1.CLAIMS,
    *prop_4_2.CLAIMS,
    *eq_10.CLAIMS,
    *eq_12.CLAIMS,
    *prop_5_1.CLAIMS,
    *eq_15.CLAIMS,
    *eq_16.CLAIMS,
    *section_c.CLAIMS,
    *section_d.CLAIMS,
    *section_d_sentences.CLAIMS,
)
