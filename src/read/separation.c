#include "read/separation.h"

#include <math.h>
#include <string.h>

#include "core/rng.h"

static size_t most_frequent(const uint64_t *count, size_t n) {
  size_t best = 0;
  for (size_t e = 1; e < n; e++)
    if (count[e] > count[best]) best = e;
  return best;
}

static bool is_empty(const uint64_t *count, size_t n) { return !count[most_frequent(count, n)]; }

/* joint (K,M); returns the sum. A document without a single choice counts nowhere. */
static double tally(const sgi_choices *c, const int32_t *order, bool by_document, double *joint) {
  double sum = 0;
  memset(joint, 0, c->topics * c->choices * sizeof *joint);
  for (size_t i = 0; i < c->documents; i++) {
    const uint64_t *count = c->count + i * c->choices;
    double *row = joint + (size_t)c->topic[order ? order[i] : (int32_t)i] * c->choices;
    if (is_empty(count, c->choices)) continue;
    if (by_document) {
      row[most_frequent(count, c->choices)]++;
      sum++;
      continue;
    }
    for (size_t e = 0; e < c->choices; e++) {
      row[e] += (double)count[e];
      sum += (double)count[e];
    }
  }
  return sum;
}

double sgi_separation_bits(const sgi_choices *c, const int32_t *order, bool by_document, double *joint) {
  size_t K = c->topics, M = c->choices;
  double *of_topic = joint + K * M, *of_choice = of_topic + K, bits = 0, sum = tally(c, order, by_document, joint);
  memset(of_topic, 0, (K + M) * sizeof *of_topic);
  for (size_t t = 0; t < K; t++)
    for (size_t e = 0; e < M; e++) {
      of_topic[t] += joint[t * M + e];
      of_choice[e] += joint[t * M + e];
    }
  for (size_t t = 0; t < K; t++)
    for (size_t e = 0; e < M; e++) {
      double n = joint[t * M + e];
      if (n > 0) bits += n / sum * log2(n * sum / (of_topic[t] * of_choice[e]));
    }
  return bits;
}

/* After sgi_separation_bits: joint and the sums behind it. */
static void describe(const sgi_choices *c, const double *joint, sgi_separation *out) {
  size_t K = c->topics, M = c->choices;
  const double *of_topic = joint + K * M;
  double sum = 0;
  out->entropy = out->purity = 0;
  for (size_t t = 0; t < K; t++) sum += of_topic[t];
  for (size_t t = 0; t < K; t++)
    if (of_topic[t] > 0) out->entropy -= of_topic[t] / sum * log2(of_topic[t] / sum);
  for (size_t e = 0; e < M; e++) {
    double most = 0;
    for (size_t t = 0; t < K; t++) most = fmax(most, joint[t * M + e]);
    out->purity += sum > 0 ? most / sum : 0;
  }
}

void sgi_separation_measure(const sgi_choices *c, bool by_document, size_t permutations, uint64_t seed, int32_t *order,
                            double *room, sgi_separation *out) {
  size_t reach = 0;
  *out = (sgi_separation){.mi = sgi_separation_bits(c, NULL, by_document, room)};
  describe(c, room, out);
  for (size_t k = 0; k < permutations; k++) {
    for (size_t i = 0; i < c->documents; i++)
      order[i] = (int32_t)sgi_rng_permute(seed, SGI_STREAM_TOPICS, k, c->documents, i);
    double bits = sgi_separation_bits(c, order, by_document, room);
    out->null += bits / (double)permutations;
    reach += bits >= out->mi * (1 - 1e-12); /* equal but for the order of a sum */
  }
  out->p = (double)(1 + reach) / (double)(1 + permutations);
  out->separation = out->entropy > 0 ? (out->mi - out->null) / out->entropy : NAN;
}
