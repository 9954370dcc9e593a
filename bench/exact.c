/* exact.c: what true effects side by side cost beside single reruns, by processor time, in turns.
 * exact MODEL [TOKENS [REPEATS]]: every neuron of a prompt of TOKENS random tokens (30), read at
 * its last position; a rerun is sg_run_create with one edit and the logits of one position. For
 * exact.sh. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/arena.h"
#include "core/rng.h"
#include "sgatlin.h"

enum { MOST = 4096 };

static int fail(const sg_error *err) {
  fprintf(stderr, "exact: %s\n", err->text);
  return 1;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The neuron's place in every kind: its channel is an axis where units are chosen. */
static sg_edit without(const sg_config *c, const sg_term *t) {
  sg_edit e = {.op = SG_EDIT_SET, .n_axes = c->num_channels ? 3 : 2};
  snprintf(e.site, sizeof e.site, "layers.%d.neurons", t->layer);
  e.axes[0] = (sg_edit_axis){"pos", t->position, t->position};
  e.axes[1] = (sg_edit_axis){"neuron", t->index, t->index};
  e.axes[2] = (sg_edit_axis){"channel", t->channel, t->channel};
  return e;
}

static sg_status rerun(const sg_model *m, const sg_exact_request *q, const sg_exact *x, const sg_edit *e, float *logits,
                       double *out, sg_error *err) {
  sg_run_request r = {.tokens = q->prompt.tokens, .count = q->prompt.count, .edits = e, .n_edits = e ? 1 : 0};
  sg_run *run;
  sg_status st = sg_run_create(m, &r, &run, err);
  if (!st) st = sg_run_logits(run, (ptrdiff_t)x->position, logits, err);
  if (!st) *out = (double)logits[x->target];
  if (!st) sg_run_free(run);
  return st;
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: exact MODEL [TOKENS [REPEATS]]\n"), 2;
  size_t T = argc > 2 ? (size_t)atoi(argv[2]) : 30, repeats = argc > 3 ? (size_t)atoi(argv[3]) : 3;
  sg_error err = {0};
  sg_model *m;
  if (sg_model_load(argv[1], &m, &err)) return fail(&err);
  const sg_config *c = sg_model_config(m);
  int32_t *tokens = sgi_alloc((T + 1) * sizeof *tokens);
  sgi_rng rng = sgi_rng_make(1, SGI_STREAM_SAMPLE, 0);
  float *logits = sgi_alloc(c->vocab_size * sizeof *logits);
  for (size_t i = 0; i < T; i++) tokens[i] = i ? (int32_t)sgi_rng_below(&rng, c->vocab_size) : c->bos_id;
  sg_exact_request q = {.prompt = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = -1},
                        .no_heads = true};
  double worst = 0, own = 0, single = 0;
  size_t reruns = 0, neurons = 0, others = 0;
  for (size_t k = 0; k < repeats; k++) {
    sg_exact *x;
    double base, logit, start = now();
    if (sg_exact_create(m, &q, &x, &err)) return fail(&err);
    own += now() - start;
    neurons = x->neurons.count;
    /* Reruns of neurons spread evenly over all of them: all, or what takes seconds. */
    size_t step = neurons / MOST + 1;
    if (rerun(m, &q, x, NULL, logits, &base, &err)) return fail(&err);
    start = now();
    for (size_t i = k % step; i < neurons; i += step, reruns++) {
      sg_edit e = without(c, &x->neurons.at[i].term);
      if (rerun(m, &q, x, &e, logits, &logit, &err)) return fail(&err);
      double off = fabs(base - logit - x->neurons.at[i].effect);
      if (off > 1e-4 * fabs(base))
        others++;
      else
        worst = fmax(worst, off);
    }
    single += now() - start;
    sg_exact_free(x);
  }
  own /= (double)repeats;
  single *= (double)neurons / (double)reruns;
  printf(
      "%s: %zu tokens, %zu neurons: %.3f s side by side, %.3f s as single reruns (%zu made), %.1f times; %zu of these "
      "differ by more than 1e-4 of the logit (a choice at a tie), the others by at most %.1e\n",
      c->feedforward, T, neurons, own, single, reruns, single / own, others, worst);
  sgi_free(tokens);
  sgi_free(logits);
  sg_model_free(m);
  return 0;
}
