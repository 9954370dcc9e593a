#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bundle.h"
#include "core/manifest.h"
#include "core/safetensors.h"
#include "model/config.h"
#include "model/weights.h"

enum { STATE_FORMAT = 1, BROUGHT = 1 << 20 }; /* floats of a shard that the lead asks for at a time */
static const char PREFIX[] = SGI_CHECKPOINT_PREFIX, SETTINGS[] = "settings.json";

/* In the middle of an accumulation. */
static bool between(const sgi_trainer *t) { return t->steps % t->settings.accumulation; }

/* optimizer.safetensors: the optimizer's moments, "m.NAME", "v.NAME", and, in the middle of an
 * accumulation, "sum.NAME". */
static size_t parts(const sgi_trainer *t) { return t->settings.optimizer.ops->n_moments + (t->sum && between(t)); }
/* Of the trainer's shard. */
static float *part_floats(const sgi_trainer *t, size_t part) {
  return part < t->settings.optimizer.ops->n_moments ? t->moment[part] : t->sum;
}
/* The floats of a row that a rank of those with the same weights keeps; false: none. */
static bool kept_by(const sgi_trainer *t, size_t rank, const sgi_row *row, size_t *from, size_t *to) {
  size_t end = row->offset + sgi_row_floats(row);
  *from = row->offset > t->bounds[rank] ? row->offset : t->bounds[rank];
  *to = end < t->bounds[rank + 1] ? end : t->bounds[rank + 1];
  return *from < *to;
}
/* The table of the whole model, of which the trainer may have a slice. */
static const sgi_table *whole_table(const sgi_trainer *t) {
  return t->who.split ? &t->who.split->table : &t->model->table;
}
static const size_t WEIGHTS = SIZE_MAX; /* a part that is none of the optimizer's */
/* Rows of which the optimizer keeps floats of the arena. */
static bool has_parts(const sgi_row *row) { return !row->state && !row->aside; }

static void part_name(const sgi_trainer *t, size_t part, const sgi_row *row, char out[SGI_MAX_TENSOR_NAME + 8]) {
  const sgi_optimizer_ops *ops = t->settings.optimizer.ops;
  snprintf(out, SGI_MAX_TENSOR_NAME + 8, "%.7s.%s", part < ops->n_moments ? ops->moments[part].name : "sum", row->name);
}

static char *in(const char *directory, const char *name) { return sgi_path_join(directory, name); }

/* "step-" and digits. */
static bool is_name(const char *name) {
  size_t n = strlen(PREFIX);
  return !strncmp(name, PREFIX, n) && name[n] && !name[n + strspn(name + n, "0123456789")];
}

/* What goes into a file, and how it gets to whoever writes it. */
typedef struct writing {
  const sgi_trainer *t;
  sgi_safetensors_writer *w; /* NULL: of a rank that only gives */
  float *room;
} writing;

/* Floats [from, to) of a row, of slice `index`, which rank `owner` of all has at x, into
 * `tensor`. */
typedef struct range {
  size_t tensor, row, index, owner, from, to;
  const float *x;
} range;

/* n floats x, the ones at `from`, to their places. */
static sg_status put_floats(const writing *k, const range *g, size_t from, const float *x, size_t n, sg_error *err) {
  const sgi_table *table = &k->t->model->table;
  size_t at = from - table->rows[g->row].offset;
  sg_status st = SG_OK;
  for (size_t run, done = 0; done < n && !st; done += run) {
    size_t place = sgi_split_place(k->t->who.split, table, g->row, g->index, at + done, &run);
    if (run > n - done) run = n - done;
    st = sgi_safetensors_writer_put(k->w, g->tensor, place * sizeof *x, x + done, run * sizeof *x, err);
  }
  return st;
}

static sg_status put_range(const writing *k, const range *g, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t n, from = g->from; from < g->to && !st; from += n) {
    const float *x = g->x ? g->x + (from - g->from) : NULL;
    n = g->to - from < BROUGHT ? g->to - from : BROUGHT;
    if (g->owner) sgi_ranks_bring(k->t->who.all, g->owner, x, k->room, n);
    if (k->w) st = put_floats(k, g, from, g->owner ? k->room : x, n, err);
  }
  return st;
}

