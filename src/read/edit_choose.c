/* The next token of a run under edits: what sg_generator_choose draws of a generator, drawn of a
 * run. Edits reach every position, so nothing of an earlier run may be kept: each token is a
 * run. */
#include "core/arena.h"
#include "core/rng.h"
#include "model/model.h"
#include "model/sample.h"
#include "sgatlin.h"

sg_status sg_edit_choose(const sg_model *m, const sg_run_request *request, const sg_sampling *s, int32_t *id,
                         sg_error *err) {
  size_t V = m->config.vocab_size;
  sg_run *run = NULL;
  float *logits = sgi_alloc(V * sizeof *logits);
  sgi_candidate *candidates = sgi_alloc(V * sizeof *candidates);
  sg_status st =
      logits && candidates ? sgi_sampling_check(s, err) : sgi_fail_memory(err, V * sizeof *candidates, "a choice");
  if (!st) st = sg_run_create(m, request, &run, err);
  if (!st) st = sg_run_logits(run, -1, logits, err);
  if (!st) {
    sgi_rng r = sgi_rng_make(s->seed, SGI_STREAM_SAMPLE, s->first);
    r.counter = request->count;
    *id = sgi_sample(s, logits, V, sgi_rng_uniform(&r), candidates);
    if (*id < 0) st = sgi_fail(err, SG_ERR_NUMERIC, "position %zu: the logits are NaN or infinite", request->count);
  }
  sg_run_free(run);
  sgi_free(logits);
  sgi_free(candidates);
  return st;
}
