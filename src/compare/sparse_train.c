#include "compare/sparse_train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare/sparse_state.h"
#include "core/rng.h"
#include "math/rows.h"

static const uint64_t DEAD_ROWS = 10000000;
static const double WARM = 0.05, FALL = 0.2, THETA = 0.1, RESAMPLED = 0.2;
enum { PASS_POSITIONS = 2048 };

/* ---- memory ---------------------------------------------------------------------------------- */

static void layout(sgi_sparse_trainer *t, sgi_arena *a) {
  const sgi_sparse_train_request *r = &t->r;
  size_t D = r->form.in, rows = t->chunk_rows;
  bool two = r->site == SGI_PLACE_MLP;
  for (size_t k = 0; k < r->n_layers; k++) {
    sgi_sparse_of *l = &t->of[k];
    sgi_sparse_take(&l->layer.form, a, &l->layer.p);
    sgi_sparse_take(&l->layer.form, a, &l->m);
    sgi_sparse_take(&l->layer.form, a, &l->v);
    l->fired = SGI_TAKE(a, r->form.features, uint64_t);
    l->x = SGI_TAKE(a, rows * D, float);
    l->target = two ? SGI_TAKE(a, rows * D, float) : l->x;
  }
  sgi_sparse_take(&r->form, a, &t->g);
  t->batch_x = SGI_TAKE(a, r->batch * D, float);
  t->batch_target = two ? SGI_TAKE(a, r->batch * D, float) : t->batch_x;
  t->order = SGI_TAKE(a, r->batch, uint32_t);
  t->inputs = SGI_TAKE(a, 3 * t->pass_rows * r->seq_len, int32_t);
  t->moment = SGI_TAKE(a, D * D, double);
}

static sg_status check(const sgi_sparse_train_request *r, sg_error *err) {
  const sgi_sparse_form *f = &r->form;
  if (!f->features || f->features > (size_t)1 << 24)
    return sgi_fail(err, SG_ERR_ARG, "%zu features: expected 1 to %d", f->features, 1 << 24);
  if (f->activation == SGI_SPARSE_TOPK && (!f->top_k || f->top_k > f->features))
    return sgi_fail(err, SG_ERR_ARG, "top_k %zu of %zu features: expected 1 to their number", f->top_k, f->features);
  if (!(f->lambda >= 0) || !isfinite(f->lambda))
    return sgi_fail(err, SG_ERR_ARG, "a penalty of %g: expected 0 or more", f->lambda);
  if (!r->batch || !r->buffer || !r->seq_len)
    return sgi_fail(err, SG_ERR_ARG, "batch, buffer and rows hold at least 1");
  if (!(r->lr > 0) || !isfinite(r->lr) || !(r->decay >= 0) || !(r->decay < 1))
    return sgi_fail(err, SG_ERR_ARG, "a learning rate of %g with a decay of %g", r->lr, r->decay);
  for (size_t k = 1; k < r->n_layers; k++)
    if (r->layers[k] <= r->layers[k - 1]) return sgi_fail(err, SG_ERR_ARG, "layers must ascend, each named once");
  return SG_OK;
}

/* How much text there is, and how it is cut into chunks. */
static sg_status plan(sgi_sparse_trainer *t, sg_error *err) {
  const sgi_sparse_train_request *r = &t->r;
  const sg_config *c = &r->model->config;
  size_t rows;
  sgi_batcher_settings s = {.rows = SGI_ROWS_PACK,
                            .B = 1,
                            .T = r->seq_len,
                            .bos = c->bos_id,
                            .pad = c->pad_id,
                            .shuffle = true,
                            .seed = r->seed};
  sg_status st = sgi_batcher_create(r->corpus, &s, &t->text, err);
  if (st) return st;
  uint64_t positions = sgi_batcher_batches(t->text) * r->seq_len;
  t->steps = r->steps ? r->steps : positions / r->batch;
  if (!t->steps)
    return sgi_fail(err, SG_ERR_ARG,
                    "the text fills %llu positions of rows of %zu tokens, less than a batch of %zu: give more text, a "
                    "smaller batch, or the number of steps",
                    (unsigned long long)positions, r->seq_len, r->batch);
  if (!sgi_size_mul(r->batch, r->buffer, &rows)) return sgi_fail(err, SG_ERR_ARG, "the buffer is too large");
  t->chunk_rows = (size_t)(rows < t->steps * r->batch ? rows : t->steps * r->batch);
  t->chunk = UINT64_MAX;
  t->pass_rows = PASS_POSITIONS / r->seq_len ? PASS_POSITIONS / r->seq_len : 1;
  t->window = r->dead_window ? r->dead_window : DEAD_ROWS;
  if (t->window > t->steps * r->batch) t->window = t->steps * r->batch;
  return SG_OK;
}