/* A row of a part of the optimizer's, or of the weights, from whoever keeps which floats of it. */
static sg_status put_row(const writing *k, size_t part, size_t row, size_t tensor, sg_error *err) {
  const sgi_trainer *t = k->t;
  const sgi_row *r = &t->model->table.rows[row];
  size_t me = sgi_ranks_me(t->who.all), N = sgi_ranks_count(t->who.channels), slices = N;
  sg_status st = SG_OK;
  if (!sgi_split_is_part(t->who.split, &t->model->table, row)) slices = 1; /* the first has what all have */
  for (size_t c = 0; c < slices; c++)
    for (size_t d = 0; d < sgi_ranks_count(t->ranks) && !st; d++) {
      range g = {tensor, row, c, d * N + c, r->offset, r->offset + r->count, NULL};
      if (part == WEIGHTS ? d > 0 : !kept_by(t, d, r, &g.from, &g.to)) continue;
      if (g.owner == me) g.x = part == WEIGHTS ? t->model->arena + g.from : part_floats(t, part) + (g.from - t->from);
      st = put_range(k, &g, err);
    }
  return st;
}

static sg_status put_rows(const sgi_trainer *t, size_t part, size_t tensor, sgi_safetensors_writer *w, sg_error *err) {
  writing k = {t, w, NULL};
  if (w && sgi_ranks_count(t->who.all) > 1 && !(k.room = sgi_alloc(BROUGHT * sizeof *k.room)))
    return sgi_fail_memory(err, BROUGHT * sizeof *k.room, "a checkpoint");
  sg_status st = SG_OK;
  for (size_t i = 0; i < t->model->table.count && !st; i++)
    if (part == WEIGHTS || has_parts(&t->model->table.rows[i])) st = put_row(&k, part, i, tensor++, err);
  sgi_free(k.room);
  return st;
}

/* What other ranks do while the lead saves. */
static sg_status give(const sgi_trainer *t, sg_error *err) {
  sg_status st = t->who.split ? put_rows(t, WEIGHTS, 0, NULL, err) : SG_OK;
  for (size_t p = 0; p < parts(t) && !st; p++) st = put_rows(t, p, 0, NULL, err);
  return st;
}

static sgi_tensor shape_of(const sgi_row *row, const char *name) {
  sgi_tensor x = {.name = name, .dtype = SGI_F32, .n_dims = row->n_dims};
  for (int k = 0; k < row->n_dims; k++) x.dims[k] = row->dims[k];
  return x;
}

/* The whole model, of slices. */
static sg_status save_slices(const char *directory, const sgi_trainer *t, sg_error *err) {
  const sgi_table *table = whole_table(t);
  sg_model *shell = NULL;
  sgi_safetensors_writer *w = NULL;
  sgi_tensor *tensors = sgi_alloc(table->count * sizeof *tensors);
  char *path = in(directory, "model.safetensors");
  sg_status st = tensors && path ? sgi_model_shell(&t->who.split->config, &shell, err)
                                 : sgi_fail_memory(err, table->count * sizeof *tensors, "a checkpoint");
  for (size_t i = 0; i < table->count && !st; i++) tensors[i] = shape_of(&table->rows[i], table->rows[i].name);
  if (!st) st = sgi_model_save_config(shell, directory, err);
  if (!st) st = sgi_safetensors_writer_open(path, tensors, table->count, NULL, 0, &w, err);
  if (!st) st = put_rows(t, WEIGHTS, 0, w, err);
  if (!st)
    st = sgi_safetensors_writer_close(w, err);
  else
    sgi_safetensors_writer_drop(w);
  sg_model_free(shell);
  sgi_free(tensors);
  sgi_free(path);
  return st;
}

