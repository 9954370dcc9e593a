#include "functions/set.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/safetensors.h"

enum { NAME = 64, MOST_LAYERS = 4096 };

/* The tensors of a layer; counts of the three lists are known once their tensors are. */
typedef enum part {
  PROJECTION,
  STANDS,
  BIAS,
  SAMPLES,
  QUALITY,
  POINTS,
  POINT,
  EDGES,
  EDGE_FEATURE,
  EDGE_FORM,
  EDGE_NUMBERS,
  EDGE_COEF,
  BITS,
  BIT_FEATURE,
  BIT_THRESHOLD,
  GATES,
  GATE_OUTPUTS,
  GATE_INPUT,
  GATE_TABLE,
  GATE_WEIGHT,
  W_OUT,
  BASIS,
  PART,
  AMOUNT,
  ALL
} part;

typedef struct sizes {
  size_t edges, bits, gates;
} sizes;

typedef struct shape {
  const char *name;
  sgi_dtype dtype;
  size_t dims[3];
  int n_dims;
} shape;

static shape shape_of(const sgi_function_layer *l, sizes n, part k) {
  size_t N = l->units, M = sgi_grid_coefs(&l->grid), Q = SGI_FUNCTION_PARTS;
  switch (k) {
    case PROJECTION: return (shape){"projection", SGI_F32, {l->R, l->D}, 2};
    case STANDS: return (shape){"stands", SGI_U8, {N}, 1};
    case BIAS: return (shape){"bias", SGI_F32, {N}, 1};
    case SAMPLES: return (shape){"samples", SGI_I32, {N}, 1};
    case QUALITY: return (shape){"quality", SGI_F32, {N, 2}, 2};
    case POINTS: return (shape){"points", SGI_I32, {N}, 1};
    case POINT: return (shape){"point", SGI_F32, {N, SGI_FUNCTION_POINTS, 3}, 3};
    case EDGES: return (shape){"edges", SGI_I32, {N}, 1};
    case EDGE_FEATURE: return (shape){"edge.feature", SGI_I32, {n.edges}, 1};
    case EDGE_FORM: return (shape){"edge.form", SGI_I32, {n.edges}, 1};
    case EDGE_NUMBERS: return (shape){"edge.numbers", SGI_F32, {n.edges, 4}, 2};
    case EDGE_COEF: return (shape){"edge.coef", SGI_F32, {n.edges, M}, 2};
    case BITS: return (shape){"bits", SGI_I32, {N}, 1};
    case BIT_FEATURE: return (shape){"bit.feature", SGI_I32, {n.bits}, 1};
    case BIT_THRESHOLD: return (shape){"bit.threshold", SGI_F32, {n.bits}, 1};
    case GATES: return (shape){"gates", SGI_I32, {N}, 1};
    case GATE_OUTPUTS: return (shape){"gate.outputs", SGI_I32, {N}, 1};
    case GATE_INPUT: return (shape){"gate.input", SGI_I32, {n.gates, 2}, 2};
    case GATE_TABLE: return (shape){"gate.table", SGI_I32, {n.gates}, 1};
    case GATE_WEIGHT: return (shape){"gate.weight", SGI_F32, {n.gates}, 1};
    case W_OUT: return (shape){"w_out", SGI_F32, {N, l->D}, 2};
    case BASIS: return (shape){"basis", SGI_F32, {l->basis_rows, l->D}, 2};
    case PART: return (shape){"part", SGI_I32, {N, Q}, 2};
    case AMOUNT: return (shape){"amount", SGI_F32, {N, Q}, 2};
    case ALL: break;
  }
  return (shape){0};
}

static bool has_part(const sgi_function_layer *l, part k) {
  return k < W_OUT || (k == W_OUT ? !l->basis_rows : l->basis_rows > 0);
}

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct packed {
  void *data[ALL]; /* of its own where it is not the layer's */
  char name[ALL][NAME];
} packed;

static const void *own_data(const sgi_function_layer *l, part k) {
  switch (k) {
    case PROJECTION: return l->projection;
    case STANDS: return l->stands;
    case SAMPLES: return l->samples;
    case QUALITY: return l->quality;
    case POINTS: return l->points;
    case POINT: return l->point;
    case W_OUT: return l->w_out;
    case BASIS: return l->basis;
    case PART: return l->part;
    case AMOUNT: return l->amount;
    default: return NULL;
  }
}

