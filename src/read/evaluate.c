#include "read/evaluate.h"

#include <math.h>
#include <string.h>

struct sgi_evaluator {
  sgi_pass *pass;
  const sg_model *model;
  size_t max_rows, T;
  int32_t *inputs, *targets, *starts; /* (max_rows,T) */
  bool *keep;                         /* (max_rows,T) target is not padding */
};

/* Over rows or documents: squares of nll, nll * tokens, squares of tokens. */
typedef struct squares {
  double nll2, nll_n, n2;
  uint64_t count;
} squares;

/* Sums over rows and, for the reference's method, over batches. */
typedef struct sums {
  sgi_metrics all, batch;
  size_t batch_filled;
  squares rows, units; /* units: rows of one document together */
  double unit_nll, unit_n;
  uint64_t unit; /* that the two are of */
  double loss, accuracy, perplexity, last;
  uint64_t batches;
} sums;

const char *sgi_eval_method_text(sgi_eval_method m) {
  return m == SGI_EVAL_BATCHES ? "plain mean of each metric over whole batches (the reference's way)"
                               : "mean over all counted tokens; perplexity = exp(loss); standard error over rows";
}

sg_status sgi_evaluator_create(sgi_pass *pass, const sg_model *m, size_t max_rows, size_t T, sgi_evaluator **out,
                               sg_error *err) {
  *out = NULL;
  size_t n = max_rows * T;
  sgi_evaluator *e = sgi_alloc(sizeof *e);
  if (!e) return sgi_fail_memory(err, sizeof *e, "an evaluation");
  *e = (sgi_evaluator){pass,
                       m,
                       max_rows,
                       T,
                       sgi_alloc(n * sizeof(int32_t)),
                       sgi_alloc(n * sizeof(int32_t)),
                       sgi_alloc(n * sizeof(int32_t)),
                       sgi_alloc(n * sizeof(bool))};
  if (!e->inputs || !e->targets || !e->starts || !e->keep) {
    sgi_evaluator_free(e);
    return sgi_fail_memory(err, 13 * n, "an evaluation");
  }
  *out = e;
  return SG_OK;
}

void sgi_evaluator_free(sgi_evaluator *e) {
  if (!e) return;
  sgi_free(e->inputs);
  sgi_free(e->targets);
  sgi_free(e->starts);
  sgi_free(e->keep);
  sgi_free(e);
}

static void end_batch(sums *s) {
  const sgi_metrics *b = &s->batch;
  double n = b->targets ? (double)b->targets : 1, loss = b->nll / n;
  s->loss += loss;
  s->accuracy += (double)b->correct / n;
  s->perplexity += exp(loss);
  s->last += exp(b->last_nll / (double)b->rows);
  s->batches++;
  memset(&s->batch, 0, sizeof s->batch);
  s->batch_filled = 0;
}

static void add_squares(squares *s, double sum, double n) {
  s->nll2 += sum * sum;
  s->nll_n += sum * n;
  s->n2 += n * n;
  s->count++;
}

static void end_unit(sums *s) {
  add_squares(&s->units, s->unit_nll, s->unit_n);
  s->unit_nll = s->unit_n = 0;
}

/* A packed row is of several documents. */
static void add_documents(const sgi_evaluator *e, const sgi_evaluate_request *q, uint64_t first_row, size_t rows) {
  const float *nll = sgi_pass_nll(e->pass);
  for (size_t r = 0; r < rows; r++)
    for (size_t t = 0, end; t < e->T; t = end) {
      size_t d = sgi_batcher_owner(q->rows, first_row + r, t, &end);
      for (size_t i = r * e->T + t; i < r * e->T + end; i++)
        if (e->keep[i]) q->document_nll[d] += (double)nll[i], q->document_targets[d]++;
    }
}

/* Sums of single rows, and of a document's windows together, for the standard error. */
static void add_rows(const sgi_evaluator *e, const sgi_evaluate_request *request, uint64_t first_row, size_t rows,
                     sums *s) {
  const sgi_batcher *rows_of = request->rows;
  const float *nll = sgi_pass_nll(e->pass);
  for (size_t r = 0; r < rows; r++) {
    double sum = 0, n = 0;
    for (size_t i = r * e->T; i < (r + 1) * e->T; i++)
      if (e->keep[i]) sum += (double)nll[i], n++;
    add_squares(&s->rows, sum, n);
    if (request->row_nll) request->row_nll[first_row + r] = sum;
    if (request->row_targets) request->row_targets[first_row + r] = n;
    uint64_t first, end, unit = rows_of ? sgi_batcher_unit(rows_of, first_row + r, &first, &end) : first_row + r;
    if (s->rows.count > 1 && unit != s->unit) end_unit(s);
    s->unit = unit;
    s->unit_nll += sum;
    s->unit_n += n;
  }
}

typedef struct watcher {
  const sgi_evaluator *e;
  sgi_usage **usage;
  const int32_t *chosen; /* of a layer with gates, until it is known what acts */
} watcher;

static sg_status watch(void *user, const sgi_site *site, sg_error *err) {
  watcher *w = user;
  bool choice = sgi_site_row_of(site->id)->role == SGI_SITE_CHOICE, acts = site->id == SGI_SITE_ROUTER_ACTIVE;
  if (!(choice || acts) || !w->usage[site->layer]) return SG_OK;
  if (choice) w->chosen = site->data;
  if (choice && w->e->model->layers[site->layer].config.options.gates[0]) return SG_OK;
  size_t width = sgi_site_width(site), T = w->e->T;
  const int32_t *active = acts ? site->data : NULL;
  sg_status st = SG_OK;
  for (size_t i = 0; i < site->n && !st; i += T)
    st = sgi_usage_add(w->usage[site->layer], w->chosen + i * width, active ? active + i * width : NULL, T,
                       w->e->keep + i, err);
  return st;
}

