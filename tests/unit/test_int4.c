/* Training in int4: the kernel of a row on every instruction set against the formula in double, the
 * mean of its rounding, gradients row by row against those of an arena, starting values, memory,
 * threads, passes, and what is refused. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/rng.h"
#include "math/kernels.h"
#include "math/quantise.h"
#include "model/low.h"
#include "ref/ref.h"
#include "support/small.h"
#include "train/int4_inside.h"
#include "train/settings.h"

static const char *const kinds[] = {"sgatlin", "peer"};

static uint64_t drawn(void *user, uint64_t counter) { return sgi_rng_word(*(const uint64_t *)user, counter); }

/* ---- the kernel ------------------------------------------------------------------------------ */

static void put(uint8_t *packed, size_t d, int q) {
  packed[d / 2] = (uint8_t)(d % 2 ? (packed[d / 2] & 15) | (q & 15) << 4 : (packed[d / 2] & 240) | (q & 15));
}

/* Rows of some widths, levels at the ends among them, steps of all sizes: q and a as the formula
 * has them. False: a decision was within float32's rounding of the other. */
static bool kernel_case(const sgi_kernels *k, size_t D, int A, sgi_rng *rng) {
  ref_int4 r = {.s = 0.01 + 0.05 * sgi_rng_uniform(rng), .v = 0.2, .c = 6};
  uint8_t q4[32] = {0}, a4[32] = {0};
  float g[64];
  double wide[64], squares = 0;
  uint64_t key = sgi_rng_next(rng);
  ref_int4_update u = {.lr = 0.01 + 0.03 * sgi_rng_uniform(rng), .A = A, .first = sgi_rng_below(rng, 50) * D};
  u.count = u.first + 3 * D, u.number = sgi_rng_below(rng, 1000), u.word = drawn, u.user = &key;
  for (size_t d = 0; d < D; d++) {
    r.q[d] = (int)sgi_rng_below(rng, 15) - 7;
    r.a[d] = (int)sgi_rng_below(rng, (uint64_t)(2 * A - 1)) - (A - 1);
    g[d] = sgi_rng_below(rng, 5) ? (float)sgi_rng_normal(rng) : 0;
    wide[d] = g[d];
    squares += wide[d] * wide[d];
    put(q4, d, r.q[d]), put(a4, d, r.a[d]);
  }
  double v = 0.99 * r.v + 0.01 * squares / (double)D, s = r.s;
  double factor = A * u.lr / (sqrt(v / (1 - pow(0.99, r.c + 1))) + 1e-8) / s;
  ref_int4 before = r;
  sgi_int4_moved moved = {0};
  if (ref_int4_step(&r, &u, wide, D) < 1e-5) return false;
  k->int4_row(q4, a4, g, D, &(sgi_int4_row){-(float)factor, A, key, u.number * ((u.count + 3) / 4), u.first}, &moved);
  int64_t steps = 0, at_end = 0;
  for (size_t d = 0; d < D; d++) {
    if (sgi_int4_at(q4, d) != r.q[d] || sgi_int4_at(a4, d) != r.a[d])
      fail_msg("%s, D %zu, A %d, weight %zu: q %d a %d, expected %d and %d", k->isa, D, A, d, sgi_int4_at(q4, d),
               sgi_int4_at(a4, d), r.q[d], r.a[d]);
    steps += r.q[d] != before.q[d];
    at_end += (abs(r.q[d]) == 7) - (abs(before.q[d]) == 7);
  }
  if (D % 2) assert_int_equal(sgi_int4_at(q4, D), 0);
  assert_int_equal(moved.steps, steps);
  assert_int_equal(moved.at_end, at_end);
  return true;
}

