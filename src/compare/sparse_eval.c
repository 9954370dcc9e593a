/* Loss recovered. Every batch of rows is run once as it is, its logits kept, and then once for each
 * thing that is put in a place's stead; the texts' means, which are such a thing, take a first walk
 * over all rows. */
#include "compare/sparse_eval.h"

#include <math.h>
#include <string.h>

#include "compare/sparse_baseline.h"
#include "math/gemm.h"
#include "math/kernels.h"

const char *const sgi_sparse_way_names[] = {"none", "zero", "mean", "replaced", "own", "linear"};
enum { POSITIONS = 512 };

typedef struct place {
  sgi_sparse_work *work;
  sgi_own_units own;
  bool has_own;
  sgi_linear_fit *fit;
  float *A, *c; /* (D,D), (D) */
  float *mean;  /* (D) */
  float *x;     /* (n,D) what it read in the pass at hand */
  double *sum;  /* (D) of outputs */
  double squares, errors, l0, l1;
  sgi_sparse_way way; /* of the pass at hand */
} place;

typedef struct work {
  const sgi_sparse_eval_request *r;
  sgi_sparse_eval *e;
  sgi_sparse_place *places;
  place *at;
  size_t n, D, V, B, T, most;
  sgi_pass *pass;
  int32_t *inputs, *targets, *starts; /* (B,T) */
  float *base, *logits;               /* (B*T,V) */
  double *lse, *row_nll, *row_kl;     /* (B*T) */
  float *y;                           /* (B*T,D) */
  const sgi_sparse_rows *rows;        /* of the walk at hand */
  size_t count;                       /* rows of the batch at hand */
  int phase;                          /* 0: means; 1: runs; 2: fitting */
  uint64_t done, wanted;
} work;

double sgi_loss_recovered(double loss, double changed, double without) {
  double whole = without - loss;
  return fabs(whole) < SGI_SPARSE_LEAST ? NAN : 1 - (changed - loss) / whole;
}

static bool counts(const work *w, size_t i) { return w->targets[i] != w->r->model->config.pad_id; }

/* ---- what is put there ----------------------------------------------------------------------- */

static sg_status input(void *user, size_t k, const float *x, size_t first, size_t rows, sg_error *err) {
  (void)err;
  work *w = user;
  memcpy(w->at[k].x + first * w->D, x, rows * w->D * sizeof *x);
  return SG_OK;
}

/* First walk: what the sparse MLP makes of it, and means. */
static sg_status measure(work *w, size_t k, const float *t, size_t first, size_t rows, sg_error *err) {
  place *p = &w->at[k];
  const sgi_sparse_layer *l = &w->r->set->at[k];
  sgi_sparse_active a;
  sg_status st = sgi_sparse_forward(p->work, &l->form, &l->p, p->x + first * w->D, rows, w->y, &a, err);
  for (size_t i = 0; i < rows && !st; i++) {
    if (!counts(w, first + i)) continue;
    for (size_t d = 0; d < w->D; d++) {
      double v = (double)t[i * w->D + d], e = (double)w->y[i * w->D + d] - v;
      p->sum[d] += v;
      p->squares += v * v;
      p->errors += e * e;
    }
    for (size_t j = 0; j < a.count[i]; j++) {
      p->l1 += (double)a.h[a.start[i] + j];
      w->e->at[k].frequency[a.feature[a.start[i] + j]] += 1;
    }
    p->l0 += (double)a.count[i];
  }
  return st;
}

static sg_status put(work *w, size_t k, float *t, size_t first, size_t rows, sg_error *err) {
  place *p = &w->at[k];
  const sgi_sparse_layer *l = &w->r->set->at[k];
  sgi_sparse_active a;
  size_t D = w->D;
  sg_status st = SG_OK;
  switch (p->way) {
    case SGI_WAY_ZERO: memset(t, 0, rows * D * sizeof *t); break;
    case SGI_WAY_MEAN:
      for (size_t i = 0; i < rows; i++) memcpy(t + i * D, p->mean, D * sizeof *t);
      break;
    case SGI_WAY_SPARSE: st = sgi_sparse_forward(p->work, &l->form, &l->p, p->x + first * D, rows, t, &a, err); break;
    case SGI_WAY_LINEAR:
      for (size_t i = 0; i < rows; i++) memcpy(t + i * D, p->c, D * sizeof *t);
      st = sgi_gemm(false, false, rows, D, D, p->x + first * D, D, p->A, D, 1, t, D);
      if (st) return sgi_fail(err, st, "a linear map: %s", sg_status_text(st));
      break;
    case SGI_WAY_NONE:
    case SGI_WAY_OWN:
    case SGI_WAYS: break;
  }
  return st;
}

