#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "read/kept.h"
#include "read/label.h"
#include "read/unit_watch.h"

enum { COUNT, SUM, ALL, LOW, HIGH, VALUE, POSITION, HISTOGRAM, N_TENSORS, BATCH = 8192 };

static const struct {
  const char *name;
  sgi_dtype type;
  size_t width, bytes; /* elements of a neuron, bytes of one */
} tensors[N_TENSORS] = {{"count", SGI_U32, 1, 4},
                        {"sum", SGI_F64, 1, 8},
                        {"all", SGI_F64, 1, 8},
                        {"low", SGI_F32, 1, 4},
                        {"high", SGI_F32, 1, 4},
                        {"value", SGI_F32, 2 * SGI_KEPT_EACH, 4},
                        {"position", SGI_U32, 2 * SGI_KEPT_EACH, 4},
                        {"histogram", SGI_U32, SGI_KEPT_BINS, 4}};

typedef struct keeping {
  size_t U, F;
  bool chosen; /* values come only where an expert was chosen */
  void *data[N_TENSORS];
  float *sample; /* (U,SGI_KEPT_SAMPLE), NaN: none */
} keeping;

typedef struct writer {
  const sgi_record_form *f;
  keeping *of; /* (L) U 0: not kept */
  const bool *silent;
  int32_t *inputs;    /* (rows,T) */
  uint32_t *position; /* (rows,T) UINT32_MAX: not recorded */
  size_t positions, at, stride;
} writer;

static size_t units_of(const sg_model *m, size_t layer) {
  const sg_config *c = sgi_feedforward_of(m, layer)->config;
  return sgi_unit_channels(c) * c->num_neurons;
}

size_t sgi_kept_layers(const sg_model *m, size_t *layers) {
  size_t n = 0;
  for (size_t l = 0; l < m->config.num_layers; l++)
    if (sgi_kept_wanted(m, l)) layers[n++] = l;
  return n;
}

uint64_t sgi_kept_bytes(const sg_model *m, const size_t *layers, size_t n) {
  uint64_t each = 0, all = 0;
  for (size_t t = 0; t < N_TENSORS; t++) each += tensors[t].width * tensors[t].bytes;
  for (size_t i = 0; i < n; i++) all += units_of(m, layers[i]) * each;
  return all;
}

/* Into a list of the strongest of one side, falling by size; of equal ones the earlier position. */
static void insert(float *value, uint32_t *position, float x, uint32_t p) {
  size_t i = SGI_KEPT_EACH;
  if (position[i - 1] != UINT32_MAX && fabsf(x) <= fabsf(value[i - 1])) return;
  for (i--; i > 0 && (position[i - 1] == UINT32_MAX || fabsf(value[i - 1]) < fabsf(x)); i--) {
    value[i] = value[i - 1];
    position[i] = position[i - 1];
  }
  value[i] = x;
  position[i] = p;
}

static void take_value(void *user, size_t layer, size_t row, size_t channel, size_t index, float x) {
  writer *w = user;
  keeping *k = &w->of[layer];
  uint32_t p = w->position[row];
  if (!k->U || p == UINT32_MAX) return;
  size_t u = channel * k->F + index;
  int32_t token = w->inputs[row];
  ((uint32_t *)k->data[COUNT])[u] += k->chosen || x > 0;
  if (!w->silent[token]) {
    ((double *)k->data[SUM])[u] += (double)x;
    ((double *)k->data[ALL])[u] += fabs((double)x);
  }
  if (token == w->f->q.model->config.bos_id) return;
  float *low = (float *)k->data[LOW] + u, *high = (float *)k->data[HIGH] + u;
  if (x < *low) *low = x;
  if (x > *high) *high = x;
  size_t side = (u * 2 + (x < 0)) * SGI_KEPT_EACH;
  if (x != 0) insert((float *)k->data[VALUE] + side, (uint32_t *)k->data[POSITION] + side, x, p);
  if (p % w->stride == 0) k->sample[u * SGI_KEPT_SAMPLE + p / w->stride] = x;
}

