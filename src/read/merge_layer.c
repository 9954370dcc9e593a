/* Which pairs of a recorded layer are merged, and the layer with them (merge.h). */
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "ffn/activation.h"
#include "read/merge.h"

/* ---- whether it can be ----------------------------------------------------------------------- */

/* A row that another layer uses, too, would change both. */
static bool used_elsewhere(const sg_model *m, size_t layer, const sgi_weight *w) {
  for (size_t l = 0; l < m->config.num_layers; l++) {
    const sgi_sublayer *s = sgi_feedforward_of(m, l);
    for (size_t k = SGI_T_OWN; s && l != layer && k < s->n_tensors; k++)
      if (s->weight[k] == w) return true;
  }
  return false;
}

static sg_status check_rows(const sg_model *m, size_t layer, const sgi_sublayer *sub, sg_error *err) {
  sgi_unit u;
  if (!sub->ffn->unit_at(sub->config, sub->weight + SGI_T_OWN, 0, 0, &u))
    return sgi_fail(err, SG_ERR_INTERNAL, "layer %zu has no neuron 0", layer);
  const sgi_slice *both[] = {&u.in, &u.out};
  for (size_t k = 0; k < SGI_COUNT(both); k++) {
    if (both[k]->weight->dtype != SGI_F32)
      return sgi_fail(err, SG_ERR_UNSUPPORTED,
                      "neurons of layer %zu are stored as %s: merge in the float32 model, then quantize", layer,
                      sgi_weight_traits(both[k]->weight->dtype)->name);
    if (used_elsewhere(m, layer, both[k]->weight))
      return sgi_fail(err, SG_ERR_UNSUPPORTED,
                      "layer %zu shares its neurons with another layer: a pair merged there would change both", layer);
  }
  return SG_OK;
}

sg_status sgi_merge_check(const sg_model *m, const sgi_recording *rec, size_t slot, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t layer = info->layers[slot];
  const sgi_sublayer *sub;
  sg_status st = sgi_feedforward_find(m, layer, &sub, err);
  if (st) return st;
  if (!sub->ffn->sparse)
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "layer %zu is %s, whose neurons have no gate each: only chosen linear neurons can be merged", layer,
                    sub->ffn->name);
  if (sgi_activation_find(sub->config->activation, NULL) != SGI_IDENTITY)
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "neurons of layer %zu go through %s: what two of them do is no such neuron; only linear ones "
                    "(activation identity) can be merged",
                    layer, sub->config->activation);
  if (sub->config->options.meta_experts)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "layer %zu has a metarouter: its pools' neurons can not be merged", layer);
  if (!info->slots[slot].has_values)
    return sgi_fail(err, SG_ERR_ARG, "the recording has no values to merge by: record with --values F32");
  return check_rows(m, layer, sub, err);
}

/* ---- which ----------------------------------------------------------------------------------- */

typedef struct candidate {
  uint32_t unit[2], together;
  double share;
} candidate;

typedef struct search {
  const sgi_recording *rec;
  const sgi_slot *z;
  const sgi_sublayer *sub;
  const sgi_merge_settings *s;
  size_t slot, D;
  sgi_firings f;
  candidate *list;
  size_t n, capacity;
  bool *merged;   /* (n_units) */
  int32_t *index; /* (C,K) of a position, with score and gate */
  float *score, *gate;
  float *row[2]; /* (D) output rows */
} search;

static int by_share(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  if (x->share != y->share) return x->share > y->share ? -1 : 1;
  if (x->together != y->together) return x->together > y->together ? -1 : 1;
  if (x->unit[0] != y->unit[0]) return x->unit[0] < y->unit[0] ? -1 : 1;
  return (x->unit[1] > y->unit[1]) - (x->unit[1] < y->unit[1]);
}

