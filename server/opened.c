#include "opened.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/json.h"
#include "guard.h"

/* The page draws no more than these; jansson makes some 150 bytes of a value. */
enum {
  FILE_BYTES = 64 << 20,
  FILE_DEPTH = 32,
  FILE_VALUES = 2000000,
  NODES = 20000,
  LAYERS = 1000,
  POSITIONS = 1000000
};
enum { ID_BYTES = 256, TOKEN_BYTES = 4096 };
#define EXPECTED "expected a graph: a file of 'sgatlin graph -o FILE.json', or a graph that the page saved as JSON"

static bool whole(const json_t *v, json_int_t min, json_int_t max) {
  return json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max;
}
static bool short_text(const json_t *v, size_t max) { return json_is_string(v) && json_string_length(v) <= max; }
static bool is_number(const json_t *v) { return json_is_number(v) && isfinite(json_number_value(v)); }

/* Every element of list (an array or NULL) is as the test wants it; with: what the test needs to
 * know. */
typedef bool (*test)(const json_t *v, const void *with);
static sg_status each(const char *path, const char *what, const json_t *list, test fits, const void *with,
                      const char *expected, sg_error *err) {
  for (size_t i = 0; i < json_array_size(list); i++)
    if (!fits(json_array_get(list, i), with))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: %s %zu: expected %s", path, what, i, expected);
  return SG_OK;
}

static sg_status count_nodes(const char *path, const json_t *nodes, sg_error *err) {
  size_t n = json_array_size(nodes);
  if (n && n <= NODES) return SG_OK;
  return sgi_fail(err, SG_ERR_FORMAT, "%s: a graph of %zu nodes; expected 1 to %d", path, n, NODES);
}

/* ---- the form of circuit-tracer, which `sgatlin graph` writes -------------------------------- */

static bool is_word(const json_t *v, const void *with) {
  (void)with;
  return short_text(v, TOKEN_BYTES);
}

static bool is_linked_node(const json_t *n, const void *with) {
  (void)with;
  const json_t *layer = json_object_get(n, "layer");
  return short_text(json_object_get(n, "node_id"), ID_BYTES) && (short_text(layer, 16) || whole(layer, -1, LAYERS)) &&
         whole(json_object_get(n, "ctx_idx"), 0, POSITIONS) && short_text(json_object_get(n, "feature_type"), ID_BYTES);
}

/* with: an object of all nodes' ids. */
static bool is_link(const json_t *v, const void *with) {
  const char *from = json_string_value(json_object_get(v, "source")),
             *to = json_string_value(json_object_get(v, "target"));
  return from && to && json_object_get(with, from) && json_object_get(with, to) &&
         is_number(json_object_get(v, "weight"));
}

static sg_status check_links(const char *path, const json_t *o, sg_error *err) {
  const json_t *nodes = json_object_get(o, "nodes"), *links = json_object_get(o, "links"),
               *words = json_object_get(json_object_get(o, "metadata"), "prompt_tokens");
  json_t *ids = json_object();
  sg_status st = ids ? count_nodes(path, nodes, err) : sgi_fail_memory(err, NODES, "a graph");
  if (!st) st = each(path, "metadata: prompt_tokens", words, is_word, NULL, "a text", err);
  if (!st)
    st = each(path, "node", nodes, is_linked_node, NULL,
              "\"node_id\", \"layer\" and \"feature_type\" as text, \"ctx_idx\" as a position", err);
  for (size_t i = 0; i < json_array_size(nodes) && !st; i++)
    if (json_object_set_new(ids, json_string_value(json_object_get(json_array_get(nodes, i), "node_id")), json_true()))
      st = sgi_fail_memory(err, NODES, "a graph");
  if (!st)
    st = each(path, "link", links, is_link, ids, "\"source\" and \"target\" that name nodes, \"weight\" as a number",
              err);
  json_decref(ids);
  return st;
}

/* ---- the form of /api/graph, in a saved view ------------------------------------------------- */

static bool is_token(const json_t *v, const void *with) { return is_word(json_object_get(v, "text"), with); }