static sg_status make_room(sgi_sparse_trainer *t, sg_error *err) {
  const sgi_sparse_train_request *r = &t->r;
  sgi_arena a = {0};
  size_t pass, all;
  layout(t, &a);
  sg_status st = sgi_pass_bytes(&r->model->config, t->pass_rows, r->seq_len, false, &pass, err);
  if (st) return st;
  if (!sgi_size_add(a.used, pass, &all) || !sgi_size_add(all, sgi_sparse_work_bytes(&r->form, r->batch, true), &all))
    all = SIZE_MAX;
  t->bytes = all;
  if (r->max_bytes && all > r->max_bytes)
    return sgi_fail(
        err, SG_ERR_MEMORY,
        "training needs %.3g GB (of them %.3g GB for the activations of %zu batches), and %.3g GB are "
        "allowed: lower buffer, batch size, features or layers",
        (double)all / 1e9,
        (double)t->chunk_rows * (double)r->form.in * 4e-9 * (double)r->n_layers * (r->site == SGI_PLACE_MLP ? 2 : 1),
        r->buffer, (double)r->max_bytes / 1e9);
  t->memory = sgi_alloc(a.used);
  if (!t->memory) return sgi_fail_memory(err, a.used, "the buffer of activations");
  a = (sgi_arena){.base = t->memory, .size = a.used};
  layout(t, &a);
  st = sgi_sparse_work_create(&r->form, r->batch, true, &t->work, err);
  return st ? st : sgi_pass_create(r->model, t->pass_rows, r->seq_len, false, &t->pass, err);
}

static sg_status create(sgi_sparse_trainer *t, sg_error *err) {
  sgi_sparse_train_request *r = &t->r;
  sg_status st = check(r, err);
  r->form.in = r->form.out = r->model->config.hidden_size;
  t->of = sgi_alloc(r->n_layers * sizeof *t->of);
  t->places = sgi_alloc(r->n_layers * sizeof *t->places);
  if (!st && (!t->of || !t->places)) st = sgi_fail_memory(err, r->n_layers * sizeof *t->of, "a list of layers");
  for (size_t k = 0; k < r->n_layers && !st; k++) {
    t->of[k].layer = (sgi_sparse_layer){.layer = r->layers[k], .form = r->form};
    st = sgi_sparse_place_of(r->model, r->site, r->layers[k], &t->places[k], err);
  }
  if (!st) st = plan(t, err);
  if (!st) st = make_room(t, err);
  if (!st) st = r->resume ? sgi_sparse_state_load(t, err) : sgi_sparse_state_begin(t, err);
  return st;
}

sg_status sgi_sparse_trainer_create(const sgi_sparse_train_request *r, sgi_sparse_trainer **out, sg_error *err) {
  *out = NULL;
  if (!r->n_layers) return sgi_fail(err, SG_ERR_ARG, "no layer to train for");
  sgi_sparse_trainer *t = sgi_alloc(sizeof *t);
  if (!t) return sgi_fail_memory(err, sizeof *t, "a trainer of sparse MLPs");
  t->r = *r;
  sg_status st = create(t, err);
  if (st)
    sgi_sparse_trainer_free(t);
  else
    *out = t;
  return st;
}

void sgi_sparse_trainer_free(sgi_sparse_trainer *t) {
  if (!t) return;
  sgi_batcher_free(t->text);
  sgi_sparse_work_free(t->work);
  sgi_pass_free(t->pass);
  sgi_free(t->memory);
  sgi_free(t->of);
  sgi_free(t->places);
  sgi_free(t);
}

size_t sgi_sparse_trainer_bytes(const sgi_sparse_trainer *t) { return t->bytes; }
uint64_t sgi_sparse_trainer_steps(const sgi_sparse_trainer *t) { return t->steps; }
uint64_t sgi_sparse_trainer_done(const sgi_sparse_trainer *t) { return t->done; }
const sgi_sparse_layer *sgi_sparse_trainer_layer(const sgi_sparse_trainer *t, size_t k) { return &t->of[k].layer; }
const sgi_sparse_loss *sgi_sparse_trainer_loss(const sgi_sparse_trainer *t, size_t k) { return &t->of[k].loss; }