/* What is written of the optimizer: parts of the arena, and pools in int4 behind them. */
static sg_status describe(const sgi_trainer *t, sgi_tensor **out, size_t *parts_at, size_t *count, sg_error *err) {
  typedef char tensor_name[SGI_MAX_TENSOR_NAME + 8];
  const sgi_table *table = whole_table(t);
  sgi_tensor *pools = NULL;
  size_t n = 0, more = 0, most = parts(t) * table->count;
  sg_status st = t->int4 ? sgi_int4_describe(t->int4, between(t), &pools, &more, err) : SG_OK;
  sgi_tensor *tensors = *out = sgi_alloc((most + more) * (sizeof *tensors + sizeof(tensor_name)));
  if (!st && !tensors) st = sgi_fail_memory(err, most * sizeof(tensor_name), "a checkpoint");
  tensor_name *names = (tensor_name *)(void *)(tensors + most + more);
  for (size_t p = 0; p < parts(t) && !st; p++)
    for (size_t i = 0; i < table->count; i++) {
      const sgi_row *row = &table->rows[i];
      if (!has_parts(row)) continue;
      part_name(t, p, row, names[n]);
      tensors[n] = shape_of(row, names[n]);
      n++;
    }
  *parts_at = n;
  for (size_t i = 0; i < more && !st; i++, n++) {
    snprintf(names[n], sizeof names[n], "%s", pools[i].name);
    tensors[n] = pools[i];
    tensors[n].name = names[n];
  }
  *count = n;
  sgi_free(pools);
  return st;
}

static sg_status save_optimizer(const char *directory, const sgi_trainer *t, sg_error *err) {
  size_t n = 0, count = 0;
  sgi_tensor *tensors = NULL;
  char *path = in(directory, "optimizer.safetensors");
  sgi_safetensors_writer *w = NULL;
  sg_status st =
      path ? describe(t, &tensors, &n, &count, err) : sgi_fail_memory(err, strlen(directory), "a checkpoint");
  if (!st) st = sgi_safetensors_writer_open(path, tensors, count, NULL, 0, &w, err);
  for (size_t p = 0; p < parts(t) && !st; p++) st = put_rows(t, p, p * (n / parts(t)), w, err);
  for (size_t i = n; i < count && !st; i++)
    st = sgi_safetensors_writer_put(w, i, 0, tensors[i].data, tensors[i].bytes, err);
  if (!st)
    st = sgi_safetensors_writer_close(w, err);
  else
    sgi_safetensors_writer_drop(w);
  sgi_free(tensors);
  sgi_free(path);
  return st;
}

/* Floats [from, to) of the arena, of row i, out of the whole tensor. */
static void take_floats(const sgi_trainer *t, size_t i, float *here, const float *tensor, size_t from, size_t to) {
  const sgi_table *table = &t->model->table;
  size_t index = t->who.split ? t->who.split->index : 0;
  for (size_t run; from < to; from += run, here += run) {
    size_t place = sgi_split_place(t->who.split, table, i, index, from - table->rows[i].offset, &run);
    if (run > to - from) run = to - from;
    memcpy(here, tensor + place, run * sizeof *tensor);
  }
}

/* m: the checkpoint's model. */
static sg_status load_optimizer(const char *directory, sgi_trainer *t, const sg_model *m, sg_error *err) {
  const sgi_table *table = &t->model->table;
  sgi_safetensors *f = NULL;
  char *path = in(directory, "optimizer.safetensors"), name[SGI_MAX_TENSOR_NAME + 8];
  sg_status st = path ? sgi_safetensors_open(path, &f, err) : sgi_fail_memory(err, strlen(directory), "a path");
  for (size_t p = 0; p < parts(t) && !st; p++)
    for (size_t i = 0; i < table->count && !st; i++) {
      const sgi_row *row = &table->rows[i];
      size_t from, to;
      if (!has_parts(row)) continue;
      part_name(t, p, row, name);
      const sgi_tensor *x = sgi_safetensors_find(f, name);
      if (!x || x->dtype != SGI_F32 || x->count != whole_table(t)->rows[i].count)
        st = sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s is missing or of another size", path, name);
      else if (kept_by(t, sgi_ranks_me(t->ranks), row, &from, &to))
        take_floats(t, i, part_floats(t, p) + (from - t->from), x->data, from, to);
    }
  if (!st && t->int4) st = sgi_int4_load(t->int4, f, path, m, between(t), err);
  sgi_safetensors_close(f);
  sgi_free(path);
  return st;
}

