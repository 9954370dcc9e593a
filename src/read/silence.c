#include "read/silence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ffn/beside.h"

enum { ROWS = 32 };

static const size_t DEFAULT_BYTES = (size_t)1 << 30;

/* Order of members: layer, heads first, position, channel or head, number. */
static int by_place(const void *a, const void *b) {
  const sg_term *x = a, *y = b;
  const int32_t kx[] = {x->layer, x->kind == SG_TERM_NEURON, x->position, x->head, x->channel, x->index};
  const int32_t ky[] = {y->layer, y->kind == SG_TERM_NEURON, y->position, y->head, y->channel, y->index};
  for (size_t i = 0; i < SGI_COUNT(kx); i++)
    if (kx[i] != ky[i]) return kx[i] < ky[i] ? -1 : 1;
  return 0;
}

static const sg_term *find(const sgi_silencer *s, sg_term wanted) {
  return bsearch(&wanted, s->members, s->count, sizeof wanted, by_place);
}

/* Whether the member, or one that is none, is silent in row b of the batch. */
static bool is_silent(const sgi_silencer *s, size_t b, const sg_term *member) {
  return member ? s->silent[b * s->count + (size_t)(member - s->members)] : s->others;
}

/* Which neuron entry i of a row is (sites.h): a choice holds its number, or its channel (experts),
 * of dense layers and beside a kind the entry is its own number. */
static sg_term neuron_at(const sgi_silencer *s, const sgi_site *site, size_t row, size_t i) {
  const sgi_site_row *r = sgi_site_row_of(site->id);
  size_t last = site->dims[1];
  sg_term t = {.kind = SG_TERM_NEURON,
               .layer = (int32_t)site->layer,
               .head = -1,
               .position = (int32_t)(row % s->T),
               .index = (int32_t)i};
  sgi_beside part = sgi_beside_of_site(site->id);
  if (part != SGI_BESIDE_PARTS) t.channel = (int32_t)sgi_beside_channel(&s->model->layers[site->layer].config, part);
  if (r->chosen_by == SGI_SITE_NONE) return t;
  const sgi_site_row *choice = sgi_site_row_of(s->chosen.id);
  const int32_t *chosen = (const int32_t *)s->chosen.data + row * sgi_site_width(&s->chosen);
  bool by_slot = choice->n_axes > 1; /* (channel, slot) holds neurons; (slot) holds channels */
  t.channel = by_slot ? (int32_t)(i / last) : chosen[i / last];
  t.index = by_slot ? chosen[i] : (int32_t)(i % last);
  return t;
}

static void neurons(const sgi_silencer *s, const sgi_site *site) {
  size_t width = sgi_site_width(site);
  for (size_t n = 0; n < site->n; n++) {
    size_t row = site->first + n;
    float *value = (float *)site->data + n * width;
    for (size_t i = 0; i < width; i++)
      if (value[i] != 0 && is_silent(s, row / s->T, find(s, neuron_at(s, site, row, i)))) value[i] = 0;
  }
}

static void heads(const sgi_silencer *s, const sgi_site *site) {
  size_t width = sgi_site_width(site), d = site->dims[1];
  for (size_t n = 0; n < site->n; n++)
    for (size_t h = 0; h < site->dims[0]; h++) {
      size_t row = site->first + n;
      sg_term t = {.kind = SG_TERM_HEAD,
                   .layer = (int32_t)site->layer,
                   .head = (int32_t)h,
                   .channel = -1,
                   .index = -1,
                   .position = (int32_t)(row % s->T)};
      if (!is_silent(s, row / s->T, find(s, t))) continue;
      float *z = (float *)site->data + n * width + h * d;
      if (s->means)
        memcpy(z, s->means->z + (size_t)site->layer * s->means->width + h * d, d * sizeof(float));
      else
        memset(z, 0, d * sizeof(float));
    }
}

/* What is silent writes its mean. With the others silent that is the layer's mean output less that
 * of the neurons that are heard, whether the run chose them or not. */
static void means(const sgi_silencer *s, const sgi_site *site) {
  size_t D = s->means->D, layer = (size_t)site->layer;
  const float *all = s->means->layers[layer].output;
  for (size_t n = 0; n < site->n; n++) {
    size_t row = site->first + n, cell = layer * s->T + row % s->T;
    float *y = (float *)site->data + n * D;
    for (size_t d = 0; d < D && s->others; d++) y[d] += all[d];
    for (size_t i = s->first[cell]; i < s->first[cell + 1]; i++) {
      const sg_term *t = &s->members[i];
      bool silent = t->kind == SG_TERM_NEURON && is_silent(s, row / s->T, t);
      if (t->kind == SG_TERM_NEURON && silent != s->others)
        sgi_means_add(s->means, layer, (size_t)t->channel, (size_t)t->index, s->others ? -1 : 1, y);
    }
  }
}

