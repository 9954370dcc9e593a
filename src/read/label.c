/* label.c: what a label takes from a card.
 *
 * Reads: of a recording, tokens by the sum of |value| over the neuron's firings on them, the first
 * and those that hold at least a fifth of all; else the bare tokens of largest |value| (kinds with
 * a router), or of largest input (dense kinds, whose activations let positive inputs through).
 * Writes: the token that the neuron raises most and the one it lowers most where it fires, by the
 * size of the change. */
#include "read/label.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "read/kept.h"
#include "text/unicode.h"

static const double LEAST_SHARE = 0.2; /* of all |value|, for a token to stand in a label beside the first */

typedef struct making {
  const sg_model *m;
  size_t V;
  const bool *silent; /* (V) tokens that say nothing */
  double *weight;     /* (V) how much each token belongs to the reads, at least 0 */
  float *view;        /* (4,V) of the card */
} making;

bool sgi_label_special(const sg_model *m, const sg_tokenizer *tok, size_t v) {
  const sg_config *c = sg_model_config(m);
  if ((int64_t)v == c->bos_id || (int64_t)v == c->eos_id || (int64_t)v == c->pad_id) return true;
  size_t n;
  const char *bytes = tok ? sg_tokenizer_token_bytes(tok, (int32_t)v, &n) : NULL;
  return bytes && !sgi_utf8_valid(bytes, n);
}

bool *sgi_label_silent(const sg_model *m, const sg_tokenizer *tok) {
  size_t V = sg_model_config(m)->vocab_size;
  bool *silent = sgi_alloc(V * sizeof *silent);
  for (size_t v = 0; silent && v < V; v++) silent[v] = sgi_label_special(m, tok, v);
  return silent;
}

static bool special(const making *w, size_t v) { return w->silent[v]; }

/* Adds |value| of every firing to its token's weight; the sum of the values. The score stands for
 * the value where none is recorded. */
static void recorded(making *w, const sgi_recording *rec, size_t layer, size_t channel, size_t index, double *sum,
                     size_t *firings) {
  size_t slot;
  *firings = 0;
  if (sgi_recording_slot(rec, layer, &slot, NULL) || !sgi_recording_neurons(rec, w->m, slot)) return;
  const sgi_slot *z = &sgi_recording_info_of(rec)->slots[slot];
  if (channel >= z->channels || index >= z->pool) return; /* beside the kind: no index lists it */
  sgi_postings p = sgi_recording_postings(rec, slot, channel, index);
  for (size_t i = 0; i < p.count; i++) {
    sgi_recorded at = sgi_recording_at(rec, p.position[i]);
    if (at.input < 0 || (size_t)at.input >= w->V || special(w, (size_t)at.input)) continue;
    float value;
    double x =
        sgi_recording_value(rec, slot, p.position[i], channel, index, &value) ? (double)value : (double)p.score[i];
    w->weight[at.input] += fabs(x);
    *sum += x;
    ++*firings;
  }
}

/* The same of a neuron that is kept by its strongest values; the sum is that of all. */
static void kept(making *w, const sgi_recording *rec, const sgi_kept *k, size_t u, double *sum, size_t *firings) {
  uint32_t position;
  float value;
  *firings = 0;
  for (int side = 0; side < 2; side++)
    for (size_t i = 0; sgi_kept_at(rec, k, u, side, i, &position, &value); i++) {
      int32_t token = sgi_recording_at(rec, position).input;
      if (token < 0 || (size_t)token >= w->V || special(w, (size_t)token)) continue;
      w->weight[token] += fabs((double)value);
      ++*firings;
    }
  *sum = k->sum[u];
}

/* The largest not taken yet; V where none is above 0. */
static size_t largest(const making *w, const sgi_label *l) {
  size_t best = w->V;
  for (size_t v = 0; v < w->V; v++) {
    bool taken = special(w, v) || w->weight[v] <= 0;
    for (size_t i = 0; i < l->n_reads && !taken; i++) taken = (size_t)l->reads[i] == v;
    if (!taken && (best == w->V || w->weight[v] > w->weight[best])) best = v;
  }
  return best;
}

static void choose_reads(const making *w, sgi_label *l) {
  double all = 0;
  for (size_t v = 0; v < w->V; v++) all += special(w, v) ? 0 : w->weight[v];
  while (l->n_reads < SGI_LABEL_READS) {
    size_t v = largest(w, l);
    if (v == w->V || (l->n_reads && l->recorded && w->weight[v] < LEAST_SHARE * all)) return;
    if (l->n_reads && !l->recorded && w->weight[v] < 0.5 * w->weight[l->reads[0]]) return;
    l->reads[l->n_reads++] = (int32_t)v;
  }
}

static void choose_writes(const making *w, const float *writes, double sign, sgi_label *l) {
  size_t up = w->V, down = w->V;
  for (size_t v = 0; v < w->V; v++) {
    if (special(w, v)) continue;
    if (up == w->V || sign * writes[v] > sign * writes[up]) up = v;
    if (down == w->V || sign * writes[v] < sign * writes[down]) down = v;
  }
  if (up == w->V) return;
  bool raise_first = fabs((double)writes[up]) >= fabs((double)writes[down]);
  for (int i = 0; i < SGI_LABEL_WRITES; i++) {
    bool raise = raise_first == (i == 0);
    size_t v = raise ? up : down;
    if (sign * writes[v] * (raise ? 1 : -1) <= 0) continue; /* everything is raised, or lowered */
    l->writes[l->n_writes] = (int32_t)v;
    l->raises[l->n_writes++] = raise;
  }
}

