#include "model/flops.h"

#include <math.h>
#include <string.h>

#include "model/model.h"

static bool mul(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static bool add(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_add_overflow(a, b, out); }

static sg_status too_many(size_t seq_len, sg_error *err) {
  return sgi_fail(err, SG_ERR_ARG, "the FLOPs of a sequence of %zu tokens do not fit into 64 bits: use smaller sizes",
                  seq_len);
}

sg_status sgi_config_parameters(const sg_config *config, size_t *parameters, sg_error *err) {
  sg_model *m;
  sg_status st = sgi_model_shell(config, &m, err);
  if (st) return st;
  *parameters = m->table.parameters;
  sg_model_free(m);
  return SG_OK;
}

sg_status sg_config_flops(const sg_config *config, size_t seq_len, uint64_t *flops, sg_error *err) {
  sg_model *m;
  /* A table that can be counted is what keeps a kind's own sum from wrapping: each product in it is
   * bounded by tensors. */
  sg_status st = sgi_model_shell(config, &m, err);
  if (st) return st;
  uint64_t sum = 0;
  bool fits = true;
  for (size_t i = 0; i < m->plan.n_steps && fits; i++) {
    const sgi_sublayer *s = m->plan.steps[i].sub;
    uint64_t own;
    fits = s->ops->multiply_adds(s->config, seq_len, &own) && add(sum, own, &sum);
  }
  sg_model_free(m);
  if (!seq_len) return sgi_fail(err, SG_ERR_ARG, "a sequence of 0 tokens has no FLOPs: give a length of at least 1");
  if (!fits || !mul(sum, seq_len, &sum) || !mul(sum, 2, &sum)) return too_many(seq_len, err);
  *flops = sum;
  return SG_OK;
}

sg_status sgi_config_head_flops(const sg_config *config, size_t seq_len, uint64_t *flops, sg_error *err) {
  sg_status st = sg_config_check(config, err);
  uint64_t sum;
  if (st) return st;
  if (!mul(config->vocab_size, config->hidden_size, &sum) || !mul(sum, seq_len, &sum) || !mul(sum, 2, &sum))
    return too_many(seq_len, err);
  *flops = sum;
  return SG_OK;
}

sg_status sgi_budget_steps(double budget, uint64_t forward, size_t batch, uint64_t *steps, sg_error *err) {
  if (!(budget >= 1 && budget <= 1e30)) /* also NaN */
    return sgi_fail(err, SG_ERR_ARG, "a budget of %g FLOPs: it must be from 1 to 1e30", budget);
  uint64_t step;
  if (!mul(forward, batch, &step) || !mul(step, 3, &step) || !step)
    return sgi_fail(err, SG_ERR_ARG, "a step of %zu sequences of %llu FLOPs is empty or does not fit into 64 bits",
                    batch, (unsigned long long)forward);
  unsigned __int128 n = (unsigned __int128)budget / step;
  if (!n)
    return sgi_fail(err, SG_ERR_ARG,
                    "a budget of %g FLOPs does not pay for one step of %g: raise it or make the model or the "
                    "batch smaller",
                    budget, (double)step);
  if (n > UINT64_MAX)
    return sgi_fail(err, SG_ERR_ARG, "a budget of %g FLOPs pays for more than 2^64 steps: lower it", budget);
  *steps = (uint64_t)n;
  return SG_OK;
}

static const sgi_isoflop isoflops[] = {
    {1e17, 64, 1024, 2, 6, 2},
    {6e17, 64, 1024, 3, 7, 3},
    {1e18, 128, 2048, 3, 7, 4},
    {6e18, 128, 2048, 5, 8, 5},
};

const sgi_isoflop *sgi_isoflop_at(size_t i) { return i < SGI_COUNT(isoflops) ? &isoflops[i] : NULL; }
