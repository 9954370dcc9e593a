/* Random numbers, central differences, and the judge of float32 gradients. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"

void *ref_alloc(size_t count, size_t size) {
  void *p = calloc(count ? count : 1, size);
  if (p) return p;
  fprintf(stderr, "reference: memory is out\n");
  abort();
}

double *ref_doubles(const float *x, size_t n) {
  double *y = ref_alloc(n, sizeof *y);
  for (size_t i = 0; i < n; i++) y[i] = (double)x[i];
  return y;
}

uint64_t ref_bits(ref_random *r) { /* splitmix64 */
  uint64_t z = r->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

size_t ref_below(ref_random *r, size_t n) { return (size_t)(ref_bits(r) % n); }

static double uniform(ref_random *r) { return ((double)(ref_bits(r) >> 11) + 0.5) / 9007199254740992.0; }

double ref_normal(ref_random *r) {
  double radius = sqrt(-2 * log(uniform(r)));
  return radius * cos(2 * M_PI * uniform(r));
}

void ref_fill(ref_random *r, float *x, size_t n, double mean, double sigma) {
  for (size_t i = 0; i < n; i++) x[i] = (float)(mean + sigma * ref_normal(r));
}

double ref_difference(const float *a, const double *b, size_t n) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < n; i++) {
    double d = fabs((double)a[i] - b[i]);
    if (!(d <= worst)) worst = d; /* takes NaN, and keeps it */
    largest = fmax(largest, fabs(b[i]));
  }
  return worst == 0 ? 0 : worst / largest;
}

/* Steps tried in turn until no discrete choice changes within one. The truncation error of the
 * first is about 1e-10 of the function's third derivative, the rounding error of the last about
 * 1e-8 of the function's value. */
static const double STEPS[] = {1e-5, 1e-6, 1e-7, 2e-8};

/* Difference quotient along `sign` (entries of -1, 0 and 1 of count, or NULL: entry `at` alone). */
static bool quotient(ref_function *f, void *user, double *value, const signed char *sign, size_t at, size_t count,
                     double *out) {
  size_t first = sign ? 0 : at, last = sign ? count : at + 1;
  double *kept = ref_alloc(last - first, sizeof *kept);
  memcpy(kept, value + first, (last - first) * sizeof *kept);
  bool ok = false;
  for (size_t s = sign ? 1 : 0; s < sizeof STEPS / sizeof *STEPS && !ok; s++) {
    double y[2];
    uint64_t decisions[2];
    for (int side = 0; side < 2; side++) {
      for (size_t i = first; i < last; i++)
        value[i] = kept[i - first] + (side ? -STEPS[s] : STEPS[s]) * (sign ? (double)sign[i] : 1.0);
      y[side] = f(user, &decisions[side]);
    }
    *out = (y[0] - y[1]) / (2 * STEPS[s]);
    ok = decisions[0] == decisions[1];
  }
  memcpy(value + first, kept, (last - first) * sizeof *kept);
  free(kept);
  return ok;
}

/* Entries to look at: half of them the largest gradients, the others random. */
static size_t *choose_entries(ref_random *r, const float *grad, size_t count, size_t *samples) {
  if (*samples > count) *samples = count;
  size_t *at = ref_alloc(*samples, sizeof *at);
  bool *taken = ref_alloc(count, sizeof *taken);
  for (size_t s = 0; s < *samples; s++) {
    size_t best = count;
    if (*samples == count)
      best = s;
    else if (s < *samples / 2)
      for (size_t i = 0; i < count; i++) {
        if (!taken[i] && (best == count || fabsf(grad[i]) > fabsf(grad[best]))) best = i;
      }
    else
      do best = ref_below(r, count);
      while (taken[best]);
    taken[best] = true;
    at[s] = best;
  }
  free(taken);
  return at;
}

static void judge(double *worst, char name[160], double error, const char *tensor, size_t at, double found,
                  double expected) {
  if (error <= *worst || isnan(*worst)) return;
  *worst = error; /* NaN as well, which stays */
  snprintf(name, 160, "%.70s[%zu] %.6g, difference quotient %.6g", tensor, at, found, expected);
}

static void check_direction(ref_report *r, ref_random *random, const char *name, ref_function *f, void *user,
                            double *value, const float *grad, size_t count, double floor) {
  signed char *sign = ref_alloc(count, 1);
  double along = 0, norm = 0, expected;
  for (size_t i = 0; i < count; i++) {
    sign[i] = ref_bits(random) & 1 ? 1 : -1;
    along += sign[i] * (double)grad[i];
    norm += (double)grad[i] * (double)grad[i];
  }
  if (quotient(f, user, value, sign, 0, count, &expected)) {
    r->checked++;
    judge(&r->direction, r->worst_direction, fabs(along - expected) / fmax(sqrt(norm), floor), name, count, along,
          expected);
  } else {
    r->skipped++;
  }
  free(sign);
}

void ref_check_gradient(ref_report *r, const char *name, ref_function *f, void *user, double *value, const float *grad,
                        size_t count, size_t samples, double floor) {
  ref_random random = {.state = count};
  double scale = floor;
  for (size_t i = 0; i < count; i++) {
    scale = fmax(scale, fabs((double)grad[i]));
    if (!isfinite(grad[i])) judge(&r->entry, r->worst, NAN, name, i, (double)grad[i], NAN);
  }
  size_t *at = choose_entries(&random, grad, count, &samples);
  for (size_t s = 0; s < samples; s++) {
    double expected;
    if (!quotient(f, user, value, NULL, at[s], count, &expected)) {
      r->skipped++;
      continue;
    }
    r->checked++;
    double error = fabs((double)grad[at[s]] - expected);
    judge(&r->entry, r->worst, error > 0 ? error / scale : error, name, at[s], (double)grad[at[s]], expected);
  }
  for (int k = 0; k < 2; k++) check_direction(r, &random, name, f, user, value, grad, count, floor);
  free(at);
}