static sg_status begin(writer *w, const size_t *layers, size_t n, sg_error *err) {
  const sg_model *m = w->f->q.model;
  if (!(w->of = sgi_alloc(m->config.num_layers * sizeof *w->of))) return sgi_fail_memory(err, n, "neurons");
  for (size_t i = 0; i < n; i++) {
    keeping *k = &w->of[layers[i]];
    const sgi_sublayer *s = sgi_feedforward_of(m, layers[i]);
    size_t bytes;
    *k = (keeping){.F = s->config->num_neurons, .chosen = s->ffn->routes != NULL};
    size_t U = units_of(m, layers[i]);
    if (!sgi_size_mul(U, SGI_KEPT_SAMPLE * sizeof(float), &bytes) || !(k->sample = sgi_alloc(bytes)))
      return sgi_fail_memory(err, U * SGI_KEPT_SAMPLE * sizeof(float), "a sample of values");
    k->U = U;
    for (size_t t = 0; t < N_TENSORS; t++)
      if (!(k->data[t] = sgi_alloc(U * tensors[t].width * tensors[t].bytes)))
        return sgi_fail_memory(err, U * tensors[t].width * tensors[t].bytes, "neurons");
    for (size_t j = 0; j < U * SGI_KEPT_SAMPLE; j++) k->sample[j] = NAN;
    memset(k->data[POSITION], 0xff, U * 2 * SGI_KEPT_EACH * 4);
    for (size_t u = 0; u < U; u++) {
      ((float *)k->data[LOW])[u] = INFINITY;
      ((float *)k->data[HIGH])[u] = -INFINITY;
    }
  }
  return SG_OK;
}

/* Rows [d, d + rows) as the shards' batches have them. */
static void gather(writer *w, size_t d, size_t rows, size_t T) {
  const sgi_record_request *q = &w->f->q;
  const sg_config *c = &q->model->config;
  for (size_t r = 0; r < rows; r++) {
    size_t n, length = sgi_record_length(w->f, d + r);
    const int32_t *ids = q->documents.get(q->documents.source, d + r, &n);
    for (size_t t = 0; t < T; t++) {
      size_t from = q->unshifted ? t : t - 1;
      int32_t filler = c->pad_id >= 0 ? c->pad_id : c->eos_id;
      w->inputs[r * T + t] = !q->unshifted && !t ? c->bos_id : from < n ? ids[from] : filler;
      w->position[r * T + t] = t < length ? (uint32_t)w->at++ : UINT32_MAX;
    }
  }
}

static sg_status run(writer *w, size_t documents, size_t longest, bool (*progress)(void *user, size_t done), void *user,
                     sg_error *err) {
  const sgi_record_request *q = &w->f->q;
  size_t want = BATCH / longest, rows;
  sgi_unit_watch watch = {.value = take_value, .user = w};
  sgi_pass *pass = NULL;
  sg_status st = sgi_pass_fit_within(&q->model->config, want ? want : 1, longest, false, q->max_memory, &rows, err);
  if (!st) st = sgi_pass_create(q->model, rows, longest, false, &pass, err);
  if (!st) {
    w->inputs = sgi_alloc(rows * longest * sizeof *w->inputs);
    w->position = sgi_alloc(rows * longest * sizeof *w->position);
    if (!w->inputs || !w->position) st = sgi_fail_memory(err, rows * longest * 8, "rows of tokens");
  }
  for (size_t d = 0; d < documents && !st;) {
    size_t n = 0, T = 0;
    for (; n < rows && d + n < documents; n++) {
      size_t length = sgi_record_length(w->f, d + n);
      if (length > T) T = length;
    }
    gather(w, d, n, T);
    sgi_batch b = {.B = n, .T = T, .inputs = w->inputs};
    st = sgi_pass_forward(pass, &b, &(sgi_tap){.visit = sgi_unit_watch_visit, .user = &watch, .err = err}, err);
    d += n;
    if (!st && !progress(user, w->at)) st = sgi_fail(err, SG_ERR_CANCELLED, "the recording was stopped");
  }
  sgi_unit_watch_deinit(&watch);
  sgi_pass_free(pass);
  return st;
}