static bool is_node(const json_t *v, const void *with) {
  static const char *const kinds[] = {"token", "bias", "neuron", "logit", "feature", "error"};
  const char *kind = json_string_value(json_object_get(v, "kind"));
  bool known = false;
  (void)with;
  for (size_t k = 0; kind && k < SGI_COUNT(kinds); k++) known |= !strcmp(kind, kinds[k]);
  return known && whole(json_object_get(v, "layer"), -1, LAYERS) && whole(json_object_get(v, "position"), 0, POSITIONS);
}

/* with: number of the last node. */
static bool is_edge(const json_t *v, const void *with) {
  json_int_t last = *(const json_int_t *)with;
  return whole(json_array_get(v, 0), 0, last) && whole(json_array_get(v, 1), 0, last) &&
         is_number(json_array_get(v, 2));
}

static sg_status check_answer(const char *path, const json_t *graph, sg_error *err) {
  const json_t *nodes = json_object_get(graph, "nodes");
  json_int_t last = (json_int_t)json_array_size(nodes) - 1;
  sg_status st = count_nodes(path, nodes, err);
  if (!st) st = each(path, "token", json_object_get(graph, "tokens"), is_token, NULL, "\"text\"", err);
  if (!st)
    st = each(path, "node", nodes, is_node, NULL,
              "\"kind\" token, bias, neuron, logit, feature or error, and whole numbers \"layer\" and \"position\"",
              err);
  if (!st)
    st = each(path, "edge", json_object_get(graph, "edges"), is_edge, &last,
              "[source, target, weight], numbers of nodes and a number", err);
  return st;
}

static bool is_answer(const json_t *o) {
  return json_is_array(json_object_get(o, "nodes")) && json_is_array(json_object_get(o, "edges")) &&
         json_is_array(json_object_get(o, "tokens"));
}

/* The first graph among a saved view's calls; NULL where there is none. */
static const json_t *graph_of_view(const json_t *view) {
  const json_t *calls = json_object_get(view, "calls");
  for (size_t i = 0; i < json_array_size(calls); i++) {
    const json_t *call = json_array_get(calls, i);
    const char *name = json_string_value(json_object_get(call, "call"));
    if (name && (!strcmp(name, "graph") || !strcmp(name, "opened"))) return json_object_get(call, "answer");
  }
  return NULL;
}

/* ---- file ------------------------------------------------------------------------------------ */

static sg_status check(const char *path, const json_t *o, sg_error *err) {
  if (json_is_array(json_object_get(o, "nodes")) && json_is_array(json_object_get(o, "links")))
    return check_links(path, o, err);
  const json_t *graph = is_answer(o) ? o : graph_of_view(o);
  if (is_answer(graph)) return check_answer(path, graph, err);
  if (json_is_array(json_object_get(o, "calls")))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: a saved view without a graph; save the view \"Graph\" as JSON", path);
  return sgi_fail(err, SG_ERR_FORMAT, "%s: JSON without nodes and links; " EXPECTED, path);
}

/* The error of reading, with what was expected behind it. */
static sg_status add_expected(sg_status st, sg_error *err) {
  char text[SG_ERROR_TEXT];
  if (st != SG_ERR_FORMAT || !err) return st;
  memcpy(text, err->text, sizeof text);
  return sgi_fail(err, st, "%s; " EXPECTED, text);
}

sg_status opened_load(opened *o, const char *path, sg_error *err) {
  char *text = NULL;
  size_t n = 0;
  const char *slash = strrchr(path, '/');
  *o = (opened){.name = sgi_path_join("", slash ? slash + 1 : path)};
  if (!o->name) return sgi_fail_memory(err, strlen(path), "a name");
  json_t *utf8 = json_string(o->name);
  if (!utf8) strcpy(o->name, "?"); /* a name that is no text */
  json_decref(utf8);
  sg_status st = sgi_read_file(path, FILE_BYTES, &text, &n, err);
  if (!st && !guard_json_within(text, n, FILE_DEPTH, FILE_VALUES))
    st =
        sgi_fail(err, SG_ERR_FORMAT, "%s: nested deeper than %d or more than %d values", path, FILE_DEPTH, FILE_VALUES);
  if (!st) st = sgi_json_parse(text, n, path, &o->file, err);
  sgi_free(text);
  return st ? add_expected(st, err) : check(path, o->file, err);
}

void opened_deinit(opened *o) {
  sgi_free(o->name);
  json_decref(o->file);
  *o = (opened){0};
}
