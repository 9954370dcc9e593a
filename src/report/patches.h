/* patches.h: patched runs as JSON: what `facts patch --json` prints and the explorer answers. */
#ifndef SGI_REPORT_PATCHES_H
#define SGI_REPORT_PATCHES_H

#include "word.h"

typedef struct sgi_patches {
  const sgi_prompt *prompt; /* for the texts of tokens */
  const sg_facts *facts;
  const sg_interventions *runs;
  const bool *layers;          /* (n_sets,L) */
  size_t L, nouns, n_distinct; /* nouns before and after the choice of those that share no answer */
  bool proven, at_last, pairs; /* pairs: list them */
  sg_patch_what what;
  bool from_another;
} sgi_patches;

extern const char *const sgi_patch_what_names[SG_PATCH_EMBEDDING + 1];

/* The reference's means over all pairs, known or not; for JSON. What is shown is
 * sg_interventions_summary's. */
typedef struct sgi_patch_mean {
  double clean, counterfactual, patched, recovered, flip, correct_clean, correct_counterfactual;
} sgi_patch_mean;
sgi_patch_mean sgi_patches_mean(const sg_interventions *runs, size_t set);

/* Text of the noun of a prompt. Borrowed. */
const char *sgi_patches_noun(const sgi_patches *p, size_t prompt);
/* New; NULL when memory is out. */
json_t *sgi_patches_json(const sgi_patches *p);

#endif