/* Counted rows of a fitting text, one after the other. */
static void fit_rows(work *w, size_t k, const float *t, size_t first, size_t rows) {
  size_t D = w->D, n = 0;
  float *x = w->at[k].x + first * D;
  for (size_t i = 0; i < rows; i++) {
    if (!counts(w, first + i)) continue;
    memmove(x + n * D, x + i * D, D * sizeof *x);
    memcpy(w->y + n * D, t + i * D, D * sizeof *t);
    n++;
  }
  sgi_linear_fit_add(w->at[k].fit, x, w->y, n);
}

static sg_status output(void *user, size_t k, float *t, size_t first, size_t rows, sg_error *err) {
  work *w = user;
  if (w->phase == 0) return measure(w, k, t, first, rows, err);
  if (w->phase == 1) return put(w, k, t, first, rows, err);
  fit_rows(w, k, t, first, rows);
  return SG_OK;
}

static sg_status other(void *user, const sgi_site *site, sg_error *err) {
  (void)err;
  work *w = user;
  for (size_t k = 0; k < w->n; k++)
    if (w->at[k].way == SGI_WAY_OWN && site->layer == w->places[k].layer)
      sgi_own_units_visit(&w->at[k].own, site, w->e->at[k].kept);
  return SG_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

static sg_status forward(work *w, sg_error *err) {
  sgi_sparse_watch watch = {
      .places = w->places, .n = w->n, .input = input, .output = output, .other = other, .user = w};
  sgi_batch b = {.B = w->count, .T = w->T, .inputs = w->inputs, .targets = w->targets, .starts = w->starts};
  sg_status st = sgi_sparse_watch_pass(&watch, w->pass, &b, err);
  w->done += w->count;
  if (!st && w->r->progress && !w->r->progress(w->r->user, w->done, w->wanted))
    st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  return st;
}

static void get(work *w, size_t row) {
  w->count = w->rows->n - row < w->B ? w->rows->n - row : w->B;
  for (size_t i = 0; i < w->count; i++)
    w->rows->get(w->rows->user, row + i, w->inputs + i * w->T, w->targets + i * w->T, w->starts + i * w->T);
}

/* log of the sum of exp of a row of logits. */
static double log_sum(const float *s, size_t V) {
  const sgi_kernels *k = sgi_kernel_table();
  float top = s[k->argmax(s, V)];
  return (double)top + log((double)k->exp_sum(s, V, top));
}

/* Losses of the pass at hand, and how far its predictions are from those kept in base. */
static sg_status score(work *w, float *logits, sgi_sparse_run *sum, sg_error *err) {
  size_t n = w->count * w->T, V = w->V;
  sg_status st = sgi_pass_logits(w->pass, 0, n, logits, err);
  if (st) return st;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++) {
    w->row_nll[i] = w->row_kl[i] = 0;
    if (!counts(w, i)) continue;
    const float *q = logits + i * V, *p = w->base + i * V;
    double lse = log_sum(q, V), kl = 0;
    w->row_nll[i] = lse - (double)q[w->targets[i]];
    if (logits == w->base) {
      w->lse[i] = lse;
      continue;
    }
    for (size_t v = 0; v < V; v++) kl += exp((double)p[v] - w->lse[i]) * ((double)p[v] - (double)q[v]);
    w->row_kl[i] = kl - w->lse[i] + lse;
  }
  for (size_t i = 0; i < n; i++) {
    sum->loss += w->row_nll[i];
    sum->kl += w->row_kl[i];
  }
  return SG_OK;
}

static bool can(const work *w, size_t k, sgi_sparse_way way) {
  if (way == SGI_WAY_OWN) return w->at[k].has_own;
  if (way == SGI_WAY_LINEAR) return w->at[k].A != NULL;
  return true;
}

static bool can_all(const work *w, sgi_sparse_way way) {
  bool yes = true;
  for (size_t k = 0; k < w->n; k++) yes = yes && can(w, k, way);
  return yes;
}

/* Layer k (n: all of them) that way. */
static sg_status one_run(work *w, size_t k, sgi_sparse_way way, sg_error *err) {
  sgi_sparse_run *sum = k < w->n ? &w->e->at[k].run[way] : &w->e->all[way];
  for (size_t i = 0; i < w->n; i++) w->at[i].way = k == w->n || k == i ? way : SGI_WAY_NONE;
  sg_status st = forward(w, err);
  sum->made = true;
  return st ? st : score(w, w->logits, sum, err);
}

