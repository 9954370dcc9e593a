#include "read/trace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/safetensors.h"
#include "read/parts.h"

/* One float each, in this order; behind them the numbers of aux.h, and total. */
static const char *const scalars[] = {"loss", "acc", "perplexity", "perplexity_last_token"};
enum { SCALARS = SGI_COUNT(scalars) };

typedef struct output {
  char name[SGI_MAX_TENSOR_NAME + 8];
  ptrdiff_t layer; /* sites: where and what is visited */
  sgi_site_id site;
  size_t row_bytes; /* bytes of one token row */
  sgi_tensor tensor;
} output;

typedef struct trace {
  const sg_model *model;
  const sgi_trace_request *request;
  output *outputs;
  size_t count, capacity;
  size_t first_site, end_sites;
  bool *matched;   /* (n_only) */
  int32_t *inputs; /* (B,T) */
  sgi_safetensors_writer *writer;
  size_t first_row;                  /* token row of the current part of the batch */
  size_t cursor;                     /* where the next visited site is likely found */
  double aux[SG_AUX_NUMBERS], added; /* numbers beside the loss, and what is added to it */
} trace;

static bool wanted(trace *t, const char *name, const char *const *defaults, size_t n_defaults) {
  const sgi_trace_request *r = t->request;
  bool hit = false;
  for (size_t i = 0; i < r->n_only; i++)
    if (sgi_match(r->only[i], name)) hit = t->matched[i] = true;
  if (r->n_only) return hit;
  for (size_t i = 0; i < n_defaults; i++)
    if (sgi_match(defaults[i], name)) return true;
  return false;
}

static sg_status add(trace *t, const char *name, sgi_dtype dtype, int n_dims, const size_t *dims, sg_error *err) {
  if (!sgi_room(&t->outputs, &t->capacity, t->count, sizeof *t->outputs))
    return sgi_fail_memory(err, 2 * t->count * sizeof *t->outputs, "a trace");
  output *o = &t->outputs[t->count++];
  *o = (output){.layer = -1, .tensor = {.dtype = dtype, .n_dims = n_dims}};
  snprintf(o->name, sizeof o->name, "%s", name);
  o->row_bytes = sgi_dtype_size(dtype);
  for (int i = 0; i < n_dims; i++) {
    o->tensor.dims[i] = dims[i];
    if (i >= 2) o->row_bytes *= dims[i];
  }
  return SG_OK;
}

/* Sites that are made on demand: only for patterns that name them. */
static bool wants(void *user, const sgi_site *s) {
  char full[SG_SITE_NAME];
  sgi_site_name(full, s);
  return wanted(user, full, NULL, 0);
}

/* First pass over one token: which sites there are, and their shapes. */
static sg_status discover(void *user, const sgi_site *s, sg_error *err) {
  trace *t = user;
  const sgi_site_row *row = sgi_site_row_of(s->id);
  char name[SG_SITE_NAME];
  sgi_site_name(name, s);
  if (!wanted(t, name, (const char *const[]){"*"}, row->when == SGI_SITE_SHOWN)) return SG_OK;
  size_t dims[2 + SGI_SITE_AXES] = {t->request->B, t->request->T};
  for (int k = 0; k < row->n_axes; k++) /* of the request: as many keys as positions */
    dims[2 + k] = row->axes[k] == SGI_AXIS_SOURCE ? t->request->T : s->dims[k];
  sg_status st = add(t, name, row->holds ? SGI_I32 : SGI_F32, 2 + row->n_axes, dims, err);
  if (st) return st;
  t->outputs[t->count - 1].layer = s->layer;
  t->outputs[t->count - 1].site = s->id;
  return SG_OK;
}

static sg_status record(void *user, const sgi_site *s, sg_error *err) {
  trace *t = user;
  size_t sites = t->end_sites - t->first_site;
  /* Sites come in the order in which they were found: the first look nearly always hits. */
  for (size_t k = 0; k < sites; k++) {
    size_t i = t->first_site + (t->cursor + k) % sites;
    output *o = &t->outputs[i];
    if (o->site != s->id || o->layer != s->layer) continue;
    t->cursor = i - t->first_site + 1;
    return sgi_safetensors_writer_put(t->writer, i, (t->first_row + s->first) * o->row_bytes, s->data,
                                      s->n * o->row_bytes, err);
  }
  return SG_OK;
}

