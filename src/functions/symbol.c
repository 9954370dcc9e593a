#include "functions/symbol.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double LEAST = 0.98, NEAR = 0.002, STILL = 1e-6, DIGITS = 2e-5;

#define SGI_SYMBOL_ROW(id, name, complexity) {name, complexity},
static const struct {
  const char *name;
  int complexity;
} symbols[] = {SGI_SYMBOLS(SGI_SYMBOL_ROW)};
#undef SGI_SYMBOL_ROW

const char *sgi_symbol_name(sgi_symbol_form f) { return f < SGI_SYMBOL_NONE ? symbols[f].name : "spline"; }
int sgi_symbol_complexity(sgi_symbol_form f) { return f < SGI_SYMBOL_NONE ? symbols[f].complexity : 5; }

sgi_symbol_form sgi_symbol_find(const char *name, size_t n) {
  int f = 0;
  while (f < SGI_SYMBOL_NONE && (strlen(symbols[f].name) != n || memcmp(symbols[f].name, name, n))) f++;
  return (sgi_symbol_form)f;
}

double sgi_symbol_value(sgi_symbol_form f, double u) {
  switch (f) {
    case SGI_SYMBOL_LINE: return u;
    case SGI_SYMBOL_SQUARE: return u * u;
    case SGI_SYMBOL_ABS: return fabs(u);
    case SGI_SYMBOL_RELU: return u > 0 ? u : 0;
    case SGI_SYMBOL_STEP: return u > 0;
    case SGI_SYMBOL_EXP: return exp(u < 20 ? u : 20);
    case SGI_SYMBOL_CUBE: return u * u * u;
    case SGI_SYMBOL_LOG: return log(u > 1e-4 ? u : 1e-4);
    case SGI_SYMBOL_SQRT: return sqrt(u > 0 ? u : 0);
    case SGI_SYMBOL_TANH: return tanh(u);
    case SGI_SYMBOL_GAUSS: return exp(-u * u);
    case SGI_SYMBOL_SIN: return sin(u);
    case SGI_SYMBOL_ZERO:
    case SGI_SYMBOL_NONE: break;
  }
  return 0;
}

double sgi_six_digits(double x) {
  char text[40];
  snprintf(text, sizeof text, "%.6g", x);
  return strtod(text, NULL);
}

/* ---- one form -------------------------------------------------------------------------------- */

typedef struct curve {
  const double *t, *y;
  size_t n;
  double *work;
  double mean, squares; /* of y, about its mean */
  double lo, hi;        /* of t */
} curve;

static curve curve_of(const double *t, const double *y, size_t n, double *work) {
  curve c = {t, y, n, work, 0, 0, t[0], t[0]};
  for (size_t i = 0; i < n; i++) {
    c.mean += y[i] / (double)n;
    if (t[i] < c.lo) c.lo = t[i];
    if (t[i] > c.hi) c.hi = t[i];
  }
  for (size_t i = 0; i < n; i++) c.squares += (y[i] - c.mean) * (y[i] - c.mean);
  return c;
}

/* a and d by least squares. */
static sgi_symbol with(const curve *k, sgi_symbol_form f, double b, double c) {
  sgi_symbol s = {f, 0, b, c, k->mean, 0};
  double mean = 0, own = 0, both = 0;
  for (size_t i = 0; i < k->n; i++) {
    k->work[i] = sgi_symbol_value(f, b * k->t[i] + c);
    mean += k->work[i] / (double)k->n;
  }
  for (size_t i = 0; i < k->n; i++) {
    double u = k->work[i] - mean;
    own += u * u;
    both += u * (k->y[i] - k->mean);
  }
  if (!(own > 1e-24 * (1 + mean * mean) * (double)k->n) || !(k->squares > 0)) return s;
  s.a = both / own;
  s.d = k->mean - s.a * mean;
  s.r2 = both * both / own / k->squares;
  return s;
}

static void better(sgi_symbol *best, sgi_symbol s) {
  if (s.r2 > best->r2) *best = s;
}

/* Pattern search about a start: steps in c and, where it is free, in log |b|. A curve that only
 * tends to its best (a tail ever further out) ends it by its small gains. */
static sgi_symbol refine(const curve *k, sgi_symbol s, double step_b, double step_c) {
  enum { ROUNDS = 80 };
  double least = step_c * 1e-3;
  for (size_t round = 0; round < ROUNDS && step_c > least && s.r2 < 1 - 1e-9; round++) {
    double before = s.r2, b = s.b, c = s.c;
    better(&s, with(k, s.form, b, c + step_c));
    better(&s, with(k, s.form, b, c - step_c));
    if (step_b > 0) {
      better(&s, with(k, s.form, b * exp(step_b), c));
      better(&s, with(k, s.form, b / exp(step_b), c));
      /* The same place on the curve, steeper or flatter. */
      better(&s, with(k, s.form, b * exp(step_b), c * exp(step_b)));
      better(&s, with(k, s.form, b / exp(step_b), c / exp(step_b)));
    }
    if (s.r2 > before + 1e-6) continue;
    step_b /= 2;
    step_c /= 2;
  }
  return s;
}

/* b is given; the place where u is 0 anywhere from one span in front of the curve to one behind. */
static sgi_symbol over_places(const curve *k, sgi_symbol_form f, double b) {
  enum { PLACES = 25 };
  double from = k->lo - (k->hi - k->lo), step = 3 * (k->hi - k->lo) / (PLACES - 1);
  sgi_symbol best = {f, 0, b, 0, k->mean, 0};
  for (size_t i = 0; i < PLACES; i++) better(&best, with(k, f, b, -b * (from + step * (double)i)));
  return best;
}

