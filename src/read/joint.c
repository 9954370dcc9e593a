/* Neurons scaled together in the frozen network: docs/method-reading.md, several neurons at
 * once. */
#include <stdio.h>
#include <string.h>

#include "ffn/beside.h"
#include "read/joint.h"
#include "read/run.h"

typedef struct work {
  sgi_frozen f;
  sg_joint *j;
  const sgi_unit **unit; /* (count) of j->neurons */
  size_t *step;          /* (count) that writes them */
  size_t capacity;
  sgi_sweep down; /* one gradient, of positions up to the read one */
} work;

/* The pattern's last part is that of the site's name. */
static bool names(const sg_edit *e, sgi_site_id id) {
  const char *part = strrchr(e->site, '.'), *name = sgi_site_row_of(id)->name, *last = strrchr(name, '.');
  return part && !strcmp(part + 1, last ? last + 1 : name);
}

/* Scaling a neuron, or taking it away; places by position, channel and number alone. */
static bool scales(const sg_edit *e) {
  bool values = names(e, SGI_SITE_NEURONS);
  for (int part = 0; part < SGI_BESIDE_PARTS; part++) values = values || names(e, sgi_beside_site((sgi_beside)part));
  bool fits = values && !e->vector && (e->op == SG_EDIT_SCALE || (e->op == SG_EDIT_SET && e->value == 0));
  for (size_t i = 0; fits && i < e->n_axes; i++)
    fits = !strcmp(e->axes[i].name, "pos") || !strcmp(e->axes[i].name, "channel") || !strcmp(e->axes[i].name, "neuron");
  return fits;
}

static bool meets(const sg_edit *e, const char *site, size_t T, size_t t, const sgi_unit *u) {
  if (!sgi_match(e->site, site)) return false;
  for (size_t i = 0; i < e->n_axes; i++) {
    const sg_edit_axis *a = &e->axes[i];
    bool pos = !strcmp(a->name, "pos");
    ptrdiff_t v = pos ? (ptrdiff_t)t : !strcmp(a->name, "channel") ? u->channel : u->index;
    ptrdiff_t first = a->first, last = a->last;
    if (pos && first < 0) first += (ptrdiff_t)T;
    if (pos && last < 0) last += (ptrdiff_t)T;
    if (v < first || v > last) return false;
  }
  return true;
}

/* Two edits of one neuron: the run makes one after the other, so their factors multiply. */
static sg_status add(work *w, size_t step, size_t t, const sgi_unit *u, double scale, sg_error *err) {
  sg_joint *j = w->j;
  if (j->count == w->capacity)
    return sgi_fail(err, SG_ERR_ARG, "the edits meet more than %zu chosen neurons: name fewer, or positions",
                    w->capacity);
  w->unit[j->count] = u;
  w->step[j->count] = step;
  j->scale[j->count] = scale;
  j->neurons[j->count++] = (sg_term){.kind = SG_TERM_NEURON,
                                     .layer = (int32_t)w->f.steps[step].step->layer,
                                     .head = -1,
                                     .channel = u->channel,
                                     .index = u->index,
                                     .position = (int32_t)t,
                                     .source = (int32_t)t,
                                     .value = u->value};
  return SG_OK;
}

/* Where a unit's value lies. */
static sgi_site_id site_of(const sgi_held *h, const sgi_unit *u) {
  sgi_beside part = sgi_beside_of_channel(h->step->sub->config, u->channel);
  return part == SGI_BESIDE_PARTS ? SGI_SITE_NEURONS : sgi_beside_site(part);
}

static sg_status gather(work *w, const sg_edit *edits, size_t n_edits, sg_error *err) {
  const sgi_frozen *f = &w->f;
  sg_status st = SG_OK;
  for (size_t s = 0; s < f->n_steps; s++) {
    const sgi_held *h = &f->steps[s];
    for (size_t t = 0; t < w->down.rows; t++)
      for (size_t k = 0; k < h->units && !st; k++) {
        const sgi_unit *u = sgi_held_units(h, t) + k;
        double scale = 1;
        char site[SG_SITE_NAME];
        sgi_site_full_name(site, (ptrdiff_t)h->step->layer, site_of(h, u));
        bool met = false;
        for (size_t i = 0; i < n_edits; i++)
          if (meets(&edits[i], site, f->T, t, u)) {
            met = true;
            scale *= edits[i].op == SG_EDIT_SCALE ? (double)edits[i].value : 0;
          }
        if (met) st = add(w, s, t, u, scale, err);
      }
  }
  return st;
}

/* What neurons of a step add to what the sweep is the gradient of, per unit of their values. */
static void read_step(const work *w, size_t step, double *out, size_t stride) {
  const sg_joint *j = w->j;
  for (size_t i = 0; i < j->count; i++)
    if (w->step[i] == step)
      out[i * stride] = sgi_unit_write(w->unit[i], w->down.after + (size_t)j->neurons[i].position * w->f.D, w->f.D);
}

/* The sweep holds the gradient of the stream that steps 0 .. from - 1 make; down to the lowest step
 * with a neuron. */
static sg_status sweep(work *w, size_t from, double *out, size_t stride, sg_error *err) {
  for (size_t s = from; s-- > w->step[0];) {
    sgi_sweep_enter(&w->down, s);
    read_step(w, s, out, stride);
    if (s == w->step[0]) break;
    sg_status st = sgi_sweep_pull(&w->down, s, -1, err);
    if (st) return st;
  }
  return SG_OK;
}

