/* True effects made side by side are those of single reruns, for every neuron and head of every
 * kind. */
#include "report/sizes.h"
#include "support/prompts.h"
#include "support/near.h"
#include "support/small.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read/exact.h"

static sg_model *small_model(const char *kind) {
  sg_config c = small_config(kind);
  sg_model *m;
  assert_sg_ok(sg_model_create(&c, 1, &m, err));
  return m;
}

static size_t compared;
static double worst_off;

static sg_edit head_edit(const sg_term *t) {
  sg_edit e = {.op = SG_EDIT_SET, .n_axes = 2};
  snprintf(e.site, sizeof e.site, "layers.%d.attn.z", t->layer);
  e.axes[0] = (sg_edit_axis){"pos", t->position, t->position};
  e.axes[1] = (sg_edit_axis){"head", t->head, t->head};
  return e;
}

static sg_edit neuron_edit(const sg_model *m, const sg_term *t) {
  sg_edit e = {.op = SG_EDIT_SET, .n_axes = 2};
  bool chosen;
  snprintf(e.site, sizeof e.site, "layers.%d.%s", t->layer, sgi_neuron_site(m, (size_t)t->layer, t->channel, &chosen));
  e.axes[0] = (sg_edit_axis){"pos", t->position, t->position};
  e.axes[1] = (sg_edit_axis){"neuron", t->index, t->index};
  if (chosen) e.axes[e.n_axes++] = (sg_edit_axis){"channel", t->channel, t->channel};
  return e;
}

static double logit_under(const sg_model *m, const sg_exact_request *q, const sg_exact *x, const sg_edit *e,
                          float *logits) {
  sg_run_request r = {.tokens = q->prompt.tokens, .count = q->prompt.count, .edits = e, .n_edits = e ? 1 : 0};
  sg_run *run;
  assert_sg_ok(sg_run_create(m, &r, &run, err));
  assert_sg_ok(sg_run_logits(run, (ptrdiff_t)x->position, logits, err));
  if (e) assert_int_equal(sg_run_edit_hits(run, 0), strstr(e->site, "attn") ? (size_t)m->config.head_dim : 1);
  sg_run_free(run);
  return (double)logits[x->target] - (x->against >= 0 ? (double)logits[x->against] : 0);
}

static void compare(const sg_model *m, const char *name, const sg_exact_request *q, const sg_exact *x,
                    const sg_exact_list *l, float *logits) {
  double base = logit_under(m, q, x, NULL, logits), scale = fabs(base);
  for (size_t v = 0; v < m->config.vocab_size; v++) scale = fmax(scale, fabs((double)logits[v]));
  if (fabs(base - x->target_logit) > 1e-5 * scale) fail_msg("%s: logit %g, of the run %g", name, x->target_logit, base);
  for (size_t i = 0; i < l->count; i++, compared++) {
    const sg_term *t = &l->at[i].term;
    sg_edit e = t->kind == SG_TERM_HEAD ? head_edit(t) : neuron_edit(m, t);
    double effect = base - logit_under(m, q, x, &e, logits), off = fabs(effect - l->at[i].effect) / scale;
    worst_off = worse(worst_off, off);
    if (off > 5e-6)
      fail_msg("%s: layer %d position %d head %d channel %d index %d: %.9g, its rerun %.9g (logit %g)", name, t->layer,
               t->position, t->head, t->channel, t->index, l->at[i].effect, effect, base);
    if (i) assert_true(fabs(l->at[i].effect) <= fabs(l->at[i - 1].effect));
  }
}

/* Neurons of a prompt that fired up to the read position, counted by what attribution lists. */
static size_t fired(const sg_model *m, const sg_exact_request *q, double *linear) {
  sg_attribution *a;
  size_t n = 0;
  assert_sg_ok(sg_attribute(m, &q->prompt, &a, err));
  *linear = 0;
  for (size_t i = 0; i < a->neurons.count; i++) {
    n += a->neurons.terms[i].value != 0;
    *linear += a->neurons.terms[i].effect;
  }
  sg_attribution_free(a);
  return n;
}