static void kernel(void **state) {
  (void)state;
  static const size_t widths[] = {1, 2, 3, 7, 16, 31, 48, 64};
  for (size_t t = 0; sgi_kernel_table_at(t); t++) {
    sgi_rng rng = sgi_rng_make(3, SGI_STREAM_SAMPLE, 0);
    size_t tried = 0, compared = 0;
    for (int A = 1; A <= SGI_INT4_SUBSTEPS; A++)
      for (size_t i = 0; i < SGI_COUNT(widths); i++)
        for (int n = 0; n < 8; n++, tried++) compared += kernel_case(sgi_kernel_table_at(t), widths[i], A, &rng);
    assert_true(compared > tried * 9 / 10);
  }
}

enum { DRAWS = 1 << 20 };

/* k of DRAWS weights with the same step; levels in the middle, so that nothing saturates. */
static double mean_step(const sgi_kernels *k, float d, uint64_t number) {
  uint8_t *q = calloc(DRAWS / 2, 1), *a = calloc(DRAWS / 2, 1);
  float *g = malloc(DRAWS * sizeof *g);
  sgi_int4_moved moved = {0};
  sgi_rng rng = sgi_rng_make(11, SGI_STREAM_INT4, 2);
  for (size_t i = 0; i < DRAWS; i++) g[i] = -1;
  k->int4_row(q, a, g, DRAWS, &(sgi_int4_row){-d, 8, rng.key, number * (DRAWS / 4), 0}, &moved);
  double sum = 0;
  for (size_t i = 0; i < DRAWS; i++) sum += 8 * sgi_int4_at(q, i) + sgi_int4_at(a, i);
  free(q), free(a), free(g);
  return -sum / DRAWS; /* a gradient of -1 steps by -d * -1 */
}

/* Over 10^6 draws the mean is the step, within 4 standard deviations; 0 never moves, nor what is
 * under half of what a word tells. */
static void rounding_is_fair(void **state) {
  (void)state;
  static const float steps[] = {0.3f, -0.3f, 0.5f, -0.001f, 2.75f, -7.9f, 1.0f / 65536};
  for (size_t t = 0; sgi_kernel_table_at(t); t++)
    for (size_t i = 0; i < SGI_COUNT(steps); i++) {
      double d = steps[i], p = d - floor(d), mean = mean_step(sgi_kernel_table_at(t), steps[i], i);
      if (!(fabs(mean + d) <= 4 * sqrt(p * (1 - p) / DRAWS) + 1.0 / 131072))
        fail_msg("%s: steps of %g have mean %g", sgi_kernel_table_at(t)->isa, -d, mean);
    }
  for (size_t t = 0; sgi_kernel_table_at(t); t++) {
    assert_true(mean_step(sgi_kernel_table_at(t), 0, 1) == 0);
    assert_true(mean_step(sgi_kernel_table_at(t), 0.999f / 131072, 1) == 0);
    assert_true(mean_step(sgi_kernel_table_at(t), -0.999f / 131072, 1) == 0);
    assert_true(mean_step(sgi_kernel_table_at(t), 3, 1) == -3);
  }
}

/* ---- starting values ------------------------------------------------------------------------- */

/* s (q + a / A) is the float32 start to a sixteenth of a level, what is no pool equals it; with
 * buffers seen the weights are that number. */