static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  sgi_silencer *s = user;
  (void)err;
  sgi_site_role role = sgi_site_row_of(site->id)->role;
  if (role == SGI_SITE_CHOICE) s->chosen = *site;
  if (role == SGI_SITE_VALUES || sgi_beside_of_site(site->id) != SGI_BESIDE_PARTS) neurons(s, site);
  if (site->id == SGI_SITE_ATTN_Z && s->heads) heads(s, site);
  if (site->id == SGI_SITE_MLP_OUT && s->means) means(s, site);
  return SG_OK;
}

/* Members are in the order of layers, a layer's heads before its neurons, these by position. */
static void count_cells(sgi_silencer *s, size_t cells) {
  size_t i = 0;
  for (size_t cell = 0; cell <= cells; cell++) {
    while (i < s->count) {
      const sg_term *t = &s->members[i];
      size_t layer = (size_t)t->layer, own = layer * s->T + (t->kind == SG_TERM_NEURON ? (size_t)t->position : 0);
      if (own >= cell) break;
      i++;
    }
    s->first[cell] = i;
  }
}

sg_status sgi_silencer_init(sgi_silencer *s, const sg_model *m, const int32_t *tokens, size_t T, const sg_term *members,
                            size_t count, bool heads, const sg_means *means, size_t max_bytes, size_t *at,
                            sg_error *err) {
  size_t rows;
  *s = (sgi_silencer){.model = m, .tokens = tokens, .T = T, .count = count, .heads = heads, .means = means};
  sg_status st = sgi_pass_fit_within(&m->config, ROWS, T, false, max_bytes ? max_bytes : DEFAULT_BYTES, &rows, err);
  if (st) return st;
  s->rows = rows;
  size_t cells = m->config.num_layers * T;
  s->members = sgi_alloc((count + 1) * sizeof *s->members);
  s->first = sgi_alloc((cells + 1) * sizeof *s->first);
  s->inputs = sgi_alloc(rows * T * sizeof *s->inputs);
  s->logits = sgi_alloc(m->config.vocab_size * sizeof *s->logits);
  if (!s->members || !s->inputs || !s->logits || !s->first)
    return sgi_fail_memory(err, count * sizeof *s->members, "runs with silent neurons");
  memcpy(s->members, members, count * sizeof *members);
  qsort(s->members, count, sizeof *s->members, by_place);
  count_cells(s, cells);
  for (size_t i = 0; i < count; i++) at[i] = (size_t)(find(s, members[i]) - s->members);
  for (size_t i = 0; i < rows * T; i++) s->inputs[i] = tokens[i % T];
  return sgi_pass_create(m, rows, T, false, &s->pass, err);
}

void sgi_silencer_deinit(sgi_silencer *s) {
  sgi_pass_free(s->pass);
  sgi_free(s->members);
  sgi_free(s->first);
  sgi_free(s->inputs);
  sgi_free(s->logits);
  *s = (sgi_silencer){0};
}

static double margin_of(const sgi_silencer *s, int32_t target, int32_t against) {
  double other = against >= 0 ? (double)s->logits[against] : -INFINITY;
  for (size_t v = 0; against < 0 && v < s->model->config.vocab_size; v++)
    if (v != (size_t)target) other = fmax(other, (double)s->logits[v]);
  return (double)s->logits[target] - other;
}

sg_status sgi_silencer_run(sgi_silencer *s, size_t R, const bool *silent, bool others, int32_t target, int32_t against,
                           double *margin, sg_error *err) {
  s->silent = silent;
  s->others = others;
  s->runs += R;
  sgi_batch batch = {.B = R, .T = s->T, .inputs = s->inputs};
  sg_status st = sgi_pass_forward(s->pass, &batch, &(sgi_tap){.visit = visit, .user = s, .err = err}, err);
  for (size_t r = 0; r < R && !st; r++) {
    st = sgi_pass_logits(s->pass, r * s->T + s->T - 1, 1, s->logits, err);
    if (!st) margin[r] = margin_of(s, target, against);
  }
  return st;
}