static sg_status list_outputs(trace *t, sg_error *err) {
  const sgi_trace_request *r = t->request;
  const sg_model *m = t->model;
  size_t logits[3] = {r->B, r->T, m->config.vocab_size};
  sg_status st = SG_OK;
  if (wanted(t, "logits", (const char *const[]){"logits"}, 1)) st = add(t, "logits", SGI_F32, 3, logits, err);
  for (size_t i = 0; i < SGI_COUNT(scalars) && !st; i++)
    if (wanted(t, scalars[i], scalars, SGI_COUNT(scalars))) st = add(t, scalars[i], SGI_F32, 0, NULL, err);
  for (size_t i = 0; r->aux && sgi_aux_name(i) && !st; i++)
    if (wanted(t, sgi_aux_name(i), (const char *const[]){"*"}, 1)) st = add(t, sgi_aux_name(i), SGI_F32, 0, NULL, err);
  if (r->aux && !st && wanted(t, "total", (const char *const[]){"*"}, 1)) st = add(t, "total", SGI_F32, 0, NULL, err);
  t->first_site = t->count;
  sgi_pass *p = NULL;
  if (!st) st = sgi_pass_create(m, 1, 1, false, &p, err);
  if (!st)
    st = sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = 1, .inputs = &m->config.bos_id},
                          &(sgi_tap){discover, t, err, wants, true}, err);
  sgi_pass_free(p);
  t->end_sites = t->count;
  for (size_t i = 0; i < m->table.count && r->grad && !st; i++) {
    const sgi_row *row = &m->table.rows[i];
    if (row->state) continue;
    char name[SGI_MAX_TENSOR_NAME + 8];
    snprintf(name, sizeof name, "grad.%s", row->name);
    if (wanted(t, name, (const char *const[]){"grad.*"}, 1)) st = add(t, name, SGI_F32, row->n_dims, row->dims, err);
  }
  for (size_t i = 0; i < r->n_only && !st; i++)
    if (!t->matched[i])
      st = sgi_fail(
          err, SG_ERR_ARG, "pattern \"%s\" matches no output of this model%s", r->only[i],
          strncmp(r->only[i], "grad", 4) || r->grad ? "" : " (gradients are written only where they are asked for)");
  return st;
}

static sg_status check_request(const sg_model *m, const sgi_trace_request *r, size_t *targets, sg_error *err) {
  *targets = 0;
  if (!r->B || !r->T) return sgi_fail(err, SG_ERR_ARG, "a trace needs at least one row of one token");
  for (size_t i = 0; i < r->B * r->T; i++) {
    if (r->targets[i] < 0 || (size_t)r->targets[i] >= m->config.vocab_size)
      return sgi_fail(err, SG_ERR_ARG, "row %zu, position %zu: token id %d is outside the vocabulary of %zu", i / r->T,
                      i % r->T, r->targets[i], m->config.vocab_size);
    *targets += r->targets[i] != m->config.pad_id;
  }
  return SG_OK;
}

static sg_status put_logits(void *user, size_t first, size_t n, const float *logits, sg_error *err) {
  trace *t = user;
  size_t bytes = t->model->config.vocab_size * sizeof *logits;
  return sgi_safetensors_writer_put(t->writer, 0, first * bytes, logits, n * bytes, err);
}

static void measured(void *user, const sgi_aux *sums) {
  trace *t = user;
  double value;
  t->added += sums->share * sgi_aux_total(sums);
  for (size_t i = 0; sgi_aux_name(i); i++)
    t->aux[i] = sgi_aux_number(sums, i, &value) ? t->aux[i] + sums->share * value : NAN;
}

