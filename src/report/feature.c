#include "feature.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "compare/feature_hold.h"
#include "compare/feature_net.h"
#include "compare/sparse_feature.h"
#include "compare/sparse_match.h"
#include "predict.h"
#include "read/label.h"

/* ---- card ------------------------------------------------------------------------------------ */

typedef struct card {
  const sgi_feature_card *c;
  const sgi_sparse_layer *layer;
  size_t k, V, documents;
  json_t *o;
} card;

/* The n largest of x (n_x) by value, or by size. */
static size_t largest(const double *x, size_t n_x, size_t n, bool size, ptrdiff_t without, size_t *out) {
  size_t count = 0;
  for (size_t i = 0; i < n_x; i++) {
    if ((ptrdiff_t)i == without) continue;
    double v = size ? fabs(x[i]) : x[i];
    size_t at = count < n ? count++ : n;
    for (; at > 0 && (size ? fabs(x[out[at - 1]]) : x[out[at - 1]]) < v; at--)
      if (at < n) out[at] = out[at - 1];
    if (at < n) out[at] = i;
  }
  return count;
}

static json_t *tokens_json(const card *w, const float *x) {
  sgi_ranked *r = sgi_rank(x, w->V);
  json_t *list = json_array();
  for (size_t i = 0; r && i < w->c->top && i < w->V; i++)
    json_array_append_new(list, json_pack("{s:o, s:o}", "token", sgi_token_json(w->c->p, r[i].id), "value",
                                          sgi_report_real((double)r[i].value)));
  sgi_free(r);
  return list;
}

static sg_status add_tokens(card *w, sg_error *err) {
  float *x = sgi_alloc(2 * w->V * sizeof *x);
  if (!x) return sgi_fail_memory(err, 2 * w->V * sizeof *x, "a list of tokens");
  sg_status st = sgi_sparse_tokens(w->c->p->model, w->c->set, w->k, w->c->index, x, x + w->V, err);
  if (!st) {
    json_object_set_new(w->o, "reads", tokens_json(w, x));
    json_object_set_new(w->o, "writes", tokens_json(w, x + w->V));
  }
  sgi_free(x);
  return st;
}

/* Features of the layer that read and write alike. */
static sg_status add_alike(card *w, sg_error *err) {
  const sgi_sparse_form *f = &w->layer->form;
  size_t M = f->features, n = w->c->top;
  const float *enc = w->layer->p.at[SGI_SPARSE_W_E], *dec = w->layer->p.at[SGI_SPARSE_W_D];
  float *cos = sgi_alloc(2 * M * sizeof *cos);
  double *both = sgi_alloc(M * sizeof *both);
  size_t *at = sgi_alloc((n + 1) * sizeof *at);
  json_t *list = json_array();
  sg_status st = cos && both && at ? SG_OK : sgi_fail_memory(err, 2 * M * sizeof *both, "cosines of features");
  if (!st) {
    sgi_match_cosines(enc + w->c->index * f->in, 1, enc, M, f->in, cos);
    sgi_match_cosines(dec + w->c->index * f->out, 1, dec, M, f->out, cos + M);
    for (size_t i = 0; i < M; i++) both[i] = ((double)cos[i] + (double)cos[M + i]) / 2;
    n = largest(both, M, n, false, (ptrdiff_t)w->c->index, at);
    for (size_t i = 0; i < n; i++)
      json_array_append_new(
          list, json_pack("{s:I, s:o, s:o}", "feature", (json_int_t)at[i], "encoder",
                          sgi_report_real((double)cos[at[i]]), "decoder", sgi_report_real((double)cos[M + at[i]])));
  }
  json_object_set_new(w->o, "alike", list);
  sgi_free(cos);
  sgi_free(both);
  sgi_free(at);
  return st;
}

typedef struct link {
  size_t layer, feature;
  double weight;
} link;

static int by_weight(const void *a, const void *b) {
  const link *x = a, *y = b;
  if (fabs(x->weight) != fabs(y->weight)) return fabs(x->weight) < fabs(y->weight) ? 1 : -1;
  if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
  return x->feature < y->feature ? -1 : x->feature > y->feature;
}

