#include "functions/packed.h"

#include <math.h>
#include <string.h>

size_t sgi_packed_bytes(const sgi_expert *e, const sgi_grid *g) {
  size_t bytes = 8;
  for (size_t k = 0; k < e->edges; k++)
    bytes += e->edge[k].form == SGI_SYMBOL_NONE ? 4 + 4 * (1 + sgi_grid_coefs(g)) : 4 + 12;
  return bytes + e->bits * 8 + e->gates * 8;
}

static size_t put(uint8_t *to, size_t at, const void *from, size_t n) {
  memcpy(to + at, from, n);
  return at + n;
}

static size_t put_float(uint8_t *to, size_t at, double x) {
  float f = (float)x;
  return put(to, at, &f, sizeof f);
}

static size_t put_pair(uint8_t *to, size_t at, size_t a, size_t b) {
  uint16_t two[2] = {(uint16_t)a, (uint16_t)b};
  return put(to, at, two, sizeof two);
}

size_t sgi_pack_expert(const sgi_expert *e, const sgi_grid *g, uint8_t *to) {
  uint8_t head[4] = {(uint8_t)e->edges, (uint8_t)e->bits, (uint8_t)e->gates, (uint8_t)e->outputs};
  size_t at = put(to, 0, head, sizeof head);
  at = put_float(to, at, e->bias);
  for (size_t k = 0; k < e->edges; k++) {
    const sgi_edge *d = &e->edge[k];
    at = put_pair(to, at, d->feature, d->form);
    if (d->form == SGI_SYMBOL_NONE) {
      at = put_float(to, at, d->base);
      for (size_t c = 0; c < sgi_grid_coefs(g); c++) at = put_float(to, at, d->coef[c]);
    } else {
      at = put_float(to, at, d->a);
      at = put_float(to, at, d->b);
      at = put_float(to, at, d->c);
    }
  }
  for (size_t b = 0; b < e->bits; b++) {
    at = put_pair(to, at, e->bit_feature[b], 0);
    at = put_float(to, at, e->threshold[b]);
  }
  for (size_t i = 0; i < e->gates; i++) {
    unsigned table = 0;
    for (size_t s = 0; s < 4; s++) table |= (unsigned)(e->table[i][s] > 0.5) << s;
    uint8_t gate[4] = {(uint8_t)e->input[i][0], (uint8_t)e->input[i][1], (uint8_t)table, 0};
    at = put(to, at, gate, sizeof gate);
    at = put_float(to, at, e->gamma[i]);
  }
  return at;
}

static float read_float(const uint8_t **p) {
  float f;
  memcpy(&f, *p, sizeof f);
  *p += sizeof f;
  return f;
}

static float named(sgi_symbol_form form, float u) {
  switch (form) {
    case SGI_SYMBOL_LINE: return u;
    case SGI_SYMBOL_SQUARE: return u * u;
    case SGI_SYMBOL_ABS: return fabsf(u);
    case SGI_SYMBOL_RELU: return u > 0 ? u : 0;
    case SGI_SYMBOL_STEP: return u > 0;
    case SGI_SYMBOL_CUBE: return u * u * u;
    case SGI_SYMBOL_TANH: return tanhf(u);
    case SGI_SYMBOL_EXP: return expf(u < 20 ? u : 20);
    case SGI_SYMBOL_LOG: return logf(u > 1e-4f ? u : 1e-4f);
    case SGI_SYMBOL_SQRT: return sqrtf(u > 0 ? u : 0);
    case SGI_SYMBOL_GAUSS: return expf(-u * u);
    case SGI_SYMBOL_SIN: return sinf(u);
    case SGI_SYMBOL_ZERO:
    case SGI_SYMBOL_NONE: break;
  }
  return 0;
}

static float spline(const uint8_t *p, const sgi_packed_cells *g, float z) {
  float base, c[4];
  memcpy(&base, p, sizeof base);
  float u = ((z < g->lo ? g->lo : z > g->hi ? g->hi : z) - g->lo) * g->per;
  size_t j = (size_t)u;
  if (j > g->n - 1) j = g->n - 1;
  u -= (float)j;
  memcpy(c, p + 4 + 4 * j, sizeof c);
  float v = 1 - u, uu = u * u,
        sum = c[0] * v * v * v + c[1] * (3 * uu * u - 6 * uu + 4) + c[2] * (-3 * uu * u + 3 * uu + 3 * u + 1) +
              c[3] * uu * u;
  return sum * (1.0f / 6) + (base != 0 ? base * z / (1 + expf(-z)) : 0);
}

static float logic(const uint8_t *p, const uint8_t head[4], const float *z) {
  unsigned node[SGI_MOST_BITS + SGI_MOST_GATES];
  float sum = 0;
  for (size_t b = 0; b < head[1]; b++) {
    uint16_t feature;
    memcpy(&feature, p, sizeof feature);
    p += 4;
    node[b] = z[feature] > read_float(&p);
  }
  for (size_t i = 0; i < head[2]; i++) {
    unsigned in = node[p[0]] * 2 + node[p[1]];
    node[head[1] + i] = p[2] >> in & 1;
    p += 4;
    float gamma = read_float(&p);
    if (node[head[1] + i] && i + head[3] >= head[2]) sum += gamma;
  }
  return sum;
}

float sgi_packed_value(const uint8_t *p, const sgi_packed_cells *g, const float *z) {
  uint8_t head[4];
  memcpy(head, p, sizeof head);
  p += 4;
  float sum = read_float(&p);
  for (size_t k = 0; k < head[0]; k++) {
    uint16_t two[2];
    memcpy(two, p, sizeof two);
    p += 4;
    if (two[1] == SGI_SYMBOL_NONE) {
      sum += spline(p, g, z[two[0]]);
      p += 4 * (1 + g->n + 3);
    } else {
      float a = read_float(&p), b = read_float(&p), c = read_float(&p);
      sum += a * named((sgi_symbol_form)two[1], b * z[two[0]] + c);
    }
  }
  return head[2] ? sum + logic(p, head, z) : sum;
}