static sg_status link(work *w, size_t to, sg_error *err) {
  const sg_joint *j = w->j;
  size_t step = w->step[to], t = (size_t)j->neurons[to].position;
  if (step == w->step[0]) return SG_OK;
  memset(w->down.g, 0, w->down.rows * w->f.D * sizeof *w->down.g);
  sgi_frozen_unit_gradient(&w->f, step, t, w->unit[to], w->down.g + t * w->f.D);
  return sweep(w, w->f.steps[step].step->before, j->links + to, j->count, err);
}

static sg_status choose_target(work *w, const sg_attribute_request *r, sg_error *err) {
  sg_joint *j = w->j;
  j->against = r->against;
  float *logits = sgi_alloc(w->f.V * sizeof *logits);
  if (!logits) return sgi_fail_memory(err, w->f.V * sizeof *logits, "logits");
  sg_status st = sgi_frozen_target(&w->f, j->position, r->target, r->against, logits, &j->target, err);
  sgi_free(logits);
  return st;
}

/* The pass and its reading are one half, the neurons' links the other. */
static bool forth(void *user, size_t done, size_t wanted) {
  const sg_attribute_request *r = user;
  return r->progress(r->user, done, 2 * wanted);
}
static bool go_on(const sg_attribute_request *r, size_t done, size_t wanted) {
  return !r->progress || r->progress(r->user, wanted + done, 2 * wanted);
}

static sg_status run(work *w, const sg_model *m, const sg_attribute_request *r, const sg_edit *edits, size_t n_edits,
                     const sgi_hold *hold, sg_error *err) {
  sgi_frozen *f = &w->f;
  sg_joint *j = w->j;
  sg_status st = sgi_frozen_init_watched(f, m, r->tokens, r->count, r->max_bytes, r->progress ? forth : NULL,
                                         (void *)(uintptr_t)r, err);
  if (!st && hold) st = sgi_frozen_hold(f, hold, err);
  if (st) return st;
  w->capacity = SG_JOINT_MOST;
  st = sgi_sweep_init(&w->down, f, 1, j->position + 1, err);
  if (st) return st;
  w->unit = sgi_alloc(w->capacity * sizeof *w->unit);
  w->step = sgi_alloc(w->capacity * sizeof *w->step);
  j->neurons = sgi_alloc(w->capacity * sizeof *j->neurons);
  j->scale = sgi_alloc(w->capacity * sizeof *j->scale);
  if (!w->unit || !w->step || !j->neurons || !j->scale)
    return sgi_fail_memory(err, w->capacity * sizeof *j->neurons, "neurons scaled together");
  st = choose_target(w, r, err);
  if (!st) st = gather(w, edits, n_edits, err);
  if (st || !j->count) return st;
  j->effect = sgi_alloc(j->count * sizeof *j->effect);
  j->links = sgi_alloc(j->count * j->count * sizeof *j->links);
  if (!j->effect || !j->links) {
    st = sgi_fail_memory(err, j->count * j->count * sizeof *j->links, "neurons scaled together");
  } else {
    memset(j->links, 0, j->count * j->count * sizeof *j->links);
    sgi_frozen_logit_gradient(f, j->position, j->target, j->against, w->down.g + j->position * f->D);
    st = sweep(w, f->n_steps, j->effect, 1, err);
  }
  for (size_t i = 0; i < j->count && !st; i++) {
    if (!go_on(r, i, j->count)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    j->neurons[i].effect = j->neurons[i].value * j->effect[i];
    st = link(w, i, err);
  }
  return st;
}

sg_status sg_joint_create(const sg_model *m, const sg_attribute_request *r, const sg_edit *edits, size_t n_edits,
                          sg_joint **out, sg_error *err) {
  return sgi_joint_create(m, r, edits, n_edits, NULL, out, err);
}

sg_status sgi_joint_create(const sg_model *m, const sg_attribute_request *r, const sg_edit *edits, size_t n_edits,
                           const sgi_hold *hold, sg_joint **out, sg_error *err) {
  *out = NULL;
  size_t position;
  for (size_t i = 0; i < n_edits; i++)
    if (!scales(&edits[i]))
      return sgi_fail(err, SG_ERR_ARG,
                      "edit %zu of %s: only neurons that are scaled or taken away have a linear answer", i,
                      edits[i].site);
  sg_status st = sgi_prompt_check(m, r->tokens, r->count, err);
  if (!st) st = sgi_prompt_position(r->position, r->count, &position, err);
  if (st) return st;
  work w = {.j = sgi_alloc(sizeof *w.j)};
  if (!w.j) return sgi_fail_memory(err, sizeof *w.j, "neurons scaled together");
  w.j->position = position;
  st = run(&w, m, r, edits, n_edits, hold, err);
  sgi_frozen_deinit(&w.f);
  sgi_free((void *)w.unit);
  sgi_free(w.step);
  sgi_sweep_deinit(&w.down);
  if (st)
    sg_joint_free(w.j);
  else
    *out = w.j;
  return st;
}

sg_status sg_joint_change(const sg_joint *j, const double *scale, double *out, sg_error *err) {
  double *push = sgi_alloc((j->count + 1) * sizeof *push); /* added to a neuron's value beyond what comes from below */
  if (!push) return sgi_fail_memory(err, j->count * sizeof *push, "neurons scaled together");
  if (!scale) scale = j->scale;
  *out = 0;
  for (size_t i = 0; i < j->count; i++) { /* layers below come first */
    double value = j->neurons[i].value;
    for (size_t k = 0; k < i; k++) value += push[k] * j->links[k * j->count + i];
    push[i] = (scale[i] - 1) * value;
    *out += push[i] * j->effect[i];
  }
  sgi_free(push);
  return SG_OK;
}

void sg_joint_free(sg_joint *j) {
  if (!j) return;
  sgi_free(j->neurons);
  sgi_free(j->scale);
  sgi_free(j->effect);
  sgi_free(j->links);
  sgi_free(j);
}