/* ---- activations ----------------------------------------------------------------------------- */

/* Positions [from, to) of the text go into the buffer, those of the pass at hand begin at `at`. */
typedef struct filling {
  sgi_sparse_trainer *t;
  uint64_t from, to, at;
} filling;

static void keep(const filling *f, float *into, const float *rows, size_t first, size_t n) {
  size_t D = f->t->r.form.in;
  uint64_t begin = f->at + first, end = begin + n, from = begin < f->from ? f->from : begin,
           to = end > f->to ? f->to : end;
  if (from < to) memcpy(into + (from - f->from) * D, rows + (from - begin) * D, (size_t)(to - from) * D * sizeof *into);
}

static sg_status keep_input(void *user, size_t k, const float *x, size_t first, size_t n, sg_error *err) {
  (void)err;
  const filling *f = user;
  keep(f, f->t->of[k].x, x, first, n);
  return SG_OK;
}

static sg_status keep_target(void *user, size_t k, float *y, size_t first, size_t n, sg_error *err) {
  (void)err;
  const filling *f = user;
  if (f->t->r.site == SGI_PLACE_MLP) keep(f, f->t->of[k].target, y, first, n);
  return SG_OK;
}

static bool tell(sgi_sparse_trainer *t, const char *what, uint64_t done, uint64_t of) {
  sgi_sparse_train_progress p = {.step = done, .steps = of, .what = what};
  size_t n = t->r.n_layers;
  for (size_t k = 0; k < n; k++) {
    p.mse += t->of[k].loss.mse / (double)n;
    p.penalty += t->of[k].loss.penalty / (double)n;
    p.l0 += t->of[k].loss.l0 / (double)n;
  }
  return !t->r.progress || t->r.progress(t->r.user, &p);
}