static sg_status save_state(const char *directory, const sgi_progress_state *s, sg_error *err) {
  char *path = in(directory, "train_state.json"), hash[24];
  snprintf(hash, sizeof hash, "%016llx", (unsigned long long)s->data_hash);
  json_t *o = json_pack("{s:i, s:I, s:I, s:I, s:f, s:f, s:s, s:I, s:s, s:b}", "format", STATE_FORMAT, "step",
                        (json_int_t)s->step, "updates", (json_int_t)s->updates, "tokens", (json_int_t)s->tokens,
                        "flops", s->flops, "seconds", s->seconds, "data_hash", hash, "metrics_bytes",
                        (json_int_t)s->metrics_bytes, "best", s->best, "evaluation_due", s->evaluation_due);
  if (o && isfinite(s->best_loss)) json_object_set_new(o, "best_loss", json_real(s->best_loss));
  sg_status st =
      path && o ? sgi_json_save(path, o, err) : sgi_fail_memory(err, strlen(directory), "a checkpoint's state");
  json_decref(o);
  sgi_free(path);
  return st;
}

static sg_status read_state(const json_t *o, const char *where, sgi_progress_state *s, sg_error *err) {
  static const char *const keys[] = {"format",    "step",          "updates", "tokens",    "flops",         "seconds",
                                     "data_hash", "metrics_bytes", "best",    "best_loss", "evaluation_due"};
  char hash[24], *end;
  size_t format;
  sg_status st = sgi_json_only_keys(o, where, keys, SGI_COUNT(keys), err);
  if (!st) st = sgi_json_size(o, where, "format", STATE_FORMAT, STATE_FORMAT, &format, err);
  if (!st) st = sgi_json_u64(o, where, "step", &s->step, err);
  if (!st) st = sgi_json_u64(o, where, "updates", &s->updates, err);
  if (!st) st = sgi_json_u64(o, where, "tokens", &s->tokens, err);
  if (!st) st = sgi_json_real(o, where, "flops", 0, 1e300, &s->flops, err);
  if (!st) st = sgi_json_real(o, where, "seconds", 0, 1e300, &s->seconds, err);
  if (!st) st = sgi_json_string(o, where, "data_hash", hash, sizeof hash, err);
  if (!st) st = sgi_json_u64(o, where, "metrics_bytes", &s->metrics_bytes, err);
  if (!st) st = sgi_json_string(o, where, "best", s->best, sizeof s->best, err);
  if (!st) st = sgi_json_bool(o, where, "evaluation_due", &s->evaluation_due, err);
  if (!st && s->best[0] && !is_name(s->best))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: best is \"%s\": expected the name of a checkpoint", where, s->best);
  s->best_loss = INFINITY;
  if (!st && json_object_get(o, "best_loss"))
    st = sgi_json_real(o, where, "best_loss", -1e300, 1e300, &s->best_loss, err);
  if (st) return st;
  s->data_hash = strtoull(hash, &end, 16);
  return *end || !*hash
             ? sgi_fail(err, SG_ERR_FORMAT, "%s: data_hash is \"%s\": expected hexadecimal digits", where, hash)
             : SG_OK;
}

static sg_status copy_tokenizer(const char *from, const char *directory, sg_error *err) {
  char *path = in(directory, "tokenizer.json");
  sg_status st =
      path ? sgi_copy_file(from, path, SGI_TOKENIZER_BYTES, err) : sgi_fail_memory(err, strlen(directory), "a path");
  sgi_free(path);
  return st;
}

static sg_status save_settings(const char *directory, const json_t *settings, sg_error *err) {
  char *path = in(directory, SETTINGS);
  sg_status st = path ? sgi_json_save(path, settings, err) : sgi_fail_memory(err, strlen(directory), "a path");
  sgi_free(path);
  return st;
}

