/* formula.h: an expert as text, and such text read back (docs/method-functions.md, formulas):
 *
 *   expr  := term { " + " term }
 *   term  := number | number "*silu(zF)" | "spline(zF; lo, hi; c, c, ...)"
 *            | number "*" f "(" number "*zF + " number ")" | number "*[" logic "]"
 *   logic := "(zF > number)" | "1" | "0" | not, and, xor, or with brackets, binding in this
 * order */
#ifndef SGI_FORMULA_H
#define SGI_FORMULA_H

#include "functions/expert.h"

/* Hard, six significant digits. New: sgi_free; NULL when memory is out. */
char *sgi_formula_text(const sgi_expert *e, const sgi_grid *g);

typedef struct sgi_formula sgi_formula;
/* SG_ERR_FORMAT with the place of what is wrong. New: sgi_formula_free. */
sg_status sgi_formula_parse(const char *text, size_t n, sgi_formula **out, sg_error *err);
void sgi_formula_free(sgi_formula *f);
/* The features it reads are below this. */
size_t sgi_formula_features(const sgi_formula *f);
double sgi_formula_value(const sgi_formula *f, const float *z);
size_t sgi_formula_terms(const sgi_formula *f);

#endif
