#include "tracer.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "card_record.h"
#include "read/neuron_record.h"
#include "compare/sparse_feature.h"
#include "core/file.h"
#include "core/json.h"
#include "core/median.h"
#include "model/identity.h"
#include "text/unicode.h"

enum { TOKENS = 10, EXAMPLES = 12, AROUND = 16, BINS = 48, QUANTILES = 99 };

/* ---- names ----------------------------------------------------------------------------------- */

static bool plain(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }

void sgi_tracer_slug(const char *text, char out[SGI_SLUG]) {
  size_t n = 0;
  for (; *text && n + 1 < SGI_SLUG; text++) {
    if (plain(*text) && (n || *text != '.'))
      out[n++] = *text;
    else if (n && out[n - 1] != '-' && *text != '\'')
      out[n++] = '-';
  }
  while (n && out[n - 1] == '-') n--;
  out[n] = 0;
  if (!n) snprintf(out, SGI_SLUG, "graph");
}

char *sgi_tracer_name(const char *path, const sg_model *model) {
  char *real = realpath(path, NULL), base[SGI_SLUG], out[SGI_SLUG + 16];
  sgi_tracer_slug(sgi_base_name(real ? real : path), base);
  free(real);
  snprintf(out, sizeof out, "%s-%08llx", base, (unsigned long long)(sgi_model_hash(model) >> 32));
  return sgi_strdup(out);
}

char *sgi_tracer_scan(const char *name) { return sgi_path_join("./graph_data/features", name); }

/* ---- one neuron ------------------------------------------------------------------------------ */

/* As the frontend takes it: line breaks and tabs as signs, a part of a character as \x.. of its
 * bytes, which it puts together again. */
static json_t *token_text(const sgi_prompt *p, int32_t id) {
  static const char *const signs[] = {"\xe2\x8f\x8e", "\xe2\x86\x92", "\xe2\x86\xb5"}; /* of \n, \t, \r */
  size_t n = 0, used = 0, at = 0;
  const char *bytes = p->tokenizer ? sg_tokenizer_token_bytes(p->tokenizer, id, &n) : NULL;
  if (!bytes) return json_sprintf("#%d", id);
  char *out = sgi_alloc(4 * n + 1);
  if (!out) return NULL;
  for (uint32_t c; at < n;) {
    size_t k = sgi_utf8_next(bytes + at, n - at, &c);
    const char *sign = c == '\n' ? signs[0] : c == '\t' ? signs[1] : c == '\r' ? signs[2] : NULL;
    if (c == SGI_BROKEN)
      for (size_t i = 0; i < k; i++) used += (size_t)snprintf(out + used, 5, "\\x%02x", (unsigned char)bytes[at + i]);
    else if (sign)
      used += (size_t)snprintf(out + used, 4, "%s", sign);
    else
      memcpy(out + used, bytes + at, k), used += k;
    at += k;
  }
  json_t *o = json_stringn(out, used);
  sgi_free(out);
  return o;
}

static json_t *ends(const sgi_prompt *p, const float *x, bool top) {
  size_t V = sg_model_config(p->model)->vocab_size;
  sgi_ranked *r = sgi_rank(x, V);
  json_t *list = r ? json_array() : NULL;
  for (size_t i = 0; list && i < TOKENS && i < V; i++)
    json_array_append_new(list, token_text(p, r[top ? i : V - 1 - i].id));
  sgi_free(r);
  return list;
}

/* One place where it fires, 16 tokens to each side within the document. Values below 0 as their
 * size, so that the frontend's shades show strength on both sides. */
static sg_status example_json(const sgi_fires *f, const sgi_firing_excerpt *e, json_t **out, sg_error *err) {
  double value[2 * AROUND + 1];
  size_t start, count, at = e->position;
  sgi_recording_document(f->rec, e->place.document, &start, &count);
  size_t first = at > start + AROUND ? at - AROUND : start;
  size_t last = at + AROUND < start + count ? at + AROUND : start + count - 1;
  sg_status st =
      sgi_neuron_recorded_values(f->rec, f->layer, f->channel, f->index, first, last + 1 - first, value, err);
  if (st) return st;
  json_t *tokens = json_array(), *acts = json_array();
  for (size_t i = first; i <= last; i++) {
    double x = e->against ? -value[i - first] : value[i - first];
    json_array_append_new(tokens, token_text(f->p, sgi_recording_at(f->rec, i).input));
    json_array_append_new(acts, json_real(x > 0 ? x : 0)); /* 0 where it did not fire, or on the other side */
  }
  *out = json_pack("{so so sI sb}", "tokens_acts_list", acts, "tokens", tokens, "train_token_ind",
                   (json_int_t)(at - first), "is_repeated_datapoint", 0);
  return *out ? SG_OK : sgi_fail_memory(err, 4096, "an example");
}

