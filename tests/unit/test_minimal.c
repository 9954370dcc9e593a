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
#include "read/means.h"
#include "model/held.h"
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

/* ---- others at their mean -------------------------------------------------------------------- */

enum { ROWS = 5, LENGTH = 9, UNITS = 4096 };

/* Values of a plain run by layer, position, channel and index. */
static double *values_of(const sg_model *m, const int32_t *tokens, size_t n) {
  size_t L = m->config.num_layers, F = m->config.num_neurons;
  double *value = ref_alloc(L * n * UNITS, sizeof *value);
  memset(value, 0, L * n * UNITS * sizeof *value);
  sgi_pass *p;
  assert_sg_ok(sgi_pass_create(m, 1, n, true, &p, err));
  assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = n, .inputs = tokens}, NULL, err));
  for (size_t s = 0; s < m->plan.n_steps; s++) {
    sgi_held h = {0};
    assert_sg_ok(sgi_pass_hold(p, s, &h, err));
    for (size_t i = 0; i < n * h.units; i++)
      value[(h.step->layer * n + i / h.units) * UNITS + (size_t)h.unit[i].channel * F + (size_t)h.unit[i].index] =
          h.unit[i].value;
    sgi_held_deinit(&h);
  }
  sgi_pass_free(p);
  return value;
}

static int32_t *random_rows(const sg_model *m, ref_random *r) {
  int32_t *ids = ref_alloc(ROWS * LENGTH, sizeof *ids);
  for (size_t b = 0; b < ROWS; b++) {
    random_prompt(m, r, ids + b * LENGTH, LENGTH);
    for (size_t t = LENGTH - b; t < LENGTH; t++) ids[b * LENGTH + t] = m->config.pad_id;
    for (size_t t = 0; t < LENGTH - b; t++)
      if (ids[b * LENGTH + t] == m->config.pad_id) ids[b * LENGTH + t] = m->config.pad_id ? 0 : 1;
  }
  return ids;
}

/* Means by single runs of each row, without its padding. */
static void means_are_means(const sg_model *m, const int32_t *ids, const sg_means *means, double *mean) {
  size_t L = m->config.num_layers, n = 0;
  memset(mean, 0, L * UNITS * sizeof *mean);
  for (size_t b = 0; b < ROWS; b++) {
    size_t own = LENGTH - b;
    double *value = values_of(m, ids + b * LENGTH, own);
    for (size_t i = 0; i < L * own * UNITS; i++) mean[i / UNITS / own * UNITS + i % UNITS] += value[i];
    n += own;
    free(value);
  }
  for (size_t i = 0; i < L * UNITS; i++) mean[i] /= (double)n;
  assert_int_equal(means->positions, n);
  for (size_t l = 0; l < L; l++)
    for (size_t i = 0; i < means->layers[l].channels * means->layers[l].units; i++)
      if (fabs((double)means->layers[l].value[i] - mean[l * UNITS + i]) > 1e-5)
        fail_msg("layer %zu neuron %zu: mean %g, expected %g", l, i, means->layers[l].value[i], mean[l * UNITS + i]);
}

/* A run in which every layer's output is put together anew out of a layer's plain one: plus, for
 * each neuron that is silent, the mean less its value. The layers below change what a neuron's
 * value is, so the run is made layer by layer: the output of those below is held as it was put
 * together. */
typedef struct anew {
  const sg_model *m;
  const double *mean;
  const sg_minimal_set *set;
  bool keep;
  size_t layer;  /* that is put together in this run */
  float *output; /* (L,T,D) of those below */
  double *value; /* (L,T,UNITS) of the run before */
  bool look;     /* this run only tells values */
} anew;

static bool in_set(const anew *a, size_t layer, size_t pos, size_t channel, size_t index) {
  for (size_t i = 0; i < a->set->count; i++) {
    const sg_term *t = &a->set->at[i].term;
    if ((size_t)t->layer == layer && (size_t)t->position == pos && (size_t)t->channel == channel &&
        (size_t)t->index == index)
      return true;
  }
  return false;
}

static sg_status put_anew(void *user, const sgi_site *site, sg_error *e) {
  anew *a = user;
  size_t l = (size_t)site->layer, D = a->m->config.hidden_size, F = a->m->config.num_neurons;
  (void)e;
  if (site->id != SGI_SITE_MLP_OUT || l > a->layer || (l == a->layer && a->look)) return SG_OK;
  const sgi_sublayer *s = sgi_feedforward_of(a->m, l);
  for (size_t r = 0; r < site->n; r++) {
    size_t pos = site->first + r;
    float *y = (float *)site->data + r * D, *kept = a->output + (l * T + pos) * D;
    if (l < a->layer) {
      memcpy(y, kept, D * sizeof *y);
      continue;
    }
    for (size_t i = 0; i < sgi_unit_channels(s->config) * F; i++) {
      sgi_unit u;
      if (in_set(a, l, pos, i / F, i % F) == a->keep) continue;
      assert_true(s->ffn->unit_at(s->config, s->weight + SGI_T_OWN, i / F, i % F, &u));
      double change = a->mean[l * UNITS + i] - a->value[(l * T + pos) * UNITS + i];
      for (size_t d = 0; d < D; d++) y[d] += (float)(change * (double)sgi_slice_at(&u.out, d));
    }
    memcpy(kept, y, D * sizeof *y);
  }
  return SG_OK;
}