static void start(void **state) {
  (void)state;
  for (size_t k = 0; k < SGI_COUNT(kinds); k++) {
    sg_config c = small_config(kinds[k]);
    sg_model *m, *f;
    assert_sg_ok(sgi_pools_create(&c, 5, 8, &m, err));
    assert_sg_ok(sg_model_create(&c, 5, &f, err));
    assert_int_equal(m->table.parameters, f->table.parameters);
    assert_true(m->table.floats + 16 * m->pools->count >= f->table.floats - sgi_pools_weights(&m->table));
    for (size_t i = 0; i < m->table.count; i++) {
      const sgi_row *row = &m->table.rows[i];
      float *want = malloc(row->count * sizeof *want), *got = malloc(row->count * sizeof *got);
      sgi_weight_to_float(want, &f->weights[i]);
      sgi_weight_to_float(got, &m->weights[i]);
      const sgi_pool *p = sgi_pools_find(m->pools, i);
      assert_int_equal(p != NULL, row->pool);
      if (!p) assert_memory_equal(got, want, row->count * sizeof *got);
      sgi_pools_finer(m, true);
      float *finer = malloc(row->count * sizeof *finer);
      sgi_weight_to_float(finer, &m->weights[i]);
      for (size_t e = 0; p && e < row->count; e++) {
        size_t r = e / p->width, d = e % p->width;
        double s = p->scale[r], q = sgi_int4_at(p->q + r * p->bytes, d), a = sgi_int4_at(p->a + r * p->bytes, d);
        assert_true(fabs((double)got[e] - s * q) <= 1e-6 * s);
        assert_true(fabs((double)finer[e] - s * (q + a / 8)) <= 2e-6 * s);
        assert_true(fabs((double)want[e] - s * (q + a / 8)) <= s * (1.0 / 16 + 1e-5));
      }
      sgi_pools_finer(m, false);
      free(want), free(got), free(finer);
    }
    sg_model_free(m);
    sg_model_free(f);
  }
}

/* ---- gradients ------------------------------------------------------------------------------- */

typedef struct taken {
  float *sum; /* (rows,D) */
  size_t width;
} taken;
static void no_begin(void *user, const uint32_t *start_, size_t rows) { (void)user, (void)start_, (void)rows; }
static float *its_row(void *user, size_t f) { return ((taken *)user)->sum + f * ((taken *)user)->width; }
static void no_done(void *user, size_t f, float *sum) { (void)user, (void)f, (void)sum; }

/* What a sink is given of int4 pools is what an arena would have, to the last bit. */
static void gradient(void **state) {
  (void)state;
  for (size_t k = 0; k < SGI_COUNT(kinds); k++) {
    sg_config c = small_config(kinds[k]);
    sg_model *f, *low;
    assert_sg_ok(sg_model_create(&c, 5, &f, err));
    size_t rows = f->table.count, floats = f->table.floats;
    bool *pools = calloc(rows, sizeof *pools);
    for (size_t i = 0; i < rows; i++) pools[i] = f->table.rows[i].pool;
    assert_sg_ok(sgi_low_quantised(f, &(sgi_quantise){.to = SGI_U8}, pools, &low, err));
    assert_sg_ok(sgi_low_requantise(low, &(sgi_quantise){.to = SGI_U8}, err));
    float *arena = calloc(floats, sizeof *arena), *others = calloc(floats, sizeof *others);
    float *apart = calloc(floats, sizeof *apart);
    taken *t = calloc(rows, sizeof *t);
    sgi_row_sink *sinks = calloc(rows, sizeof *sinks);
    const sgi_row_sink **list = calloc(rows, sizeof *list);
    for (size_t i = 0; i < rows; i++) {
      const sgi_row *r = &f->table.rows[i];
      t[i] = (taken){apart + r->offset, r->dims[r->n_dims - 1]};
      sinks[i] = (sgi_row_sink){5, 2, &t[i], no_begin, its_row, no_done};
      if (r->pool) list[i] = &sinks[i];
    }
    int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T], starts[SMALL_B * SMALL_T];
    small_batch(0, inputs, targets, starts);
    sgi_batch batch = {SMALL_B, SMALL_T, inputs, targets, starts};
    sgi_pass *p;
    assert_sg_ok(sgi_pass_create(low, SMALL_B, SMALL_T, true, &p, err));
    for (int once = 0; once < 2; once++) {
      sgi_metrics sum = {0};
      sgi_pass_sink(p, once ? list : NULL);
      assert_sg_ok(sgi_pass_forward(p, &batch, NULL, err));
      assert_sg_ok(sgi_pass_loss(p, &sum, once ? others : arena, 0.01f, err));
      assert_sg_ok(sgi_pass_backward(p, once ? others : arena, err));
    }
    for (size_t i = 0; i < rows; i++) {
      size_t at = f->table.rows[i].offset, bytes = f->table.rows[i].count * sizeof(float);
      assert_memory_equal(arena + at, (pools[i] ? apart : others) + at, bytes);
    }
    sgi_pass_free(p);
    sg_model_free(low);
    sg_model_free(f);
    free(pools), free(arena), free(others), free(apart), free(t), free(sinks), free((void *)list);
  }
}