static sg_status find_candidates(search *w, sg_error *err) {
  size_t units = w->f.n_units;
  uint32_t *count = sgi_alloc(units * sizeof *count);
  sg_status st = count ? SG_OK : sgi_fail_memory(err, units * sizeof *count, "counts of pairs");
  for (size_t i = 0; i < units && !st; i++) {
    size_t own = sgi_firings_of(&w->f, i);
    if (own < w->s->min_together) continue;
    if (w->s->goes_on && !w->s->goes_on(w->s->user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    sgi_firings_beside(&w->f, i, count);
    for (size_t j = i + 1; j < units && !st; j++) {
      size_t other = sgi_firings_of(&w->f, j), most = own > other ? own : other;
      if (count[j] < w->s->min_together || (double)count[j] < w->s->min_share * (double)most) continue;
      if (!sgi_room(&w->list, &w->capacity, w->n, sizeof *w->list))
        st = sgi_fail_memory(err, 2 * w->n * sizeof *w->list, "pairs");
      else
        w->list[w->n++] = (candidate){{(uint32_t)i, (uint32_t)j}, count[j], (double)count[j] / (double)most};
    }
  }
  sgi_free(count);
  if (!st && w->n) qsort(w->list, w->n, sizeof *w->list, by_share);
  return st;
}

/* ---- what the two do ------------------------------------------------------------------------- */

/* Where channels share a pool a neuron that several choose is one, its gates added like its
 * values. */
static void gates_at(search *w, size_t position, const uint32_t unit[2], double gate[2]) {
  const sgi_slot *z = w->z;
  const float *g = w->score;
  sgi_recording_circuit(w->rec, w->slot, position, w->index, w->score);
  if (w->sub->ffn->factor) {
    w->sub->ffn->factor(w->sub->config, 1, w->score, w->gate);
    g = w->gate;
  }
  gate[0] = gate[1] = 0;
  for (size_t i = 0; i < z->channels * z->top_k; i++) {
    size_t u = (z->pool_per_channel ? i / z->top_k * z->pool : 0) + (size_t)w->index[i];
    for (size_t k = 0; k < 2; k++)
      if (u == unit[k]) gate[k] += (double)g[i];
  }
}

static const sgi_firing *find_firing(const sgi_firings *f, size_t position, uint32_t unit) {
  for (size_t i = f->start[position]; i < f->start[position + 1]; i++)
    if (f->at[i].unit == unit) return &f->at[i];
  return NULL;
}

static void sum_pair(search *w, const candidate *c, sgi_merge_sums *sums) {
  *sums = (sgi_merge_sums){0};
  for (size_t k = w->f.list[c->unit[0]]; k < w->f.list[c->unit[0] + 1]; k++) {
    size_t position = w->f.place[k];
    const sgi_firing *i = find_firing(&w->f, position, c->unit[0]), *j = find_firing(&w->f, position, c->unit[1]);
    if (!i || !j) continue;
    double gate[2];
    gates_at(w, position, c->unit, gate);
    sgi_merge_add(sums, (const double[]){(double)i->value, (double)j->value}, gate);
  }
}

static void unit_of(const sgi_sublayer *sub, sgi_super_unit u, sgi_unit *out) {
  sub->ffn->unit_at(sub->config, sub->weight + SGI_T_OWN, (size_t)u.channel, (size_t)u.index, out);
}

static sgi_super_unit name_of(const search *w, uint32_t unit) {
  return (sgi_super_unit){(int32_t)(unit / w->z->pool), (int32_t)(unit % w->z->pool)};
}

/* *is: whether the pair writes anything, and then *out is it. */
static sg_status merge_pair(search *w, const candidate *c, sgi_merged *out, bool *is, sg_error *err) {
  sgi_merge_sums sums;
  sgi_super_unit unit[2] = {name_of(w, c->unit[0]), name_of(w, c->unit[1])};
  sum_pair(w, c, &sums);
  for (size_t k = 0; k < 2; k++) {
    sgi_unit u;
    unit_of(w->sub, unit[k], &u);
    sgi_unit_out(&u, w->row[k], w->D);
  }
  *out = (sgi_merged){.together = c->together, .fitted = sums.n, .share = c->share};
  out->u = sgi_alloc(w->D * sizeof *out->u);
  if (!out->u) return sgi_fail_memory(err, w->D * sizeof *out->u, "a merged neuron");
  *is = sgi_merge_fit(&sums, (const float *const[]){w->row[0], w->row[1]}, w->D, &out->form, out->u);
  if (!*is) sgi_free(out->u);
  size_t into = out->form.into;
  double in[2] = {out->form.in[into], out->form.in[1 - into]};
  out->unit[0] = unit[into], out->unit[1] = unit[1 - into];
  out->form.in[0] = in[0], out->form.in[1] = in[1];
  return SG_OK;
}

static sg_status choose(search *w, sgi_merges *out, sg_error *err) {
  sg_status st = SG_OK;
  size_t most = w->s->most < w->n ? w->s->most : w->n;
  out->found = w->n;
  out->list = sgi_alloc((most + 1) * sizeof *out->list);
  if (!out->list) return sgi_fail_memory(err, (most + 1) * sizeof *out->list, "merged neurons");
  for (size_t k = 0; k < w->n && !st; k++) {
    const candidate *c = &w->list[k];
    bool is = false;
    if (w->z->pool_per_channel && c->unit[0] / w->z->pool != c->unit[1] / w->z->pool)
      out->across++;
    else if (w->merged[c->unit[0]] || w->merged[c->unit[1]])
      out->taken++;
    else if (out->n == most)
      out->left++;
    else if (!(st = merge_pair(w, c, &out->list[out->n], &is, err)) && is)
      w->merged[c->unit[0]] = w->merged[c->unit[1]] = true, out->n++;
    else
      out->silent += !st;
  }
  return st ? st : sgi_recording_check(w->rec, err);
}

static void search_free(search *w) {
  void *blocks[] = {w->list, w->merged, w->index, w->score, w->gate, w->row[0], w->row[1]};
  for (size_t i = 0; i < SGI_COUNT(blocks); i++) sgi_free(blocks[i]);
  sgi_firings_deinit(&w->f);
}

sg_status sgi_merge_find(const sg_model *m, const sgi_recording *rec, size_t slot, const sgi_merge_settings *s,
                         sgi_merges *out, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  search w = {.rec = rec, .z = &info->slots[slot], .s = s, .slot = slot, .D = m->config.hidden_size};
  sgi_super_settings as_it_is = sgi_super_usual();
  size_t entries = w.z->channels * w.z->top_k;
  *out = (sgi_merges){0};
  sg_status st = sgi_feedforward_find(m, info->layers[slot], &w.sub, err);
  if (!st) st = sgi_firings_make(rec, slot, &as_it_is, &w.f, err);
  if (!st &&
      !((w.merged = sgi_alloc(w.f.n_units * sizeof *w.merged)) && (w.index = sgi_alloc(entries * sizeof(int32_t))) &&
        (w.score = sgi_alloc(entries * sizeof(float))) && (w.gate = sgi_alloc(entries * sizeof(float))) &&
        (w.row[0] = sgi_alloc(w.D * sizeof(float))) && (w.row[1] = sgi_alloc(w.D * sizeof(float)))))
    st = sgi_fail_memory(err, w.f.n_units, "a search for pairs");
  if (!st) st = find_candidates(&w, err);
  if (!st) st = choose(&w, out, err);
  search_free(&w);
  return st;
}

void sgi_merges_deinit(sgi_merges *x) {
  for (size_t k = 0; k < x->n; k++) sgi_free(x->list[k].u);
  sgi_free(x->list);
  *x = (sgi_merges){0};
}

/* ---- the layer with them --------------------------------------------------------------------- */

/* A row of the model's own weights, to write. */
static float *elements(sg_model *m, const sgi_slice *s) {
  return m->arena + ((const float *)s->weight->data - m->arena) + s->at;
}

/* Biases of the layer's neurons; NULL where they have none. */
static float *biases(sg_model *m, const sgi_sublayer *sub) {
  static const char end[] = "experts.b_in";
  for (size_t k = SGI_T_OWN; k < sub->beside; k++) {
    const sgi_row *row = &m->table.rows[sub->row[k]];
    size_t n = strlen(row->name);
    if (n >= sizeof end && !strcmp(row->name + n - (sizeof end - 1), end)) return m->arena + row->offset;
  }
  return NULL;
}

void sgi_merge_silence(sg_model *m, size_t layer, const sgi_merges *x) {
  const sgi_sublayer *sub = sgi_feedforward_of(m, layer);
  for (size_t k = 0; k < x->n; k++) {
    sgi_unit u;
    unit_of(sub, x->list[k].unit[1], &u);
    memset(elements(m, &u.out), 0, m->config.hidden_size * sizeof(float));
  }
}

void sgi_merge_apply(sg_model *m, size_t layer, const sgi_merges *x) {
  const sgi_sublayer *sub = sgi_feedforward_of(m, layer);
  float *bias = biases(m, sub);
  sgi_merge_silence(m, layer, x);
  for (size_t k = 0; k < x->n; k++) {
    const sgi_merged *p = &x->list[k];
    sgi_unit i, j;
    unit_of(sub, p->unit[0], &i);
    unit_of(sub, p->unit[1], &j);
    float *in = elements(m, &i.in);
    const float *other = elements(m, &j.in);
    for (size_t d = 0; d < m->config.hidden_size; d++)
      in[d] = (float)(p->form.in[0] * (double)in[d] + p->form.in[1] * (double)other[d]);
    memcpy(elements(m, &i.out), p->u, m->config.hidden_size * sizeof(float));
    if (bias) bias[i.in.at / m->config.hidden_size] = (float)(p->form.in[0] * i.constant + p->form.in[1] * j.constant);
  }
}