static sizes count(const sgi_function_layer *l) {
  sizes n = {0};
  for (size_t i = 0; i < l->units; i++) {
    n.edges += l->expert[i].edges;
    n.bits += l->expert[i].bits;
    n.gates += l->expert[i].gates;
  }
  return n;
}

static size_t product(const shape *s) {
  size_t n = 1;
  for (int d = 0; d < s->n_dims; d++) n *= s->dims[d];
  return n;
}

static void pack_edge(packed *p, const sgi_edge *e, size_t at, size_t M) {
  float *numbers = (float *)p->data[EDGE_NUMBERS] + at * 4, *coef = (float *)p->data[EDGE_COEF] + at * M;
  bool spline = e->form == SGI_SYMBOL_NONE;
  ((int32_t *)p->data[EDGE_FEATURE])[at] = (int32_t)e->feature;
  ((int32_t *)p->data[EDGE_FORM])[at] = (int32_t)e->form;
  numbers[0] = spline ? (float)e->base : 0;
  numbers[1] = spline ? 0 : (float)e->a;
  numbers[2] = spline ? 0 : (float)e->b;
  numbers[3] = spline ? 0 : (float)e->c;
  for (size_t c = 0; c < M; c++) coef[c] = spline ? (float)e->coef[c] : 0;
}

static void pack(packed *p, const sgi_function_layer *l) {
  sizes at = {0};
  for (size_t i = 0; i < l->units; i++) {
    const sgi_expert *e = &l->expert[i];
    ((float *)p->data[BIAS])[i] = (float)e->bias;
    ((int32_t *)p->data[EDGES])[i] = (int32_t)e->edges;
    ((int32_t *)p->data[BITS])[i] = (int32_t)e->bits;
    ((int32_t *)p->data[GATES])[i] = (int32_t)e->gates;
    ((int32_t *)p->data[GATE_OUTPUTS])[i] = (int32_t)e->outputs;
    for (size_t k = 0; k < e->edges; k++) pack_edge(p, &e->edge[k], at.edges++, sgi_grid_coefs(&l->grid));
    for (size_t k = 0; k < e->bits; k++, at.bits++) {
      ((int32_t *)p->data[BIT_FEATURE])[at.bits] = (int32_t)e->bit_feature[k];
      ((float *)p->data[BIT_THRESHOLD])[at.bits] = (float)e->threshold[k];
    }
    for (size_t k = 0; k < e->gates; k++, at.gates++) {
      int32_t table = 0;
      for (size_t s = 0; s < 4; s++) table |= (int32_t)(e->table[k][s] > 0.5) << s;
      for (size_t s = 0; s < 2; s++) ((int32_t *)p->data[GATE_INPUT])[at.gates * 2 + s] = (int32_t)e->input[k][s];
      ((int32_t *)p->data[GATE_TABLE])[at.gates] = table;
      ((float *)p->data[GATE_WEIGHT])[at.gates] = (float)e->gamma[k];
    }
  }
}

static sg_status pack_layer(packed *p, const sgi_function_layer *l, sgi_tensor *t, size_t *n, sg_error *err) {
  sizes counts = count(l);
  for (int k = 0; k < ALL; k++) {
    shape s = shape_of(l, counts, (part)k);
    if (!has_part(l, (part)k)) continue;
    const void *data = own_data(l, (part)k);
    if (!data) data = p->data[k] = sgi_alloc(product(&s) * sgi_dtype_size(s.dtype) + 1);
    if (!data) return sgi_fail_memory(err, product(&s) * sgi_dtype_size(s.dtype), "functions to write");
    snprintf(p->name[k], NAME, "layers.%zu.%s", l->layer, s.name);
    t[*n] = (sgi_tensor){.name = p->name[k], .dtype = s.dtype, .n_dims = s.n_dims, .data = data};
    memcpy(t[*n].dims, s.dims, sizeof s.dims);
    ++*n;
  }
  pack(p, l);
  return SG_OK;
}