/* "for: strongest", "for: 25 % down", ... */
static sg_status quantiles_json(const sgi_fires *f, json_t *list, sg_error *err) {
  sgi_firing_excerpt e;
  sg_status st = SG_OK;
  json_t *examples = NULL;
  char last[80] = "";
  for (size_t i = 0; !st && sgi_fires_excerpt(f, i, &e); i++) {
    char name[80];
    json_t *one = NULL;
    int down = (int)lround(100 * (1 - e.quantile));
    snprintf(name, sizeof name, "%s: %s",
             e.against ? "against what it writes (value below 0, its size)" : "for what it writes",
             down ? "" : "strongest");
    if (down) snprintf(name + strlen(name), sizeof name - strlen(name), "%d %% down", down);
    if (strcmp(name, last)) {
      examples = json_array();
      json_array_append_new(list, json_pack("{ss so}", "quantile_name", name, "examples", examples));
      snprintf(last, sizeof last, "%s", name);
    }
    st = example_json(f, &e, &one, err);
    if (!st) json_array_append_new(examples, one);
  }
  return st;
}

/* Range, histogram and percentiles of its values; the range lies even about 0. */
static sg_status add_values(json_t *o, const sgi_neuron_record *n, sg_error *err) {
  double *x = sgi_alloc((n->n_firings + 1) * sizeof *x), most = 0;
  size_t count[BINS] = {0};
  if (!x) return sgi_fail_memory(err, n->n_firings * sizeof *x, "a neuron's values");
  for (size_t i = 0; i < n->n_firings; i++) {
    x[i] = n->firings[i].value;
    most = fmax(most, fabs(x[i]));
  }
  if (!(most > 0)) most = 1;
  qsort(x, n->n_firings, sizeof *x, sgi_ascending);
  for (size_t i = 0; i < n->n_firings; i++) {
    size_t bin = (size_t)((x[i] + most) / (2 * most) * BINS);
    count[bin < BINS ? bin : BINS - 1]++;
  }
  json_t *histogram = json_array(), *percentiles = json_array();
  for (size_t i = 0; i < BINS; i++) json_array_append_new(histogram, json_integer((json_int_t)count[i]));
  for (size_t q = 1; q <= QUANTILES; q++)
    json_array_append_new(percentiles, json_real(x[(n->n_firings - 1) * q / 100]));
  json_object_set_new(o, "act_min", json_real(-most));
  json_object_set_new(o, "act_max", json_real(most));
  json_object_set_new(o, "histogram", histogram);
  json_object_set_new(o, "quantile_values", percentiles);
  sgi_free(x);
  return SG_OK;
}

static sg_status add_recorded(const sgi_tracer *t, const sg_node *n, const sg_neuron_view *view, json_t *o,
                              sg_error *err) {
  size_t slot;
  if (!t->rec || sgi_recording_slot(t->rec, (size_t)n->layer, &slot, NULL)) return SG_OK; /* a layer not recorded */
  sgi_fires f = {.p = t->p,
                 .rec = t->rec,
                 .layer = (size_t)n->layer,
                 .channel = (size_t)n->channel,
                 .index = (size_t)n->index,
                 .excerpts = EXAMPLES};
  sg_status st = sgi_fires_read(&f, view, 0, false, err);
  if (!st) st = quantiles_json(&f, json_object_get(o, "examples_quantiles"), err);
  if (!st && f.record->n_firings) st = add_values(o, f.record, err);
  if (!st) json_object_set_new(o, "activation_frequency", json_real(f.record->density));
  sgi_fires_deinit(&f);
  return st;
}

/* One whole number for a pair (Cantor), as in the graph. */
static long long feature_of(const sg_graph *g, const sg_node *n) {
  long long x = n->layer, y = (long long)n->channel * (long long)g->pool + n->index;
  return (x + y) * (x + y + 1) / 2 + y;
}

/* What it writes, into writes (V) of the block (4 V). */
static sg_status read_writes(const sgi_tracer *t, const sg_node *n, sg_neuron_view *view, sg_error *err) {
  size_t k;
  if (!t->set) return sg_neuron_read(t->p->model, (size_t)n->layer, (size_t)n->channel, (size_t)n->index, view, err);
  sg_status st = sgi_sparse_set_find(t->set, (size_t)n->layer, &k, err);
  return st ? st : sgi_sparse_tokens(t->p->model, t->set, k, (size_t)n->index, view->reads, view->writes, err);
}

