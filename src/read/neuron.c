#include "read/neuron.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ffn/beside.h"
#include "math/gemm.h"
#include "model/finite.h"

/* Of a layer that has a feedforward: what its norm multiplies by. */
static const float *gain_of(const sg_model *m, size_t layer) { return sgi_feedforward_of(m, layer)->w[SGI_T_NORM]; }

/* The row whose product with a normed input is the unit's score: the sum of its parts' rows. */
static sg_status score_row(const sgi_sublayer *s, size_t channel, size_t index, float *out, sg_error *err) {
  const sg_config *c = s->config;
  sgi_routes t;
  s->ffn->routes(c, &t);
  size_t D = c->hidden_size, units = 1;
  for (size_t p = 0; p < t.parts; p++) units *= t.units;
  /* Where units are hidden activations of a chosen expert, the channel is what is chosen. */
  bool grouped = units * t.pools != c->num_neurons || t.channels != c->num_channels;
  size_t unit = grouped ? channel : index % units;
  if (!grouped) channel += index / units * t.channels;
  float *rows = sgi_alloc(t.parts * t.units * D * sizeof *rows);
  if (!rows) return sgi_fail_memory(err, t.parts * t.units * D * sizeof *rows, "a router's rows");
  sg_status st = s->ffn->route_rows(c, s->weight + SGI_T_OWN, grouped ? 0 : channel, rows);
  memset(out, 0, D * sizeof *out);
  for (size_t p = t.parts; p-- > 0 && !st; unit /= t.units)
    for (size_t d = 0; d < D; d++) out[d] += rows[(p * t.units + unit % t.units) * D + d];
  sgi_free(rows);
  return st ? sgi_fail(err, st, "a router's rows: a matrix product failed") : SG_OK;
}

/* out (V) = rms-scaled embedding . row * gain. */
static void through_embedding(const sg_model *m, const float *row, const float *gain, bool scaled, float *out,
                              float *scratch) {
  size_t D = m->config.hidden_size, V = m->config.vocab_size;
  for (size_t d = 0; d < D; d++) scratch[d] = row[d] * gain[d];
#pragma omp parallel for schedule(static)
  for (size_t v = 0; v < V; v++) {
    sgi_slice e = sgi_embedding_of(m, v);
    double r = scaled && sgi_has_norm(&m->config)
                   ? 1 / sqrt(sgi_slice_squares(&e, D) / (double)D + m->config.rms_norm_eps)
                   : 1;
    out[v] = (float)(r * (double)sgi_slice_dot_float(&e, scratch, D));
  }
}

sg_status sg_neuron_read(const sg_model *m, size_t layer, size_t channel, size_t index, sg_neuron_view *out,
                         sg_error *err) {
  sgi_unit u;
  sg_status st = sgi_unit_find(m, layer, channel, index, &u, err);
  if (st) return st;
  size_t D = m->config.hidden_size, V = m->config.vocab_size;
  float *row = sgi_alloc(2 * D * sizeof *row), *scratch = row ? row + D : NULL;
  float *reads = sgi_alloc(V * sizeof *reads), *opens = sgi_alloc(V * sizeof *opens);
  const float *gain = gain_of(m, layer);
  if (!row || !reads || !opens) st = sgi_fail_memory(err, V * sizeof *reads, "a neuron's view");
  if (!st) {
    sgi_unit_in(&u, row, D);
    through_embedding(m, row, gain, true, reads, scratch);
    for (size_t v = 0; v < V; v++) reads[v] += (float)u.constant;
    if (out->reads) memcpy(out->reads, reads, V * sizeof *reads);
    sgi_unit_out(&u, row, D);
    if (out->writes) through_embedding(m, row, m->w[sgi_final_norm_row(m)], false, out->writes, scratch);
  }
  size_t router = sgi_config_router(&m->layers[layer].config, layer); /* what opens it is read there */
  const sgi_sublayer *s = sgi_feedforward_of(m, router);
  bool chosen = s->ffn->routes && channel < sgi_unit_channels(s->config); /* nothing opens what is always there */
  if (!st && chosen) st = sgi_gemm_ready(err);
  if (!st && chosen) {
    st = score_row(s, channel, index, row, err);
    if (!st) through_embedding(m, row, gain_of(m, router), true, opens, scratch);
    if (!st && out->opens) memcpy(out->opens, opens, V * sizeof *opens);
    for (size_t v = 0; v < V && !st && out->value; v++) out->value[v] = reads[v] * opens[v];
  } else if (!st) {
    out->opens = out->value = NULL;
  }
  if (!st) st = sgi_model_watch(m, reads, V, "what the neuron reads", err);
  if (!st && out->writes) st = sgi_model_watch(m, out->writes, V, "what the neuron writes", err);
  if (!st && chosen) st = sgi_model_watch(m, opens, V, "what opens the neuron", err);
  sgi_free(row);
  sgi_free(reads);
  sgi_free(opens);
  return st;
}

