#include "read/record_shard.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "core/half.h"
#include "math/topk.h"

enum { LOGIT_ROWS = 64, BATCH_TOKENS = 8192 };

struct sgi_shard_writer {
  const sgi_record_form *f;
  sgi_pass *pass;
  size_t max_rows;
  int32_t *inputs, *targets; /* (max_rows, longest document) */
  size_t *length;            /* (max_rows) recorded places of each row */
  char *pack;                /* converted rows of a batch */
  float *head, *best_value;  /* (LOGIT_ROWS, V), (LOGIT_ROWS, 5) */
  int32_t *best;             /* (LOGIT_ROWS, 5) */

  /* the batch that runs */
  sgi_safetensors_writer *file;
  size_t rows, T, at; /* at: its first position in the shard */
  const float *logits;
  size_t logits_width;
};

size_t sgi_record_length(const sgi_record_form *f, size_t i) {
  size_t n;
  f->q.documents.get(f->q.documents.source, i, &n);
  return f->q.padding || n > f->q.seq_len ? f->q.seq_len : n;
}

/* ---- what a model has to record -------------------------------------------------------------- */

/* Of a layer's gates, pool by pool, or NULL. New: sgi_free. */
static sg_status thresholds_of(const sg_model *m, const sgi_sublayer *s, const float **out, sg_error *err) {
  size_t pools = s->config->options.meta_experts ? s->config->options.meta_experts : 1, C = s->config->num_channels,
         n = 0;
  float *theta = NULL;
  for (size_t i = 0; i < s->n_tensors; i++) {
    if (!m->table.rows[s->row[i]].threshold) continue;
    if (!theta && !(theta = sgi_alloc(pools * C * sizeof *theta)))
      return sgi_fail_memory(err, pools * C * sizeof *theta, "thresholds");
    memcpy(theta + n++ * C, s->w[i], C * sizeof *theta);
  }
  *out = theta;
  return SG_OK;
}

sg_status sgi_record_sizes(const sg_model *m, sgi_record_form *f, sg_error *err) {
  for (size_t i = 0; i < f->n_layers; i++) {
    sgi_gates g;
    const sgi_sublayer *s;
    sg_status st = sgi_feedforward_find(m, f->layers[i], &s, err);
    if (st) return st;
    sgi_layer_gates(m, f->layers[i], &g);
    /* An activation for every chosen unit; hidden units of experts have other sizes. */
    sgi_site_id choice = sgi_ffn_site(s->ffn, SGI_SITE_CHOICE);
    const sgi_site_row *row = sgi_site_row_of(sgi_ffn_site(s->ffn, SGI_SITE_VALUES));
    f->slots[i] = (sgi_slot){.channels = g.channels,
                             .top_k = g.top_k,
                             .pool = g.pool,
                             .pool_per_channel = g.pool_per_channel,
                             .has_values = row->chosen_by == choice && row->n_axes == sgi_site_row_of(choice)->n_axes,
                             .pools = s->config->options.meta_experts,
                             .picks = s->config->options.meta_top_k};
    st = thresholds_of(m, s, &f->slots[i].thresholds, err);
    if (st) return st;
  }
  return SG_OK;
}

/* ---- writing one batch ----------------------------------------------------------------------- */

/* Rows (rows,T,width bytes) without what lies behind each row's length, as the next range of a
 * tensor. */
static sg_status put(sgi_shard_writer *w, size_t tensor, const void *data, size_t width, sg_error *err) {
  size_t n = 0;
  for (size_t r = 0; r < w->rows; r++) {
    memmove(w->pack + n, (const char *)data + r * w->T * width, w->length[r] * width);
    n += w->length[r] * width;
  }
  return sgi_safetensors_writer_put(w->file, tensor, w->at * width, w->pack, n, err);
}

static size_t entries(const sgi_shard_writer *w, size_t slot) {
  return w->f->slots[slot].channels * w->f->slots[slot].top_k;
}

