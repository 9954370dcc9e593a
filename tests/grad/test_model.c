/* The whole model of every registered kind and router: logits, losses and chosen units against the
 * reference in double, gradients of every tensor against its central differences; plain, padded,
 * packed, long and single-token batches. The reference itself is held against the golden models
 * first. */
#include "support/golden.h"
#include "support/near.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/metrics.h"
#include "model/pass.h"
#include "ref/ref.h"
#include "support/small.h"

static const double FORWARD_BOUND = 1e-5, GRADIENT_BOUND = 1e-4;
/* Least scale of a tensor's gradient. With a single token no score of attention has a gradient,
 * since its softmax is 1: there the float32 form of queries' and keys' gradients is rounding, 1e-7
 * of the gradients that cancel in it, and what leads to them has a scale of its own. */
static const double LEAST_SCALE = 1e-4, LEAST_SCALE_SINGLE = 1e-2;

static void say(const char *name, const char *what, double value) {
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%-44s %-10s %.2e\n", name, what, value);
}

static float *floats(size_t count) {
  float *p = sgi_alloc(count * sizeof *p);
  assert_non_null(p);
  memset(p, 0xff, count * sizeof *p);
  return p;
}

/* ---- the reference against the reference implementation -------------------------------------- */

static void one_golden_case(const char *name) {
  char path[512];
  sg_model *m;
  sgi_safetensors *f;
  snprintf(path, sizeof path, "tests/golden/models/%s", name);
  assert_sg_ok(sg_model_load(path, &m, err));
  snprintf(path, sizeof path, "tests/golden/models/%s/expected.safetensors", name);
  assert_sg_ok(sgi_safetensors_open(path, &f, err));
  const sgi_tensor *inputs = sgi_safetensors_find(f, "inputs"), *targets = sgi_safetensors_find(f, "targets");
  const sgi_tensor *logits = sgi_safetensors_find(f, "logits"), *loss = sgi_safetensors_find(f, "loss");
  assert_true(inputs && targets && logits && loss);
  ref_model *r = ref_open_model(m);
  ref_batch b = {.B = inputs->dims[0], .T = inputs->dims[1], .inputs = inputs->data, .targets = targets->data};
  ref_result out = {.logits = ref_alloc(logits->count, sizeof(double))};
  assert_true(ref_forward(r, &b, &out));
  double worst = 0, bound = golden_tolerance("models", "logits", "abs");
  for (size_t i = 0; i < logits->count; i++)
    worst = worse(worst, fabs(out.logits[i] - (double)((const float *)logits->data)[i]));
  say(name, "golden", worst);
  if (!(worst <= bound)) fail_msg("%s: logits of the reference differ by %.3g", name, worst);
  near("out.loss", out.loss, (double)*(const float *)loss->data, golden_tolerance("models", "loss", "abs"));
  free(out.logits);
  ref_close(r);
  sgi_safetensors_close(f);
  sg_model_free(m);
}

static void the_reference_is_right(void **state) {
  (void)state;
  char **names = golden_list("tests/golden/models");
  for (size_t i = 0; names[i]; i++)
    if (!strchr(names[i], '.')) one_golden_case(names[i]);
  golden_free(names);
}

/* ---- batches --------------------------------------------------------------------------------- */

typedef enum batch_form { PLAIN, PADDED_ROW, PACKED, LONG, SINGLE, FORMS } batch_form;
static const char *const form_names[] = {"plain", "row of padding", "packed", "long packed", "single token"};

enum { PAD = 2, EOS = 5, VOCABULARY = 37 };

typedef struct batch {
  size_t B, T, n;
  int32_t *inputs, *targets, *starts;
} batch;

static int32_t *ids(size_t n) { return ref_alloc(n, sizeof(int32_t)); }

