#include "read/record.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/bundle.h"
#include "core/manifest.h"
#include "model/identity.h"
#include "read/kept.h"
#include "read/record_shard.h"

static const size_t DEFAULT_SHARD = (size_t)256 << 20, DEFAULT_MEMORY = (size_t)512 << 20;

struct sgi_recorder {
  sgi_record_form form;
  sgi_record_plan plan;
  sgi_record_span *spans;
  size_t longest; /* places of the longest document */
  size_t *kept;   /* (n_kept) layers whose neurons are kept one by one (kept.h) */
  size_t n_kept;
};

/* ---- plan ------------------------------------------------------------------------------------ */

static size_t position_bytes(const sgi_record_form *f) {
  size_t bytes = (SGI_SHARD_LAYERS - 1 + SGI_RECORD_PREDICTIONS) * sizeof(int32_t);
  for (size_t i = 0; i < f->n_layers; i++) {
    const sgi_slot *z = &f->slots[i];
    bytes += z->channels * z->top_k * (sgi_record_index_size(z) + sizeof(float) + sgi_record_value_size(f, i));
  }
  for (size_t i = 0; i < f->n_beside; i++) bytes += f->value_size * sgi_recorded_beside_width(&f->beside[i]);
  return bytes;
}

static sg_status next_span(sgi_recorder *r, size_t *capacity, size_t document, sg_error *err) {
  if (!sgi_room(&r->spans, capacity, r->plan.shards, sizeof *r->spans))
    return sgi_fail_memory(err, 2 * r->plan.shards * sizeof *r->spans, "a plan of shards");
  r->spans[r->plan.shards++] = (sgi_record_span){.first = document};
  return SG_OK;
}

static void count_bytes(sgi_recorder *r) {
  const sgi_record_form *f = &r->form;
  sgi_record_plan *p = &r->plan;
  uint64_t n = p->positions;
  p->circuits = p->positions * f->n_layers;
  p->shard_bytes = n * position_bytes(f);
  for (size_t i = 0; i < f->n_layers && f->q.index; i++) {
    uint64_t C = f->slots[i].channels, lists = C * f->slots[i].pool + 1;
    p->index_bytes += 8 * (lists + n * C * f->slots[i].top_k + n * (C + 1));
  }
  p->bytes_per_circuit = p->circuits ? (double)(p->shard_bytes + p->index_bytes) / (double)p->circuits : 0;
  p->neuron_bytes = sgi_kept_bytes(f->q.model, r->kept, r->n_kept);
}

static sg_status plan_shards(sgi_recorder *r, sg_error *err) {
  sgi_record_form *f = &r->form;
  sgi_record_plan *p = &r->plan;
  size_t room = (f->q.shard_bytes ? f->q.shard_bytes : DEFAULT_SHARD) / position_bytes(f), capacity = 0;
  for (size_t d = 0; d < p->documents; d++) {
    size_t n, length = sgi_record_length(f, d);
    f->q.documents.get(f->q.documents.source, d, &n);
    if (!length) return sgi_fail(err, SG_ERR_ARG, "document %zu has no token", d);
    if (n > length) p->cut_tokens += n - length;
    if (!p->shards || r->spans[p->shards - 1].positions + length > room) {
      sg_status st = next_span(r, &capacity, d, err);
      if (st) return st;
    }
    r->spans[p->shards - 1].documents++;
    r->spans[p->shards - 1].positions += length;
    p->positions += length;
    if (length > r->longest) r->longest = length;
    if (p->positions > UINT32_MAX || d > INT32_MAX)
      return sgi_fail(err, SG_ERR_ARG, "the text has more than %u positions: record fewer documents at a time",
                      UINT32_MAX);
  }
  count_bytes(r);
  return SG_OK;
}

/* Those asked for, or all: circuits of layers whose feedforward chooses its units, neurons of
 * layers where no choice names them. */