static void every_one(const sg_model *m, const char *name, ref_random *r) {
  enum { T = 7 };
  int32_t tokens[T];
  float *logits = ref_alloc(m->config.vocab_size, sizeof *logits);
  random_prompt(m, r, tokens, T);
  for (size_t k = 0; k < 2; k++) {
    sg_exact_request q = {
        .prompt = {.tokens = tokens, .count = T, .position = k ? -1 : -3, .target = k ? -1 : 5, .against = k ? -1 : 3}};
    sg_exact *x;
    double linear, sum = 0;
    assert_sg_ok(sg_exact_create(m, &q, &x, err));
    assert_int_equal(x->neurons.count, fired(m, &q, &linear));
    for (size_t i = 0; i < x->neurons.count; i++) sum += x->neurons.at[i].term.effect;
    near("sum of linear effects", sum, linear, 1e-9 * (1 + fabs(linear)));
    assert_int_equal(x->left_out, 0);
    if (!k) compare(m, name, &q, x, &x->neurons, logits);
    compare(m, name, &q, x, &x->heads, logits);
    sg_exact_free(x);
  }
  free(logits);
}

static void every_neuron_and_head_is_its_rerun(void **state) {
  (void)state;
  assert_int_equal(each_model(every_one), 28);
  assert_true(compared > 5000);
  if (getenv("SGATLIN_TEST_VERBOSE"))
    print_message("%zu reruns: worst difference %.1e of the largest logit\n", compared, worst_off);
}

static bool same_bits(const sg_exact_list *a, const sg_exact_list *b) {
  bool same = a->count == b->count;
  for (size_t i = 0; i < a->count && same; i++)
    same = a->at[i].effect == b->at[i].effect && a->at[i].term.index == b->at[i].term.index &&
           a->at[i].term.layer == b->at[i].term.layer && a->at[i].term.position == b->at[i].term.position;
  return same;
}

static void any_threads(const sg_model *m, const char *name, ref_random *r) {
  enum { T = 24 };
  int32_t tokens[T];
  random_prompt(m, r, tokens, T);
  int before = omp_get_max_threads();
  sg_exact_request q = {.prompt = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = -1}};
  sg_exact *one, *more;
  omp_set_num_threads(1);
  assert_sg_ok(sg_exact_create(m, &q, &one, err));
  omp_set_num_threads(3);
  assert_sg_ok(sg_exact_create(m, &q, &more, err));
  omp_set_num_threads(before);
  if (!same_bits(&one->neurons, &more->neurons) || !same_bits(&one->heads, &more->heads))
    fail_msg("%s: other bits with three threads", name);
  sg_exact_free(one);
  sg_exact_free(more);
}

static void threads_change_no_bit(void **state) {
  (void)state;
  each_model(any_threads);
}

/* A part of all neurons: the largest by linear effect, and some by name. */
static void parts(const sg_model *m, const char *name, ref_random *r) {
  enum { T = 6 };
  int32_t tokens[T];
  (void)name;
  random_prompt(m, r, tokens, T);
  sg_exact_request q = {.prompt = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = -1}};
  sg_exact *all, *some;
  assert_sg_ok(sg_exact_create(m, &q, &all, err));
  q.most = 5;
  q.no_heads = true;
  assert_sg_ok(sg_exact_create(m, &q, &some, err));
  assert_int_equal(some->neurons.count, 5);
  assert_int_equal(some->heads.count, 0);
  assert_int_equal(some->left_out, all->neurons.count - 5);
  double least = INFINITY, scale = all->neurons.sum_abs;
  for (size_t i = 0; i < 5; i++) least = fmin(least, fabs(some->neurons.at[i].term.effect));
  size_t larger = 0;
  for (size_t i = 0; i < all->neurons.count; i++) larger += fabs(all->neurons.at[i].term.effect) > least;
  assert_true(larger <= 4);
  sg_exact_free(some);

  sg_term named[2] = {all->neurons.at[0].term, all->neurons.at[all->neurons.count - 1].term};
  q.most = 0;
  q.only = named;
  q.n_only = 2;
  assert_sg_ok(sg_exact_create(m, &q, &some, err));
  assert_int_equal(some->neurons.count, 2);
  near("an effect", some->neurons.at[0].effect, all->neurons.at[0].effect, 1e-5 * scale);
  sg_exact_free(some);

  named[1].index = 1 << 20;
  sg_error e = {0};
  assert_int_equal(sg_exact_create(m, &q, &some, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "did not fire"));
  sg_exact_free(all);
}