/* Documents of random tokens that end in EOS; packed rows hold several and say where each began. */
static batch make_batch(batch_form form) {
  static const size_t sizes[FORMS][2] = {{2, 11}, {3, 5}, {2, 13}, {1, 70}, {1, 1}};
  batch b = {.B = sizes[form][0], .T = sizes[form][1]};
  bool packed = form == PACKED || form == LONG;
  b.n = b.B * b.T;
  b.inputs = ids(b.n);
  b.targets = ids(b.n);
  b.starts = packed ? ids(b.n) : NULL;
  ref_random r = {.state = 17 + form};
  for (size_t i = 0; i < b.n; i++) {
    size_t t = i % b.T;
    bool ended = t && b.targets[i - 1] == EOS, padding = t && b.targets[i - 1] == PAD;
    b.inputs[i] = t ? b.targets[i - 1] : EOS;
    b.targets[i] = !ref_below(&r, 6) ? EOS : 6 + (int32_t)ref_below(&r, VOCABULARY - 6);
    if (!packed && form != SINGLE && (ended || padding)) b.targets[i] = PAD;
    if (form == PADDED_ROW && i / b.T == 1) b.targets[i] = PAD;
    if (packed) b.starts[i] = ended ? (int32_t)t : t ? b.starts[i - 1] : 0;
  }
  return b;
}

static void free_batch(batch *b) {
  free(b->inputs);
  free(b->targets);
  free(b->starts);
}

/* ---- models ---------------------------------------------------------------------------------- */

/* Biases and gains are moved away from 0 and 1, where mistakes would not show. */
static sg_model *make_model(const sg_config *c) {
  sg_model *m;
  assert_sg_ok(sg_model_create(c, 3, &m, err));
  ref_random r = {.state = 4};
  for (size_t i = 0; i < m->table.count; i++) {
    const sgi_row *row = &m->table.rows[i];
    if (row->init == SGI_INIT_ZERO) ref_fill(&r, m->arena + row->offset, row->count, 0, 0.1);
    if (row->init == SGI_INIT_ONE) ref_fill(&r, m->arena + row->offset, row->count, 1, 0.1);
  }
  return m;
}

static bool other; /* the model at hand is one of these */

/* Calls use with each of mixed_config, and with layers of two kinds in every form. */
static void each_other_model(void (*use)(const char *name, sg_model *m)) {
  static const struct {
    const char *form;
    size_t steps;
  } forms[] = {{"parallel", 0}, {"euler", 2}, {"midpoint", 1}, {"midpoint", 3}, {"rk4", 1}, {"rk4", 2}};
  sg_config c;
  const char *name;
  char text[96];
  for (size_t i = 0; mixed_config(i, &c, &name); i++) {
    c.vocab_size = VOCABULARY;
    c.bos_id = c.eos_id = EOS, c.pad_id = PAD;
    sg_model *m = make_model(&c);
    use(name, m);
    sg_model_free(m);
  }
  for (size_t i = 0; i < 2 * SGI_COUNT(forms); i++) {
    c = small_config(i % 2 ? "mlp" : "sgatlin");
    c.vocab_size = VOCABULARY;
    c.bos_id = c.eos_id = EOS, c.pad_id = PAD, c.num_neurons = 16, c.hidden_size = 20;
    snprintf(c.layer_form, sizeof c.layer_form, "%s", forms[i / 2].form);
    c.ode_steps = forms[i / 2].steps;
    snprintf(text, sizeof text, "%s, %s %zu", c.feedforward, c.layer_form, c.ode_steps);
    sg_model *m = make_model(&c);
    use(text, m);
    sg_model_free(m);
  }
}