static sg_status choose_layers(sgi_recorder *r, sg_error *err) {
  sgi_record_form *f = &r->form;
  size_t L = f->q.model->config.num_layers;
  size_t most = f->q.n_layers ? f->q.n_layers : L;
  f->layers = sgi_alloc(most * sizeof *f->layers);
  f->slots = sgi_alloc(most * sizeof *f->slots);
  r->kept = sgi_alloc(most * sizeof *r->kept);
  f->beside = sgi_alloc(most * sizeof *f->beside);
  if (!f->layers || !f->slots || !r->kept || !f->beside)
    return sgi_fail_memory(err, most * sizeof *f->slots, "a list of layers");
  for (size_t i = 0; i < most; i++) {
    sgi_gates g;
    size_t l = f->q.n_layers ? f->q.layers[i] : i;
    if (l >= L) return sgi_fail(err, SG_ERR_ARG, "layer %zu: the model has layers 0 to %zu", l, L - 1);
    if (i && f->q.n_layers && l <= f->q.layers[i - 1])
      return sgi_fail(err, SG_ERR_ARG, "layers must ascend, each named once");
    if (sgi_layer_gates(f->q.model, l, &g)) f->layers[f->n_layers++] = l;
    if (sgi_kept_wanted(f->q.model, l)) r->kept[r->n_kept++] = l;
    if (f->value_size && sgi_recorded_beside_of(f->q.model, l, &f->beside[f->n_beside])) f->n_beside++;
  }
  if (f->n_layers || r->n_kept) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "these layers have no feedforward, so there is nothing to record");
}

static sg_status check(sgi_recorder *r, sg_error *err) {
  sgi_record_form *f = &r->form;
  const char *v = f->q.values;
  if (strcmp(v, "F16") && strcmp(v, "F32") && strcmp(v, "none"))
    return sgi_fail(err, SG_ERR_ARG, "values \"%s\": expected F16, F32 or none", v);
  if (!f->q.seq_len || f->q.seq_len > INT32_MAX)
    return sgi_fail(err, SG_ERR_ARG, "rows of %zu tokens can not be recorded", f->q.seq_len);
  if (f->q.padding && f->q.model->config.pad_id < 0)
    return sgi_fail(err, SG_ERR_ARG, "the model has no padding token to fill rows with");
  f->value_size = !strcmp(v, "F16") ? 2 : !strcmp(v, "F32") ? 4 : 0;
  sg_status st = choose_layers(r, err);
  if (!st) st = sgi_record_sizes(f->q.model, f, err);
  if (st) return st;
  size_t n = f->q.documents.count;
  r->plan.documents = f->q.max_documents && f->q.max_documents < n ? f->q.max_documents : n;
  if (!r->plan.documents) return sgi_fail(err, SG_ERR_ARG, "there is no document to record");
  return SG_OK;
}

sg_status sgi_recorder_create(const sgi_record_request *request, sgi_recorder **out, sg_error *err) {
  *out = NULL;
  sgi_recorder *r = sgi_alloc(sizeof *r);
  if (!r) return sgi_fail_memory(err, sizeof *r, "a recorder");
  r->form.q = *request;
  if (!request->max_memory) r->form.q.max_memory = DEFAULT_MEMORY;
  sg_status st = check(r, err);
  if (!st) st = plan_shards(r, err);
  if (st)
    sgi_recorder_free(r);
  else
    *out = r;
  return st;
}

void sgi_recorder_free(sgi_recorder *r) {
  if (!r) return;
  sgi_free(r->form.layers);
  for (size_t i = 0; r->form.slots && i < r->form.n_layers; i++)
    sgi_free((void *)(uintptr_t)r->form.slots[i].thresholds);
  sgi_free(r->form.slots);
  sgi_free(r->form.beside);
  sgi_free(r->spans);
  sgi_free(r->kept);
  sgi_free(r);
}

const sgi_record_plan *sgi_recorder_plan(const sgi_recorder *r) { return &r->plan; }

/* ---- the directory --------------------------------------------------------------------------- */

static json_t *hash_text(uint64_t h) {
  char text[17];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)h);
  return json_string(text);
}

/* Adds the sizes of a layer to o. */
static int add_slot(const sgi_record_form *f, size_t slot, json_t *o) {
  const sgi_slot *z = &f->slots[slot];
  json_t *sizes = json_pack("{s:I, s:I, s:I, s:b, s:s}", "channels", (json_int_t)z->channels, "top_k",
                            (json_int_t)z->top_k, "pool", (json_int_t)z->pool, "pool_per_channel", z->pool_per_channel,
                            "values", z->has_values ? f->q.values : "none"); /* experts are no neurons */
  int bad = json_object_update(o, sizes);
  json_t *theta = z->thresholds ? json_array() : NULL;
  for (size_t c = 0; theta && c < sgi_recording_thresholds(z); c++)
    bad |= json_array_append_new(theta, json_real(z->thresholds[c]));
  if (theta) bad |= json_object_set_new(o, "thresholds", theta);
  if (z->pools) bad |= json_object_set_new(o, "pools", json_integer((json_int_t)z->pools));
  if (z->pools) bad |= json_object_set_new(o, "picks", json_integer((json_int_t)z->picks));
  json_decref(sizes);
  return bad;
}

