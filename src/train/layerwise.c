#include "train/layerwise.h"

#include <string.h>

#include "core/arena.h"
#include "math/rows.h"

typedef struct part {
  sgi_arena saved, shared;
} part;

struct sgi_layerwise {
  const sg_model *student;
  bool *which;
  size_t L, D, n; /* n: rows that fit */
  bool backward;
  sgi_pass *teacher;
  float **x, **y_teacher; /* (L): (n,D) of the teacher */
  float *y, *dx;          /* (n,D) of one layer */
  float **dy;             /* (L): (n,D) with backward */
  bool *counted;          /* (n) */
  part *parts;            /* (L) */
  sgi_arena scratch;
  const sgi_layer_seen *seen;
  sg_error *err;
};

static const sgi_sublayer *layer_of(const sgi_layerwise *x, size_t l) { return sgi_feedforward_of(x->student, l); }

static bool new_floats(float **p, size_t count) { return (*p = sgi_alloc(count * sizeof **p)) != NULL; }

static bool new_block(sgi_arena *a, size_t bytes) {
  *a = (sgi_arena){.base = sgi_alloc(bytes ? bytes : 1), .size = bytes};
  return a->base != NULL;
}

void sgi_layerwise_free(sgi_layerwise *x) {
  if (!x) return;
  sgi_pass_free(x->teacher);
  for (size_t l = 0; l < x->L; l++) {
    if (x->x) sgi_free(x->x[l]);
    if (x->y_teacher) sgi_free(x->y_teacher[l]);
    if (x->dy) sgi_free(x->dy[l]);
    if (x->parts) sgi_free(x->parts[l].saved.base);
    if (x->parts) sgi_free(x->parts[l].shared.base);
  }
  void *blocks[] = {x->which, x->x, x->y_teacher, x->dy, x->y, x->dx, x->counted, x->parts, x->scratch.base};
  for (size_t i = 0; i < SGI_COUNT(blocks); i++) sgi_free(blocks[i]);
  sgi_free(x);
}

/* The layer's blocks; of a router that layers share the first has it. */
static bool make_part(sgi_layerwise *x, size_t l, size_t *scratch) {
  const sgi_sublayer *s = layer_of(x, l);
  sgi_arena saved = {0}, shared = {0}, room = {0};
  sgi_ffn_saved(s->ffn, s->config, x->n, &saved);
  sgi_ffn_scratch(s->ffn, s->config, x->n, x->backward, &room);
  if (s->ffn->shared && sgi_config_router(s->config, l) == l) s->ffn->shared(s->config, x->n, x->backward, &shared);
  if (room.used > *scratch) *scratch = room.used;
  return new_block(&x->parts[l].saved, saved.used) && new_block(&x->parts[l].shared, shared.used) &&
         new_floats(&x->x[l], x->n * x->D) && new_floats(&x->y_teacher[l], x->n * x->D) &&
         (!x->backward || new_floats(&x->dy[l], x->n * x->D));
}

sg_status sgi_layerwise_create(const sg_model *teacher, const sg_model *student, const bool *which, size_t B, size_t T,
                               bool backward, sgi_layerwise **out, sg_error *err) {
  sgi_layerwise *x = sgi_alloc(sizeof *x);
  size_t scratch = 0, L = student->config.num_layers;
  *out = NULL;
  if (!x) return sgi_fail_memory(err, sizeof *x, "layers of a distillation");
  *x = (sgi_layerwise){.student = student, .L = L, .D = student->config.hidden_size, .n = B * T, .backward = backward};
  bool all = (x->which = sgi_alloc(L)) && (x->x = sgi_alloc(L * sizeof *x->x)) &&
             (x->y_teacher = sgi_alloc(L * sizeof *x->x)) && (x->dy = sgi_alloc(L * sizeof *x->x)) &&
             (x->parts = sgi_alloc(L * sizeof *x->parts)) && (x->counted = sgi_alloc(x->n)) &&
             new_floats(&x->y, x->n * x->D) && new_floats(&x->dx, x->n * x->D);
  for (size_t l = 0; l < L && all; l++)
    if (which[l]) x->which[l] = x->which[sgi_config_router(layer_of(x, l)->config, l)] = true;
  for (size_t l = 0; l < L && all; l++)
    if (x->which[l]) all = make_part(x, l, &scratch);
  if (all) all = new_block(&x->scratch, scratch);
  sg_status st = all ? SG_OK : sgi_fail_memory(err, L * x->n * x->D * sizeof(float), "layers of a distillation");
  if (!st) st = sgi_pass_create(teacher, B, T, false, &x->teacher, err);
  if (st)
    sgi_layerwise_free(x);
  else
    *out = x;
  return st;
}

/* What the teacher's layers read and add. */
static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  sgi_layerwise *x = user;
  if (site->layer >= 0 && x->which[site->layer]) {
    float *to = site->id == SGI_SITE_MLP_NORM  ? x->x[site->layer]
                : site->id == SGI_SITE_MLP_OUT ? x->y_teacher[site->layer]
                                               : NULL;
    if (to) memcpy(to + site->first * x->D, site->data, site->n * x->D * sizeof *to);
  }
  const sgi_tap *more = x->seen ? x->seen->teacher : NULL;
  return more ? more->visit(more->user, site, err) : SG_OK;
}