/* Weights along the stream to the features of the other layers, whatever the prompt. */
static sg_status add_links(card *w, bool down, sg_error *err) {
  const sgi_sparse_set *set = w->c->set;
  size_t n = 0, top = w->c->top;
  double *x = sgi_alloc(set->largest * sizeof *x);
  size_t *at = sgi_alloc((top + 1) * sizeof *at);
  link *all = sgi_alloc((set->n * top + 1) * sizeof *all);
  sg_status st = x && at && all ? SG_OK : sgi_fail_memory(err, set->largest * sizeof *x, "weights of features");
  for (size_t k = 0; k < set->n && !st; k++) {
    size_t other = set->at[k].layer;
    if (down ? other <= w->c->layer : other >= w->c->layer) continue;
    st = down ? sgi_net_downstream(w->c->p->model, set, w->c->layer, w->c->index, other, x, err)
              : sgi_net_invariant(w->c->p->model, set, other, w->c->layer, w->c->index, -1, 0, x, err);
    size_t found = st ? 0 : largest(x, set->at[k].form.features, top, true, -1, at);
    for (size_t i = 0; i < found; i++) all[n++] = (link){other, at[i], x[at[i]]};
  }
  qsort(all, n, sizeof *all, by_weight);
  json_t *list = json_array();
  for (size_t i = 0; i < n && i < top; i++)
    json_array_append_new(list, json_pack("{s:I, s:I, s:o}", "layer", (json_int_t)all[i].layer, "feature",
                                          (json_int_t)all[i].feature, "weight", sgi_report_real(all[i].weight)));
  json_object_set_new(w->o, down ? "downstream" : "upstream", list);
  sgi_free(x);
  sgi_free(at);
  sgi_free(all);
  return st;
}

static sg_status add_nearest(card *w, sg_error *err) {
  sgi_match_one one;
  size_t units;
  sg_status st = sgi_match_of(w->c->p->model, w->c->set, w->k, w->c->index, &one, &units, err);
  if (!st)
    json_object_set_new(w->o, "nearest",
                        json_pack("{s:I, s:I, s:o, s:o}", "channel", (json_int_t)(one.neuron / units), "neuron",
                                  (json_int_t)(one.neuron % units), "encoder", sgi_report_real(one.encoder), "decoder",
                                  sgi_report_real(one.decoder)));
  return st;
}

/* ---- where it acts --------------------------------------------------------------------------- */

typedef struct reading {
  card *w;
  size_t T;
} reading;

/* A document of the recording as a row, padded. */
static void get(void *user, size_t row, int32_t *inputs, int32_t *targets, int32_t *starts) {
  const reading *r = user;
  const sgi_record_reader *rec = r->w->c->rec;
  size_t first, n;
  int32_t pad = sg_model_config(r->w->c->p->model)->pad_id;
  sgi_recording_document(rec->rec, row, &first, &n);
  for (size_t t = 0; t < r->T; t++) {
    sgi_recorded at = t < n ? sgi_recording_at(rec->rec, first + t) : (sgi_recorded){0};
    inputs[t] = t < n ? at.input : rec->info.bos;
    targets[t] = t < n ? at.target : pad;
    starts[t] = 0;
  }
}

static bool goes_on(void *user) {
  card *w = user;
  return !w->c->progress || w->c->progress(w->c->user, ++w->documents, w->c->rec->info.n_documents);
}

static size_t place_of(const card *w, const sgi_sparse_firing *f) {
  size_t first, n;
  sgi_recording_document(w->c->rec->rec, f->row, &first, &n);
  return first + f->position;
}

static json_t *fires_json(const card *w, const sgi_sparse_firings *f) {
  json_t *list = json_array();
  for (size_t i = 0; i < f->n_top; i++) {
    size_t at = place_of(w, &f->top[i]);
    json_array_append_new(
        list, json_pack("{s:I, s:o, s:o}", "position", (json_int_t)at, "value", sgi_report_real((double)f->top[i].h),
                        "excerpt", sgi_recorded_excerpt(w->c->rec, at, w->c->width, false)));
  }
  return json_pack("{s:I, s:I, s:o, s:o, s:o}", "positions", (json_int_t)f->positions, "count", (json_int_t)f->count,
                   "density", sgi_report_real(f->positions ? (double)f->count / (double)f->positions : NAN), "mean",
                   sgi_report_real(f->mean), "top", list);
}

static sg_status add_recorded(card *w, sg_error *err) {
  const sgi_record_reader *rec = w->c->rec;
  reading r = {w, 1};
  sgi_sparse_firings f = {0};
  size_t first, n;
  for (size_t d = 0; d < rec->info.n_documents; d++) {
    sgi_recording_document(rec->rec, d, &first, &n);
    if (n > r.T) r.T = n;
  }
  sgi_sparse_rows rows = {.n = rec->info.n_documents, .T = r.T, .get = get, .user = &r};
  sg_status st = sgi_sparse_fires(w->c->p->model, w->c->set, w->k, w->c->index, &rows, w->c->top, goes_on, w, &f, err);
  if (!st) st = sgi_recording_check(rec->rec, err);
  if (!st) json_object_set_new(w->o, "recorded", fires_json(w, &f));
  sgi_sparse_firings_deinit(&f);
  return st;
}