static bool same_sizes(const sgi_slot *a, const sgi_slot *b) {
  return a->channels == b->channels && a->top_k == b->top_k && a->pool == b->pool &&
         a->pool_per_channel == b->pool_per_channel && a->has_values == b->has_values && !a->thresholds &&
         !b->thresholds && a->pools == b->pools && a->picks == b->picks;
}

/* Layers of one size are said once, of several one by one as "sizes". */
static int add_slots(const sgi_record_form *f, json_t *o) {
  bool same = true;
  if (!f->n_layers) return 0;
  for (size_t i = 1; i < f->n_layers; i++) same = same && same_sizes(&f->slots[0], &f->slots[i]);
  if (same) return add_slot(f, 0, o);
  json_t *list = json_array();
  int bad = !list;
  for (size_t i = 0; i < f->n_layers; i++) {
    json_t *one = json_object();
    bad |= add_slot(f, i, one);
    bad |= json_array_append_new(list, one);
  }
  return bad | json_object_set_new(o, "sizes", list);
}

/* Adds the layers whose neurons are kept. */
static int add_kept(const sgi_recorder *r, json_t *o) {
  if (!r->n_kept) return 0;
  json_t *list = json_array();
  int bad = !list;
  for (size_t i = 0; i < r->n_kept; i++) {
    const sg_config *c = sgi_feedforward_of(r->form.q.model, r->kept[i])->config;
    bad |=
        json_array_append_new(list, json_pack("{s:I, s:I, s:I}", "layer", (json_int_t)r->kept[i], "channels",
                                              (json_int_t)sgi_unit_channels(c), "neurons", (json_int_t)c->num_neurons));
  }
  bad |= json_object_set_new(o, "neurons", json_pack("{s:i, s:o}", "kept", SGI_KEPT_EACH, "layers", list));
  return bad;
}

/* Adds what stands beside kinds. */
static int add_beside(const sgi_recorder *r, json_t *o) {
  const sgi_record_form *f = &r->form;
  if (!f->n_beside) return 0;
  json_t *list = sgi_recorded_beside_json(f->beside, f->n_beside);
  if (!list) return -1;
  return json_object_set_new(o, "beside", json_pack("{s:s, s:o}", "values", f->q.values, "layers", list));
}

/* recording.json: everything that fixes the bytes of the shards. */
static json_t *describe(const sgi_recorder *r) {
  const sgi_record_form *f = &r->form;
  const sgi_record_request *q = &f->q;
  const sg_config *c = &q->model->config;
  json_t *layers = json_array(), *shards = json_array();
  for (size_t i = 0; i < f->n_layers; i++) json_array_append_new(layers, json_integer((json_int_t)f->layers[i]));
  for (size_t i = 0; i < r->plan.shards; i++) {
    char name[SGI_RECORD_NAME];
    const sgi_record_span *s = &r->spans[i];
    sgi_record_shard_name(name, i);
    json_array_append_new(
        shards, json_pack("{s:s, s:I, s:I, s:I}", "file", name, "first_document", (json_int_t)s->first, "documents",
                          (json_int_t)s->documents, "positions", (json_int_t)s->positions));
  }
  json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:o, s:I, s:I, s:I, s:b, s:b, s:I, s:o}", "format", "sgatlin-recording",
                        "version", r->n_kept ? SGI_RECORD_VERSION : 1, "model", q->model_path ? q->model_path : "",
                        "data", q->data_path ? q->data_path : "", "data_hash", hash_text(q->documents.hash),
                        "documents", (json_int_t)r->plan.documents, "positions", (json_int_t)r->plan.positions,
                        "seq_len", (json_int_t)q->seq_len, "padding", q->padding, "unshifted", q->unshifted,
                        "model_layers", (json_int_t)c->num_layers, "layers", layers);
  json_t *rest = json_pack("{s:b, s:I, s:i, s:i, s:o}", "index", q->index, "vocab_size", (json_int_t)c->vocab_size,
                           "bos", c->bos_id, "pad", c->pad_id, "shards", shards);
  if (o && rest && sgi_binding_write(q->model, o) && !add_slots(f, o) && !add_kept(r, o) && !add_beside(r, o) &&
      !json_object_update(o, rest)) {
    json_decref(rest);
    return o;
  }
  json_decref(rest);
  json_decref(o);
  return NULL;
}