/* ---- trainers -------------------------------------------------------------------------------- */

static sgi_trainer_settings settings(size_t micro, size_t accumulation) {
  sgi_trainer_settings s = small_settings();
  s.micro_batch = micro;
  s.accumulation = accumulation;
  s.int4.on = true;
  s.int4.seed = 9;
  s.int4.row_block = 7;
  s.schedule = (sgi_schedule){.kind = SGI_SCHEDULE_CONSTANT, .peak = 0.01, .updates = 1000};
  return s;
}

/* What a trainer takes beside its plan: structs, lists, views of the configuration. */
static size_t beside(const sg_config *c, const sgi_trainer_settings *s) {
  size_t planned, before = sgi_alloc_limit(0);
  sg_model *m;
  sgi_trainer *t;
  assert_sg_ok(sgi_trainer_bytes(c, s, &planned, err));
  assert_sg_ok(sgi_trainer_model(c, s, 3, &m, err));
  assert_sg_ok(sgi_trainer_create(m, s, &t, err));
  size_t held = sgi_alloc_limit(0) - before;
  sgi_trainer_free(t);
  assert_true(held >= planned);
  return held - planned;
}

/* A float32 trainer's plan is within 5 % of what a process takes; this one is as near. */
static void memory_as_told(const sg_config *c, const sgi_trainer_settings *s) {
  sgi_trainer_settings floats = *s;
  floats.int4.on = false;
  size_t usual = beside(c, &floats), more = beside(c, s);
  if (more > usual + 8192) fail_msg("%zu bytes beside the plan, %zu in float32", more, usual);
}

static sgi_trainer *trainer(const sg_config *c, const sgi_trainer_settings *s) {
  sg_model *m;
  sgi_trainer *t;
  assert_sg_ok(sgi_trainer_model(c, s, 3, &m, err));
  assert_sg_ok(sgi_trainer_create(m, s, &t, err));
  return t;
}

static void same(const sgi_trainer *a, const sgi_trainer *b) {
  assert_memory_equal(a->model->arena, b->model->arena, a->model->table.floats * sizeof(float));
  assert_memory_equal(a->model->pools->block, b->model->pools->block, a->model->pools->bytes);
}

/* The same bits with one thread and two, whatever a thread takes at a time, at once and kept, in
 * float32 and bf16; steps allocate nothing and lower the loss; memory is what was told. */
static void trains(const sg_config *c, size_t micro, size_t accumulation, bool bf16, bool once) {
  sgi_trainer_settings s = settings(micro, accumulation), other = s;
  s.bf16 = other.bf16 = bf16;
  other.int4.row_block = 64;
  omp_set_num_threads(2);
  memory_as_told(c, &s);
  sgi_trainer *a = trainer(c, &s), *b = trainer(c, &other);
  assert_int_equal(sgi_int4_at_once(a->int4), once);
  double first = 0, last = 0;
  size_t calls = 0;
  for (int k = 0; k < 24; k++) {
    omp_set_num_threads(2);
    sgi_step x = small_step(a);
    omp_set_num_threads(1);
    sgi_step y = small_step(b);
    assert_true(x.loss == y.loss);
    if (!k) calls = sgi_alloc_count(); /* the first one's batch may settle thresholds */
    if (k < 4) first += x.loss;
    if (k >= 20) last += x.loss;
    if (k % 4 == 3) same(a, b);
  }
  assert_int_equal(sgi_alloc_count(), calls);
  assert_true(last < first);
  sgi_int4_report r, q;
  sgi_int4_report_of(a->int4, &r);
  sgi_int4_report_of(b->int4, &q);
  assert_true(r.weight_steps == q.weight_steps && r.saturated == q.saturated && r.share_at_7 == q.share_at_7);
  assert_true(r.norm > 0 && r.weight_steps > 0 && fabs(r.norm - q.norm) <= 1e-12 * r.norm);
  sgi_int4_recount(a->int4); /* what was counted along is what is there */
  assert_true((double)a->int4->at_end / (double)a->int4->weights == r.share_at_7);
  assert_sg_ok(sgi_trainer_check(a, err));
  sgi_trainer_free(a);
  sgi_trainer_free(b);
  omp_set_num_threads(2);
}