/* Calls use with a small model of every kind and router, and with the others. */
static void each_model(void (*use)(const char *name, sg_model *m)) {
  static const char *const routers[] = {"product_dense", "dense", "product_key_value", "key_value"};
  const sgi_ffn_ops *ops;
  bool kinds = !getenv("SGATLIN_TEST_OTHERS"); /* tools/mutants.py */
  for (size_t i = 0; kinds && (ops = sgi_ffn_at(i)); i++) {
    size_t accepted = 0;
    for (size_t r = 0; r < (ops->uses & SGI_USES_ROUTER ? SGI_COUNT(routers) : 1); r++) {
      sg_config c = {.vocab_size = VOCABULARY,
                     .hidden_size = 20,
                     .head_dim = 6,
                     .num_heads = 3,
                     .num_layers = 2,
                     .max_position = 80};
      c.rms_norm_eps = 1e-6, c.rope_theta = 1e4, c.bos_id = c.eos_id = EOS, c.pad_id = PAD, c.num_neurons = 25;
      if (ops->uses & SGI_USES_CHANNELS) c.num_channels = 3;
      if (ops->uses & SGI_USES_TOP_K) c.top_k = 2;
      if (ops->uses & SGI_USES_KEY_DIM) c.key_dim = 7;
      snprintf(c.feedforward, sizeof c.feedforward, "%s", ops->name);
      snprintf(c.activation, sizeof c.activation, "%s", ops->default_activation);
      if (ops->uses & SGI_USES_ROUTER) snprintf(c.router, sizeof c.router, "%s", routers[r]);
      small_experts(&c);
      if (sg_config_check(&c, NULL)) continue;
      char name[96];
      snprintf(name, sizeof name, "%s %s", c.feedforward, c.router);
      sg_model *m = make_model(&c);
      use(name, m);
      sg_model_free(m);
      accepted++;
    }
    if (!accepted) fail_msg("%s: no settings of the test are accepted", ops->name);
  }
  other = true;
  each_other_model(use);
  other = false;
}

/* ---- against the reference ------------------------------------------------------------------- */

/* One batch through both. */
typedef struct pair {
  const char *name;
  const sg_model *m;
  const batch *b;
  sgi_pass *pass;
  ref_model *r;
  ref_batch rb;
  ref_result result;
  ref_choice *held; /* (L, evaluations) what the reference chose */
  size_t choices;
} pair;

static void open_pair(pair *p, const char *name, const sg_model *m, const batch *b) {
  size_t units = b->n * sgi_model_largest(m).entries;
  *p = (pair){.name = name, .m = m, .b = b, .r = ref_open_model(m)};
  p->rb = (ref_batch){b->B, b->T, b->inputs, b->targets, b->starts};
  p->result.logits = ref_alloc(b->n * VOCABULARY, sizeof(double));
  p->result.nll = ref_alloc(b->n, sizeof(double));
  p->choices = m->config.num_layers * ref_evaluations(&m->config);
  p->held = ref_alloc(p->choices, sizeof *p->held);
  for (size_t l = 0; l < p->choices; l++) p->held[l].index = ref_alloc(units, sizeof(int32_t));
  p->result.choices = p->held;
  if (!ref_forward(p->r, &p->rb, &p->result)) fail_msg("%s: this kind has no reference (tests/ref/ref_ffn.c)", name);
  assert_sg_ok(sgi_pass_create(m, b->B + 1, b->T + 3, true, &p->pass, err)); /* room to spare */
}

static void close_pair(pair *p) {
  sgi_pass_free(p->pass);
  ref_close(p->r);
  free(p->result.logits);
  free(p->result.nll);
  for (size_t l = 0; l < p->choices; l++) free(p->held[l].index);
  free(p->held);
}

/* Loss and its gradient by the library, added to grad. */
static sgi_metrics run(pair *p, float *grad) {
  sgi_batch b = {p->b->B, p->b->T, p->b->inputs, p->b->targets, p->b->starts};
  sgi_metrics sum = {0};
  float scale = p->result.targets ? 1 / (float)p->result.targets : 1;
  assert_sg_ok(sgi_pass_forward(p->pass, &b, NULL, err));
  assert_sg_ok(sgi_pass_loss(p->pass, &sum, grad, scale, err));
  assert_sg_ok(sgi_pass_backward(p->pass, grad, err));
  return sum;
}