sg_status sgi_checkpoint_settings(const char *directory, json_t **out, sg_error *err) {
  char *path = in(directory, SETTINGS);
  *out = NULL;
  if (!path) return sgi_fail_memory(err, strlen(directory), "a path");
  sg_status st = sgi_is_file(path) ? sgi_json_load(path, out, err) : SG_OK;
  sgi_free(path);
  return st;
}

static const char *const required[] = {"config.json", "model.safetensors", "optimizer.safetensors", "train_state.json",
                                       NULL};

sg_status sgi_checkpoint_verify(const char *directory, sg_error *err) {
  return sgi_manifest_verify(directory, required, false, err);
}

static sg_status verify_known(const char *directory, sg_error *err) {
  return sgi_manifest_verify(directory, required, true, err);
}

size_t sgi_checkpoint_bytes(size_t floats, size_t parts, size_t pools) {
  return floats * sizeof(float) * (1 + parts) + pools + (1 << 20);
}

/* Room is looked for before anything is written: a full disk is better met early. */
static sg_status check_room(const char *run, const sgi_trainer *t, sg_error *err) {
  const sgi_pools *pools = t->model->pools;
  size_t aside = pools ? sgi_pools_weights(&t->model->table) : 0;
  uint64_t have = sgi_disk_free(run);
  uint64_t need = sgi_checkpoint_bytes(whole_table(t)->parameters - aside, parts(t), pools ? pools->bytes : 0) / 5 * 6;
  if (!have || have >= need) return SG_OK;
  return sgi_fail(err, SG_ERR_SPACE, "%s: a checkpoint needs %llu MB and %llu MB are free: make room and resume", run,
                  (unsigned long long)(need >> 20), (unsigned long long)(have >> 20));
}

sg_status sgi_checkpoint_save(const char *run, const sgi_trainer *t, const sgi_progress_state *state,
                              const char *tokenizer, const json_t *settings, char name[64], sg_error *err) {
  snprintf(name, 64, "%s%08llu", PREFIX, (unsigned long long)state->step);
  if (!sgi_ranks_lead(t->who.all)) return give(t, err);
  char *parent = in(run, "checkpoints");
  if (!parent) return sgi_fail_memory(err, strlen(run), "a path");
  sgi_bundle *b = NULL;
  sg_status st = check_room(run, t, err);
  if (!st) st = sgi_bundle_begin(parent, name, &b, err);
  if (!st)
    st = t->who.split ? save_slices(sgi_bundle_path(b), t, err) : sg_model_save(t->model, sgi_bundle_path(b), err);
  if (!st && tokenizer) st = copy_tokenizer(tokenizer, sgi_bundle_path(b), err);
  if (!st) st = save_optimizer(sgi_bundle_path(b), t, err);
  if (!st) st = save_state(sgi_bundle_path(b), state, err);
  if (!st && settings) st = save_settings(sgi_bundle_path(b), settings, err);
  if (st)
    sgi_bundle_drop(b);
  else
    st = sgi_bundle_commit(b, "latest", err);
  sgi_free(parent);
  return st;
}

static bool same_config(const sg_config *a, const sg_config *b) {
  json_t *x = sgi_config_to_json(a), *y = sgi_config_to_json(b);
  bool same = x && y && json_equal(x, y);
  json_decref(x);
  json_decref(y);
  return same;
}

