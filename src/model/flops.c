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
  sg_status st = sg_config_check(config, err);
  if (st) return st;
  sgi_table table;
  st = sgi_model_table(config, &table, err);
  if (st) return st;
  *parameters = table.parameters;
  sgi_table_deinit(&table);
  return SG_OK;
}

/* Per layer and token: four projections D x W and, over all T positions (the mask saves nothing in this
 * count), scores and weighted values; W = H d_head. */
sg_status sg_config_flops(const sg_config *config, size_t seq_len, uint64_t *flops, sg_error *err) {
  size_t parameters;
  /* A table that can be counted is what keeps the kind's own sum below from wrapping: each product in it is
   * bounded by tensors. */
  sg_status st = sgi_config_parameters(config, &parameters, err);
  if (st) return st;
  if (!seq_len) return sgi_fail(err, SG_ERR_ARG, "a sequence of 0 tokens has no FLOPs: give a length of at least 1");
  uint64_t width, projections, mixing, sum;
  if (!mul(config->num_heads, config->head_dim, &width) ||
      !mul(width, 4 * (uint64_t)config->hidden_size, &projections) || !mul(width, 2, &mixing) ||
      !mul(mixing, seq_len, &mixing) || !add(projections, mixing, &sum) ||
      !add(sum, sgi_ffn_find(config->feedforward, NULL)->multiply_adds(config), &sum) ||
      !mul(sum, config->num_layers, &sum) || !mul(sum, seq_len, &sum) || !mul(sum, 2, &sum))
    return too_many(seq_len, err);
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