static json_t *layer_json(const sgi_function_layer *l) {
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I}", "layer", (json_int_t)l->layer,
                   "hidden_size", (json_int_t)l->D, "features", (json_int_t)l->R, "neurons", (json_int_t)l->F, "pools",
                   (json_int_t)l->pools, "channels", (json_int_t)l->C, "top_k", (json_int_t)l->K, "lo", l->grid.lo,
                   "hi", l->grid.hi, "cells", (json_int_t)l->grid.cells, "outputs", (json_int_t)l->basis_rows);
}

sg_status sgi_function_set_save(const char *path, const sgi_function_layer *layers, size_t n, json_t *about,
                                sg_error *err) {
  packed *p = sgi_alloc(n * sizeof *p);
  sgi_tensor *t = sgi_alloc(n * ALL * sizeof *t);
  json_t *list = json_array();
  size_t tensors = 0;
  sg_status st = p && t && list ? SG_OK : sgi_fail_memory(err, n * sizeof *p, "functions to write");
  for (size_t i = 0; i < n && !st; i++) {
    json_array_append_new(list, layer_json(&layers[i]));
    st = pack_layer(&p[i], &layers[i], t, &tensors, err);
  }
  if (!st) {
    json_object_set_new(about, "format", json_string("sgatlin-functions"));
    json_object_set_new(about, "version", json_integer(SGI_FUNCTIONS_VERSION));
    json_object_set(about, "sizes", list);
  }
  char *text = st ? NULL : sgi_json_text(about);
  if (!st && !text) st = sgi_json_incomplete("the description of functions", err);
  const char *metadata[] = {SGI_FUNCTIONS_KEY, text};
  if (!st) st = sgi_safetensors_save(path, t, tensors, metadata, 1, err);
  for (size_t i = 0; p && i < n; i++)
    for (int k = 0; k < ALL; k++) sgi_free(p[i].data[k]);
  sgi_free(p);
  sgi_free(t);
  sgi_free(text);
  json_decref(list);
  return st;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct reading {
  const sgi_safetensors *f;
  sgi_function_layer *l;
  const void *data[ALL];
  sizes n;
  sg_error *err;
} reading;

static sg_status wrong(const reading *r, part k, size_t at, const char *expected) {
  return sgi_fail(r->err, SG_ERR_FORMAT, "%s: tensor layers.%zu.%s: element %zu is out of bounds: expected %s",
                  sgi_safetensors_path(r->f), r->l->layer, shape_of(r->l, r->n, k).name, at, expected);
}

/* The tensor with that type and shape; float32 ones finite. */
static sg_status need(reading *r, part k) {
  shape s = shape_of(r->l, r->n, k);
  char name[NAME];
  snprintf(name, sizeof name, "layers.%zu.%s", r->l->layer, s.name);
  const sgi_tensor *t = sgi_safetensors_find(r->f, name);
  bool same = t && t->dtype == s.dtype && t->n_dims == s.n_dims;
  for (int d = 0; d < s.n_dims && same; d++) same = t->dims[d] == s.dims[d];
  if (!same)
    return sgi_fail(r->err, SG_ERR_FORMAT, "%s: tensor %s is %s, expected %s of %zu x %zu x %zu",
                    sgi_safetensors_path(r->f), name, t ? "of another type or shape" : "missing",
                    sgi_dtype_name(s.dtype), s.dims[0], s.n_dims > 1 ? s.dims[1] : 1, s.n_dims > 2 ? s.dims[2] : 1);
  r->data[k] = t->data;
  for (size_t i = 0; s.dtype == SGI_F32 && i < t->count; i++)
    if (!isfinite(((const float *)t->data)[i]))
      return sgi_fail(r->err, SG_ERR_FORMAT, "%s: tensor %s: element %zu is NaN or infinite",
                      sgi_safetensors_path(r->f), name, i);
  return SG_OK;
}

static int32_t whole(const reading *r, part k, size_t at) { return ((const int32_t *)r->data[k])[at]; }
static double real(const reading *r, part k, size_t at) { return (double)((const float *)r->data[k])[at]; }

/* A list of counts, each in [0, most]; *sum of all. */
static sg_status counts(reading *r, part k, size_t most, size_t *sum) {
  sg_status st = need(r, k);
  *sum = 0;
  for (size_t i = 0; i < r->l->units && !st; i++) {
    if (whole(r, k, i) < 0 || (size_t)whole(r, k, i) > most) return wrong(r, k, i, "a count that is allowed");
    *sum += (size_t)whole(r, k, i);
  }
  return st;
}

static sg_status below(reading *r, part k, size_t n, size_t limit) {
  for (size_t i = 0; i < n; i++)
    if (whole(r, k, i) < 0 || (size_t)whole(r, k, i) >= limit) return wrong(r, k, i, "a number that there is");
  return SG_OK;
}

static sg_status unpack_unit(reading *r, size_t i, sizes *at) {
  sgi_expert *e = &r->l->expert[i];
  size_t M = sgi_grid_coefs(&r->l->grid);
  *e = (sgi_expert){.edges = (size_t)whole(r, EDGES, i),
                    .bits = (size_t)whole(r, BITS, i),
                    .gates = (size_t)whole(r, GATES, i),
                    .outputs = (size_t)whole(r, GATE_OUTPUTS, i),
                    .bias = real(r, BIAS, i)};
  if (e->outputs > e->gates) return wrong(r, GATE_OUTPUTS, i, "at most as many as there are gates");
  for (size_t k = 0; k < e->edges; k++, at->edges++) {
    sgi_edge *d = &e->edge[k];
    d->feature = (size_t)whole(r, EDGE_FEATURE, at->edges);
    d->form = (sgi_symbol_form)whole(r, EDGE_FORM, at->edges);
    d->base = real(r, EDGE_NUMBERS, at->edges * 4);
    d->a = real(r, EDGE_NUMBERS, at->edges * 4 + 1);
    d->b = real(r, EDGE_NUMBERS, at->edges * 4 + 2);
    d->c = real(r, EDGE_NUMBERS, at->edges * 4 + 3);
    for (size_t c = 0; c < M; c++) d->coef[c] = real(r, EDGE_COEF, at->edges * M + c);
  }
  for (size_t k = 0; k < e->bits; k++, at->bits++) {
    e->bit_feature[k] = (size_t)whole(r, BIT_FEATURE, at->bits);
    e->threshold[k] = real(r, BIT_THRESHOLD, at->bits);
  }
  for (size_t k = 0; k < e->gates; k++, at->gates++) {
    for (size_t s = 0; s < 2; s++) {
      int32_t in = whole(r, GATE_INPUT, at->gates * 2 + s);
      if (in < 0 || (size_t)in >= e->bits + k)
        return wrong(r, GATE_INPUT, at->gates * 2 + s, "a bit or an earlier gate");
      e->input[k][s] = (size_t)in;
    }
    for (size_t s = 0; s < 4; s++) e->table[k][s] = whole(r, GATE_TABLE, at->gates) >> s & 1;
    e->gamma[k] = k + e->outputs >= e->gates ? real(r, GATE_WEIGHT, at->gates) : 0;
  }
  return SG_OK;
}

static void copy_parts(reading *r) {
  sgi_function_layer *l = r->l;
  size_t N = l->units;
  memcpy(l->projection, r->data[PROJECTION], l->R * l->D * sizeof(float));
  memcpy(l->stands, r->data[STANDS], N);
  memcpy(l->samples, r->data[SAMPLES], N * sizeof(int32_t));
  memcpy(l->quality, r->data[QUALITY], 2 * N * sizeof(float));
  memcpy(l->points, r->data[POINTS], N * sizeof(int32_t));
  memcpy(l->point, r->data[POINT], N * SGI_FUNCTION_POINTS * 3 * sizeof(float));
  if (l->basis_rows) {
    memcpy(l->basis, r->data[BASIS], l->basis_rows * l->D * sizeof(float));
    memcpy(l->part, r->data[PART], N * SGI_FUNCTION_PARTS * sizeof(int32_t));
    memcpy(l->amount, r->data[AMOUNT], N * SGI_FUNCTION_PARTS * sizeof(float));
  } else {
    memcpy(l->w_out, r->data[W_OUT], N * l->D * sizeof(float));
  }
}

static sg_status read_layer(reading *r) {
  sgi_function_layer *l = r->l;
  sg_status st = counts(r, EDGES, SGI_MOST_EDGES, &r->n.edges);
  if (!st) st = counts(r, BITS, SGI_MOST_BITS, &r->n.bits);
  if (!st) st = counts(r, GATES, SGI_MOST_GATES, &r->n.gates);
  for (int k = 0; k < ALL && !st; k++)
    if (has_part(l, (part)k)) st = need(r, (part)k);
  if (!st) st = below(r, GATE_OUTPUTS, l->units, SGI_MOST_GATES + 1);
  if (!st) st = below(r, POINTS, l->units, SGI_FUNCTION_POINTS + 1);
  if (!st) st = below(r, EDGE_FEATURE, r->n.edges, l->R);
  if (!st) st = below(r, EDGE_FORM, r->n.edges, SGI_SYMBOL_NONE + 1);
  if (!st) st = below(r, BIT_FEATURE, r->n.bits, l->R);
  if (!st) st = below(r, GATE_TABLE, r->n.gates, 16);
  if (!st && l->basis_rows) st = below(r, PART, l->units * SGI_FUNCTION_PARTS, l->basis_rows);
  for (size_t i = 0; i < l->units && !st; i++)
    if (((const uint8_t *)r->data[STANDS])[i] > 1) st = wrong(r, STANDS, i, "0 or 1");
  if (!st) st = sgi_function_layer_make(l, r->err);
  sizes at = {0};
  for (size_t i = 0; i < l->units && !st; i++) st = unpack_unit(r, i, &at);
  if (!st) copy_parts(r);
  return st;
}

static sg_status read_sizes(const json_t *o, const char *where, sgi_function_layer *l, sg_error *err) {
  static const size_t MOST = (size_t)1 << 24;
  sg_status st = sgi_json_size(o, where, "layer", 0, 1 << 20, &l->layer, err);
  if (!st) st = sgi_json_size(o, where, "hidden_size", 1, 1 << 20, &l->D, err);
  if (!st) st = sgi_json_size(o, where, "features", 1, 1 << 16, &l->R, err);
  if (!st) st = sgi_json_size(o, where, "neurons", 1, MOST, &l->F, err);
  if (!st) st = sgi_json_size(o, where, "pools", 1, 1 << 16, &l->pools, err);
  if (!st) st = sgi_json_size(o, where, "channels", 1, 1 << 16, &l->C, err);
  if (!st) st = sgi_json_size(o, where, "top_k", 1, l->F, &l->K, err);
  if (!st) st = sgi_json_real(o, where, "lo", -1e6, 1e6, &l->grid.lo, err);
  if (!st) st = sgi_json_real(o, where, "hi", -1e6, 1e6, &l->grid.hi, err);
  if (!st) st = sgi_json_size(o, where, "cells", 1, SGI_MOST_CELLS, &l->grid.cells, err);
  if (!st) st = sgi_json_size(o, where, "outputs", 0, MOST, &l->basis_rows, err);
  if (!st && (!(l->grid.hi > l->grid.lo) || l->F > MOST / l->pools || (l->pools != 1 && l->pools != l->C)))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: layer %zu: lo, hi, pools or neurons times pools is out of bounds", where,
                  l->layer);
  if (!st) l->units = l->F * l->pools;
  return st;
}

