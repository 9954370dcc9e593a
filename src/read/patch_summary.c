/* What patched runs amount to. A mean of ratios is decided by the few pairs whose denominator is
 * near 0, which are pairs that the model does not know: the main figure is a ratio of sums over the
 * pairs that it knows both ways, with the median beside it. */
#include <math.h>

#include "core/arena.h"
#include "core/median.h"
#include "sgatlin.h"

static bool both_known(const sg_intervention *x) { return x->correct_clean && x->correct_counterfactual; }

/* Sums over the known pairs into out, their own ratios into recovered. */
static void add_up(const sg_intervention *x, size_t n, sg_intervention_summary *out, double *recovered) {
  for (size_t i = 0; i < n; i++) {
    out->reference_mean += x[i].recovered / (double)n;
    if (!both_known(&x[i])) continue;
    recovered[out->known++] = x[i].recovered;
    out->clean += x[i].clean;
    out->counterfactual += x[i].counterfactual;
    out->patched += x[i].patched;
    out->rank_flip += x[i].rank_flip;
  }
}

sg_status sg_interventions_summary(const sg_interventions *runs, size_t set, sg_intervention_summary *out,
                                   sg_error *err) {
  *out = (sg_intervention_summary){.pairs = runs->n_pairs};
  if (set >= runs->n_sets) return sgi_fail(err, SG_ERR_ARG, "set %zu of layers: there are %zu", set, runs->n_sets);
  double *recovered = sgi_alloc((runs->n_pairs + 1) * sizeof *recovered);
  if (!recovered) return sgi_fail_memory(err, runs->n_pairs * sizeof *recovered, "figures of patched runs");
  add_up(runs->results + set * runs->n_pairs, runs->n_pairs, out, recovered);
  size_t n = out->known;
  out->median_recovered = n ? sgi_median(recovered, n) : NAN;
  out->recovered = (out->clean - out->patched) / (out->clean - out->counterfactual); /* 0/0 where none is known */
  out->clean /= (double)n;
  out->counterfactual /= (double)n;
  out->patched /= (double)n;
  out->rank_flip /= (double)n;
  sgi_free(recovered);
  return SG_OK;
}