/* Row i of the request into the evaluator's place at. */
static void get_row(sgi_evaluator *e, const sgi_evaluate_request *r, uint64_t i, size_t at) {
  int32_t *inputs = e->inputs + at * e->T, *targets = e->targets + at * e->T, *starts = e->starts + at * e->T;
  if (r->rows) {
    sgi_batcher_get(r->rows, i, inputs, targets, starts);
    return;
  }
  memcpy(targets, r->targets + i * e->T, e->T * sizeof *targets);
  memcpy(inputs + 1, targets, (e->T - 1) * sizeof *inputs);
  inputs[0] = e->model->config.bos_id;
  memset(starts, 0, e->T * sizeof *starts);
}

static sg_status part(sgi_evaluator *e, const sgi_evaluate_request *r, uint64_t first, size_t rows, sums *s,
                      sg_error *err) {
  for (size_t i = 0; i < rows; i++) get_row(e, r, first + i, i);
  for (size_t i = 0; i < rows * e->T; i++) e->keep[i] = e->targets[i] != e->model->config.pad_id;
  sgi_batch batch = {rows, e->T, e->inputs, e->targets, e->starts};
  watcher w = {.e = e, .usage = r->usage};
  sg_status st =
      sgi_pass_forward(e->pass, &batch, r->usage ? &(sgi_tap){.visit = watch, .user = &w, .err = err} : NULL, err);
  sgi_metrics m = {0};
  if (!st) st = sgi_pass_loss(e->pass, &m, NULL, 0, err);
  if (st) return st;
  sgi_metrics *both[] = {&s->all, &s->batch};
  for (size_t i = 0; i < 2; i++) {
    both[i]->nll += m.nll;
    both[i]->targets += m.targets;
    both[i]->correct += m.correct;
    both[i]->last_nll += m.last_nll;
    both[i]->rows += m.rows;
  }
  s->batch_filled += rows;
  add_rows(e, r, first, rows, s);
  if (r->document_nll) add_documents(e, r, first, rows);
  return SG_OK;
}

static void finish(const sums *s, sgi_eval_method method, sgi_evaluation *out) {
  double n = s->all.targets ? (double)s->all.targets : 1, rows = (double)s->all.rows, loss = s->all.nll / n;
  *out = (sgi_evaluation){.loss = loss,
                          .accuracy = (double)s->all.correct / n,
                          .perplexity = exp(loss),
                          .perplexity_last_token = exp(s->all.last_nll / rows),
                          .tokens = s->all.targets,
                          .rows = s->all.rows,
                          .batches = s->batches};
  const squares *q = s->units.count > 1 ? &s->units : &s->rows; /* of a single document its windows have to do */
  double units = (double)q->count, spread = q->nll2 - 2 * loss * q->nll_n + loss * loss * q->n2;
  out->units = q->count;
  out->standard_error = units > 1 && spread > 0 ? sqrt(units / (units - 1) * spread) / n : 0;
  if (method != SGI_EVAL_BATCHES) return;
  double batches = (double)s->batches;
  out->loss = s->loss / batches;
  out->accuracy = s->accuracy / batches;
  out->perplexity = s->perplexity / batches;
  out->perplexity_last_token = s->last / batches;
}

sg_status sgi_evaluate(sgi_evaluator *e, const sgi_evaluate_request *r, sgi_evaluation *out, sg_error *err) {
  bool batches = r->method == SGI_EVAL_BATCHES;
  if (!r->n_rows || r->T != e->T || (batches && (!r->batch_rows || r->n_rows < r->batch_rows)))
    return sgi_fail(err, SG_ERR_ARG, "%llu rows are too few to evaluate%s", (unsigned long long)r->n_rows,
                    batches ? " (less than one batch)" : "");
  sums s = {0};
  for (uint64_t i = 0; i < r->n_rows;) {
    uint64_t left = r->n_rows - i;
    size_t rows = left < e->max_rows ? (size_t)left : e->max_rows;
    if (batches && rows > r->batch_rows - s.batch_filled) rows = r->batch_rows - s.batch_filled;
    if (batches && s.batch_filled == 0 && left < r->batch_rows) break;
    sg_status st = part(e, r, i, rows, &s, err);
    if (st) return st;
    i += rows;
    if (batches && s.batch_filled == r->batch_rows) end_batch(&s);
    if (r->stop && r->stop(r->user, i)) return sgi_fail(err, SG_ERR_CANCELLED, "the evaluation was stopped");
  }
  if (s.rows.count) end_unit(&s);
  finish(&s, r->method, out);
  return SG_OK;
}

sg_status sgi_usage_list(const sg_model *m, sgi_usage ***out, sg_error *err) {
  const sg_config *c = &m->config;
  sgi_usage **list = sgi_alloc(c->num_layers * sizeof *list);
  *out = NULL;
  if (!list) return sgi_fail_memory(err, c->num_layers * sizeof *list, "usage counts");
  sg_status st = SG_OK;
  for (size_t l = 0; l < c->num_layers && !st; l++) {
    sgi_gates g;
    if (sgi_layer_gates(m, l, &g))
      st = sgi_usage_create(g.pool, g.channels, g.top_k, g.pool_per_channel, &list[l], err);
  }
  if (st)
    sgi_usage_list_free(m, list);
  else
    *out = list;
  return st;
}

void sgi_usage_list_free(const sg_model *m, sgi_usage **list) {
  if (!list) return;
  for (size_t l = 0; l < m->config.num_layers; l++) sgi_usage_free(list[l]);
  sgi_free(list);
}