static void check_forward(pair *p, const sgi_metrics *sum) {
  size_t n = p->b->n, T = p->b->T, correct = 0;
  float *logits = floats(n * VOCABULARY);
  assert_sg_ok(sgi_pass_logits(p->pass, 0, n, logits, err));
  double worst = ref_difference(logits, p->result.logits, n * VOCABULARY), last_nll = 0;
  say(p->name, "logits", worst);
  if (!(worst <= FORWARD_BOUND)) fail_msg("%s: logits differ by %.3g", p->name, worst);
  worst = ref_difference(sgi_pass_nll(p->pass), p->result.nll, n);
  if (!(worst <= FORWARD_BOUND)) fail_msg("%s: losses differ by %.3g", p->name, worst);
  for (size_t row = 0; row < p->b->B; row++) {
    size_t last = 0;
    for (size_t t = 0; t < T; t++) {
      int32_t best, target = p->b->targets[row * T + t];
      ref_top_k(&best, p->result.logits + (row * T + t) * VOCABULARY, VOCABULARY, 1);
      if (target == PAD) continue;
      last = t;
      correct += best == target;
    }
    last_nll += p->result.nll[row * T + last];
  }
  assert_int_equal(sum->targets, p->result.targets);
  assert_int_equal(sum->correct, correct);
  assert_int_equal(sum->rows, p->b->B);
  near("sgi_metrics_loss(sum)", sgi_metrics_loss(sum), p->result.loss, 1e-5);
  near("sum->last_nll", sum->last_nll, last_nll, 1e-5 * (double)p->b->B);
  sgi_gates g;
  for (size_t l = 0; l < p->m->config.num_layers; l++) {
    const int32_t *index = p->held[l * ref_evaluations(&p->m->config)].index;
    if (sgi_pass_gates(p->pass, l, &g)) assert_memory_equal(g.index, index, n * g.channels * g.top_k * sizeof *index);
  }
  sgi_free(logits);
}

/* Mean loss with the units held that the reference chose. */
static double mean_loss(void *user, uint64_t *decisions) {
  pair *p = user;
  ref_choice held[64] = {{0}};
  assert_true(p->choices <= SGI_COUNT(held));
  for (size_t i = 0; i < p->choices; i++) held[i].held = p->held[i].index;
  ref_result r = {.choices = held};
  ref_forward(p->r, &p->rb, &r);
  *decisions = 0;
  for (size_t i = 0; i < p->choices; i++) *decisions ^= held[i].decisions << i % 8;
  return r.loss;
}

static size_t checked, skipped;

static double least_scale(const char *tensor, bool single) {
  return single && (strstr(tensor, "self_attn.q_") || strstr(tensor, "self_attn.k_")) ? LEAST_SCALE_SINGLE
                                                                                      : LEAST_SCALE;
}

static void check_gradients(pair *p, const float *grad, size_t samples, bool single) {
  ref_report report = {0};
  for (size_t i = 0; i < p->m->table.count; i++) {
    const sgi_row *row = &p->m->table.rows[i];
    if (row->threshold) continue; /* an estimate, no derivative: grad/test_ffn */
    assert_string_equal(row->name, p->r->tensors[i].name);
    ref_check_gradient(&report, row->name, mean_loss, p, p->r->tensors[i].data, grad + row->offset, row->count, samples,
                       least_scale(row->name, single));
  }
  say(p->name, "entries", report.entry);
  say(p->name, "directions", report.direction);
  if (!(report.entry < GRADIENT_BOUND)) fail_msg("%s: gradient of %s: %.3g", p->name, report.worst, report.entry);
  if (!(report.direction < GRADIENT_BOUND))
    fail_msg("%s: along all of %s: %.3g", p->name, report.worst_direction, report.direction);
  checked += report.checked;
  skipped += report.skipped;
}

/* Entries of each tensor beside two directions through all of them: fewer where layers differ or
 * take another form, as their kinds have had theirs. */
static const size_t samples[2][2] = {{2, 10}, {1, 3}};

static void check_batch(const char *model, sg_model *m, batch_form form) {
  char name[128];
  snprintf(name, sizeof name, "%s, %s", model, form_names[form]);
  batch b = make_batch(form);
  pair p;
  open_pair(&p, name, m, &b);
  size_t floats_ = m->table.floats;
  float *grad = floats(floats_), *first = floats(floats_);
  memset(grad, 0, floats_ * sizeof *grad);
  sgi_metrics sum = run(&p, grad);
  check_forward(&p, &sum);
  if (form == PLAIN || !getenv("SGATLIN_TEST_QUICK")) /* make check */
    check_gradients(&p, grad, samples[other][form == PLAIN], form == SINGLE);

  /* A second pass over the same batch adds the same once more. */
  memcpy(first, grad, floats_ * sizeof *grad);
  run(&p, grad);
  for (size_t i = 0; i < floats_; i++) assert_true(fabsf(grad[i] - 2 * first[i]) <= 1e-6f * (1 + fabsf(first[i])));
  sgi_free(grad);
  sgi_free(first);
  close_pair(&p);
  free_batch(&b);
}

