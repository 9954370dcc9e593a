/* The formulas that layers are made of. */
#include <math.h>
#include <stdlib.h>

#include "ref/ref.h"

double ref_dot(const double *a, const double *b, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

uint64_t ref_linear(double *y, const double *x, const double *w, size_t n, size_t in, size_t out) {
  for (size_t i = 0; i < n; i++)
    for (size_t o = 0; o < out; o++) y[i * out + o] = ref_dot(x + i * in, w + o * in, in);
  return (uint64_t)n * in * out;
}

void ref_rmsnorm(double *y, const double *x, const double *g, size_t n, size_t D, double eps) {
  for (size_t i = 0; i < n; i++) {
    double mean = ref_dot(x + i * D, x + i * D, D) / (double)D;
    for (size_t d = 0; d < D; d++) y[i * D + d] = x[i * D + d] / sqrt(mean + eps) * g[d];
  }
}

void ref_rotary(double *x, const int32_t *position, size_t n, size_t H, size_t d, double theta) {
  for (size_t j = 0; j < d / 2; j++) {
    float frequency = (float)(1 / pow(theta, 2 * (double)j / (double)d));
    for (size_t i = 0; i < n; i++) {
      float angle = (float)position[i] * frequency;
      double cosine = cos((double)angle), sine = sin((double)angle);
      for (size_t h = 0; h < H; h++) {
        double *first = x + (i * H + h) * d + j, *second = first + d / 2, a = *first, b = *second;
        *first = a * cosine - b * sine;
        *second = b * cosine + a * sine;
      }
    }
  }
}

void ref_softmax(double *x, size_t n) {
  double max = x[0], sum = 0;
  for (size_t i = 0; i < n; i++) max = fmax(max, x[i]);
  for (size_t i = 0; i < n; i++) sum += x[i] = exp(x[i] - max);
  for (size_t i = 0; i < n; i++) x[i] /= sum;
}

void ref_attention(double *o, const double *q, const double *k, const double *v, const double *sinks,
                   const int32_t *starts, size_t B, size_t T, size_t past, size_t capacity, size_t H, size_t d) {
  double *p = ref_alloc(past + T + 1, sizeof *p);
  for (size_t b = 0; b < B; b++)
    for (size_t t = 0; t < T; t++)
      for (size_t h = 0; h < H; h++) {
        size_t from = starts ? (size_t)starts[b * T + t] : 0, to = past + t + 1;
        const double *query = q + ((b * T + t) * H + h) * d;
        double *out = o + ((b * T + t) * H + h) * d;
        for (size_t j = from; j < to; j++)
          p[j] = ref_dot(query, k + ((b * capacity + j) * H + h) * d, d) / sqrt((double)d);
        if (sinks) p[to] = sinks[h];
        ref_softmax(p + from, to - from + (sinks != NULL));
        for (size_t e = 0; e < d; e++) {
          out[e] = 0;
          for (size_t j = from; j < to; j++) out[e] += p[j] * v[((b * capacity + j) * H + h) * d + e];
        }
      }
  free(p);
}

double ref_sigmoid(double x) { return 1 / (1 + exp(-x)); }
double ref_identity(double x) { return x; }
double ref_gelu(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
double ref_relu(double x) { return x > 0 ? x : 0; }
double ref_swish(double x) { return x * ref_sigmoid(x); }

double ref_glu(double gate, double linear) {
  double g = fmin(gate, 7), l = fmax(-7, fmin(linear, 7));
  return g * ref_sigmoid(1.702 * g) * (l + 1);
}

void ref_top_k(int32_t *index, const double *x, size_t n, size_t k) {
  bool *taken = ref_alloc(n, sizeof *taken);
  for (size_t i = 0; i < k; i++) {
    size_t best = n;
    for (size_t j = 0; j < n; j++)
      if (!taken[j] && (best == n || x[j] > x[best])) best = j;
    taken[best] = true;
    index[i] = (int32_t)best;
  }
  free(taken);
}

double ref_nll(const double *logits, int32_t target, size_t V) {
  double max = logits[0], sum = 0;
  for (size_t i = 0; i < V; i++) max = fmax(max, logits[i]);
  for (size_t i = 0; i < V; i++) sum += exp(logits[i] - max);
  return max + log(sum) - logits[target];
}