static sgi_ffn_call call_of(const sgi_layerwise *x, size_t l, size_t n) {
  const sgi_sublayer *s = layer_of(x, l);
  return (sgi_ffn_call){.config = s->config,
                        .w = s->weight + SGI_T_OWN,
                        .beside = s->weight + s->beside,
                        .n = n,
                        .saved = x->parts[l].saved,
                        .shared = x->parts[sgi_config_router(s->config, l)].shared,
                        .scratch = x->scratch};
}

/* Sums of one batch; row by row, in order. */
static sgi_layer_fit compare(const sgi_layerwise *x, size_t l, size_t n) {
  sgi_layer_fit f = {0};
  for (size_t i = 0; i < n; i++) {
    const float *y = x->y + i * x->D, *t = x->y_teacher[l] + i * x->D;
    if (!x->counted[i]) continue;
    double own = sgi_dot_double(y, y, x->D), square = sgi_dot_double(t, t, x->D), cross = sgi_dot_double(y, t, x->D),
           error = 0;
#pragma omp simd reduction(+ : error)
    for (size_t d = 0; d < x->D; d++) error += (double)(y[d] - t[d]) * (double)(y[d] - t[d]);
    f.error += error, f.square += square, f.cross += cross, f.own += own;
    f.rows++;
  }
  return f;
}

/* d (error / square) / dy. */
static void output_gradient(const sgi_layerwise *x, size_t l, size_t n, double square) {
  float scale = square > 0 ? (float)(2 / square) : 0;
#pragma omp parallel for schedule(static) if (n > 64)
  for (size_t i = 0; i < n; i++) {
    const float *y = x->y + i * x->D, *t = x->y_teacher[l] + i * x->D;
    float *dy = x->dy[l] + i * x->D, own = x->counted[i] ? scale : 0;
    for (size_t d = 0; d < x->D; d++) dy[d] = own * (y[d] - t[d]);
  }
}

static sg_status forward(sgi_layerwise *x, size_t l, size_t n, sgi_layer_fit *fit, bool wants_gradient) {
  sgi_ffn_call call = call_of(x, l, n);
  sg_status st = sgi_ffn_forward(layer_of(x, l)->ffn, &call, x->y, x->x[l]);
  if (st) return st;
  sgi_layer_fit f = compare(x, l, n);
  fit->error += f.error, fit->square += f.square, fit->cross += f.cross, fit->own += f.own;
  fit->rows += f.rows;
  if (wants_gradient) output_gradient(x, l, n, f.square);
  if (x->seen && x->seen->seen) x->seen->seen(x->seen->user, l, &call, x->counted);
  return SG_OK;
}

static sg_status backward(sgi_layerwise *x, size_t l, size_t n, float *grad) {
  const sgi_sublayer *s = layer_of(x, l);
  sgi_ffn_call call = call_of(x, l, n);
  float *dw[SGI_MAX_TENSORS];
  for (size_t i = SGI_T_OWN; i < s->n_tensors; i++) dw[i - SGI_T_OWN] = grad + x->student->table.rows[s->row[i]].offset;
  call.dw = dw;
  call.beside_dw = dw + s->beside - SGI_T_OWN;
  return sgi_ffn_backward(s->ffn, &call, x->dx, x->dy[l], x->x[l]);
}

sg_status sgi_layerwise_run(sgi_layerwise *x, const sgi_batch *batch, sgi_layer_fit *fit, float *grad,
                            const sgi_layer_seen *seen, sg_error *err) {
  size_t n = batch->B * batch->T;
  sgi_tap tap = {.visit = visit, .user = x, .err = err};
  x->seen = seen;
  for (size_t i = 0; i < n; i++) x->counted[i] = !batch->targets || batch->targets[i] != x->student->config.pad_id;
  sg_status st = sgi_pass_forward(x->teacher, batch, &tap, err), own = SG_OK;
  for (size_t l = 0; l < x->L && !st && !own; l++)
    if (x->which[l]) own = forward(x, l, n, &fit[l], grad != NULL);
  for (size_t l = 0; l < x->L && !st && !own && grad; l++)
    if (x->which[l] && layer_of(x, l)->ffn->clear && sgi_config_router(layer_of(x, l)->config, l) == l)
      layer_of(x, l)->ffn->clear(layer_of(x, l)->config, n, x->parts[l].shared);
  for (size_t l = x->L; l-- > 0 && !st && !own && grad;)
    if (x->which[l]) own = backward(x, l, n, grad);
  x->seen = NULL;
  if (own) return sgi_fail(err, own, "distillation: a student's layer could not be run (%s)", sg_status_text(own));
  return st;
}

double sgi_layerwise_flops(const sg_model *student, const bool *which, size_t T) {
  double sum = 0;
  for (size_t l = 0; l < student->config.num_layers; l++) {
    const sgi_sublayer *s = sgi_feedforward_of(student, l);
    if (which[l] && s) sum += 2 * (double)sgi_ffn_multiply_adds(s->ffn, s->config) * (double)T;
  }
  return sum;
}
