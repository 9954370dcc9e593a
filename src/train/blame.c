#include "train/blame.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/optim.h"

/* Where the first number of x (n) is that is not finite; n if there is none. */
static size_t first_bad(const float *x, size_t n) {
  size_t i = 0;
  while (i < n && isfinite(x[i])) i++;
  return i;
}

/* "weight model.layers.3.mlp.up_proj.weight (layer 3), element 17, is nan" */
static void describe(char *out, size_t size, const char *what, const sg_model *m, size_t row, size_t element, float x) {
  char layer[40] = "";
  size_t tensor;
  const sgi_sublayer *s = sgi_row_user(m, row, &tensor);
  if (s) snprintf(layer, sizeof layer, " (layer %zu)", s->layer);
  snprintf(out, size, "%s %s%s, element %zu, is %g", what, m->table.rows[row].name, layer, element, (double)x);
}

/* Looks through (a part of) an arena, from the first row or from the last. */
static bool search(const sg_model *m, const sgi_suspect *s, bool backwards, char *out, size_t size) {
  size_t rows = m->table.count;
  for (size_t i = 0; i < rows; i++) {
    const sgi_row *row = &m->table.rows[backwards ? rows - 1 - i : i];
    size_t from = row->offset > s->from ? row->offset : s->from, end = row->offset + sgi_row_floats(row);
    size_t to = end < s->to ? end : s->to;
    if (from >= to) continue;
    const float *x = s->x + (from - s->from);
    size_t at = first_bad(x, to - from);
    if (at == to - from) continue;
    describe(out, size, s->words, m, (size_t)(row - m->table.rows), from - row->offset + at, x[at]);
    return true;
  }
  return false;
}

/* The largest weight is the likely cause of a sum that overflows. */
static void add_largest(const sg_model *m, char *out, size_t size) {
  size_t row = 0, element = 0, used = strlen(out);
  float largest = 0;
  for (size_t r = 0; r < m->table.count; r++)
    for (size_t i = 0; i < sgi_row_floats(&m->table.rows[r]); i++)
      if (fabsf(m->w[r][i]) > largest) largest = fabsf(m->w[r][i]), row = r, element = i;
  used += (size_t)snprintf(out + used, size - used, "; the largest ");
  if (used < size) describe(out + used, size - used, "weight", m, row, element, m->w[row][element]);
}

sg_status sgi_blame_state(const sg_model *m, const sgi_suspect *moments, size_t n, sg_error *err) {
  char text[SGI_BLAME_TEXT] = "the norm of the weights overflows", words[48];
  bool found = search(m, &(sgi_suspect){"weight", m->arena, 0, m->table.floats}, false, text, sizeof text);
  for (size_t i = 0; i < n && !found; i++) {
    sgi_suspect s = moments[i];
    snprintf(words, sizeof words, "%s of", s.words);
    s.words = words;
    found = search(m, &s, false, text, sizeof text);
  }
  if (!found && isfinite(sgi_arena_norm(m->arena, m->table.floats))) return SG_OK;
  if (!found) add_largest(m, text, sizeof text);
  return sgi_fail(err, SG_ERR_NUMERIC, "%s", text);
}

/* ---- the forward pass, looked at ------------------------------------------------------------- */

typedef struct watcher {
  size_t first_row, T; /* of the micro-batch */
  char *out;
  size_t size;
  bool found;
} watcher;

static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  watcher *w = user;
  if (sgi_site_is_index(site->id)) return SG_OK;
  const float *x = site->data;
  size_t width = sgi_site_width(site), n = site->n * width, at = first_bad(x, n), row = site->first + at / width;
  if (at == n) return SG_OK;
  char layer[40] = "";
  if (site->layer >= 0) snprintf(layer, sizeof layer, " of layer %td", site->layer);
  snprintf(w->out, w->size, "activation %s%s is %g at row %zu, position %zu of the batch",
           sgi_site_row_of(site->id)->name, layer, (double)x[at], w->first_row + row / w->T, row % w->T);
  w->found = true;
  return sgi_fail(err, SG_ERR_NUMERIC, "%s", w->out);
}

static bool search_forward(const sgi_refused *r, char *out, size_t size) {
  const sgi_batch *whole = r->batch;
  size_t T = whole->T, n = r->rows * T;
  for (size_t b = 0; b < whole->B; b += r->rows) {
    size_t at = b * T;
    sgi_batch batch = {r->rows, T, whole->inputs + at, whole->targets + at, whole->starts ? whole->starts + at : NULL};
    sg_error why = {0};
    watcher w = {.first_row = r->first_row + b, .T = T, .out = out, .size = size};
    sg_status st = sgi_pass_forward(r->pass, &batch, &(sgi_tap){visit, &w, &why, NULL, true}, &why);
    if (w.found) return true;
    if (st) {
      snprintf(out, size, "%.150s", why.text);
      if (st == SG_ERR_NUMERIC) add_largest(r->model, out, size);
      return true;
    }
    if (sgi_pass_loss(r->pass, &(sgi_metrics){0}, NULL, 0, NULL)) continue;
    size_t bad = first_bad(sgi_pass_nll(r->pass), n);
    if (bad == n) continue;
    snprintf(out, size, "the loss at row %zu, position %zu of the batch is %g", r->first_row + b + bad / T, bad % T,
             (double)sgi_pass_nll(r->pass)[bad]);
    add_largest(r->model, out, size);
    return true;
  }
  return false;
}

bool sgi_blame_batch(const sgi_refused *r, char text[SGI_BLAME_TEXT]) {
  const sg_model *m = r->model;
  snprintf(text, SGI_BLAME_TEXT, "the gradient's norm overflows");
  return search(m, &(sgi_suspect){"weight", m->arena, 0, m->table.floats}, false, text, SGI_BLAME_TEXT) ||
         search_forward(r, text, SGI_BLAME_TEXT) ||
         search(m, &(sgi_suspect){"gradient of", r->gradient, 0, m->table.floats}, true, text, SGI_BLAME_TEXT);
}