/* A recording of the same request goes on, another one is refused. Where the paths of model and
 * data moved but their content did not, that is the same request. One that was begun before
 * configurations were kept has none. */
static sg_status compare(const json_t *old, const json_t *now, const char *where, sg_error *err) {
  const char *key;
  const json_t *v;
  json_object_foreach((json_t *)(uintptr_t)now, key, v) {
    const json_t *then = json_object_get(old, key);
    if (!strcmp(key, "model") || !strcmp(key, "data") || json_equal(v, then)) continue;
    if (!strcmp(key, SGI_BINDING_CONFIG) && !(then && sgi_binding_differs(then, v))) continue;
    return sgi_fail(err, SG_ERR_ARG,
                    "%s belongs to a recording with another \"%s\": remove that directory or choose a new one", where,
                    key);
  }
  return SG_OK;
}

/* What a killed run left half written. */
static sg_status remove_leftovers(const char *directory, sg_error *err) {
  static const char *const ours[] = {"recording.json", "tokenizer.json", "shard-", "index-layer-", SGI_KEPT_FILE};
  return sgi_remove_temporaries(directory, ours, SGI_COUNT(ours), err);
}

static sg_status prepare(const sgi_recorder *r, const char *directory, sg_error *err) {
  char *where = sgi_path_join(directory, "recording.json"), *tokenizer = sgi_path_join(directory, "tokenizer.json");
  json_t *now = describe(r), *old = NULL;
  sg_status st =
      where && tokenizer && now ? sgi_make_directory(directory, err) : sgi_fail_memory(err, 1, "a recording");
  if (!st) st = remove_leftovers(directory, err);
  if (!st && sgi_is_file(where)) {
    st = sgi_json_load(where, &old, err);
    if (!st) st = compare(old, now, where, err);
  } else if (!st) {
    if (r->form.q.tokenizer) st = sg_tokenizer_save(r->form.q.tokenizer, tokenizer, err);
    if (!st) st = sgi_json_save(where, now, err);
  }
  json_decref(now);
  json_decref(old);
  sgi_free(where);
  sgi_free(tokenizer);
  return st;
}

/* ---- running --------------------------------------------------------------------------------- */

typedef struct watch {
  const sgi_record_events *events;
  uint64_t before, total;
} watch;

static bool advance(void *user, size_t done) {
  const watch *w = user;
  const sgi_record_events *e = w->events;
  return !e || !e->progress || e->progress(e->user, "recording", w->before + done, w->total);
}

/* A shard that is there was written whole; one of another size was not written by us. */
static sg_status is_done(const sgi_record_form *f, const sgi_record_span *s, const char *path, bool *done,
                         sg_error *err) {
  *done = false;
  if (!sgi_is_file(path)) return SG_OK;
  sgi_safetensors *file;
  sg_status st = sgi_safetensors_open(path, &file, err);
  if (st) return st;
  size_t bytes = 0;
  for (size_t i = 0; i < sgi_safetensors_count(file); i++) bytes += sgi_safetensors_at(file, i)->bytes;
  sgi_safetensors_close(file);
  if (bytes != s->positions * position_bytes(f))
    return sgi_fail(err, SG_ERR_FORMAT, "%s holds %zu bytes of tensors instead of %zu: remove it and run again", path,
                    bytes, s->positions * position_bytes(f));
  *done = true;
  return SG_OK;
}

static sg_status write_shards(sgi_recorder *r, const char *directory, const sgi_record_events *events, size_t *reused,
                              sg_error *err) {
  watch w = {.events = events, .total = r->plan.positions};
  sgi_shard_writer *writer = NULL;
  sg_status st = SG_OK;
  for (size_t i = 0; i < r->plan.shards && !st; i++) {
    char name[SGI_RECORD_NAME];
    bool done = false;
    sgi_record_shard_name(name, i);
    char *path = sgi_path_join(directory, name);
    st = path ? is_done(&r->form, &r->spans[i], path, &done, err) : sgi_fail_memory(err, 1, "a path");
    if (!st && done) {
      ++*reused;
    } else if (!st) {
      if (!writer) st = sgi_shard_writer_create(&r->form, r->longest, &writer, err);
      if (!st) st = sgi_shard_write(writer, &r->spans[i], path, advance, &w, err);
    }
    w.before += r->spans[i].positions;
    sgi_free(path);
  }
  sgi_shard_writer_free(writer);
  return st;
}