sg_status sgi_feature_card_json(const sgi_feature_card *c, json_t **out, sg_error *err) {
  card w = {.c = c, .V = sg_model_config(c->p->model)->vocab_size};
  *out = NULL;
  sg_status st = sgi_sparse_set_find(c->set, c->layer, &w.k, err);
  if (st) return st;
  w.layer = &c->set->at[w.k];
  if (c->index >= w.layer->form.features)
    return sgi_fail(err, SG_ERR_ARG, "feature %zu: layer %zu has features 0 to %zu", c->index, c->layer,
                    w.layer->form.features - 1);
  bool transcoder = c->set->site == SGI_PLACE_MLP;
  w.o = json_pack("{s:I, s:I, s:I, s:o}", "layer", (json_int_t)c->layer, "feature", (json_int_t)c->index, "features",
                  (json_int_t)w.layer->form.features, "bias",
                  sgi_report_real((double)w.layer->p.at[SGI_SPARSE_B_E][c->index]));
  if (!w.o) return sgi_fail_memory(err, 64, "a feature's card");
  if (w.layer->p.at[SGI_SPARSE_LOG_THETA])
    json_object_set_new(w.o, "threshold", sgi_report_real(exp((double)w.layer->p.at[SGI_SPARSE_LOG_THETA][c->index])));
  st = add_tokens(&w, err);
  if (!st && transcoder) st = add_nearest(&w, err);
  if (!st) st = add_alike(&w, err);
  if (!st && transcoder) st = add_links(&w, false, err);
  if (!st && transcoder) st = add_links(&w, true, err);
  if (!st && c->rec) st = add_recorded(&w, err);
  if (st) {
    json_decref(w.o);
    return st;
  }
  *out = w.o;
  return sgi_report_whole(out, "a feature's card", err);
}

json_t *sgi_sparse_json(const sgi_sparse_set *set, const char *name) {
  if (!set) return json_null();
  json_t *layers = json_array();
  for (size_t k = 0; k < set->n; k++) json_array_append_new(layers, json_integer((json_int_t)set->at[k].layer));
  return json_pack("{so so sI ss}", "name", sgi_report_text(name, strlen(name)), "layers", layers, "features",
                   (json_int_t)set->largest, "activation", sgi_sparse_activations[set->at[0].form.activation]);
}

/* ---- label ----------------------------------------------------------------------------------- */

_Static_assert((int)SGI_FEATURE_LABEL >= (int)SG_LABEL_BYTES, "a feature's label is as long as a neuron's");

/* The token of largest sign * x that says something; V: none. */
static size_t best_token(const float *x, const bool *silent, size_t V, float sign) {
  size_t best = V;
  for (size_t v = 0; v < V; v++)
    if (!silent[v] && (best == V || sign * x[v] > sign * x[best])) best = v;
  return best;
}

sg_status sgi_feature_label(const sgi_prompt *p, const sgi_sparse_set *set, size_t layer, size_t index,
                            char out[SGI_FEATURE_LABEL], sg_error *err) {
  size_t V = sg_model_config(p->model)->vocab_size, k;
  sg_status st = sgi_sparse_set_find(set, layer, &k, err);
  if (st) return st;
  float *x = sgi_alloc(2 * V * sizeof *x), *writes = x + V;
  bool *silent = sgi_label_silent(p->model, p->tokenizer);
  sgi_label label = {0};
  st = x && silent ? sgi_sparse_tokens(p->model, set, k, index, x, writes, err)
                   : sgi_fail_memory(err, 2 * V * sizeof *x, "a feature's label");
  size_t read = st ? V : best_token(x, silent, V, 1);
  if (read < V) {
    size_t ends[2] = {best_token(writes, silent, V, 1), best_token(writes, silent, V, -1)};
    bool raise_first = fabsf(writes[ends[0]]) >= fabsf(writes[ends[1]]);
    label.reads[label.n_reads++] = (int32_t)read;
    for (int i = 0; i < 2; i++) {
      bool raises = raise_first == (i == 0);
      if ((raises ? 1 : -1) * writes[ends[!raises]] <= 0) continue;
      label.writes[label.n_writes] = (int32_t)ends[!raises];
      label.raises[label.n_writes++] = raises;
    }
  }
  if (!st) sgi_label_text(&label, p->tokenizer, out);
  sgi_free(x);
  sgi_free(silent);
  return st;
}

/* ---- steering -------------------------------------------------------------------------------- */

typedef struct steer {
  const sgi_feature_steer *s;
  size_t V, *met; /* (n_factors) */
  float *logits;  /* (2,V) before, after */
  double *p;      /* (2,V) */
  sg_joint *joint;
  double linear;
} steer;

static sg_status step(const steer *w, size_t done, sg_error *err) {
  const sgi_feature_steer *s = w->s;
  return !s->progress || s->progress(s->user, done, 3) ? SG_OK : sgi_fail(err, SG_ERR_CANCELLED, "stopped");
}