static sg_status read_about(sgi_function_set *s, const char *where, sg_error *err) {
  char format[32];
  size_t version;
  sg_status st = sgi_json_string(s->about, where, "format", format, sizeof format, err);
  if (!st && strcmp(format, "sgatlin-functions"))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: format is \"%s\", expected sgatlin-functions", where, format);
  if (!st) st = sgi_json_size(s->about, where, "version", 1, SGI_FUNCTIONS_VERSION, &version, err);
  if (!st) st = sgi_binding_read(s->about, where, &s->of, err);
  const char *model = json_string_value(json_object_get(s->about, "model"));
  s->model = sgi_strdup(model ? model : "");
  if (!st && !s->model) st = sgi_fail_memory(err, 1, "a path");
  return st;
}

static sg_status read_layers(sgi_function_set *s, const sgi_safetensors *f, const char *where, sg_error *err) {
  const json_t *list = json_object_get(s->about, "sizes");
  size_t n = json_is_array(list) ? json_array_size(list) : 0;
  if (!n || n > MOST_LAYERS) return sgi_fail(err, SG_ERR_FORMAT, "%s: sizes is no list of layers", where);
  s->at = sgi_alloc(n * sizeof *s->at);
  if (!s->at) return sgi_fail_memory(err, n * sizeof *s->at, "a list of layers");
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    reading r = {.f = f, .l = &s->at[i], .err = err};
    s->n = i + 1;
    st = read_sizes(json_array_get(list, i), where, &s->at[i], err);
    if (!st && i && s->at[i].layer <= s->at[i - 1].layer)
      st = sgi_fail(err, SG_ERR_FORMAT, "%s: layers do not ascend", where);
    if (!st) st = read_layer(&r);
  }
  return st;
}