static sg_status put_scores(sgi_shard_writer *w, size_t tensor, size_t slot, const float *score, sg_error *err) {
  size_t m = entries(w, slot);
  for (size_t r = 0; r < w->rows; r++)
    for (size_t i = r * w->T * m; i < (r * w->T + w->length[r]) * m; i++)
      if (!isfinite(score[i]))
        return sgi_fail(err, SG_ERR_NUMERIC, "layer %zu: a score is NaN or infinite: this model can not be recorded",
                        w->f->layers[slot]);
  return put(w, tensor, score, m * sizeof *score, err);
}

/* In place: each element moves down to where a narrower one begins. */
static sg_status put_indices(sgi_shard_writer *w, size_t tensor, size_t slot, int32_t *index, sg_error *err) {
  size_t m = entries(w, slot), n = w->rows * w->T * m;
  if (sgi_record_index_size(&w->f->slots[slot]) == sizeof *index) return put(w, tensor, index, m * sizeof *index, err);
  int16_t *narrow = (int16_t *)(void *)w->pack;
  for (size_t i = 0; i < n; i++) narrow[i] = (int16_t)index[i];
  return put(w, tensor, narrow, m * sizeof *narrow, err);
}

static uint16_t to_half(float x) { return sgi_to_half(x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x); }

/* m numbers a position. */
static sg_status put_values(sgi_shard_writer *w, size_t tensor, size_t m, const float *value, sg_error *err) {
  size_t n = w->rows * w->T * m;
  if (w->f->value_size == sizeof *value) return put(w, tensor, value, m * sizeof *value, err);
  uint16_t *half = (uint16_t *)(void *)w->pack;
#pragma omp parallel for schedule(static) if (n > 4096)
  for (size_t i = 0; i < n; i++) half[i] = to_half(value[i]);
  return put(w, tensor, half, m * sizeof *half, err);
}

/* Scores of experts are the logits of those chosen. */
static sg_status put_chosen(sgi_shard_writer *w, size_t tensor, size_t slot, const int32_t *index, sg_error *err) {
  size_t K = w->f->slots[slot].top_k, n = w->rows * w->T;
  float *chosen = (float *)(void *)w->pack;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < K; k++) chosen[i * K + k] = w->logits[i * w->logits_width + (size_t)index[i * K + k]];
  return put_scores(w, tensor, slot, chosen, err);
}

/* Number of the slot's first tensor in a shard. */
static size_t first_tensor(const sgi_record_form *f, size_t slot) {
  size_t n = SGI_SHARD_LAYERS;
  for (size_t i = 0; i < slot; i++) n += (sgi_record_value_size(f, i) ? 3 : 2) + (f->slots[i].pools ? 2 : 0);
  return n;
}

/* They come whole: all rows of the batch at once. */
static sg_status put_beside(sgi_shard_writer *w, const sgi_site *s, size_t wanted, sg_error *err) {
  const sgi_record_form *f = w->f;
  size_t tensor = first_tensor(f, f->n_layers), width = sgi_site_width(s);
  const float *x = s->data;
  for (size_t i = 0; i < f->n_beside; i++)
    for (size_t part = 0; part < SGI_RECORDED_BESIDE; part++) {
      if (!f->beside[i].width[part]) continue;
      if (f->beside[i].layer != (size_t)s->layer || part != wanted) {
        tensor++;
        continue;
      }
      for (size_t k = 0; k < s->n * width; k++)
        if (!isfinite(x[k]))
          return sgi_fail(err, SG_ERR_NUMERIC, "layer %td: %s is NaN or infinite: this model can not be recorded",
                          s->layer, sgi_site_row_of(s->id)->name);
      return put_values(w, tensor, width, x, err);
    }
  return SG_OK;
}

