/* tracer.h: what circuit-tracer's frontend reads beside a graph: a file for each neuron in it, and
 * the list of graphs (docs/formats.md, graphs for circuit-tracer). */
#ifndef SGI_REPORT_TRACER_H
#define SGI_REPORT_TRACER_H

#include "prompt.h"

/* A folder that circuit-tracer's server is given:
 *   DIR/SLUG.json, DIR/graph-metadata.json, DIR/features/NAME/FEATURE.json
 * NAME is the model's. The frontend takes a `scan` that begins with "./" for a path of its own
 * server, so that no other host is asked. */
struct sgi_sparse_set;
typedef struct sgi_tracer {
  const sgi_prompt *p;
  const sg_recording *rec;          /* NULL: without examples */
  const struct sgi_sparse_set *set; /* of a graph of features; NULL: neurons */
  const char *directory, *name;
  bool (*progress)(void *user, size_t done, size_t wanted); /* nodes; false cancels. NULL allowed */
  void *user;
} sgi_tracer;

enum { SGI_SLUG = 64 };
/* The model's name for files and addresses, of the directory that the user named and its weights,
 * so that a model that was trained anew finds no files of the old one. New: sgi_free. */
char *sgi_tracer_name(const char *path, const sg_model *model);
/* A graph's name for files and addresses, out of a file's name or a prompt. */
void sgi_tracer_slug(const char *text, char out[SGI_SLUG]);
/* "./graph_data/features/NAME", new: sgi_free. */
char *sgi_tracer_scan(const char *name);

/* DIR/features/NAME/FEATURE.json of every neuron of g: what it writes, and where it fires in the
 * recording. Without one a file stays that is there already: it may have examples. */
sg_status sgi_tracer_features(const sgi_tracer *t, const sg_graph *g, sg_error *err);
/* The metadata of DIR/SLUG.json into DIR/graph-metadata.json, in place of an entry of that slug. */
sg_status sgi_tracer_list(const sgi_tracer *t, const char *slug, sg_error *err);

/* Graph, features and list; the list comes last, as what it names is there then. */
sg_status sgi_tracer_save(const sgi_tracer *t, const sg_graph *g, const sg_graph_labels *l, sg_error *err);

#endif
