/* int4_run.c: pools in int4 as a run tells of them: what they take, what each update did, and what
 * the buffers still held at the end. */
#include <math.h>

#include "train/run_state.h"

void sgi_run_say_pools(const sgi_run *run) {
  double weights = (double)run->plan.pool_weights;
  if (!run->plan.pool_weights) return;
  sgi_run_note(
      run,
      "pools: int4, %.4g million weights in %.4g MB, %.3g bytes each with what training them needs (16 in float32)",
      weights / 1e6, (double)run->plan.pool_bytes / 1e6, (double)run->plan.pool_bytes / weights);
}

sg_status sgi_run_evaluate_buffers(sgi_run *run, const sgi_evaluate_request *r, double loss, sg_error *err) {
  const sgi_trainer *t = run->trainer;
  run->loss_with_buffer = NAN;
  if (!t->int4 || run->state.step != run->plan.steps) return SG_OK;
  sgi_evaluate_request again = *r;
  sgi_evaluation e = {0};
  again.usage = NULL;
  sgi_pools_finer(t->model, true);
  sg_status st = sgi_evaluate(run->evaluator, &again, &e, err);
  sgi_pools_finer(t->model, false);
  if (st) return st;
  run->loss_with_buffer = e.loss;
  sgi_run_note(run, "pools: the model is its levels, held-out loss %.5f; with what the buffers still held it was %.5f",
               loss, e.loss);
  return SG_OK;
}

/* Of the update that ended the step; between two of them there is nothing to tell. */
bool sgi_run_int4_report(const sgi_run *run, sgi_int4_report *out) {
  const sgi_trainer *t = run->trainer;
  if (!t->int4 || t->steps % t->settings.accumulation) return false;
  sgi_int4_report_of(t->int4, out);
  return true;
}