static void training(void **state) {
  (void)state;
  for (size_t k = 0; k < SGI_COUNT(kinds); k++) {
    sg_config c = small_config(kinds[k]);
    trains(&c, SMALL_B, 1, false, true);
    trains(&c, SMALL_B, 1, true, true);
    trains(&c, 2, 1, false, false);
    trains(&c, SMALL_B, 2, false, false);
    snprintf(c.layer_form, sizeof c.layer_form, "midpoint"); /* its layers run twice */
    trains(&c, SMALL_B, 1, false, false);
  }
  sg_config mixed;
  const char *name;
  assert_true(mixed_config(0, &mixed, &name)); /* other kinds among them, and tied pools */
  trains(&mixed, SMALL_B, 1, false, false);
}

/* Summed from several passes or one: the same gradient but for rounding, so the first update of a
 * row differs by no more. */
static void passes(void **state) {
  (void)state;
  sg_config c = small_config("sgatlin");
  sgi_trainer_settings whole = settings(SMALL_B, 1), cut = settings(1, 1);
  sgi_trainer *a = trainer(&c, &whole), *b = trainer(&c, &cut);
  small_step(a), small_step(b);
  size_t other = 0, all = 0;
  for (size_t i = 0; i < a->model->pools->count; i++) {
    const sgi_pool *x = &a->model->pools->pool[i], *y = &b->model->pools->pool[i];
    assert_memory_equal(x->count, y->count, x->rows * sizeof *x->count);
    for (size_t f = 0; f < x->rows; f++) {
      assert_true(fabs((double)x->v[f] - (double)y->v[f]) <= 1e-4 * (double)x->v[f]);
      for (size_t d = 0; d < x->width; d++, all++)
        other += sgi_int4_at(x->a + f * x->bytes, d) != sgi_int4_at(y->a + f * x->bytes, d);
    }
  }
  assert_true((double)other < 1e-3 * (double)all);
  sgi_trainer_free(a);
  sgi_trainer_free(b);
}

/* Steps of size 0 leave pools as they are; rows that no token met keep everything. */
static void what_stays(void **state) {
  (void)state;
  sg_config c = small_config("sgatlin");
  c.num_neurons = 196;
  sgi_trainer_settings s = settings(SMALL_B, 1);
  s.int4.lr_scale = 0;
  sgi_trainer *t = trainer(&c, &s), *was = trainer(&c, &s);
  small_step(t);
  size_t met = 0, rows = 0;
  for (size_t i = 0; i < t->model->pools->count; i++) {
    const sgi_pool *x = &t->model->pools->pool[i], *y = &was->model->pools->pool[i];
    assert_memory_equal(x->q, y->q, x->rows * x->bytes);
    assert_memory_equal(x->a, y->a, x->rows * x->bytes);
    assert_memory_equal(x->scale, y->scale, x->rows * sizeof *x->scale);
    for (size_t f = 0; f < x->rows; f++, rows++) {
      met += x->count[f];
      if (!x->count[f]) assert_true(x->v[f] == 0 && x->ms[f] == 0 && x->vs[f] == 0);
    }
  }
  assert_true(met > 0 && met < rows);
  sgi_trainer_free(t);
  sgi_trainer_free(was);
}