sg_status sgi_checkpoint_load(const char *directory, sgi_trainer *t, sgi_progress_state *state, sg_error *err) {
  sg_model *m = NULL;
  json_t *o = NULL;
  char *path = in(directory, "train_state.json");
  sg_status st = path ? sgi_json_load(path, &o, err) : sgi_fail_memory(err, strlen(directory), "a path");
  if (!st) st = read_state(o, path, state, err);
  if (!st) st = sg_model_load(directory, &m, err);
  if (!st && !same_config(&m->config, t->who.split ? &t->who.split->config : &t->model->config))
    st = sgi_json_state()
             ? sgi_json_incomplete(path, err)
             : sgi_fail(err, SG_ERR_ARG, "%s/config.json is not the model that the run's settings describe", directory);
  if (!st) {
    t->steps = state->step;
    t->updates = state->updates;
    const sgi_table *table = &t->model->table;
    if (t->who.split) sgi_split_copy(t->who.split, t->model, m);
    for (size_t i = 0; i < table->count && !t->who.split; i++)
      if (!table->rows[i].aside) sgi_weight_to_float(t->model->arena + table->rows[i].offset, &m->weights[i]);
    if (t->sum) memset(t->sum, 0, (t->to - t->from) * sizeof(float));
    st = load_optimizer(directory, t, m, err);
  }
  sg_model_free(m);
  json_decref(o);
  sgi_free(path);
  return st;
}

/* The name that a pointer file ("latest", "best") holds, checked to be a plain name. */
static sg_status read_pointer(const char *parent, const char *which, char name[64], sg_error *err) {
  char *path = in(parent, which), *text = NULL;
  size_t n = 0;
  sg_status st = path ? sgi_read_file(path, 256, &text, &n, err) : sgi_fail_memory(err, strlen(parent), "a path");
  if (!st) {
    text[strcspn(text, "\r\n")] = '\0';
    if (strlen(text) >= 64 || !is_name(text))
      st = sgi_fail(err, SG_ERR_FORMAT, "%s: expected the name of a checkpoint, such as step-00000100", path);
    else
      snprintf(name, 64, "%s", text);
  }
  sgi_free(text);
  sgi_free(path);
  return st;
}

/* A run's checkpoint, by a step's name, by a pointer's, or the newest that is whole. */
static sg_status choose(const char *path, const char *parent, const char *which, const sgi_skipped *tell, char **out,
                        sg_error *err) {
  char name[64] = "";
  sg_status st = SG_OK;
  bool named = which && strcmp(which, "latest");
  if (named && is_name(which) && strlen(which) < sizeof name)
    snprintf(name, sizeof name, "%s", which);
  else if (named)
    st = read_pointer(parent, which, name, err);
  else
    st = sgi_bundle_newest(parent, PREFIX, verify_known, name, sizeof name, tell ? tell->skipped : NULL,
                           tell ? tell->user : NULL, err);
  if (!st && !name[0]) st = sgi_fail(err, SG_ERR_IO, "%s: the run has no checkpoint yet", path);
  if (st) return st;
  *out = in(parent, name);
  if (!*out) return sgi_fail_memory(err, strlen(parent), "a path");
  if (named && !sgi_is_directory(*out)) return sgi_fail(err, SG_ERR_IO, "%s: the run has no such checkpoint", *out);
  return named ? verify_known(*out, err) : SG_OK;
}

/* A step's directory that was named itself has a manifest; a model directory of other origin has
 * none. */
static sg_status check_named(const char *path, sg_error *err) {
  char *manifest = in(path, SGI_MANIFEST);
  if (!manifest) return sgi_fail_memory(err, strlen(path), "a path");
  sg_status st = sgi_is_file(manifest) ? verify_known(path, err) : SG_OK;
  sgi_free(manifest);
  return st;
}

sg_status sgi_model_locate(const char *path, const char *which, const sgi_skipped *tell, char **out, sg_error *err) {
  char *parent = in(path, "checkpoints");
  sg_status st = parent ? SG_OK : sgi_fail_memory(err, strlen(path), "a path");
  *out = NULL;
  if (!st && sgi_weights_there(path)) {
    st = check_named(path, err);
    if (!st && !(*out = sgi_strdup(path))) st = sgi_fail_memory(err, strlen(path), "a path");
  } else if (!st && sgi_is_directory(parent)) {
    st = choose(path, parent, which, tell, out, err);
  } else if (!st) {
    st = sgi_fail(err, SG_ERR_IO, "%s: neither a model directory (model.safetensors) nor a run (checkpoints)", path);
  }
  if (st) {
    sgi_free(*out);
    *out = NULL;
  }
  sgi_free(parent);
  return st;
}