static sg_status runs(steer *w, sg_error *err) {
  const sgi_feature_steer *s = w->s;
  sgi_feature_edit *edits = sgi_alloc((s->n_factors + 1) * sizeof *edits);
  if (!edits) return sgi_fail_memory(err, s->n_factors * sizeof *edits, "features scaled");
  for (size_t i = 0; i < s->n_factors; i++)
    edits[i] =
        (sgi_feature_edit){s->factors[i].layer, s->factors[i].feature, s->factors[i].position, s->factors[i].scale};
  sg_attribute_request q = {.tokens = s->p->tokens,
                            .count = s->p->count,
                            .position = (ptrdiff_t)s->position,
                            .target = s->target,
                            .against = -1};
  sg_status st =
      sgi_features_steer(s->p->model, s->set, s->p->tokens, s->p->count, s->position, NULL, 0, w->logits, w->met, err);
  if (!st) st = step(w, 1, err);
  if (!st)
    st = sgi_features_steer(s->p->model, s->set, s->p->tokens, s->p->count, s->position, edits, s->n_factors,
                            w->logits + w->V, w->met, err);
  if (!st) st = step(w, 2, err);
  if (!st) st = sgi_features_joint(s->p->model, s->set, &q, edits, s->n_factors, &w->joint, err);
  if (!st) st = sg_joint_change(w->joint, NULL, &w->linear, err);
  sgi_free(edits);
  return st;
}

static void softmax(const float *logits, double *p, size_t V) {
  double max = -INFINITY, sum = 0;
  for (size_t i = 0; i < V; i++) max = fmax(max, (double)logits[i]);
  for (size_t i = 0; i < V; i++) sum += p[i] = exp((double)logits[i] - max);
  for (size_t i = 0; i < V; i++) p[i] /= sum;
}

static json_t *steered_json(const steer *w) {
  const sgi_feature_steer *s = w->s;
  json_t *edits = json_array(), *features = json_array();
  for (size_t i = 0; i < s->n_factors; i++) {
    const sgi_feature_factor *f = &s->factors[i];
    json_array_append_new(
        edits, json_pack("{s:I, s:I, s:o, s:o, s:I}", "layer", (json_int_t)f->layer, "feature", (json_int_t)f->feature,
                         "position", f->position < 0 ? json_null() : json_integer(f->position), "scale",
                         sgi_report_real(f->scale), "met", (json_int_t)w->met[i]));
  }
  for (size_t i = 0; i < w->joint->count; i++) {
    const sg_term *t = &w->joint->neurons[i];
    json_array_append_new(
        features, json_pack("{s:i, s:i, s:i, s:o, s:o}", "layer", (int)t->layer, "feature", (int)t->index, "position",
                            (int)t->position, "value", sgi_report_real(t->value), "effect",
                            sgi_report_real(w->joint->effect ? w->joint->effect[i] : 0)));
  }
  sgi_prediction before = {.logits = w->logits, .p = w->p, .V = w->V};
  sgi_prediction after = {.logits = w->logits + w->V, .p = w->p + w->V, .V = w->V};
  int32_t id = w->joint->target;
  return json_pack("{so sI so so so so so so so so so so}", "tokens", sgi_prompt_json(s->p), "position",
                   (json_int_t)s->position, "target", sgi_token_json(s->p, id), "edits", edits, "features", features,
                   "logit_change", sgi_report_real((double)after.logits[id] - (double)before.logits[id]),
                   "linear_change", sgi_report_real(w->linear), "probability_before", sgi_report_real(before.p[id]),
                   "probability_after", sgi_report_real(after.p[id]), "kl",
                   sgi_report_real(sgi_divergence(&before, &after)), "before",
                   sgi_prediction_json(s->p, &before, s->top), "after", sgi_prediction_json(s->p, &after, s->top));
}

sg_status sgi_feature_steer_json(const sgi_feature_steer *s, json_t **out, sg_error *err) {
  steer w = {.s = s, .V = sg_model_config(s->p->model)->vocab_size};
  w.met = sgi_alloc((s->n_factors + 1) * sizeof *w.met);
  w.logits = sgi_alloc(2 * w.V * sizeof *w.logits);
  w.p = sgi_alloc(2 * w.V * sizeof *w.p);
  *out = NULL;
  sg_status st =
      w.met && w.logits && w.p ? runs(&w, err) : sgi_fail_memory(err, 2 * w.V * sizeof *w.p, "features scaled");
  if (!st) {
    softmax(w.logits, w.p, w.V);
    softmax(w.logits + w.V, w.p + w.V, w.V);
    if (!(*out = steered_json(&w))) st = sgi_fail_memory(err, 4096, "features scaled");
  }
  sg_joint_free(w.joint);
  sgi_free(w.met);
  sgi_free(w.logits);
  sgi_free(w.p);
  return st;
}