static sg_status watch(void *user, const sgi_site *s, sg_error *err) {
  sgi_shard_writer *w = user;
  const sgi_record_form *f = w->f;
  size_t slot = 0;
  if (s->layer < 0) return SG_OK;
  if (s->id == SGI_SITE_ALWAYS || s->id == SGI_SITE_SINK_OUT)
    return put_beside(w, s, s->id == SGI_SITE_ALWAYS ? SGI_RECORDED_ALWAYS : SGI_RECORDED_SINK, err);
  while (slot < f->n_layers && f->layers[slot] != (size_t)s->layer) slot++;
  if (slot == f->n_layers) return SG_OK;
  size_t tensor = first_tensor(f, slot);
  const sgi_site_row *row = sgi_site_row_of(s->id);
  if (row->role == SGI_SITE_SCORES && row->chosen_by) return put_scores(w, tensor + 1, slot, s->data, err);
  if (row->role == SGI_SITE_SCORES) { /* of every unit: those of the chosen are written when they are known */
    w->logits = s->data;
    w->logits_width = sgi_site_width(s);
  }
  if (row->role == SGI_SITE_CHOICE) {
    sg_status st = w->logits ? put_chosen(w, tensor + 1, slot, s->data, err) : SG_OK;
    w->logits = NULL;
    return st ? st : put_indices(w, tensor, slot, s->data, err);
  }
  size_t behind = tensor + (sgi_record_value_size(f, slot) ? 3 : 2); /* a metarouter's two */
  if (s->id == SGI_SITE_META_PROBABILITIES) return put(w, behind, s->data, f->slots[slot].pools * sizeof(float), err);
  if (s->id == SGI_SITE_META_CHOICE) return put(w, behind + 1, s->data, f->slots[slot].picks * sizeof(int32_t), err);
  bool values = sgi_record_value_size(f, slot) && row->role == SGI_SITE_VALUES;
  return values ? put_values(w, tensor + 2, entries(w, slot), s->data, err) : SG_OK;
}

/* The five best tokens at every recorded place of the batch. */
static sg_status put_predictions(sgi_shard_writer *w, sg_error *err) {
  size_t V = w->f->q.model->config.vocab_size, at = w->at, k = V < SGI_RECORD_PREDICTIONS ? V : SGI_RECORD_PREDICTIONS;
  sg_status st = SG_OK;
  for (size_t r = 0; r < w->rows && !st; r++)
    for (size_t t = 0; t < w->length[r] && !st; t += LOGIT_ROWS) {
      size_t n = w->length[r] - t < LOGIT_ROWS ? w->length[r] - t : LOGIT_ROWS;
      st = sgi_pass_logits(w->pass, r * w->T + t, n, w->head, err);
      if (st) break;
      memset(w->best, 0, LOGIT_ROWS * SGI_RECORD_PREDICTIONS * sizeof *w->best);
#pragma omp parallel for schedule(static) if (n > 4)
      for (size_t i = 0; i < n; i++)
        sgi_topk(w->best_value + i * SGI_RECORD_PREDICTIONS, w->best + i * SGI_RECORD_PREDICTIONS, w->head + i * V, V,
                 k);
      size_t width = SGI_RECORD_PREDICTIONS * sizeof *w->best;
      st = sgi_safetensors_writer_put(w->file, SGI_SHARD_PREDICTIONS, (at + t) * width, w->best, n * width, err);
      if (t + n == w->length[r]) at += w->length[r];
    }
  return st;
}

/* Fills the batch with documents from d on; returns how many. */
static size_t gather(sgi_shard_writer *w, size_t d, size_t left) {
  const sgi_record_request *q = &w->f->q;
  const sg_config *c = &q->model->config;
  size_t rows = 0, T = 0;
  for (; rows < left && rows < w->max_rows; rows++) {
    w->length[rows] = sgi_record_length(w->f, d + rows);
    if (w->length[rows] > T) T = w->length[rows];
  }
  for (size_t r = 0; r < rows; r++) {
    size_t n;
    const int32_t *ids = q->documents.get(q->documents.source, d + r, &n);
    int32_t *targets = w->targets + r * T, *inputs = w->inputs + r * T;
    for (size_t t = 0; t < T; t++) targets[t] = t < n ? ids[t] : c->pad_id >= 0 ? c->pad_id : c->eos_id;
    for (size_t t = 0; t < T; t++) inputs[t] = q->unshifted ? targets[t] : t ? targets[t - 1] : c->bos_id;
  }
  w->rows = rows;
  w->T = T;
  return rows;
}

