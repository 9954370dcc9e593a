/* functions.c: neurons as functions: the file whole, and every formula read back. */
#include <math.h>
#include <string.h>

#include "check/inside.h"
#include "core/arena.h"
#include "core/rng.h"
#include "functions/formula.h"
#include "functions/set.h"

enum { DRAWS = 8 };
static const double READ_BACK = 1e-4; /* of the span */

/* One neuron's formula against itself at features drawn from a normal distribution. */
static sg_status read_back(const sgi_function_layer *l, size_t unit, float *z, double *off, sg_error *err) {
  sgi_rng rng = sgi_rng_make(unit, SGI_STREAM_FUNCTIONS, 4);
  const sgi_expert *e = &l->expert[unit];
  char *text = sgi_formula_text(e, &l->grid);
  sgi_formula *f = NULL;
  double lo = INFINITY, hi = -INFINITY, largest = 0;
  sg_status st = text ? sgi_formula_parse(text, strlen(text), &f, err) : sgi_fail_memory(err, 1000, "a formula");
  for (size_t i = 0; i < DRAWS && !st; i++) {
    for (size_t r = 0; r < l->R; r++) z[r] = (float)sgi_rng_normal(&rng);
    double own = sgi_expert_value(e, &l->grid, z);
    lo = fmin(lo, own);
    hi = fmax(hi, own);
    largest = fmax(largest, fabs(own - sgi_formula_value(f, z)));
  }
  if (hi > lo && largest / (hi - lo) > *off) *off = largest / (hi - lo);
  sgi_formula_free(f);
  sgi_free(text);
  return st;
}

static sg_status check_layer(sgi_checks *c, const char *path, const sgi_function_layer *l, sg_error *err) {
  float *z = sgi_alloc(l->R * sizeof *z);
  double off = 0;
  size_t n = 0;
  sg_status st = z ? SG_OK : sgi_fail_memory(err, l->R * sizeof *z, "features");
  for (size_t unit = 0; unit < l->units && !st; unit++) {
    if (!l->stands[unit]) continue;
    n++;
    st = read_back(l, unit, z, &off, err);
    if (!st && !c->go_on(c->user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (!st)
    sgi_checks_say(c, path, "formulas", off > READ_BACK ? SG_ERR_FORMAT : SG_OK,
                   "layer %zu: %zu formulas, read back to %.2g of their spans", l->layer, n, off);
  sgi_free(z);
  return st;
}

sg_status sgi_check_functions(sgi_checks *c, const char *path, sg_error *err) {
  sgi_function_set *s = NULL;
  sg_error why = {0};
  sg_status st = sgi_function_set_open(path, &s, &why);
  if (!st)
    sgi_checks_say(c, path, "functions", SG_OK, "%zu layers, every number sound; of the model with the hash %s", s->n,
                   s->of.hash[0] ? s->of.hash : "(none)");
  st = sgi_check_took(c, path, "functions", st, &why, err);
  for (size_t i = 0; s && i < s->n && !st; i++) st = check_layer(c, path, &s->at[i], err);
  sgi_function_set_free(s);
  return st;
}
