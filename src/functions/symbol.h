/* symbol.h: named functions that may stand for a curve: a f(b z + c) + d
 * (docs/method-functions.md, named functions). */
#ifndef SGI_SYMBOL_H
#define SGI_SYMBOL_H

#include "core/base.h"

/* X(id, name, complexity); in the order of files. exp is a tail of tanh, so it is the simpler
 * one. */
#define SGI_SYMBOLS(X) \
  X(ZERO, "0", 0) \
  X(LINE, "x", 1) \
  X(SQUARE, "x^2", 2) \
  X(ABS, "abs", 2) \
  X(RELU, "relu", 2) \
  X(STEP, "step", 2) \
  X(EXP, "exp", 2) \
  X(CUBE, "x^3", 3) \
  X(LOG, "log", 3) \
  X(SQRT, "sqrt", 3) \
  X(TANH, "tanh", 3) \
  X(GAUSS, "gauss", 3) \
  X(SIN, "sin", 4)

#define SGI_SYMBOL_ID(id, name, complexity) SGI_SYMBOL_##id,
typedef enum sgi_symbol_form { SGI_SYMBOLS(SGI_SYMBOL_ID) SGI_SYMBOL_NONE } sgi_symbol_form;
#undef SGI_SYMBOL_ID

const char *sgi_symbol_name(sgi_symbol_form f);
int sgi_symbol_complexity(sgi_symbol_form f);
/* SGI_SYMBOL_NONE where there is none of that name (n bytes). */
sgi_symbol_form sgi_symbol_find(const char *name, size_t n);
/* f(u): log of at least 1e-4, sqrt of at least 0, exp of at most 20. */
double sgi_symbol_value(sgi_symbol_form f, double u);
/* Six significant digits, which is what a formula says. */
double sgi_six_digits(double x);

typedef struct sgi_symbol {
  sgi_symbol_form form;
  double a, b, c, d, r2; /* r2: share of the curve's variance */
} sgi_symbol;

/* The best of that form for the curve y (n) over t (n). work (n). */
sgi_symbol sgi_symbol_fit(sgi_symbol_form f, const double *t, const double *y, size_t n, double *work);
/* The least complex within 0.002 of the best, of at least 0.98; form SGI_SYMBOL_NONE where there is
 * none. fits (SGI_SYMBOL_NONE; NULL allowed) gets every candidate; without it those that can no
 * longer be chosen are not tried. digits: in six significant digits each, and only where these say
 * the curve to 2e-5 of its span. */
sgi_symbol sgi_symbol_choose(const double *t, const double *y, size_t n, bool digits, double *work, sgi_symbol *fits);

#endif