static sg_status write_feature(const sgi_tracer *t, const sg_graph *g, const sg_node *n, const char *folder,
                               float *block, sg_error *err) {
  size_t V = sg_model_config(t->p->model)->vocab_size;
  sg_neuron_view view = {block, block + V, block + 2 * V, block + 3 * V};
  sg_status st = read_writes(t, n, &view, err);
  if (st) return st;
  char id[32], file[32];
  snprintf(id, sizeof id, "layer %d", n->layer);
  snprintf(file, sizeof file, "%lld.json", feature_of(g, n));
  json_t *o =
      json_pack("{ss sI s[] so so}", "transcoder_id", id, "index", (json_int_t)feature_of(g, n), "examples_quantiles",
                "top_logits", ends(t->p, view.writes, true), "bottom_logits", ends(t->p, view.writes, false));
  char *path = sgi_path_join(folder, file);
  if (!o || !path) st = sgi_fail_memory(err, 4096, "a neuron's file");
  bool keep = path && !t->rec && !t->set && sgi_is_file(path);
  if (!st && !keep) st = add_recorded(t, n, &view, o, err);
  if (!st && !keep) st = sgi_json_save(path, o, err);
  json_decref(o);
  sgi_free(path);
  return st;
}

/* The same neuron fires at several positions: one file. */
static bool written_before(const sg_graph *g, size_t i) {
  for (size_t k = 0; k < i; k++)
    if (g->nodes[k].kind == SG_NODE_NEURON && feature_of(g, &g->nodes[k]) == feature_of(g, &g->nodes[i])) return true;
  return false;
}

sg_status sgi_tracer_features(const sgi_tracer *t, const sg_graph *g, sg_error *err) {
  size_t V = sg_model_config(t->p->model)->vocab_size;
  char *features = sgi_path_join(t->directory, "features"),
       *folder = features ? sgi_path_join(features, t->name) : NULL;
  float *block = sgi_alloc(4 * V * sizeof *block);
  sg_status st =
      folder && block ? sgi_make_directory(folder, err) : sgi_fail_memory(err, 4 * V * sizeof *block, "tokens");
  for (size_t i = 0; i < g->n_nodes && !st; i++) {
    if (t->progress && !t->progress(t->user, i, g->n_nodes)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    if (!st && g->nodes[i].kind == SG_NODE_NEURON && !written_before(g, i))
      st = write_feature(t, g, &g->nodes[i], folder, block, err);
  }
  sgi_free(block);
  sgi_free(folder);
  sgi_free(features);
  return st;
}

/* ---- the list of graphs ---------------------------------------------------------------------- */

static sg_status read_list(const char *path, json_t **out, sg_error *err) {
  *out = NULL;
  if (!sgi_is_file(path)) {
    *out = json_pack("{s[]}", "graphs");
    return *out ? SG_OK : sgi_fail_memory(err, 64, "a list of graphs");
  }
  sg_status st = sgi_json_load(path, out, err);
  if (st) return st;
  bool good = json_is_array(json_object_get(*out, "graphs"));
  for (size_t i = 0; good && i < json_array_size(json_object_get(*out, "graphs")); i++)
    good = json_is_string(json_object_get(json_array_get(json_object_get(*out, "graphs"), i), "slug"));
  if (good) return SG_OK;
  return sgi_fail(err, SG_ERR_FORMAT,
                  "%s: expected {\"graphs\": [{\"slug\": ...}, ...]}, as circuit-tracer writes it: name another folder",
                  path);
}

sg_status sgi_tracer_list(const sgi_tracer *t, const char *slug, sg_error *err) {
  char file[SGI_SLUG + 8];
  snprintf(file, sizeof file, "%s.json", slug);
  char *path = sgi_path_join(t->directory, "graph-metadata.json"), *own = sgi_path_join(t->directory, file);
  json_t *list = NULL, *graph = NULL;
  sg_status st = path && own ? SG_OK : sgi_fail_memory(err, 4096, "a path");
  if (!st) st = sgi_json_load(own, &graph, err);
  if (!st) st = read_list(path, &list, err);
  json_t *graphs = json_object_get(list, "graphs");
  for (size_t i = 0; !st && i < json_array_size(graphs);) {
    const char *name = json_string_value(json_object_get(json_array_get(graphs, i), "slug"));
    if (!strcmp(name, slug))
      json_array_remove(graphs, i);
    else
      i++;
  }
  if (!st && json_array_append(graphs, json_object_get(graph, "metadata")))
    st = sgi_fail_memory(err, 4096, "a list of graphs");
  if (!st) st = sgi_json_save(path, list, err);
  json_decref(list);
  json_decref(graph);
  sgi_free(path);
  sgi_free(own);
  return st;
}

sg_status sgi_tracer_save(const sgi_tracer *t, const sg_graph *g, const sg_graph_labels *l, sg_error *err) {
  char file[SGI_SLUG + 8];
  snprintf(file, sizeof file, "%s.json", l->slug);
  char *path = sgi_path_join(t->directory, file);
  bool there = path && sgi_is_file(path);
  sg_status st = path ? sgi_make_directory(t->directory, err) : sgi_fail_memory(err, 64, "a path");
  if (!st) st = sgi_tracer_features(t, g, err);
  if (!st) st = sg_graph_save_json(g, l, path, err);
  if (!st && (st = sgi_tracer_list(t, l->slug, err)) && !there) sgi_remove_tree(path, NULL); /* no list names it */
  sgi_free(path);
  return st;
}
