#include "read/map.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "read/neighbors.h"
#include "text/bytes.h"

sg_status sgi_map_circuits(const sgi_recording *rec, size_t slot, size_t channel, const uint32_t *positions, size_t n,
                           sgi_vectors *out, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t K = info->slots[slot].top_k, m = info->slots[slot].channels * K, F = info->slots[slot].pool, columns, cells,
         used = 0;
  size_t from = channel == SGI_ALL_CHANNELS ? 0 : channel * K, to = channel == SGI_ALL_CHANNELS ? m : from + K;
  *out = (sgi_vectors){.n = n};
  if (!sgi_size_mul(info->slots[slot].channels, F, &columns) || columns > UINT32_MAX ||
      !sgi_size_mul(n, to - from, &cells))
    return sgi_fail(err, SG_ERR_ARG, "%zu circuits of %zu channels are too many for a map", n,
                    info->slots[slot].channels);
  out->columns = columns;
  size_t *start = sgi_alloc((n + 1) * sizeof *start);
  uint32_t *column = sgi_alloc((cells + 1) * sizeof *column);
  float *value = sgi_alloc((cells + 1) * sizeof *value), *score = sgi_alloc(m * sizeof *score);
  int32_t *index = sgi_alloc(m * sizeof *index);
  out->start = start;
  out->column = column;
  out->value = value;
  bool there = start && column && value && score && index;
  for (size_t i = 0; there && i < n; i++) {
    sgi_recording_circuit(rec, slot, positions[i], index, score);
    for (size_t k = from; k < to; k++) {
      column[used] = (uint32_t)(k / K * F + (size_t)index[k]);
      value[used++] = score[k];
    }
    start[i + 1] = used;
  }
  sgi_free(score);
  sgi_free(index);
  sg_status st = there ? sgi_recording_check(rec, err) : sgi_fail_memory(err, cells * sizeof *value, "circuits");
  if (st) sgi_vectors_free(out);
  return st;
}

sg_status sgi_map_positions(const sgi_recording *rec, const sgi_top_token *tokens, size_t n_tokens, size_t documents,
                            bool by_target, uint32_t **positions, int32_t **label, size_t *count, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  size_t end = info->n_positions, rest;
  if (documents && documents < info->n_documents) sgi_recording_document(rec, documents, &end, &rest);
  int32_t *place = sgi_alloc(info->vocab_size * sizeof *place); /* of each token among the chosen, from 1 */
  *positions = sgi_alloc((end + 1) * sizeof **positions);
  *label = sgi_alloc((end + 1) * sizeof **label);
  *count = 0;
  if (!place || !*positions || !*label) {
    sgi_free(place);
    sgi_free(*positions);
    sgi_free(*label);
    *positions = NULL;
    *label = NULL;
    return sgi_fail_memory(err, end * sizeof **positions, "positions of a map");
  }
  for (size_t i = 0; i < n_tokens; i++) place[tokens[i].id] = (int32_t)i + 1;
  for (size_t p = 0; p < end; p++) {
    sgi_recorded at = sgi_recording_at(rec, p);
    int32_t id = by_target ? at.target : at.input;
    if (id < 0 || (size_t)id >= info->vocab_size || !place[id]) continue;
    (*positions)[*count] = (uint32_t)p;
    (*label)[(*count)++] = place[id] - 1;
  }
  sgi_free(place);
  return sgi_recording_check(rec, err);
}

/* ---- picture --------------------------------------------------------------------------------- */

enum { SIZE = 800, MARGIN = 20, LEGEND = 200, LEGEND_ROWS = 40 };