static sgi_symbol refined(const curve *k, sgi_symbol s, double step_b) {
  return refine(k, s, step_b, (k->hi - k->lo) * fabs(s.b) / 16);
}

static sgi_symbol over_widths(const curve *k, sgi_symbol_form f, const double *widths, size_t n) {
  sgi_symbol best = {f, 0, 1, 0, k->mean, 0};
  double span = k->hi - k->lo;
  for (size_t i = 0; i < n && span > 0; i++) better(&best, over_places(k, f, widths[i] / span));
  return refined(k, best, 0.25);
}

static sgi_symbol over_waves(const curve *k) {
  enum { WAVES = 12, PHASES = 6 };
  sgi_symbol best = {SGI_SYMBOL_SIN, 0, 1, 0, k->mean, 0};
  double span = k->hi - k->lo;
  for (size_t i = 0; i < WAVES && span > 0; i++)
    for (size_t j = 0; j < PHASES; j++)
      better(&best, with(k, SGI_SYMBOL_SIN, (1 + 1.25 * (double)i) / span, 3.141592653589793 / PHASES * (double)j));
  return refine(k, best, 0.1, 0.25);
}

sgi_symbol sgi_symbol_fit(sgi_symbol_form f, const double *t, const double *y, size_t n, double *work) {
  static const double widths[] = {1, 2.5, 6, 15}, tails[] = {-12, -3, -0.75, 0.75, 3, 12}, sides[] = {-1, 1};
  curve k = curve_of(t, y, n, work);
  sgi_symbol best = {f, 0, 1, 0, k.mean, 0};
  switch (f) {
    case SGI_SYMBOL_LINE: return with(&k, f, 1, 0);
    case SGI_SYMBOL_SQUARE:
    case SGI_SYMBOL_ABS:
    case SGI_SYMBOL_CUBE:
    case SGI_SYMBOL_STEP: return refined(&k, over_places(&k, f, 1), 0);
    case SGI_SYMBOL_RELU:
    case SGI_SYMBOL_SQRT:
    case SGI_SYMBOL_LOG:
      for (size_t i = 0; i < 2; i++)
        better(&best, refined(&k, over_places(&k, f, sides[i]), f == SGI_SYMBOL_LOG ? 0.25 : 0));
      return best;
    case SGI_SYMBOL_EXP: return over_widths(&k, f, tails, SGI_COUNT(tails));
    case SGI_SYMBOL_TANH:
    case SGI_SYMBOL_GAUSS: return over_widths(&k, f, widths, SGI_COUNT(widths));
    case SGI_SYMBOL_SIN: return over_waves(&k);
    case SGI_SYMBOL_ZERO:
    case SGI_SYMBOL_NONE: break;
  }
  return best;
}

/* ---- which ----------------------------------------------------------------------------------- */

/* Rounds s; its variance's share anew, 0 where six digits are not enough to say it. */
static void round_off(const curve *k, sgi_symbol *s) {
  sgi_symbol r = *s;
  double span = 0, off = 0, errors = 0;
  r.a = sgi_six_digits(r.a);
  r.b = sgi_six_digits(r.b);
  r.c = sgi_six_digits(r.c);
  for (size_t i = 0; i < k->n; i++) {
    double own = sgi_symbol_value(s->form, s->b * k->t[i] + s->c) * s->a + s->d;
    double cut = sgi_symbol_value(r.form, r.b * k->t[i] + r.c) * r.a + sgi_six_digits(r.d);
    off = fmax(off, fabs(own - cut));
    span = fmax(span, fabs(k->y[i] - k->mean));
    errors += (k->y[i] - cut) * (k->y[i] - cut);
  }
  r.r2 = off <= DIGITS * span ? 1 - errors / k->squares : 0;
  *s = r;
}

sgi_symbol sgi_symbol_choose(const double *t, const double *y, size_t n, bool digits, double *work, sgi_symbol *fits) {
  curve k = curve_of(t, y, n, work);
  sgi_symbol all[SGI_SYMBOL_NONE], *at = fits ? fits : all, none = {.form = SGI_SYMBOL_NONE};
  double largest = 0, best = 0;
  size_t tried = 0;
  for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(y[i]));
  at[0] = (sgi_symbol){.form = SGI_SYMBOL_ZERO, .b = 1, .d = k.mean};
  bool still = sqrt(k.squares / (double)n) <= STILL * largest;
  if (still && !fits) return at[0];
  for (tried = 1; tried < SGI_SYMBOL_NONE; tried++) {
    sgi_symbol_form f = (sgi_symbol_form)tried;
    if (!fits && best >= 1 - NEAR && symbols[f].complexity > symbols[f - 1].complexity) break;
    at[f] = sgi_symbol_fit(f, t, y, n, work);
    if (digits) round_off(&k, &at[f]);
    best = fmax(best, at[f].r2);
  }
  if (still) return at[0];
  const sgi_symbol *chosen = &none;
  for (size_t f = 1; f < tried; f++) {
    if (!(at[f].r2 >= fmax(LEAST, best - NEAR))) continue;
    int more = symbols[f].complexity - sgi_symbol_complexity(chosen->form);
    if (chosen == &none || more < 0 || (more == 0 && at[f].r2 > chosen->r2)) chosen = &at[f];
  }
  return *chosen;
}
