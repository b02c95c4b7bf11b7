"""The claims of `privacy`; a theorem's module is named after it."""

from memlib.theory.privacy import thm_5_1

CLAIMS = (*thm_5_1.CLAIMS,)