static void check_model(const char *name, sg_model *m) {
  for (batch_form form = 0; form < FORMS; form++) check_batch(name, m, form);
}

static void every_kind_against_the_reference(void **state) {
  (void)state;
  each_model(check_model);
  assert_true(skipped * 100 < checked);
}

/* ---- batches without targets, threads, rows apart -------------------------------------------- */

static void check_nothing_to_learn(const char *name, sg_model *m) {
  batch b = make_batch(PLAIN);
  for (size_t i = 0; i < b.n; i++) b.targets[i] = PAD;
  pair p;
  open_pair(&p, name, m, &b);
  float *grad = sgi_alloc(m->table.floats * sizeof *grad);
  sgi_metrics sum = run(&p, grad);
  assert_true(sum.targets == 0 && sum.nll == 0 && sgi_metrics_loss(&sum) == 0);
  for (size_t i = 0; i < m->table.floats; i++) assert_true(grad[i] == 0);
  sgi_free(grad);
  close_pair(&p);
  free_batch(&b);
}

static void padding_alone_has_no_gradient(void **state) {
  (void)state;
  each_model(check_nothing_to_learn);
}

static void check_threads(const char *name, sg_model *m) {
  int before = omp_get_max_threads();
  batch b = make_batch(LONG);
  size_t count = m->table.floats;
  float *one = floats(count), *more = floats(count);
  for (int threads = 1; threads <= 3; threads++) {
    omp_set_num_threads(threads);
    pair p;
    open_pair(&p, name, m, &b);
    float *grad = threads == 1 ? one : more;
    memset(grad, 0, count * sizeof *grad);
    run(&p, grad);
    if (threads > 1 && memcmp(one, more, count * sizeof *one))
      fail_msg("%s: %d threads give other gradients than one", name, threads);
    close_pair(&p);
  }
  omp_set_num_threads(before);
  sgi_free(one);
  sgi_free(more);
  free_batch(&b);
}

static void same_bits_for_any_number_of_threads(void **state) {
  (void)state;
  each_model(check_threads);
}

/* A packed row's documents give what each gives alone. */
static void check_documents(const char *name, sg_model *m) {
  batch b = make_batch(LONG);
  sgi_pass *pass;
  assert_sg_ok(sgi_pass_create(m, 1, b.T, false, &pass, err));
  float *whole = floats(b.n * VOCABULARY), *alone = floats(b.n * VOCABULARY);
  sgi_batch all = {1, b.T, b.inputs, NULL, b.starts};
  assert_sg_ok(sgi_pass_forward(pass, &all, NULL, err));
  assert_sg_ok(sgi_pass_logits(pass, 0, b.n, whole, err));
  size_t documents = 0;
  for (size_t from = 0, to; from < b.T; from = to, documents++) {
    for (to = from + 1; to < b.T && b.starts[to] == (int32_t)from; to++) {}
    sgi_batch one = {1, to - from, b.inputs + from, NULL, NULL};
    assert_sg_ok(sgi_pass_forward(pass, &one, NULL, err));
    assert_sg_ok(sgi_pass_logits(pass, 0, to - from, alone, err));
    for (size_t i = 0; i < (to - from) * VOCABULARY; i++)
      if (!(fabsf(alone[i] - whole[from * VOCABULARY + i]) <= 2e-5f))
        fail_msg("%s: a document's logits depend on its neighbours", name);
  }
  assert_true(documents > 3);
  sgi_free(whole);
  sgi_free(alone);
  sgi_pass_free(pass);
  free_batch(&b);
}

static void packed_documents_do_not_see_each_other(void **state) {
  (void)state;
  each_model(check_documents);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_reference_is_right),
      cmocka_unit_test(every_kind_against_the_reference),
      cmocka_unit_test(padding_alone_has_no_gradient),
      cmocka_unit_test(same_bits_for_any_number_of_threads),
      cmocka_unit_test(packed_documents_do_not_see_each_other),
  };
  return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
