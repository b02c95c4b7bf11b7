"""The claims of `privacy`; a theorem's module is named after it."""

from memlib.theory.privacy import (
    cross_entropy,
    curvature_definitions,
    definitions,
    experiments,
    lemma_5_2,
    lemma_a_1,
    lemma_a_2,
    lemma_a_3,
    offsets,
    privacy_experiments,
    section_6,
    steps_a_3,
    steps_a_7,
    thm_5_1,
    thm_5_3,
    thm_5_4,
)

CLAIMS = (
    *definitions.CLAIMS,
    *curvature_definitions.CLAIMS,
    *thm_5_1.CLAIMS,
    *lemma_5_2.CLAIMS,
    *thm_5_3.CLAIMS,
    *thm_5_4.CLAIMS,
    *lemma_a_1.CLAIMS,
    *lemma_a_2.CLAIMS,
    *lemma_a_3.CLAIMS,
    *steps_a_3.CLAIMS,
    *steps_a_7.CLAIMS,
    *cross_entropy.CLAIMS,
    *offsets.CLAIMS,
    *section_6.CLAIMS,
    *experiments.CLAIMS,
    *privacy_experiments.CLAIMS,
)
