#include "read/active.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "model/pass.h"
#include "read/recording.h"

/* Sums that a correlation is made of. */
typedef struct sums {
  double n, x, y, xx, yy, xy;
} sums;

static double correlation(const sums *s) {
  double vx = s->xx - s->x * s->x / s->n, vy = s->yy - s->y * s->y / s->n, c = s->xy - s->x * s->y / s->n;
  return vx > 0 && vy > 0 ? c / sqrt(vx * vy) : 0;
}

static void add(sgi_active *a, sums *s, size_t acting, double loss) {
  double x = (double)acting;
  a->histogram[acting]++;
  if (!a->tokens++ || acting < a->least) a->least = acting;
  if (acting > a->most) a->most = acting;
  s->n++, s->x += x, s->xx += x * x;
  s->y += loss, s->yy += loss * loss, s->xy += x * loss;
}

sg_status sgi_recording_active(const sg_recording *r, size_t slot, const double *nll, size_t D, sgi_active *out,
                               sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(r);
  const sgi_slot *z = &info->slots[slot];
  size_t m = z->channels * z->top_k;
  sums s = {0};
  *out = (sgi_active){.layer = info->layers[slot], .candidates = m, .has_loss = nll != NULL};
  int32_t *index = sgi_alloc(m * sizeof *index);
  out->histogram = sgi_alloc((m + 1) * sizeof *out->histogram);
  sg_status st = index && out->histogram ? SG_OK : sgi_fail_memory(err, m * sizeof *out->histogram, "a histogram");
  for (size_t p = 0; p < info->n_positions && !st; p++) {
    if (sgi_recording_at(r, p).target == info->pad) continue;
    size_t acting = 0;
    sgi_recording_acting(r, slot, p, index);
    for (size_t i = 0; i < m; i++) acting += index[i] >= 0;
    add(out, &s, acting, nll ? nll[p] : 0);
  }
  sgi_free(index);
  if (!st) st = sgi_recording_check(r, err);
  if (!st && !out->tokens)
    st = sgi_fail(err, SG_ERR_ARG, "the recording holds padding alone: there is nothing to count");
  if (st) {
    sgi_free(out->histogram);
    out->histogram = NULL;
    return st;
  }
  out->mean = s.x / s.n;
  out->sd = sqrt(fmax(s.xx / s.n - out->mean * out->mean, 0));
  out->correlation = nll ? correlation(&s) : 0;
  out->flops = 4 * (double)D * out->mean;
  out->all_flops = 4 * (double)D * (double)m;
  return SG_OK;
}

sg_status sgi_recording_losses(const sg_recording *r, const sg_model *m,
                               bool (*progress)(void *user, size_t done, size_t total), void *user, double *nll,
                               sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(r);
  size_t longest = 0, first, n;
  for (size_t d = 0; d < info->n_documents; d++) {
    sgi_recording_document(r, d, &first, &n);
    if (n > longest) longest = n;
  }
  int32_t *inputs = sgi_alloc(2 * longest * sizeof *inputs), *targets = inputs + longest;
  if (!inputs) return sgi_fail_memory(err, 2 * longest * sizeof *inputs, "a document");
  sgi_pass *p = NULL;
  sg_status st = sgi_pass_create(m, 1, longest, false, &p, err);
  for (size_t d = 0; d < info->n_documents && !st; d++) {
    sgi_recording_document(r, d, &first, &n);
    for (size_t t = 0; t < n; t++) {
      sgi_recorded x = sgi_recording_at(r, first + t);
      inputs[t] = x.input;
      targets[t] = x.target;
    }
    sgi_metrics sum = {0};
    st = sgi_recording_check(r, err);
    if (!st) st = sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = n, .inputs = inputs, .targets = targets}, NULL, err);
    if (!st) st = sgi_pass_loss(p, &sum, NULL, 0, err);
    for (size_t t = 0; t < n && !st; t++) nll[first + t] = (double)sgi_pass_nll(p)[t];
    if (!st && progress && !progress(user, d + 1, info->n_documents)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_pass_free(p);
  sgi_free(inputs);
  return st;
}
