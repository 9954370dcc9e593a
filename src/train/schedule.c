#include "train/schedule.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {
    [SGI_SCHEDULE_CONSTANT] = "constant",
    [SGI_SCHEDULE_COSINE] = "cosine",
    [SGI_SCHEDULE_WARMUP_LINEAR] = "warmup_stable_linear_decay",
    [SGI_SCHEDULE_WARMUP_SQRT] = "warmup_stable_sqrt_decay",
};

static const double PI = 3.14159265358979323846;
static const float COSINE_FLOOR = 0.1f; /* of the peak */

const char *sgi_schedule_name(sgi_schedule_kind kind) { return (size_t)kind < SGI_COUNT(names) ? names[kind] : NULL; }

sg_status sgi_schedule_find(const char *name, sgi_schedule_kind *out, sg_error *err) {
  for (size_t i = 0; i < SGI_COUNT(names); i++)
    if (!strcmp(names[i], name)) {
      *out = (sgi_schedule_kind)i;
      return SG_OK;
    }
  const char *near = sgi_nearest(name, names, SGI_COUNT(names));
  return sgi_fail(err, SG_ERR_ARG, "unknown schedule \"%.64s\": choose %s, %s, %s or %s%s%s%s", name, names[0],
                  names[1], names[2], names[3], near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

sg_status sgi_schedule_check(const sgi_schedule *s, sg_error *err) {
  if ((size_t)s->kind >= SGI_COUNT(names))
    return sgi_fail(err, SG_ERR_ARG, "schedule number %d does not exist", (int)s->kind);
  if (!(s->peak > 0) || !isfinite(s->peak) || s->peak > 1e6)
    return sgi_fail(err, SG_ERR_ARG, "learning_rate is %g: it must be above 0 and at most 1e6", s->peak);
  if (!s->updates)
    return sgi_fail(err, SG_ERR_ARG, "the run has 0 optimizer updates: more steps, or less accumulation, are needed");
  if (s->updates > UINT64_C(1) << 53 || s->warmup > UINT64_C(1) << 53)
    return sgi_fail(err, SG_ERR_ARG, "a run of %llu updates with %llu of warm-up is too long: at most 2^53",
                    (unsigned long long)s->updates, (unsigned long long)s->warmup);
  if (!(s->decay_fraction >= 0 && s->decay_fraction <= 1))
    return sgi_fail(err, SG_ERR_ARG, "decay_fraction is %g: it must be in 0..1", s->decay_fraction);
  if (s->kind == SGI_SCHEDULE_COSINE && (s->updates - 1) / 2 < s->warmup)
    return sgi_fail(err, SG_ERR_ARG,
                    "warmup_steps is %llu: schedule cosine over %llu updates needs fewer than half of them "
                    "(its decay takes updates - 2 warmup_steps)",
                    (unsigned long long)s->warmup, (unsigned long long)s->updates);
  return SG_OK;
}

/* The reference computes in float32 in this very order; doing the same keeps its values to the last
 * bits, which shows where a decay ends near 0. */
static float quotient(uint64_t a, uint64_t b) { return (float)((double)a / (double)b); }

static float warm_up(const sgi_schedule *s, uint64_t t) {
  float peak = (float)s->peak;
  return (0 - peak) * (1 - quotient(t, s->warmup)) + peak;
}

static float cosine(const sgi_schedule *s, uint64_t t) {
  uint64_t span = s->updates - 2 * s->warmup;
  t -= s->warmup;
  float angle = (float)(PI * (double)(t < span ? t : span)) / (float)span;
  float fall = 0.5f * (1 + cosf(angle));
  return (float)s->peak * ((1 - COSINE_FLOOR) * fall + COSINE_FLOOR);
}

/* The decay wins where it overlaps with the warm-up. */
static float stable(const sgi_schedule *s, uint64_t t) {
  uint64_t decay = (uint64_t)(s->decay_fraction * (double)s->updates);
  if (decay > s->updates) decay = s->updates;
  uint64_t begin = s->updates - decay;
  if (t < begin || !decay) return t < s->warmup ? warm_up(s, t) : (float)s->peak;
  float peak = (float)s->peak, u = t - begin < decay ? quotient(t - begin, decay) : 1.0f;
  return s->kind == SGI_SCHEDULE_WARMUP_SQRT ? peak * (1 - sqrtf(u)) : peak * (1 - u);
}

double sgi_schedule_at(const sgi_schedule *s, uint64_t update) {
  switch (s->kind) {
    case SGI_SCHEDULE_CONSTANT: return s->peak;
    case SGI_SCHEDULE_COSINE: return (double)(update < s->warmup ? warm_up(s, update) : cosine(s, update));
    case SGI_SCHEDULE_WARMUP_LINEAR:
    case SGI_SCHEDULE_WARMUP_SQRT: return (double)stable(s, update);
  }
  return 0;
}