static sg_status fill(sgi_sparse_trainer *t, uint64_t chunk, sg_error *err) {
  const sgi_sparse_train_request *r = &t->r;
  size_t T = r->seq_len, B = t->pass_rows;
  int32_t *targets = t->inputs + B * T, *starts = targets + B * T;
  uint64_t all = t->steps * r->batch;
  filling f = {.t = t, .from = chunk * t->chunk_rows};
  f.to = f.from + t->chunk_rows < all ? f.from + t->chunk_rows : all;
  sgi_sparse_watch w = {
      .places = t->places, .n = r->n_layers, .input = keep_input, .output = keep_target, .user = &f, .stop = true};
  t->chunk = UINT64_MAX;
  for (uint64_t row = f.from / T, end = (f.to + T - 1) / T; row < end; row += B) {
    size_t n = end - row < B ? (size_t)(end - row) : B;
    for (size_t i = 0; i < n; i++)
      sgi_batcher_get(t->text, row + i, t->inputs + i * T, targets + i * T, starts + i * T);
    f.at = row * T;
    sgi_batch batch = {.B = n, .T = T, .inputs = t->inputs, .targets = targets, .starts = starts};
    sg_status st = sgi_sparse_watch_pass(&w, t->pass, &batch, err);
    if (st) return st;
    uint64_t done = (row + n) * T < f.to ? (row + n) * T - f.from : f.to - f.from;
    if (!tell(t, "activations", done, f.to - f.from)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  t->chunk = chunk;
  t->filled = (size_t)(f.to - f.from);
  return SG_OK;
}

/* ---- beginning ------------------------------------------------------------------------------- */

/* Means of the target, and the rms of pre-activations without bias: sqrt(mean over features of
 * w C w), C the second moments of the input. */
static void mean_target(const sgi_sparse_trainer *t, sgi_sparse_of *l) {
  size_t D = t->r.form.out;
  for (size_t d = 0; d < D; d++) {
    double s = 0;
    for (size_t i = 0; i < t->filled; i++) s += (double)l->target[i * D + d];
    l->layer.p.at[SGI_SPARSE_B_D][d] = (float)(s / (double)t->filled);
  }
}

static double pre_rms(const sgi_sparse_trainer *t, const sgi_sparse_of *l) {
  size_t D = t->r.form.in, M = t->r.form.features;
  double *C = t->moment, all = 0;
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t a = 0; a < D; a++)
    for (size_t b = 0; b <= a; b++) {
      double s = 0;
      for (size_t i = 0; i < t->filled; i++) s += (double)l->x[i * D + a] * (double)l->x[i * D + b];
      C[a * D + b] = C[b * D + a] = s / (double)t->filled;
    }
  for (size_t j = 0; j < M; j++) {
    const float *w = l->layer.p.at[SGI_SPARSE_W_E] + j * D;
    for (size_t a = 0; a < D; a++) {
      double s = 0;
      for (size_t b = 0; b < D; b++) s += C[a * D + b] * (double)w[b];
      all += s * (double)w[a];
    }
  }
  return sqrt(all / (double)M);
}

static void begin_layer(sgi_sparse_trainer *t, sgi_sparse_of *l) {
  const sgi_sparse_form *f = &l->layer.form;
  size_t M = f->features, D = f->in;
  float *w_e = l->layer.p.at[SGI_SPARSE_W_E], *w_d = l->layer.p.at[SGI_SPARSE_W_D];
  sgi_rng e = sgi_rng_make(t->r.seed, SGI_STREAM_SPARSE, 4 * l->layer.layer),
          d = sgi_rng_make(t->r.seed, SGI_STREAM_SPARSE, 4 * l->layer.layer + 1);
  bool sae = t->r.site != SGI_PLACE_MLP;
  for (size_t i = 0; i < M * D; i++) w_e[i] = (float)(sgi_rng_normal(&e) / sqrt((double)D));
  for (size_t i = 0; i < M * f->out; i++) w_d[i] = sae ? w_e[i] : (float)sgi_rng_normal(&d);
  sgi_sparse_form unit = *f;
  unit.decoder = SGI_DECODER_UNIT;
  sgi_sparse_normalise(&unit, &l->layer.p);
  mean_target(t, l);
  if (f->activation != SGI_SPARSE_JUMPRELU) return;
  double rms = fmax(pre_rms(t, l), 1e-20);
  l->layer.form.bandwidth = THETA * rms;
  for (size_t j = 0; j < M; j++) l->layer.p.at[SGI_SPARSE_LOG_THETA][j] = (float)log(THETA * rms);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Up over the first steps, constant, down to 0 over the last ones. */
static double rate(const sgi_sparse_trainer *t) {
  double s = (double)t->done, S = (double)t->steps, up = fmax(1, WARM * S), down = fmax(1, FALL * S);
  return t->r.lr * fmin(1, fmin((s + 1) / up, (S - s) / down));
}

static double ramp(const sgi_sparse_trainer *t) { return fmin(1, (double)t->done / fmax(1, WARM * (double)t->steps)); }

static void gather(sgi_sparse_trainer *t, const float *from, float *into) {
  size_t D = t->r.form.in;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < t->r.batch; i++) memcpy(into + i * D, from + (size_t)t->order[i] * D, D * sizeof *into);
}

size_t sgi_sparse_trainer_dead(const sgi_sparse_trainer *t, size_t k) {
  size_t n = 0;
  for (size_t j = 0; j < t->r.form.features; j++) n += sgi_sparse_state_dead(t, &t->of[k], j);
  return n;
}

/* A row of the batch at hand, with probability proportional to its squared error. */
static size_t draw_row(const sgi_sparse_trainer *t, sgi_rng *rng, double all) {
  size_t D = t->r.form.out;
  const float *e = sgi_sparse_errors(t->work);
  double at = sgi_rng_uniform(rng) * all;
  for (size_t r = 0; r + 1 < t->r.batch; r++)
    if ((at -= sgi_kernel_table()->sum_squares(e + r * D, D)) < 0) return r;
  return t->r.batch - 1;
}

/* Dead features begin again where the error is: an encoder row along a badly fitted input, a
 * decoder row along what is missing there. */
static void resample(sgi_sparse_trainer *t, sgi_sparse_of *l) {
  const sgi_kernels *k = sgi_kernel_table();
  size_t M = t->r.form.features, D = t->r.form.in, live = 0;
  const float *e = sgi_sparse_errors(t->work);
  float *w_e = l->layer.p.at[SGI_SPARSE_W_E], *w_d = l->layer.p.at[SGI_SPARSE_W_D];
  double norm = 0, all = k->sum_squares(e, t->r.batch * D);
  sgi_rng rng = sgi_rng_make(t->r.seed, SGI_STREAM_SPARSE, (t->done << 20) + 4 * l->layer.layer + 2);
  for (size_t j = 0; j < M; j++)
    if (!sgi_sparse_state_dead(t, l, j)) {
      norm += sqrt(k->sum_squares(w_e + j * D, D));
      live++;
    }
  if (!live || !(all > 0)) return;
  for (size_t j = 0; j < M; j++) {
    if (!sgi_sparse_state_dead(t, l, j)) continue;
    size_t r = draw_row(t, &rng, all);
    const float *x = t->batch_x + r * D, *row = e + r * D;
    double a = sqrt(k->sum_squares(x, D)), b = sqrt(k->sum_squares(row, D));
    if (!(a > 0) || !(b > 0)) continue;
    for (size_t d = 0; d < D; d++) {
      w_e[j * D + d] = (float)(RESAMPLED * norm / (double)live / a * (double)x[d]);
      w_d[j * D + d] = (float)(-(double)row[d] / b); /* errors are y - target */
    }
    l->layer.p.at[SGI_SPARSE_B_E][j] = 0;
    sgi_sparse_state_forget(l, j);
  }
}

static sg_status layer_step(sgi_sparse_trainer *t, sgi_sparse_of *l, sg_error *err) {
  const sgi_sparse_train_request *r = &t->r;
  gather(t, l->x, t->batch_x);
  if (r->site == SGI_PLACE_MLP) gather(t, l->target, t->batch_target);
  bool dense = sgi_sparse_is_dense(&l->layer.form, r->batch, l->loss.active);
  sg_status st = sgi_sparse_gradient(t->work, &l->layer.form, &l->layer.p, t->batch_x, t->batch_target, r->batch,
                                     ramp(t), dense, &t->g, l->fired, (t->done + 1) * r->batch, &l->loss, err);
  if (st) return sgi_error_prefix(err, st, "layer %zu, step %llu", l->layer.layer, (unsigned long long)t->done + 1);
  sgi_sparse_update(
      &l->layer.form, &l->layer.p, &t->g, &l->m, &l->v,
      &(sgi_sparse_rates){
          .lr = rate(t), .decay = r->decay / r->lr, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .done = t->done});
  return SG_OK;
}

sg_status sgi_sparse_trainer_step(sgi_sparse_trainer *t, sg_error *err) {
  const sgi_sparse_train_request *r = &t->r;
  uint64_t row = t->done * r->batch, chunk = row / t->chunk_rows;
  if (t->done >= t->steps) return sgi_fail(err, SG_ERR_ARG, "all %llu steps are done", (unsigned long long)t->steps);
  sg_status st = chunk == t->chunk ? SG_OK : fill(t, chunk, err);
  if (st) return st;
  if (!t->begun) {
    for (size_t k = 0; k < r->n_layers; k++) begin_layer(t, &t->of[k]);
    t->begun = true;
  }
  for (size_t i = 0; i < r->batch; i++)
    t->order[i] = (uint32_t)sgi_rng_permute(r->seed, SGI_STREAM_SPARSE, 4 * chunk + 3, t->filled,
                                            row + i - chunk * t->chunk_rows);
  bool quarter = r->resample && t->done + 1 < t->steps &&
                 ((t->done + 1) * 4 / t->steps != t->done * 4 / t->steps); /* 25, 50, 75 % */
  for (size_t k = 0; k < r->n_layers && !st; k++) {
    st = layer_step(t, &t->of[k], err);
    if (!st && quarter) {
      t->done++; /* dead is counted up to this step */
      resample(t, &t->of[k]);
      t->done--;
    }
  }
  if (!st) t->done++;
  return st;
}

sg_status sgi_sparse_train(sgi_sparse_trainer *t, json_t **about, sg_error *err) {
  const sgi_sparse_train_request *r = &t->r;
  sg_status st = SG_OK;
  double began = sgi_now();
  while (t->done < t->steps && !st) {
    st = sgi_sparse_trainer_step(t, err);
    bool stop = st == SG_ERR_CANCELLED || (!st && !tell(t, NULL, t->done, t->steps));
    if (stop || (!st && r->checkpoint_every && t->done % r->checkpoint_every == 0 && t->done < t->steps)) {
      t->seconds += sgi_now() - began;
      began = sgi_now();
      sg_status saved = t->done ? sgi_sparse_state_save(t, err) : SG_OK;
      if (saved) return saved;
    }
    if (stop) return sgi_fail(err, SG_ERR_CANCELLED, "stopped after %llu steps", (unsigned long long)t->done);
  }
  if (st) return st;
  t->seconds += sgi_now() - began;
  for (size_t k = 0; k < r->n_layers; k++) t->of[k].dead = sgi_sparse_trainer_dead(t, k);
  return sgi_sparse_state_finish(t, about, err);
}