/* A weight that is not finite ends training with its name; no other step is taken. */
static void not_finite(void **state) {
  (void)state;
  for (int scale = 0; scale < 2; scale++) {
    sg_config c = small_config("sgatlin");
    sgi_trainer_settings s = settings(SMALL_B, 1);
    sgi_trainer *t = trainer(&c, &s);
    small_step(t);
    const sgi_table *table = &t->model->table;
    if (scale)
      for (size_t f = 0; f < t->model->pools->pool[0].rows; f++) t->model->pools->pool[0].scale[f] = INFINITY;
    else
      t->model->arena[table->rows[sgi_table_find(table, "model.layers.1.input_layernorm.weight")].offset] = NAN;
    int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
    small_batch(1, inputs, targets, NULL);
    sgi_step out;
    sg_error why = {0};
    assert_int_equal(sgi_trainer_step(t, inputs, targets, NULL, &out, &why), SG_ERR_NUMERIC);
    assert_non_null(strstr(why.text, "pools may have moved"));
    assert_int_equal(sgi_trainer_step(t, inputs, targets, NULL, &out, &why), SG_ERR_ARG);
    if (scale) assert_int_equal(sgi_trainer_check(t, &why), SG_ERR_NUMERIC);
    sgi_trainer_free(t);
  }
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Saves what optimizer.safetensors has of pools, with one number changed (bytes at an offset of a
 * tensor) or a tensor left out. */
typedef struct damage {
  const char *tensor, *words; /* part of its name; of the error */
  size_t at;
  const void *bytes; /* NULL: left out */
  size_t n;
} damage;

static sg_status save_and_load(sgi_trainer *from, sgi_trainer *to, const char *path, const damage *d, sg_error *why) {
  sgi_tensor *t;
  size_t count, kept = 0;
  char *changed = NULL;
  assert_sg_ok(sgi_int4_describe(from->int4, true, &t, &count, err));
  for (size_t i = 0; i < count; i++) {
    if (d && !d->bytes && strstr(t[i].name, d->tensor)) continue;
    if (d && d->bytes && strstr(t[i].name, d->tensor) && !changed) {
      changed = malloc(t[i].bytes);
      memcpy(changed, t[i].data, t[i].bytes);
      memcpy(changed + d->at, d->bytes, d->n);
      t[i].data = changed;
    }
    t[kept++] = t[i];
  }
  assert_sg_ok(sgi_safetensors_save(path, t, kept, NULL, 0, err));
  sgi_free(t);
  free(changed);
  sgi_safetensors *f;
  assert_sg_ok(sgi_safetensors_open(path, &f, err));
  sg_status st = sgi_int4_load(to->int4, f, path, from->model, true, why);
  sgi_safetensors_close(f);
  return st;
}

static void files(void **state) {
  (void)state;
  static const uint8_t eight = 0x80, behind = 0x10;
  static const float nan_ = NAN, below = -1;
  static const int32_t far = 1 << 30;
  const damage all[] = {{"a4.", "outside -7 .. 7", 3, &eight, 1}, {"v.", "mean square", 8, &nan_, 4},
                        {"vs.", "moments", 4, &below, 4},         {"ms.", "moments", 4, &nan_, 4},
                        {"rows.", "does not have", 0, &far, 4},   {"count.", "missing", 0, NULL, 0},
                        {"sum.", "missing", 0, NULL, 0}};
  char *tmp = golden_temporary(), *path = sgi_path_join(tmp, "o.safetensors");
  sg_config c = small_config("peer");
  sgi_trainer_settings s = settings(SMALL_B, 2);
  sgi_trainer *a = trainer(&c, &s), *b = trainer(&c, &s);
  for (int k = 0; k < 3; k++) small_step(a); /* one more is needed for an update */
  assert_sg_ok(save_and_load(a, b, path, NULL, err));
  assert_memory_equal(a->model->pools->block, b->model->pools->block, a->model->pools->bytes);
  for (size_t i = 0; i < a->int4->count; i++) {
    sgi_int4_pool *x = &a->int4->pool[i], *y = &b->int4->pool[i];
    assert_true(x->n_kept > 0 && x->n_kept == y->n_kept);
    assert_memory_equal(x->sums, y->sums, x->n_kept * x->pool->width * sizeof *x->sums);
    assert_memory_equal(x->slot, y->slot, x->pool->rows * sizeof *x->slot);
  }
  for (size_t i = 0; i < SGI_COUNT(all); i++) {
    sg_error why = {0};
    if (save_and_load(a, b, path, &all[i], &why) != SG_ERR_FORMAT || !strstr(why.text, all[i].words))
      fail_msg("%s: %s", all[i].tensor, why.text);
  }
  sgi_trainer_free(a);
  sgi_trainer_free(b);
  c.hidden_size = 31, c.head_dim = 2, c.num_heads = 1; /* rows of odd length have nothing behind the last column */
  s.accumulation = 1;
  a = trainer(&c, &s), b = trainer(&c, &s);
  small_step(a);
  sg_error why = {0};
  assert_sg_ok(save_and_load(a, b, path, NULL, err));
  assert_int_equal(save_and_load(a, b, path, &(damage){"a4.", "outside", 15, &behind, 1}, &why), SG_ERR_FORMAT);
  sgi_trainer_free(a);
  sgi_trainer_free(b);
  sgi_free(path);
  golden_remove(tmp);
}

/* ---- settings -------------------------------------------------------------------------------- */

static void expect_refused(const char *const *set, const char *words) {
  sgi_assignments a = {0};
  sgi_settings s;
  sg_error why = {0};
  for (size_t i = 0; set[i]; i++) assert_sg_ok(sgi_assign_text(&a, set[i], NULL, err));
  sg_status st = sgi_settings_resolve(&a, &s, &why);
  sgi_assignments_free(&a);
  if (st != SG_ERR_ARG || !strstr(why.text, words)) fail_msg("%s: %s", words, why.text);
}

#define SET(...) ((const char *const[]){__VA_ARGS__, NULL})

static void refused(void **state) {
  (void)state;
  expect_refused(SET("train.pool_precision=int8"), "choose float32 or int4");
  expect_refused(SET("train.pool_precision=int4", "feedforward.kind=mlp"), "no layer of the model has pools");
  expect_refused(SET("train.pool_precision=int4", "feedforward.kind=monet"), "no layer of the model has pools");
  expect_refused(SET("train.pool_precision=int4", "train.parts=2"), "train.parts=2");
  expect_refused(SET("train.pool_precision=int4", "int4.substeps=9"), "int4.substeps");
  expect_refused(SET("int4.lr_scale=3"), "train.pool_precision=int4");
  sg_config c = small_config("mlp"), own = small_config("peer");
  sg_model *m;
  sgi_trainer *t;
  sg_error why = {0};
  assert_int_equal(sgi_pools_create(&c, 1, 8, &m, &why), SG_ERR_ARG);
  sgi_trainer_settings s = settings(SMALL_B, 1);
  assert_sg_ok(sg_model_create(&own, 1, &m, err));
  assert_int_equal(sgi_trainer_create(m, &s, &t, &why), SG_ERR_ARG); /* pools that are float32 */
  sg_model_free(m);
  assert_sg_ok(sgi_pools_create(&own, 1, 8, &m, err));
  s.int4.on = false;
  assert_int_equal(sgi_trainer_create(m, &s, &t, &why), SG_ERR_ARG);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(kernel),     cmocka_unit_test(rounding_is_fair),
                                     cmocka_unit_test(start),      cmocka_unit_test(gradient),
                                     cmocka_unit_test(training),   cmocka_unit_test(passes),
                                     cmocka_unit_test(what_stays), cmocka_unit_test(not_finite),
                                     cmocka_unit_test(files),      cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