static sg_status put_places(sgi_shard_writer *w, size_t document, sg_error *err) {
  int32_t *number = (int32_t *)(void *)w->pack;
  size_t n = 0;
  for (size_t r = 0; r < w->rows; r++) n += w->length[r];
  for (int place = 0; place < 2; place++) {
    size_t i = 0;
    for (size_t r = 0; r < w->rows; r++)
      for (size_t t = 0; t < w->length[r]; t++) number[i++] = (int32_t)(place ? t : document + r);
    sg_status st = sgi_safetensors_writer_put(w->file, place ? SGI_SHARD_PLACE : SGI_SHARD_DOCUMENT,
                                              w->at * sizeof *number, number, n * sizeof *number, err);
    if (st) return st;
  }
  return SG_OK;
}

static sg_status run_batch(sgi_shard_writer *w, size_t document, sg_error *err) {
  sgi_batch b = {.B = w->rows, .T = w->T, .inputs = w->inputs, .targets = w->targets};
  sg_status st = put(w, SGI_SHARD_INPUT, w->inputs, sizeof *w->inputs, err);
  if (!st) st = put(w, SGI_SHARD_TARGET, w->targets, sizeof *w->targets, err);
  if (!st) st = put_places(w, document, err);
  if (!st) st = sgi_pass_forward(w->pass, &b, &(sgi_tap){.visit = watch, .user = w, .err = err}, err);
  return st ? st : put_predictions(w, err);
}

/* ---- one shard ------------------------------------------------------------------------------- */

static sg_status open_file(sgi_shard_writer *w, size_t n, const char *path, sg_error *err) {
  const sgi_record_form *f = w->f;
  size_t count = first_tensor(f, f->n_layers);
  for (size_t i = 0; i < f->n_beside; i++) count += sgi_recorded_beside_tensors(&f->beside[i]);
  sgi_tensor *t = sgi_alloc(count * sizeof *t);
  char(*names)[SGI_RECORD_NAME] = sgi_alloc(count * sizeof *names);
  sg_status st = SG_OK;
  if (!t || !names) {
    st = sgi_fail_memory(err, count * sizeof *names, "a shard");
  } else {
    static const char *const plain[] = {"input", "target", "document", "place", "predictions"};
    for (size_t i = 0; i < SGI_SHARD_LAYERS; i++)
      t[i] = (sgi_tensor){.name = plain[i],
                          .dtype = SGI_I32,
                          .n_dims = i == SGI_SHARD_PREDICTIONS ? 2 : 1,
                          .dims = {n, SGI_RECORD_PREDICTIONS}};
    static const char *const parts[] = {"router.indices", "router.scores", "neurons"};
    for (size_t slot = 0, i = SGI_SHARD_LAYERS; slot < f->n_layers; slot++) {
      const sgi_slot *z = &f->slots[slot];
      sgi_dtype types[] = {sgi_record_index_size(z) == 2 ? SGI_I16 : SGI_I32, SGI_F32,
                           f->value_size == 2 ? SGI_F16 : SGI_F32};
      for (size_t part = 0; part < (sgi_record_value_size(f, slot) ? 3 : 2); part++, i++) {
        sgi_record_tensor_name(names[i], f->layers[slot], parts[part]);
        t[i] = (sgi_tensor){.name = names[i], .dtype = types[part], .n_dims = 3, .dims = {n, z->channels, z->top_k}};
      }
      for (size_t part = 0; part < (z->pools ? 2 : 0); part++, i++) {
        sgi_record_tensor_name(names[i], f->layers[slot], part ? "meta.choice" : "meta.probabilities");
        t[i] = (sgi_tensor){
            .name = names[i], .dtype = part ? SGI_I32 : SGI_F32, .n_dims = 2, .dims = {n, part ? z->picks : z->pools}};
      }
    }
    for (size_t k = 0, i = first_tensor(f, f->n_layers); k < f->n_beside; k++)
      for (size_t part = 0; part < SGI_RECORDED_BESIDE; part++) {
        if (!f->beside[k].width[part]) continue;
        sgi_record_tensor_name(names[i], f->beside[k].layer, sgi_recorded_beside_name(part));
        t[i] = (sgi_tensor){.name = names[i],
                            .dtype = f->value_size == 2 ? SGI_F16 : SGI_F32,
                            .n_dims = 2,
                            .dims = {n, f->beside[k].width[part]}};
        i++;
      }
    st = sgi_safetensors_writer_open(path, t, count, NULL, 0, &w->file, err);
  }
  sgi_free(t);
  sgi_free(names);
  return st;
}

