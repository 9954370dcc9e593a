/* Minimal sets: the run that a set stands for is made once more by edits, and no member is too
 * many. */
#include "ffn/beside.h"
#include "report/sizes.h"
#include "support/prompts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "support/small.h"

enum { T = 5 };

typedef struct list {
  sg_edit at[512];
  size_t n;
} list;

static void silence(list *l, const sg_model *m, size_t layer, size_t pos, ptrdiff_t channel, ptrdiff_t first,
                    ptrdiff_t last) {
  if (first > last) return;
  assert_true(l->n < SGI_COUNT(l->at));
  sg_edit *e = &l->at[l->n++];
  *e = (sg_edit){.op = SG_EDIT_SET, .n_axes = 2};
  bool by_channel;
  snprintf(e->site, sizeof e->site, "layers.%zu.%s", layer, sgi_neuron_site(m, layer, channel, &by_channel));
  e->axes[0] = (sg_edit_axis){"pos", (ptrdiff_t)pos, (ptrdiff_t)pos};
  e->axes[1] = (sg_edit_axis){"neuron", first, last};
  if (channel >= 0 && by_channel) e->axes[e->n_axes++] = (sg_edit_axis){"channel", channel, channel};
}

/* All neurons between the kept ones of a channel; terms of no order, so the next kept one is looked
 * for. */
static void around(list *l, const sg_model *m, const sg_minimal_set *s, size_t skip, size_t layer, size_t pos,
                   ptrdiff_t channel) {
  const sg_config *c = &m->layers[layer].config;
  sgi_beside part = sgi_beside_of_channel(c, channel);
  size_t neurons = part == SGI_BESIDE_PARTS ? c->num_neurons : sgi_beside_neurons(c, part);
  ptrdiff_t F = (ptrdiff_t)neurons, from = 0;
  while (from < F) {
    ptrdiff_t next = F;
    for (size_t i = 0; i < s->count; i++) {
      const sg_term *t = &s->at[i].term;
      if (i != skip && (size_t)t->layer == layer && (size_t)t->position == pos && t->channel == channel &&
          t->index >= from && t->index < next)
        next = t->index;
    }
    silence(l, m, layer, pos, channel, from, next - 1);
    from = next + 1;
  }
}

static bool stands(const sg_model *m, const int32_t *tokens, const sg_minimal *x, const list *l, double *margin) {
  sg_run_request r = {.tokens = tokens, .count = T, .edits = l->at, .n_edits = l->n};
  sg_run *run;
  size_t V = m->config.vocab_size;
  float *logits = ref_alloc(V, sizeof *logits);
  assert_sg_ok(sg_run_create(m, &r, &run, err));
  assert_sg_ok(sg_run_logits(run, (ptrdiff_t)x->position, logits, err));
  double other = -INFINITY;
  for (size_t v = 0; v < V; v++)
    if ((int32_t)v != x->target && (x->against < 0 || (int32_t)v == x->against)) other = fmax(other, (double)logits[v]);
  *margin = (double)logits[x->target] - other;
  free(logits);
  sg_run_free(run);
  return *margin > 0;
}

/* The set without member skip (SIZE_MAX: all of it), run alone. */
static bool kept(const sg_model *m, const int32_t *tokens, const sg_minimal *x, size_t skip, double *margin) {
  list *l = ref_alloc(1, sizeof *l);
  for (size_t layer = 0; layer < m->config.num_layers; layer++) {
    if (!sgi_feedforward_of(m, layer)) continue;
    size_t channels = m->layers[layer].feedforward.ffn->gates ? m->layers[layer].config.num_channels : 1;
    for (size_t pos = 0; pos <= x->position; pos++) {
      bool any = false;
      for (size_t i = 0; i < x->keep.count; i++)
        any = any || ((size_t)x->keep.at[i].term.layer == layer && (size_t)x->keep.at[i].term.position == pos);
      if (!any) silence(l, m, layer, pos, -1, 0, (ptrdiff_t)m->layers[layer].config.num_neurons - 1);
      for (size_t c = 0; any && c < channels; c++) around(l, m, &x->keep, skip, layer, pos, (ptrdiff_t)c);
      for (int part = 0; part < SGI_BESIDE_PARTS; part++) {
        const sg_config *c = &m->layers[layer].config;
        if (sgi_beside_neurons(c, (sgi_beside)part))
          around(l, m, &x->keep, skip, layer, pos, (ptrdiff_t)sgi_beside_channel(c, (sgi_beside)part));
      }
    }
  }
  bool yes = stands(m, tokens, x, l, margin);
  free(l);
  return yes;
}