static void a_part_of_them(void **state) {
  (void)state;
  each_model(parts);
}

static size_t patched;

/* The row that the neuron's layer reads, without what an edge's source wrote. */
static void row_without(const sgi_exact_base *b, const sgi_held *h, const sgi_exact_edge *e, float *row) {
  const sgi_frozen *f = &b->f;
  size_t t = (size_t)e->source.position, D = f->D;
  double *x = ref_alloc(D, sizeof *x), squares = 0;
  for (size_t d = 0; d < D; d++) x[d] = h->x[t * D + d];
  if (e->source.kind == SG_TERM_EMBED)
    for (size_t d = 0; d < D; d++) x[d] -= f->model->w[SGI_ROW_EMBED][(size_t)f->tokens[t] * D + d];
  for (size_t s = 0; s < f->n_steps; s++) {
    const sgi_held *from = &f->steps[s];
    if ((int32_t)from->step->layer != e->source.layer) continue;
    const sgi_unit *u = sgi_held_units(from, t);
    for (size_t j = 0; j < from->units && e->source.kind == SG_TERM_NEURON; j++)
      for (size_t d = 0; d < D && u[j].channel == e->source.channel && u[j].index == e->source.index; d++)
        x[d] -= u[j].value * sgi_slice_at(&u[j].out, d);
    for (size_t k = 0; k < from->heads * from->d_head && e->source.kind == SG_TERM_HEAD; k++)
      for (size_t q = 0; q <= t && k / from->d_head == (size_t)e->source.head; q++)
        for (size_t d = 0; d < D; d++)
          x[d] -= (double)sgi_held_pattern(from, k / from->d_head, t)[q] * from->v[q * from->heads * from->d_head + k] *
                  from->w_out[d * from->heads * from->d_head + k];
  }
  for (size_t d = 0; d < D; d++) squares += x[d] * x[d];
  for (size_t d = 0; d < D; d++)
    row[d] = (float)(x[d] * h->gain[d] / sqrt(squares / (double)D + f->model->config.rms_norm_eps));
  free(x);
}

/* In moe a site holds what an expert's unit is worth before its expert's weight: the softmax of the
 * gate's logits. 1 elsewhere. */
static double weight_of(const sg_run *run, const sg_term *t) {
  char site[64];
  sg_site gate;
  snprintf(site, sizeof site, "layers.%d.gate.logits", t->layer);
  if (!sg_run_find(run, site, &gate)) return 1;
  size_t C = gate.dims[1];
  const float *s = gate.data + (size_t)t->position * C;
  double sum = 0;
  for (size_t c = 0; c < C; c++) sum += exp((double)s[c] - s[t->channel]);
  return 1 / sum;
}

/* By two runs with edits: the layer reads that row, and the neuron is worth something; with that
 * value alone changed, the logit is something. */