sg_status sgi_shard_write(sgi_shard_writer *w, const sgi_record_span *span, const char *path,
                          bool (*progress)(void *user, size_t done), void *user, sg_error *err) {
  sg_status st = open_file(w, span->positions, path, err);
  if (st) return st;
  w->at = 0;
  for (size_t i = 0; i < span->documents && !st;) {
    size_t rows = gather(w, span->first + i, span->documents - i);
    st = run_batch(w, span->first + i, err);
    for (size_t r = 0; r < rows; r++) w->at += w->length[r];
    i += rows;
    if (!st && !progress(user, w->at)) st = sgi_fail(err, SG_ERR_CANCELLED, "the recording was stopped");
  }
  if (st)
    sgi_safetensors_writer_drop(w->file);
  else
    st = sgi_safetensors_writer_close(w->file, err);
  w->file = NULL;
  return st;
}

sg_status sgi_shard_writer_create(const sgi_record_form *f, size_t longest, sgi_shard_writer **out, sg_error *err) {
  *out = NULL;
  const sg_config *c = &f->q.model->config;
  size_t want = BATCH_TOKENS / longest, rows;
  sg_status st = sgi_pass_fit_within(c, want ? want : 1, longest, false, f->q.max_memory, &rows, err);
  if (st) return st;
  sgi_shard_writer *w = sgi_alloc(sizeof *w);
  if (!w) return sgi_fail_memory(err, sizeof *w, "a recorder");
  *w = (sgi_shard_writer){.f = f, .max_rows = rows};
  size_t n = rows * longest, m = 1, V = c->vocab_size;
  for (size_t i = 0; i < f->n_layers; i++)
    m = entries(w, i) > m ? entries(w, i) : f->slots[i].pools > m ? f->slots[i].pools : m;
  for (size_t i = 0; i < f->n_beside; i++)
    for (size_t part = 0; part < SGI_RECORDED_BESIDE; part++)
      if (f->beside[i].width[part] > m) m = f->beside[i].width[part];
  w->inputs = sgi_alloc(n * sizeof *w->inputs);
  w->targets = sgi_alloc(n * sizeof *w->targets);
  w->length = sgi_alloc(rows * sizeof *w->length);
  w->pack = sgi_alloc(n * m * sizeof(float));
  w->head = sgi_alloc(LOGIT_ROWS * V * sizeof *w->head);
  w->best = sgi_alloc(LOGIT_ROWS * SGI_RECORD_PREDICTIONS * sizeof *w->best);
  w->best_value = sgi_alloc(LOGIT_ROWS * SGI_RECORD_PREDICTIONS * sizeof *w->best_value);
  if (!w->inputs || !w->targets || !w->length || !w->pack || !w->head || !w->best || !w->best_value)
    st = sgi_fail_memory(err, n * m * sizeof(float), "a recorder");
  if (!st) st = sgi_pass_create(f->q.model, rows, longest, false, &w->pass, err);
  if (st)
    sgi_shard_writer_free(w);
  else
    *out = w;
  return st;
}

void sgi_shard_writer_free(sgi_shard_writer *w) {
  if (!w) return;
  sgi_pass_free(w->pass);
  sgi_free(w->inputs);
  sgi_free(w->targets);
  sgi_free(w->length);
  sgi_free(w->pack);
  sgi_free(w->head);
  sgi_free(w->best);
  sgi_free(w->best_value);
  sgi_free(w);
}