/* Bins of the samples; a neuron without any value has the range 0 to 0. */
static void finish(keeping *k) {
  for (size_t u = 0; u < k->U; u++) {
    float *low = (float *)k->data[LOW] + u, *high = (float *)k->data[HIGH] + u;
    if (*low > *high) *low = *high = 0;
    for (size_t i = 0; i < SGI_KEPT_SAMPLE; i++) {
      float x = k->sample[u * SGI_KEPT_SAMPLE + i];
      if (isnan(x)) continue;
      double part = *high > *low ? ((double)x - (double)*low) / ((double)*high - (double)*low) : 0;
      size_t bin = (size_t)(part * SGI_KEPT_BINS);
      ((uint32_t *)k->data[HISTOGRAM])[u * SGI_KEPT_BINS + (bin < SGI_KEPT_BINS ? bin : SGI_KEPT_BINS - 1)]++;
    }
  }
}

static sg_status save(const writer *w, const size_t *layers, size_t n, const char *path, sg_error *err) {
  sgi_tensor *t = sgi_alloc(n * N_TENSORS * sizeof *t);
  char(*names)[SGI_RECORD_NAME] = sgi_alloc(n * N_TENSORS * sizeof *names);
  sgi_safetensors_writer *file = NULL;
  sg_status st = t && names ? SG_OK : sgi_fail_memory(err, n * N_TENSORS * sizeof *t, "a file of neurons");
  for (size_t i = 0; i < n * N_TENSORS && !st; i++) {
    size_t k = i % N_TENSORS, U = w->of[layers[i / N_TENSORS]].U, width = tensors[k].width;
    char what[32];
    snprintf(what, sizeof what, "kept.%s", tensors[k].name);
    sgi_record_tensor_name(names[i], layers[i / N_TENSORS], what);
    t[i] = (sgi_tensor){.name = names[i], .dtype = tensors[k].type, .n_dims = width > 1 ? 2 : 1, .dims = {U, width}};
  }
  if (!st) st = sgi_safetensors_writer_open(path, t, n * N_TENSORS, NULL, 0, &file, err);
  for (size_t i = 0; i < n * N_TENSORS && !st; i++) {
    const keeping *k = &w->of[layers[i / N_TENSORS]];
    size_t which = i % N_TENSORS;
    st =
        sgi_safetensors_writer_put(file, i, 0, k->data[which], k->U * tensors[which].width * tensors[which].bytes, err);
  }
  if (file && st) sgi_safetensors_writer_drop(file);
  if (file && !st) st = sgi_safetensors_writer_close(file, err);
  sgi_free(t);
  sgi_free(names);
  return st;
}

sg_status sgi_kept_write(const sgi_record_form *f, const size_t *layers, size_t n, size_t documents, size_t positions,
                         size_t longest, const char *path, bool (*progress)(void *user, size_t done), void *user,
                         sg_error *err) {
  writer w = {.f = f, .positions = positions};
  w.stride = (positions + SGI_KEPT_SAMPLE - 1) / SGI_KEPT_SAMPLE;
  w.silent = sgi_label_silent(f->q.model, f->q.tokenizer);
  sg_status st = w.silent ? begin(&w, layers, n, err) : sgi_fail_memory(err, 1, "neurons");
  if (!st) st = run(&w, documents, longest, progress, user, err);
  for (size_t i = 0; i < n && !st; i++) finish(&w.of[layers[i]]);
  if (!st) st = save(&w, layers, n, path, err);
  for (size_t l = 0; w.of && l < f->q.model->config.num_layers; l++) {
    for (size_t t = 0; t < N_TENSORS; t++) sgi_free(w.of[l].data[t]);
    sgi_free(w.of[l].sample);
  }
  sgi_free(w.of);
  sgi_free((void *)(uintptr_t)w.silent);
  sgi_free(w.inputs);
  sgi_free(w.position);
  return st;
}