static void edge(const sg_model *m, const char *name, const sg_exact_request *q, const sg_exact *x,
                 const sgi_exact_base *b, const sgi_held *h, const sg_term *to, const sgi_exact_edge *e,
                 float *logits) {
  float *row = ref_alloc(m->config.hidden_size, sizeof *row);
  row_without(b, h, e, row);
  sg_edit in = {.op = SG_EDIT_SET,
                .value = 1,
                .vector = row,
                .vector_count = m->config.hidden_size,
                .n_axes = 1,
                .axes = {{"pos", to->position, to->position}}};
  snprintf(in.site, sizeof in.site, "layers.%d.mlp.norm", to->layer);
  char site[64];
  snprintf(site, sizeof site, "layers.%d.*", to->layer);
  const char *record = site;
  sg_run_request r = {.tokens = q->prompt.tokens,
                      .count = q->prompt.count,
                      .edits = &in,
                      .n_edits = 1,
                      .record = &record,
                      .n_record = 1};
  sg_run *run;
  sg_site values, choice;
  assert_sg_ok(sg_run_create(m, &r, &run, err));
  bool by_channel;
  snprintf(site, sizeof site, "layers.%d.%s", to->layer,
           sgi_neuron_site(m, (size_t)to->layer, to->channel, &by_channel));
  assert_true(sg_run_find(run, site, &values));
  size_t T = q->prompt.count, width = values.count / T, at = (size_t)to->position * width;
  const sg_config *c = &m->layers[to->layer].config;
  double value = 0;
  snprintf(site, sizeof site, "layers.%d.router.indices", to->layer);
  bool chosen = sg_run_find(run, site, &choice), experts = false;
  snprintf(site, sizeof site, "layers.%d.gate.indices", to->layer);
  if (!chosen) chosen = experts = sg_run_find(run, site, &choice);
  if (sgi_neuron_beside(m, (size_t)to->layer, to->channel)) chosen = experts = false;
  for (size_t i = 0; i < width; i++) {
    const int32_t *index = chosen ? choice.index + (size_t)to->position * (choice.count / T) : NULL;
    bool is = !chosen   ? (int32_t)i == to->index
              : experts ? index[i / c->num_neurons] == to->channel && (int32_t)(i % c->num_neurons) == to->index
                        : (int32_t)(i / c->top_k) == to->channel && index[i] == to->index;
    if (is) value = values.data[at + i];
  }
  if (!sgi_neuron_beside(m, (size_t)to->layer, to->channel)) value *= weight_of(run, to);
  sg_run_free(run);
  if (fabs(value - e->value) > 2e-5 * (1 + fabs(to->value)))
    fail_msg("%s: a neuron of layer %d is worth %g of %g, by edits %g", name, to->layer, e->value, to->value, value);
  sg_edit set = neuron_edit(m, to);
  r.n_edits = 0;
  snprintf(site, sizeof site, "layers.%d.*", to->layer);
  assert_sg_ok(sg_run_create(m, &r, &run, err));
  set.value = value / weight_of(run, to);
  sg_run_free(run);
  double base = logit_under(m, q, x, NULL, logits), scale = 1 + fabs(base);
  double effect = base - logit_under(m, q, x, &set, logits);
  if (fabs(effect - e->effect) > 2e-5 * scale)
    fail_msg("%s: an edge into layer %d has %g, by edits %g", name, to->layer, e->effect, effect);
  patched++;
  free(row);
}

static void paths(const sg_model *m, const char *name, ref_random *r) {
  enum { T = 6 };
  int32_t tokens[T];
  float *logits = ref_alloc(m->config.vocab_size, sizeof *logits);
  random_prompt(m, r, tokens, T);
  sg_exact_request q = {.prompt = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = -1},
                        .no_heads = true};
  sg_exact *x;
  sgi_exact_base b;
  assert_sg_ok(sg_exact_create(m, &q, &x, err));
  assert_sg_ok(sgi_exact_begin(&b, m, &q.prompt, err));
  for (size_t k = 0; k < 3 && k < x->neurons.count; k++) {
    const sg_term *to = &x->neurons.at[k].term;
    const sgi_held *h = &b.f.steps[sgi_plan_find(&m->plan, (size_t)to->layer, &sgi_sublayer_feedforward)];
    sgi_exact_edge *edges;
    size_t n;
    assert_sg_ok(sgi_exact_edges(&b, to, &edges, &n, err));
    for (size_t i = 0; i < n; i += 1 + n / 8) edge(m, name, &q, x, &b, h, to, &edges[i], logits);
    sgi_free(edges);
  }
  sg_term none = x->neurons.at[0].term;
  none.index = 1 << 20;
  sgi_exact_edge *edges;
  size_t n;
  sg_error e = {0};
  assert_int_equal(sgi_exact_edges(&b, &none, &edges, &n, &e), SG_ERR_ARG);
  sgi_exact_end(&b);
  sg_exact_free(x);
  free(logits);
}