/* The number of that name; false where it is none. */
static bool scalar(const trace *t, const char *name, const double *value, double loss, float *out) {
  for (size_t k = 0; k < SCALARS; k++)
    if (!strcmp(name, scalars[k])) return *out = (float)value[k], true;
  for (size_t k = 0; sgi_aux_name(k); k++)
    if (!strcmp(name, sgi_aux_name(k))) return *out = (float)t->aux[k], true;
  return !strcmp(name, "total") ? (*out = (float)(loss + t->added), true) : false;
}

static sg_status put_results(trace *t, const sgi_metrics *sum, const float *grad, sg_error *err) {
  double loss = sum->targets ? sum->nll / (double)sum->targets : 0;
  double value[SCALARS] = {loss, sum->targets ? (double)sum->correct / (double)sum->targets : 0, exp(loss),
                           exp(sum->last_nll / (double)sum->rows)};
  sg_status st = SG_OK;
  for (size_t i = 0; i < t->count && !st; i++) {
    float one;
    if (i < t->first_site && scalar(t, t->outputs[i].name, value, loss, &one))
      st = sgi_safetensors_writer_put(t->writer, i, 0, &one, sizeof one, err);
    if (i < t->end_sites || st) continue;
    const sgi_row *row = &t->model->table.rows[sgi_table_find(&t->model->table, t->outputs[i].name + strlen("grad."))];
    st = sgi_safetensors_writer_put(t->writer, i, 0, grad + row->offset, row->count * sizeof(float), err);
  }
  return st;
}

/* Gradients are those of a step of training. */
static sg_status run(trace *t, size_t targets, float *grad, sg_error *err) {
  const sgi_trace_request *r = t->request;
  sgi_tap tap = {record, t, err, wants, true};
  sgi_parts parts = {.B = r->B,
                     .T = r->T,
                     .inputs = t->inputs,
                     .targets = r->targets,
                     .max_bytes = r->max_bytes,
                     .tap = &tap,
                     .first = &t->first_row,
                     .grad = grad,
                     .aux = r->aux,
                     .training = r->grad,
                     .measured = measured,
                     .grad_scale = targets ? (float)(1.0 / (double)targets) : 0,
                     .user = t};
  if (t->count && !strcmp(t->outputs[0].name, "logits")) parts.logits = put_logits;
  sgi_metrics sum = {0};
  sg_status st = sgi_parts_run(t->model, &parts, &sum, err);
  return st ? st : put_results(t, &sum, grad, err);
}

static sg_status open_writer(trace *t, const char *path, sg_error *err) {
  sgi_tensor *tensors = sgi_alloc(t->count * sizeof *tensors);
  if (!tensors) return sgi_fail_memory(err, t->count * sizeof *tensors, "a trace");
  for (size_t i = 0; i < t->count; i++) {
    tensors[i] = t->outputs[i].tensor;
    tensors[i].name = t->outputs[i].name;
  }
  sg_status st = sgi_safetensors_writer_open(path, tensors, t->count, NULL, 0, &t->writer, err);
  sgi_free(tensors);
  return st;
}

sg_status sgi_trace_write(const sg_model *m, const sgi_trace_request *r, const char *path, sg_error *err) {
  size_t targets;
  sg_status st = check_request(m, r, &targets, err);
  if (st) return st;
  trace t = {.model = m,
             .request = r,
             .matched = sgi_alloc(r->n_only + 1),
             .inputs = sgi_alloc(r->B * r->T * sizeof(int32_t))};
  float *grad = r->grad ? sgi_alloc(m->table.floats * sizeof *grad) : NULL;
  if (!t.matched || !t.inputs || (r->grad && !grad)) {
    st = sgi_fail_memory(err, m->table.floats * sizeof *grad, "a trace");
  } else {
    sgi_parts_shift(m, r->targets, r->B, r->T, t.inputs);
    st = list_outputs(&t, err);
  }
  if (!st) st = open_writer(&t, path, err);
  if (!st) st = run(&t, targets, grad, err);
  if (!st) {
    st = sgi_safetensors_writer_close(t.writer, err);
    t.writer = NULL;
  }
  if (t.writer) sgi_safetensors_writer_drop(t.writer);
  sgi_free(t.matched);
  sgi_free(t.inputs);
  sgi_free(t.outputs);
  sgi_free(grad);
  return st;
}
