#include "model/sample.h"

#include <math.h>

#include "math/kernels.h"

sg_status sgi_sampling_check(const sg_sampling *s, sg_error *err) {
  if (!(s->temperature >= 0 && s->temperature <= 1e6))
    return sgi_fail(err, SG_ERR_ARG, "temperature is %g: it must be from 0 to 1000000", s->temperature);
  if (!(s->top_p >= 0 && s->top_p <= 1))
    return sgi_fail(err, SG_ERR_ARG, "top_p is %g: it must be from 0 to 1", s->top_p);
  if (!(s->min_p >= 0 && s->min_p <= 1))
    return sgi_fail(err, SG_ERR_ARG, "min_p is %g: it must be from 0 to 1", s->min_p);
  return SG_OK;
}

static bool before(const sgi_candidate *a, const sgi_candidate *b) {
  return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void swap(sgi_candidate *a, sgi_candidate *b) {
  sgi_candidate t = *a;
  *a = *b;
  *b = t;
}

/* A heap with the likeliest at the end of the array: node i is at end[-i - 1], so that what is
 * popped collects at the front. */
static sgi_candidate *node(sgi_candidate *all, size_t V, size_t i) { return all + (V - 1 - i); }

static void sift(sgi_candidate *all, size_t V, size_t i, size_t n) {
  for (size_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && before(node(all, V, child + 1), node(all, V, child))) child++;
    if (!before(node(all, V, child), node(all, V, i))) return;
    swap(node(all, V, child), node(all, V, i));
  }
}

/* Moves the next likeliest of a heap of n to place V - n from the front. */
static sgi_candidate *pop(sgi_candidate *all, size_t V, size_t n) {
  swap(node(all, V, 0), node(all, V, n - 1));
  sift(all, V, 0, n - 1);
  return all + (V - n);
}

static bool fill(const sg_sampling *s, const float *logits, size_t V, sgi_candidate *out) {
  float largest = -INFINITY;
  for (size_t i = 0; i < V; i++) {
    if (isnan(logits[i])) return false;
    if (logits[i] > largest) largest = logits[i];
  }
  if (!isfinite(largest)) return false;
  for (size_t i = 0; i < V; i++)
    out[i] = (sgi_candidate){logits[i], (int32_t)i, exp(((double)logits[i] - (double)largest) / s->temperature)};
  return true;
}

size_t sgi_sample_candidates(const sg_sampling *s, const float *logits, size_t V, sgi_candidate *out) {
  if (!fill(s, logits, V, out)) return 0;
  bool by_share = s->top_p > 0 && s->top_p<1, by_best = s->min_p> 0;
  size_t most = s->top_k && s->top_k < V ? s->top_k : V;
  if (most == V && !by_share && !by_best) return V;
  for (size_t i = V / 2; i-- > 0;) sift(out, V, i, V);
  size_t n = 0;
  double total = 0, sum = 0;
  if (most < V) {
    for (; n < most; n++) total += pop(out, V, V - n)->weight;
  } else {
    for (size_t i = 0; i < V; i++) total += out[i].weight;
  }
  size_t kept = 0;
  for (; kept < most; kept++) {
    const sgi_candidate *c = kept < n ? &out[kept] : pop(out, V, V - kept);
    if ((by_best && c->weight < s->min_p * out[0].weight) || (by_share && kept && sum >= s->top_p * total)) break;
    sum += c->weight;
  }
  return kept;
}

int32_t sgi_sample(const sg_sampling *s, const float *logits, size_t V, double u, sgi_candidate *scratch) {
  if (s->temperature == 0) {
    for (size_t i = 0; i < V; i++)
      if (isnan(logits[i])) return -1;
    return (int32_t)sgi_kernel_table()->argmax(logits, V);
  }
  size_t n = sgi_sample_candidates(s, logits, V, scratch);
  double total = 0, sum = 0;
  for (size_t i = 0; i < n; i++) total += scratch[i].weight;
  for (size_t i = 0; i < n; i++) {
    sum += scratch[i].weight;
    if (u * total < sum) return scratch[i].id;
  }
  while (n && scratch[n - 1].weight == 0) n--; /* u * total rounded up to the sum */
  return n ? scratch[n - 1].id : -1;
}