static double margin_anew(anew *a, const int32_t *tokens, const sg_minimal *x) {
  size_t V = a->m->config.vocab_size, L = a->m->config.num_layers, F = a->m->config.num_neurons;
  float *logits = ref_alloc(V, sizeof *logits);
  double other = -INFINITY;
  sgi_pass *p;
  sg_error why = {0};
  sgi_tap tap = {.visit = put_anew, .user = a, .err = &why};
  sgi_batch batch = {.B = 1, .T = T, .inputs = tokens};
  assert_sg_ok(sgi_pass_create(a->m, 1, T, true, &p, err));
  for (a->layer = 0; a->layer < L; a->layer++) {
    sgi_held h = {0};
    a->look = true;
    assert_sg_ok(sgi_pass_forward(p, &batch, &tap, err));
    assert_sg_ok(sgi_pass_hold(p, sgi_plan_find(&a->m->plan, a->layer, &sgi_sublayer_feedforward), &h, err));
    memset(a->value + a->layer * T * UNITS, 0, T * UNITS * sizeof *a->value);
    for (size_t i = 0; i < T * h.units; i++)
      a->value[(a->layer * T + i / h.units) * UNITS + (size_t)h.unit[i].channel * F + (size_t)h.unit[i].index] =
          h.unit[i].value;
    sgi_held_deinit(&h);
    a->look = false;
    assert_sg_ok(sgi_pass_forward(p, &batch, &tap, err));
  }
  assert_sg_ok(sgi_pass_logits(p, x->position, 1, logits, err));
  for (size_t v = 0; v < V; v++)
    if ((int32_t)v != x->target) other = fmax(other, (double)logits[v]);
  double margin = (double)logits[x->target] - other;
  sgi_pass_free(p);
  free(logits);
  return margin;
}

static void others_at_their_mean(void **state) {
  static const char *const kinds[] = {"sgatlin", "peer", "mlp", "glu", "moe"};
  (void)state;
  ref_random r = {5};
  size_t checked = 0;
  for (size_t k = 0; k < SGI_COUNT(kinds); k++) {
    sg_model *m = small_model(kinds[k]);
    int32_t *ids = random_rows(m, &r), tokens[T] = {1, 9, 4, 30, 7};
    size_t L = m->config.num_layers;
    double *mean = ref_alloc(L * UNITS, sizeof *mean);
    sg_means *means;
    sg_means_request of = {.tokens = ids, .rows = ROWS, .T = LENGTH};
    assert_sg_ok(sg_means_create(m, &of, &means, err));
    assert_true(means->layers[0].channels * means->layers[0].units <= UNITS);
    means_are_means(m, ids, means, mean);
    sg_minimal_request q = {.prompt = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = -1},
                            .means = means};
    sg_minimal *x;
    assert_sg_ok(sg_minimal_create(m, &q, &x, err));
    anew a = {.m = m, .mean = mean};
    a.value = ref_alloc(L * T * UNITS, sizeof *a.value);
    a.output = ref_alloc(L * T * m->config.hidden_size, sizeof *a.output);
    const sg_minimal_set none = {0}, *sets[] = {&none, &x->keep, &x->lose};
    const double margins[] = {x->silent, x->keep.margin, x->lose.margin};
    for (int i = 0; i < 3; i++) {
      if (i && !sets[i]->found) continue;
      a.set = sets[i];
      a.keep = i < 2;
      double got = margin_anew(&a, tokens, x);
      if (fabs(got - margins[i]) > 1e-4) fail_msg("%s, set %d: margin %g, anew %g", kinds[k], i, margins[i], got);
      checked++;
    }
    free(a.value);
    free(a.output);
    sg_minimal_free(x);
    sg_means_free(means);
    free(mean);
    free(ids);
    sg_model_free(m);
  }
  assert_true(checked >= 12);
}

static void means_of_nothing(void **state) {
  (void)state;
  sg_model *m = small_model("mlp"), *other = small_model("mlp");
  int32_t tokens[T] = {1, 9, 4, 30, 7};
  sg_means *means;
  sg_minimal *x;
  sg_error e = {0};
  assert_int_equal(sg_means_create(m, &(sg_means_request){.tokens = tokens, .T = T}, &means, &e), SG_ERR_ARG);
  assert_sg_ok(sg_means_create(other, &(sg_means_request){.tokens = tokens, .rows = 1, .T = T}, &means, err));
  sg_minimal_request q = {.prompt = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = -1},
                          .means = means};
  assert_int_equal(sg_minimal_create(m, &q, &x, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "another model"));
  tokens[2] = (int32_t)m->config.vocab_size;
  sg_means *bad;
  assert_int_equal(sg_means_create(m, &(sg_means_request){.tokens = tokens, .rows = 1, .T = T}, &bad, &e), SG_ERR_ARG);
  sg_means_free(means);
  sg_model_free(other);
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
      cmocka_unit_test(others_at_their_mean),
      cmocka_unit_test(means_of_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