static int by_weight(const void *a, const void *b) {
  const sg_neuron_link *x = a, *y = b;
  if (fabsf(x->weight) != fabsf(y->weight)) return fabsf(x->weight) < fabsf(y->weight) ? 1 : -1;
  const int32_t kx[] = {x->layer, x->channel, x->index}, ky[] = {y->layer, y->channel, y->index};
  for (size_t i = 0; i < 3; i++)
    if (kx[i] != ky[i]) return kx[i] < ky[i] ? -1 : 1;
  return 0;
}

/* Keeps the n best of 2n and throws the rest away, when the list is full. */
static size_t keep_best(sg_neuron_link *list, size_t count, size_t n) {
  qsort(list, count, sizeof *list, by_weight);
  return count < n ? count : n;
}

static double link_weight(const sg_model *m, const sgi_unit *from, const sgi_unit *to, size_t to_layer) {
  const float *gain = gain_of(m, to_layer);
  double sum = 0;
  for (size_t d = 0; d < m->config.hidden_size; d++)
    sum += (double)sgi_slice_at(&from->out, d) * gain[d] * sgi_slice_at(&to->in, d);
  return sum;
}

sg_status sg_neuron_links(const sg_model *m, size_t layer, size_t channel, size_t index, bool upstream, size_t n,
                          sg_neuron_link *out, size_t *found, sg_error *err) {
  sgi_unit u, other;
  *found = 0;
  sg_status st = sgi_unit_find(m, layer, channel, index, &u, err);
  size_t bytes;
  if (st || !n) return st;
  if (!sgi_size_mul(2 * sizeof(sg_neuron_link), n, &bytes))
    return sgi_fail(err, SG_ERR_ARG, "%zu links are too many", n);
  sg_neuron_link *list = sgi_alloc(bytes);
  if (!list) return sgi_fail_memory(err, bytes, "a neuron's links");
  size_t count = 0;
  const sgi_plan *plan = &m->plan;
  size_t own = sgi_plan_find(plan, layer, &sgi_sublayer_feedforward);
  for (size_t i = 0; i < plan->n_steps; i++) {
    const sgi_plan_step *t = &plan->steps[i];
    const sgi_sublayer *s = t->sub;
    /* What the neuron's stream holds, or what reads a stream that holds the neuron. */
    if (!s->ffn || !s->ffn->unit_at || t->step || t->stage ||
        !(upstream ? i < plan->steps[own].before : own < t->before))
      continue;
    for (size_t ch = 0, C = sgi_unit_channels(s->config); ch < C + SGI_BESIDE_PARTS; ch++)
      for (size_t f = 0; f < (ch < C ? s->config->num_neurons : sgi_beside_neurons(s->config, (sgi_beside)(ch - C)));
           f++) {
        if (!sgi_sublayer_unit_at(s, ch, f, &other)) continue;
        double w = upstream ? link_weight(m, &other, &u, layer) : link_weight(m, &u, &other, t->layer);
        list[count++] = (sg_neuron_link){(int32_t)t->layer, (int32_t)ch, (int32_t)f, (float)w};
        if (!isfinite(w) && (st = sgi_model_watch(m, &list[count - 1].weight, 1, "a link between neurons", err)))
          goto done;
        if (count == 2 * n) count = keep_best(list, count, n);
      }
  }
  *found = keep_best(list, count, n);
  memcpy(out, list, *found * sizeof *out);
done:
  sgi_free(list);
  return st;
}
