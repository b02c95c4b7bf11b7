/* How the search ranks what it finds: by Sphinx's own numbers, but what is called by the words asked
   for (a section, a statement, a claim) comes before the pages that have them in their text, and
   before the glossary's terms, which Sphinx ranks so high that they need no help. */
var Scorer = {
  score: ([page, title, anchor, description, score]) =>
    anchor && description === null && page !== "book/glossary" ? 10 * score : score,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
