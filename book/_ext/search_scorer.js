/* How the search ranks what it finds: Sphinx's own numbers, but a title or a name counts most. */
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 100, // 15 in Sphinx, which seven words of the text outweigh
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