static bool add(sgi_bytes *b, const char *format, ...) SG_PRINTF(2, 3);
static bool add(sgi_bytes *b, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return n >= 0 && sgi_bytes_add(b, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* Text between tags: markup characters named, control characters left out. */
static bool add_text(sgi_bytes *b, const char *s) {
  bool good = true;
  for (; *s && good; s++) {
    const char *entity = *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : *s == '"' ? "&quot;" : NULL;
    if (entity)
      good = sgi_bytes_add(b, entity, strlen(entity));
    else if ((unsigned char)*s >= 32 && *s != 127)
      good = sgi_bytes_add(b, s, 1);
  }
  return good;
}

/* Hues by the golden angle, so that labels that follow each other differ; three shades. */
static bool add_color(sgi_bytes *b, size_t label) {
  return add(b, "hsl(%.0f,%d%%,%d%%)", fmod((double)label * 137.508, 360), label / 20 % 2 ? 45 : 75,
             (int)(38 + 12 * (label / 10 % 3)));
}

/* One group a label, with its colour and its name as the title of all of its points. order (n),
 * start (n_labels + 1). */
static bool add_groups(sgi_bytes *b, const sgi_map_picture *p, const size_t *order, const size_t *start) {
  double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY}, side = 0;
  for (size_t i = 0; i < 2 * p->n; i++) {
    low[i % 2] = fmin(low[i % 2], (double)p->xy[i]);
    high[i % 2] = fmax(high[i % 2], (double)p->xy[i]);
  }
  for (int a = 0; a < 2; a++) side = fmax(side, high[a] - low[a]);
  double scale = side > 0 ? (SIZE - 2 * MARGIN) / side : 0, radius = p->n > 5000 ? 1.2 : p->n > 1000 ? 1.8 : 3;
  bool good = true;
  for (size_t l = 0; l < p->n_labels && good; l++) {
    if (start[l] == start[l + 1]) continue;
    good = add(b, "<g fill=\"") && add_color(b, l) && add(b, "\"><title>") && add_text(b, p->names[l]) &&
           add(b, "</title>\n");
    for (size_t k = start[l]; k < start[l + 1] && good; k++) {
      const float *at = p->xy + 2 * order[k];
      good = add(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", MARGIN + scale * ((double)at[0] - low[0]),
                 SIZE - MARGIN - scale * ((double)at[1] - low[1]), radius);
    }
    good = good && add(b, "</g>\n");
  }
  return good;
}

static bool add_points(sgi_bytes *b, const sgi_map_picture *p) {
  size_t *order = sgi_alloc((p->n + 1) * sizeof *order), *start = sgi_alloc((p->n_labels + 2) * sizeof *start);
  bool good = order && start;
  for (size_t i = 0; good && i < p->n; i++) start[p->label[i] + 2]++;
  for (size_t l = 2; good && l < p->n_labels + 2; l++) start[l] += start[l - 1];
  for (size_t i = 0; good && i < p->n; i++) order[start[p->label[i] + 1]++] = i;
  good = good && add_groups(b, p, order, start);
  sgi_free(order);
  sgi_free(start);
  return good;
}

static bool add_legend(sgi_bytes *b, const sgi_map_picture *p) {
  bool good = true;
  for (size_t i = 0; i < p->n_labels && i < LEGEND_ROWS && good; i++) {
    double y = 40 + 18.0 * (double)i;
    good = add(b, "<circle cx=\"%d\" cy=\"%.0f\" r=\"5\" fill=\"", SIZE + 10, y) && add_color(b, i) && add(b, "\"/>") &&
           add(b, "<text x=\"%d\" y=\"%.0f\" xml:space=\"preserve\">", SIZE + 22, y + 4) && add_text(b, p->names[i]) &&
           add(b, "</text>\n");
  }
  if (good && p->n_labels > LEGEND_ROWS)
    good = add(b, "<text x=\"%d\" y=\"%d\">and %zu more</text>\n", SIZE + 22, 44 + 18 * LEGEND_ROWS,
               p->n_labels - LEGEND_ROWS);
  return good;
}

sg_status sgi_map_svg(const sgi_map_picture *p, const char *path, sg_error *err) {
  sgi_bytes b = {0};
  bool good = add(&b,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
                  "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                  SIZE + LEGEND, SIZE) &&
              add(&b, "<text x=\"%d\" y=\"16\" font-size=\"14\">", MARGIN) && add_text(&b, p->title) &&
              add(&b, "</text>\n<g fill-opacity=\"0.8\">\n") && add_points(&b, p) && add(&b, "</g>\n") &&
              add_legend(&b, p) && add(&b, "</svg>\n");
  sg_status st = good ? sgi_write_file(path, b.data, b.n, err) : sgi_fail_memory(err, b.n, "a picture");
  sgi_bytes_deinit(&b);
  return st;
}