/* Without memory of its own, so that nothing but the file decides: the key stands in the header. */
bool sgi_function_set_is(const char *path) {
  static const char key[] = "\"" SGI_FUNCTIONS_KEY "\"";
  sgi_map map = {0};
  uint64_t n;
  if (sgi_map_file(path, &map, NULL)) return false;
  bool yes = false;
  if (map.size > sizeof n) {
    memcpy(&n, map.data, sizeof n);
    yes = n <= map.size - sizeof n && memmem(map.data + sizeof n, (size_t)n, key, sizeof key - 1);
  }
  sgi_unmap_file(&map);
  return yes;
}

sg_status sgi_function_set_open(const char *path, sgi_function_set **out, sg_error *err) {
  *out = NULL;
  sgi_safetensors *f = NULL;
  sgi_function_set *s = sgi_alloc(sizeof *s);
  sg_status st = s ? sgi_safetensors_open(path, &f, err) : sgi_fail_memory(err, sizeof *s, "functions");
  const char *text = st ? NULL : sgi_safetensors_metadata(f, SGI_FUNCTIONS_KEY);
  if (!st && !text)
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: no functions of neurons: its metadata lack " SGI_FUNCTIONS_KEY, path);
  if (!st) st = sgi_json_parse(text, strlen(text), path, &s->about, err);
  if (!st && !(s->path = sgi_strdup(path))) st = sgi_fail_memory(err, strlen(path), "a path");
  if (!st) st = read_about(s, path, err);
  if (!st) st = read_layers(s, f, path, err);
  sgi_safetensors_close(f);
  if (st)
    sgi_function_set_free(s);
  else
    *out = s;
  return st;
}