static sg_status write_index(const sgi_recorder *r, const char *directory, const sgi_record_events *events,
                             sg_error *err) {
  sgi_recording *rec;
  sg_status st = sgi_recording_open_shards(directory, &rec, err);
  for (size_t s = 0; s < r->form.n_layers && !st; s++) {
    char name[SGI_RECORD_NAME];
    sgi_record_index_name(name, r->form.layers[s]);
    char *path = sgi_path_join(directory, name);
    if (!path) st = sgi_fail_memory(err, 1, "a path");
    if (!st && !sgi_is_file(path)) st = sgi_record_index(rec, path, s, r->form.q.max_memory, err);
    sgi_free(path);
    if (!st && events && events->progress && !events->progress(events->user, "indexing", s + 1, r->form.n_layers))
      st = sgi_fail(err, SG_ERR_CANCELLED, "the recording was stopped");
  }
  sg_recording_close(rec);
  return st;
}

typedef struct neuron_watch {
  const sgi_record_events *events;
  uint64_t total;
} neuron_watch;

static bool neurons_advance(void *user, size_t done) {
  const neuron_watch *w = user;
  const sgi_record_events *e = w->events;
  return !e || !e->progress || e->progress(e->user, "neurons", done, w->total);
}

static sg_status write_kept(const sgi_recorder *r, const char *directory, const sgi_record_events *events,
                            sg_error *err) {
  if (!r->n_kept) return SG_OK;
  neuron_watch w = {events, r->plan.positions};
  char *path = sgi_path_join(directory, SGI_KEPT_FILE);
  sg_status st = path ? SG_OK : sgi_fail_memory(err, 1, "a path");
  if (!st && !sgi_is_file(path))
    st = sgi_kept_write(&r->form, r->kept, r->n_kept, r->plan.documents, r->plan.positions, r->longest, path,
                        neurons_advance, &w, err);
  sgi_free(path);
  return st;
}

/* ---- the manifest ---------------------------------------------------------------------------- */

typedef struct hashing {
  const sgi_record_events *events;
  size_t total;
} hashing;

static bool hashed(void *user, size_t done) {
  const hashing *h = user;
  const sgi_record_events *e = h->events;
  return !e || !e->progress || e->progress(e->user, "hashing", done, h->total);
}

/* names: those of the recording's files that are there. */
static size_t list_files(const sgi_recorder *r, char (*names)[SGI_RECORD_NAME]) {
  size_t n = 0;
  snprintf(names[n++], SGI_RECORD_NAME, "recording.json");
  if (r->form.q.tokenizer) snprintf(names[n++], SGI_RECORD_NAME, "tokenizer.json");
  for (size_t i = 0; i < r->plan.shards; i++) sgi_record_shard_name(names[n++], i);
  for (size_t s = 0; r->form.q.index && s < r->form.n_layers; s++) sgi_record_index_name(names[n++], r->form.layers[s]);
  if (r->n_kept) snprintf(names[n++], SGI_RECORD_NAME, SGI_KEPT_FILE);
  return n;
}

/* Written last. Files that were made again after a loss have the same bytes as before, so a
 * manifest that is there holds. */
static sg_status write_manifest(const sgi_recorder *r, const char *directory, const sgi_record_events *events,
                                sg_error *err) {
  size_t most = 3 + r->plan.shards + r->form.n_layers;
  char *path = sgi_path_join(directory, SGI_MANIFEST);
  char(*names)[SGI_RECORD_NAME] = sgi_alloc(most * sizeof *names), **list = sgi_alloc(most * sizeof *list);
  json_t *o = NULL;
  sg_status st = path && names && list ? SG_OK : sgi_fail_memory(err, most * sizeof *names, "a manifest");
  if (!st && !sgi_is_file(path)) {
    hashing h = {.events = events, .total = list_files(r, names)};
    for (size_t i = 0; i < h.total; i++) list[i] = names[i];
    st = sgi_manifest_make(directory, list, h.total, hashed, &h, &o, err);
    if (!st) st = sgi_json_save(path, o, err);
  }
  json_decref(o);
  sgi_free(path);
  sgi_free(names);
  sgi_free(list);
  return st;
}

sg_status sgi_recorder_run(sgi_recorder *r, const char *directory, const sgi_record_events *events, size_t *reused,
                           sg_error *err) {
  *reused = 0;
  sg_status st = prepare(r, directory, err);
  if (!st) st = write_shards(r, directory, events, reused, err);
  if (!st) st = write_kept(r, directory, events, err);
  if (!st && r->form.q.index) st = write_index(r, directory, events, err);
  return st ? st : write_manifest(r, directory, events, err);
}