sg_status sgi_label_make(const sg_model *m, const sg_tokenizer *tok, const sgi_recording *rec, size_t layer,
                         size_t channel, size_t index, sgi_label *out, sg_error *err) {
  bool *silent = sgi_label_silent(m, tok);
  *out = (sgi_label){0};
  if (!silent) return sgi_fail_memory(err, sg_model_config(m)->vocab_size, "a neuron's label");
  sg_status st = sgi_label_make_with(m, silent, rec, layer, channel, index, out, err);
  sgi_free(silent);
  return st;
}

sg_status sgi_label_make_with(const sg_model *m, const bool *silent, const sgi_recording *rec, size_t layer,
                              size_t channel, size_t index, sgi_label *out, sg_error *err) {
  *out = (sgi_label){0};
  making w = {.m = m, .silent = silent, .V = sg_model_config(m)->vocab_size};
  w.weight = sgi_alloc(w.V * sizeof *w.weight);
  w.view = sgi_alloc(4 * w.V * sizeof *w.view);
  sg_neuron_view view = {w.view, w.view + w.V, w.view + 2 * w.V, w.view + 3 * w.V};
  sg_status st = w.weight && w.view ? SG_OK : sgi_fail_memory(err, 6 * w.V * sizeof(float), "a neuron's label");
  if (!st) st = sg_neuron_read(m, layer, channel, index, &view, err);
  double sum = 0;
  size_t firings = 0;
  const sgi_kept *k = rec ? sgi_recording_kept(rec, layer) : NULL;
  if (!st && k && channel < k->channels && index < k->neurons)
    kept(&w, rec, k, channel * k->neurons + index, &sum, &firings);
  else if (!st && rec && sgi_recording_indexed(rec))
    recorded(&w, rec, layer, channel, index, &sum, &firings);
  if (!st) {
    out->recorded = firings > 0;
    const float *bare = view.value ? view.value : view.reads;
    size_t most = w.V;
    for (size_t v = 0; v < w.V; v++) {
      double x = (double)bare[v];
      if (!out->recorded && !special(&w, v)) w.weight[v] = view.value ? fabs(x) : fmax(x, 0);
      if (!special(&w, v) && (most == w.V || w.weight[v] > w.weight[most])) most = v;
    }
    if (!out->recorded && most < w.V) sum = view.value ? (double)bare[most] : 1;
    choose_reads(&w, out);
    choose_writes(&w, view.writes, sum < 0 ? -1 : 1, out);
  }
  sgi_free(w.weight);
  sgi_free(w.view);
  return st;
}

/* ---- text ------------------------------------------------------------------------------------ */

typedef struct line {
  char *out;
  size_t used;
  bool full; /* what comes next would not fit: it is left out, with all that follows */
} line;

static void put(line *l, const char *text, size_t n) {
  if (l->full || l->used + n >= SG_LABEL_BYTES) {
    l->full = true;
    return;
  }
  memcpy(l->out + l->used, text, n);
  l->used += n;
  l->out[l->used] = '\0';
}

/* A token without the blank in front, a blank alone as an open box; controls, and bytes that are no
 * whole character, in hexadecimal. */
static void put_token(line *l, const sg_tokenizer *tok, int32_t id) {
  char text[64];
  size_t n = 0, used = 0;
  const char *bytes = tok ? sg_tokenizer_token_bytes(tok, id, &n) : NULL;
  if (!bytes) {
    put(l, text, (size_t)snprintf(text, sizeof text, "#%d", (int)id));
    return;
  }
  if (n > 1 && bytes[0] == ' ') {
    bytes++;
    n--;
  } else if (n == 1 && bytes[0] == ' ') {
    put(l, "\xe2\x90\xa3", 3);
    return;
  }
  for (size_t i = 0, size; i < n && used + 5 < sizeof text; i += size) {
    uint32_t c;
    size = sgi_utf8_next(bytes + i, n - i, &c);
    if (sgi_utf8_valid(bytes + i, size) && c >= ' ' && c != 0x7f) {
      memcpy(text + used, bytes + i, size);
      used += size;
    } else {
      size = 1;
      used += (size_t)snprintf(text + used, sizeof text - used, "\\x%02x", (unsigned char)bytes[i]);
    }
  }
  put(l, text, used);
}

void sgi_label_text(const sgi_label *label, const sg_tokenizer *tok, char out[SG_LABEL_BYTES]) {
  line l = {.out = out};
  out[0] = '\0';
  for (size_t i = 0; i < label->n_reads; i++) {
    if (i) put(&l, ", ", 2);
    put_token(&l, tok, label->reads[i]);
  }
  if (label->n_writes) put(&l, " | ", 3);
  for (size_t i = 0; i < label->n_writes; i++) {
    if (i) put(&l, ", ", 2);
    put_token(&l, tok, label->writes[i]);
    put(&l, label->raises[i] ? " +" : " -", 2);
  }
}