void sgi_function_set_free(sgi_function_set *s) {
  if (!s) return;
  for (size_t i = 0; i < s->n; i++) sgi_function_layer_deinit(&s->at[i]);
  sgi_binding_free(&s->of);
  json_decref(s->about);
  sgi_free(s->at);
  sgi_free(s->path);
  sgi_free(s->model);
  sgi_free(s);
}

sg_status sgi_function_set_find(const sgi_function_set *s, size_t layer, const sgi_function_layer **out,
                                sg_error *err) {
  for (size_t i = 0; i < s->n; i++)
    if (s->at[i].layer == layer) {
      *out = &s->at[i];
      return SG_OK;
    }
  return sgi_fail(err, SG_ERR_ARG, "%s holds no functions of layer %zu: it has %zu layers, %zu to %zu", s->path, layer,
                  s->n, s->at[0].layer, s->at[s->n - 1].layer);
}

sg_status sgi_function_set_fits(const sgi_function_set *s, const sg_model *m, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < s->n && !st; i++) {
    const sgi_function_layer *l = &s->at[i];
    sgi_function_place p;
    st = sgi_function_place_of(m, l->layer, &p, err);
    if (!st && (l->D != p.D || l->F != p.F || l->pools != p.pools || l->C != p.C || l->K != p.K))
      st =
          sgi_fail(err, SG_ERR_ARG,
                   "%s: layer %zu has %zu pools of %zu neurons over %zu dimensions and %zu channels of %zu chosen, the "
                   "model's %zu of %zu over %zu and %zu of %zu",
                   s->path, l->layer, l->pools, l->F, l->D, l->C, l->K, p.pools, p.F, p.D, p.C, p.K);
  }
  return st;
}
