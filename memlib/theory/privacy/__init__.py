"""The claims of `privacy`; a theorem's module is named after it."""

from memlib.theory.privacy import definitions, lemma_5_2, thm_5_1, thm_5_4

CLAIMS = (
    *definitions.CLAIMS,
    *thm_5_1.CLAIMS,
    *lemma_5_2.CLAIMS,
    *thm_5_4.CLAIMS,
)