static sg_status runs(work *w, sg_error *err) {
  sg_status st = SG_OK;
  sgi_sparse_run base = {0};
  w->phase = 1;
  for (size_t row = 0; row < w->rows->n && !st; row += w->B) {
    get(w, row);
    for (size_t i = 0; i < w->n; i++) w->at[i].way = SGI_WAY_NONE;
    st = forward(w, err);
    if (!st) st = score(w, w->base, &base, err);
    for (int way = SGI_WAY_ZERO; way < SGI_WAYS; way++)
      for (size_t k = 0; k <= w->n && !st; k++)
        if (k < w->n ? can(w, k, (sgi_sparse_way)way) : can_all(w, (sgi_sparse_way)way))
          st = one_run(w, k, (sgi_sparse_way)way, err);
  }
  w->e->loss = base.loss / (double)w->e->counted;
  return st;
}

static sg_status means(work *w, sg_error *err) {
  sg_status st = SG_OK;
  w->phase = 0;
  for (size_t row = 0; row < w->rows->n && !st; row += w->B) {
    get(w, row);
    for (size_t i = 0; i < w->count * w->T; i++) w->e->counted += counts(w, i);
    st = forward(w, err);
  }
  if (!st && !w->e->counted) st = sgi_fail(err, SG_ERR_ARG, "the rows hold no token that counts: all is padding");
  return st;
}

static void summarise(work *w, size_t k) {
  sgi_sparse_score *s = &w->e->at[k];
  const place *p = &w->at[k];
  double n = (double)w->e->counted, D = (double)w->D, centre = 0;
  size_t M = w->r->set->at[k].form.features;
  for (size_t d = 0; d < w->D; d++) {
    s->mean_output[d] = p->sum[d] / n;
    p->mean[d] = (float)s->mean_output[d];
    centre += s->mean_output[d] * s->mean_output[d];
  }
  s->l0 = p->l0 / n;
  s->l1 = p->l1 / n;
  s->mse = p->errors / n / D;
  s->mse_zero = p->squares / n / D;
  s->variance_explained = 1 - p->errors / n / (p->squares / n - centre);
  for (size_t j = 0; j < M; j++) {
    s->dead += s->frequency[j] == 0;
    s->frequency[j] /= n;
  }
  s->kept = (size_t)fmax(1, round(s->l0));
}

static sg_status fit(work *w, sg_error *err) {
  sg_status st = SG_OK;
  size_t D = w->D;
  if (!w->r->fit) return SG_OK;
  w->rows = w->r->fit;
  w->phase = 2;
  for (size_t k = 0; k < w->n && !st; k++) st = sgi_linear_fit_create(D, &w->at[k].fit, err);
  for (size_t row = 0; row < w->rows->n && !st; row += w->B) {
    get(w, row);
    st = forward(w, err);
  }
  for (size_t k = 0; k < w->n && !st; k++) {
    w->at[k].A = sgi_alloc((D * D + D) * sizeof(float));
    if (!w->at[k].A) return sgi_fail_memory(err, D * D * sizeof(float), "a linear map");
    w->at[k].c = w->at[k].A + D * D;
    st = sgi_linear_fit_solve(w->at[k].fit, w->e->at[k].kept, w->at[k].A, w->at[k].c, err);
  }
  w->rows = &w->r->rows;
  return st;
}

static void finish_run(work *w, sgi_sparse_run *run, const sgi_sparse_run *all) {
  (void)all;
  for (int way = 0; way < SGI_WAYS; way++) {
    run[way].loss /= (double)w->e->counted;
    run[way].kl /= (double)w->e->counted;
  }
  for (int way = 0; way < SGI_WAYS; way++) {
    run[way].recovered = sgi_loss_recovered(w->e->loss, run[way].loss, run[SGI_WAY_ZERO].loss);
    run[way].recovered_of_mean = sgi_loss_recovered(w->e->loss, run[way].loss, run[SGI_WAY_MEAN].loss);
    w->e->undefined = w->e->undefined || (run[way].made && isnan(run[way].recovered));
  }
}

/* ---- making ---------------------------------------------------------------------------------- */

static sg_status make_place(work *w, size_t k, sg_error *err) {
  const sgi_sparse_eval_request *r = w->r;
  const sgi_sparse_form *f = &r->set->at[k].form;
  place *p = &w->at[k];
  sgi_sparse_score *s = &w->e->at[k];
  size_t n = w->B * w->T, D = w->D;
  s->frequency = sgi_alloc(f->features * sizeof *s->frequency);
  s->mean_output = sgi_alloc(D * sizeof *s->mean_output);
  p->mean = sgi_alloc(D * sizeof *p->mean);
  p->sum = sgi_alloc(D * sizeof *p->sum);
  p->x = sgi_alloc(n * D * sizeof *p->x);
  if (!s->frequency || !s->mean_output || !p->mean || !p->sum || !p->x)
    return sgi_fail_memory(err, n * D * sizeof *p->x, "an evaluation");
  sg_status st = sgi_sparse_work_create(f, n, false, &p->work, err);
  if (!st && r->own && r->set->site == SGI_PLACE_MLP)
    st = sgi_own_units_make(r->model, r->set->at[k].layer, n, &p->own, &p->has_own, err);
  return st;
}