static void edges_are_paths_patched(void **state) {
  (void)state;
  each_model(paths);
  assert_true(patched > 100);
}

/* Fewer rows at a time give the same within rounding; none are refused. */
static void memory_is_bounded(void **state) {
  (void)state;
  sg_model *m = small_model("sgatlin");
  ref_random r = {.state = 7};
  int32_t tokens[12];
  random_prompt(m, &r, tokens, 12);
  sg_exact_request q = {.prompt = {.tokens = tokens, .count = 12, .position = -1, .target = -1, .against = -1}};
  sg_exact *all, *few = NULL;
  sg_error e = {0};
  assert_sg_ok(sg_exact_create(m, &q, &all, err));
  q.prompt.max_bytes = 1000;
  assert_int_equal(sg_exact_create(m, &q, &few, &e), SG_ERR_MEMORY);
  assert_non_null(strstr(e.text, "--max-memory"));
  for (q.prompt.max_bytes = 16 << 10; !few; q.prompt.max_bytes *= 2)
    if (sg_exact_create(m, &q, &few, &e)) assert_int_equal(e.code, SG_ERR_MEMORY);
  assert_true(q.prompt.max_bytes < (8 << 20));
  assert_int_equal(few->neurons.count, all->neurons.count);
  for (size_t i = 0; i < 10; i++)
    near("an effect", few->neurons.at[i].effect, all->neurons.at[i].effect, 1e-5 * all->neurons.sum_abs);
  sg_exact_free(few);
  sg_exact_free(all);
  sg_model_free(m);
}

static void other_forms_are_refused(void **state) {
  (void)state;
  sg_model *m = small_model("mlp");
  assert_sg_ok(sgi_model_set_form(m, "rk4", 1, err));
  int32_t tokens[3] = {1, 2, 3};
  sg_exact_request q = {.prompt = {.tokens = tokens, .count = 3, .position = -1, .target = -1, .against = -1}};
  sg_exact *x;
  sg_error e = {0};
  assert_int_equal(sg_exact_create(m, &q, &x, &e), SG_ERR_UNSUPPORTED);
  assert_non_null(strstr(e.text, "rk4"));
  sg_model_free(m);
}

static bool stop_at_once(void *user, size_t done, size_t wanted) {
  (void)user, (void)wanted;
  return done < 1;
}

static void it_can_be_stopped(void **state) {
  (void)state;
  sg_model *m = small_model("sgatlin");
  int32_t tokens[3] = {1, 2, 3};
  sg_exact_request q = {
      .prompt = {.tokens = tokens, .count = 3, .position = -1, .target = -1, .against = -1, .progress = stop_at_once}};
  sg_exact *x;
  sg_error e = {0};
  assert_int_equal(sg_exact_create(m, &q, &x, &e), SG_ERR_CANCELLED);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_neuron_and_head_is_its_rerun),
      cmocka_unit_test(threads_change_no_bit),
      cmocka_unit_test(a_part_of_them),
      cmocka_unit_test(edges_are_paths_patched),
      cmocka_unit_test(memory_is_bounded),
      cmocka_unit_test(other_forms_are_refused),
      cmocka_unit_test(it_can_be_stopped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