static bool lost(const sg_model *m, const int32_t *tokens, const sg_minimal *x, size_t skip, double *margin) {
  list *l = ref_alloc(1, sizeof *l);
  for (size_t i = 0; i < x->lose.count; i++) {
    const sg_term *t = &x->lose.at[i].term;
    if (i != skip) silence(l, m, (size_t)t->layer, (size_t)t->position, t->channel, t->index, t->index);
  }
  bool yes = !stands(m, tokens, x, l, margin);
  free(l);
  return yes;
}

static size_t keeps, loses, members;

static void checked(const sg_model *m, const char *name, ref_random *r) {
  int32_t tokens[T];
  double margin;
  random_prompt(m, r, tokens, T);
  sg_minimal_request q = {.prompt = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = -1}};
  sg_minimal *x;
  assert_sg_ok(sg_minimal_create(m, &q, &x, err));
  if (!x->keep.found) fail_msg("%s: the whole population does not keep the answer", name);
  if (x->lose.found != (x->silent <= 0) && !x->lose.found) fail_msg("%s: silent %g, nothing loses", name, x->silent);
  if (x->keep.count < 40) {
    if (!kept(m, tokens, x, SIZE_MAX, &margin)) fail_msg("%s: %zu do not keep: %g", name, x->keep.count, margin);
    if (fabs(margin - x->keep.margin) > 1e-4) fail_msg("%s: margin %g, of the run %g", name, x->keep.margin, margin);
    for (size_t i = 0; i < x->keep.count; i++, members++)
      if (kept(m, tokens, x, i, &margin) && margin > 1e-4)
        fail_msg("%s: keeps without member %zu: %g", name, i, margin);
    keeps += x->keep.count > 0;
  }
  if (x->lose.found && x->lose.count < 200) {
    if (!lost(m, tokens, x, SIZE_MAX, &margin)) fail_msg("%s: %zu do not lose: %g", name, x->lose.count, margin);
    for (size_t i = 0; i < x->lose.count; i++, members++)
      if (lost(m, tokens, x, i, &margin) && margin < -1e-4)
        fail_msg("%s: lost without member %zu: %g", name, i, margin);
    loses++;
  }
  sg_minimal_free(x);
}

static void sets_are_what_they_say(void **state) {
  (void)state;
  each_model(checked);
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%zu keep, %zu lose, %zu members\n", keeps, loses, members);
  assert_true(keeps >= 5 && loses >= 5 && members >= 20);
}

static sg_model *small_model(const char *kind) {
  sg_config c = small_config(kind);
  sg_model *m;
  assert_sg_ok(sg_model_create(&c, 1, &m, err));
  return m;
}

/* With heads nothing but the embedding of the read position is left when all are silent. */
static void heads_can_be_silent(void **state) {
  (void)state;
  sg_model *m = small_model("sgatlin");
  const sg_config *c = &m->config;
  int32_t tokens[T] = {1, 9, 4, 30, 7};
  sg_minimal_request q = {.prompt = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = -1},
                          .heads = true};
  sg_minimal *x;
  assert_sg_ok(sg_minimal_create(m, &q, &x, err));
  const float *E = m->w[SGI_ROW_EMBED], *gain = m->w[sgi_final_norm_row(m)], *e = E + 7 * c->hidden_size;
  double squares = 0, other = -INFINITY, own = 0;
  for (size_t d = 0; d < c->hidden_size; d++) squares += (double)e[d] * e[d];
  double scale = 1 / sqrt(squares / (double)c->hidden_size + c->rms_norm_eps);
  for (size_t v = 0; v < c->vocab_size; v++) {
    double y = 0;
    for (size_t d = 0; d < c->hidden_size; d++) y += (double)e[d] * scale * gain[d] * E[v * c->hidden_size + d];
    if ((int32_t)v == x->target)
      own = y;
    else
      other = fmax(other, y);
  }
  if (fabs(own - other - x->silent) > 1e-4)
    fail_msg("silent margin %g, of the bare embedding %g", x->silent, own - other);
  sg_minimal_free(x);
  sg_model_free(m);
}

static void what_is_no_answer_is_refused(void **state) {
  (void)state;
  sg_model *m = small_model("mlp");
  int32_t tokens[T] = {1, 9, 4, 30, 7};
  sg_minimal_request q = {.prompt = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = -1}};
  sg_minimal *x;
  sg_error e = {0};
  assert_sg_ok(sg_minimal_create(m, &q, &x, err));
  int32_t best = x->target;
  sg_minimal_free(x);
  q.prompt.target = (best + 1) % (int32_t)m->config.vocab_size;
  assert_int_equal(sg_minimal_create(m, &q, &x, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "is not the answer"));
  q.prompt.against = best;
  assert_int_equal(sg_minimal_create(m, &q, &x, &e), SG_ERR_ARG);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sets_are_what_they_say),
      cmocka_unit_test(heads_can_be_silent),
      cmocka_unit_test(what_is_no_answer_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