static sg_status make(work *w, sg_error *err) {
  const sgi_sparse_eval_request *r = w->r;
  size_t T = r->rows.T;
  if (r->fit && r->fit->T > T) T = r->fit->T;
  w->T = r->rows.T;
  w->n = r->set->n;
  w->D = r->model->config.hidden_size;
  w->V = r->model->config.vocab_size;
  w->B = POSITIONS / T ? POSITIONS / T : 1;
  size_t n = w->B * T;
  w->places = sgi_alloc(w->n * sizeof *w->places);
  w->at = sgi_alloc(w->n * sizeof *w->at);
  w->e->at = sgi_alloc(w->n * sizeof *w->e->at);
  w->inputs = sgi_alloc(3 * n * sizeof *w->inputs);
  w->base = sgi_alloc(2 * n * w->V * sizeof *w->base);
  w->lse = sgi_alloc(3 * n * sizeof *w->lse);
  w->y = sgi_alloc(n * w->D * sizeof *w->y);
  if (!w->places || !w->at || !w->e->at || !w->inputs || !w->base || !w->lse || !w->y)
    return sgi_fail_memory(err, 2 * n * w->V * sizeof *w->base, "an evaluation");
  w->e->n = w->n;
  w->targets = w->inputs + n;
  w->starts = w->inputs + 2 * n;
  w->logits = w->base + n * w->V;
  w->row_nll = w->lse + n;
  w->row_kl = w->lse + 2 * n;
  sg_status st = sgi_sparse_set_places(r->set, r->model, w->places, err);
  for (size_t k = 0; k < w->n && !st; k++) st = make_place(w, k, err);
  if (!st) st = sgi_pass_create(r->model, w->B, T, false, &w->pass, err);
  w->rows = &r->rows;
  size_t ways = 3 + (r->own && r->set->site == SGI_PLACE_MLP) + (r->fit != NULL);
  w->wanted = r->rows.n * (2 + ways * (w->n + 1)) + (r->fit ? r->fit->n : 0);
  return st;
}

static void free_work(work *w) {
  for (size_t k = 0; w->at && k < w->n; k++) {
    sgi_sparse_work_free(w->at[k].work);
    sgi_own_units_deinit(&w->at[k].own);
    sgi_linear_fit_free(w->at[k].fit);
    sgi_free(w->at[k].A);
    sgi_free(w->at[k].mean);
    sgi_free(w->at[k].sum);
    sgi_free(w->at[k].x);
  }
  sgi_pass_free(w->pass);
  sgi_free(w->places);
  sgi_free(w->at);
  sgi_free(w->inputs);
  sgi_free(w->base);
  sgi_free(w->lse);
  sgi_free(w->y);
}

sg_status sgi_sparse_evaluate(const sgi_sparse_eval_request *r, sgi_sparse_eval **out, sg_error *err) {
  *out = NULL;
  sgi_sparse_eval *e = sgi_alloc(sizeof *e);
  if (!e) return sgi_fail_memory(err, sizeof *e, "an evaluation");
  work w = {.r = r, .e = e};
  sg_status st = make(&w, err);
  if (!st) st = means(&w, err);
  for (size_t k = 0; k < w.n && !st; k++) summarise(&w, k);
  if (!st) st = fit(&w, err);
  if (!st) st = runs(&w, err);
  for (size_t k = 0; k < w.n && !st; k++) finish_run(&w, e->at[k].run, e->all);
  if (!st) finish_run(&w, e->all, e->all);
  if (!st && !isfinite(e->loss)) st = sgi_fail(err, SG_ERR_NUMERIC, "the model's loss is NaN or infinite");
  free_work(&w);
  if (st)
    sgi_sparse_eval_free(e);
  else
    *out = e;
  return st;
}

void sgi_sparse_eval_free(sgi_sparse_eval *e) {
  if (!e) return;
  for (size_t k = 0; e->at && k < e->n; k++) {
    sgi_free(e->at[k].frequency);
    sgi_free(e->at[k].mean_output);
  }
  sgi_free(e->at);
  sgi_free(e);
}
