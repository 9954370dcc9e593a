#include "model/quantize.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "model/weights.h"

enum { BLOCK = 1 << 20 }; /* elements at a time */

typedef struct job {
  const sg_model *m;
  const sgi_quantize_request *r;
  sgi_weight *to; /* each row as it will be stored; data of those that stay */
  bool *chosen;
  float *x, *scale; /* a block of rows, its scales */
  char *packed;
  double done, wanted;
  sgi_safetensors_writer *file;
} job;

/* ---- choice ---------------------------------------------------------------------------------- */

static bool matches(const char *patterns, const char *name) {
  char one[256];
  for (const char *at = patterns; *at;) {
    size_t n = strcspn(at, ",");
    if (n < sizeof one) {
      snprintf(one, sizeof one, "%.*s", (int)n, at);
      if (!fnmatch(one, name, 0)) return true;
    }
    at += n + (at[n] == ',');
  }
  return false;
}

bool sgi_quantize_chooses(const char *only, const sgi_row *row) {
  return row->stored && (!only || matches(only, row->name));
}

sg_status sgi_quantize_check(const sgi_quantise *how, sg_error *err) {
  bool levels = sgi_weight_traits(how->to)->levels > 0;
  if (how->group && (!levels || how->group % 2))
    return sgi_fail(err, SG_ERR_ARG, "groups of %zu columns: %s", how->group,
                    levels ? "expected an even number" : "only int8 and int4 have scales");
  if (how->clip && how->to != SGI_U8) return sgi_fail(err, SG_ERR_ARG, "clip mse: only int4 has a choice of scales");
  return SG_OK;
}

static sg_status choose(job *j, sgi_quantized *out, sg_error *err) {
  const sgi_table *t = &j->m->table;
  const sgi_quantise *how = &j->r->how;
  bool levels = sgi_weight_traits(how->to)->levels > 0;
  size_t kept = 0;
  sg_status st = sgi_quantize_check(how, err);
  if (st) return st;
  for (size_t i = 0; i < t->count; i++) {
    const sgi_row *row = &t->rows[i];
    const sgi_weight *from = &j->m->weights[i];
    j->to[i] = *from;
    j->chosen[i] = sgi_quantize_chooses(j->r->only, row);
    out->of += row->stored;
    out->before += sgi_weight_bytes(from);
    if (!j->chosen[i] && from->group) kept = from->group;
    if (!j->chosen[i]) continue;
    out->tensors++;
    j->wanted += (double)row->count;
    /* A scale that is never read stands for those to come: the size is what counts. */
    static const float some = 0;
    j->to[i] = (sgi_weight){.dtype = how->to,
                            .rows = from->rows,
                            .width = from->width,
                            .scale = levels ? &some : NULL,
                            .group = how->group};
  }
  for (size_t i = 0; i < t->count; i++) out->after += sgi_weight_bytes(&j->to[i]);
  if (!out->tensors)
    return sgi_fail(err, SG_ERR_ARG, "no map or pool has a name like \"%s\": info --tensors lists them", j->r->only);
  if (kept && how->group && kept != how->group)
    return sgi_fail(err, SG_ERR_ARG,
                    "tensors that stay have a scale for every %zu columns: groups of %zu beside them "
                    "have no place in one file",
                    kept, how->group);
  return SG_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Rows [first, first + rows) of row i of the table into packed and scale. */
static sg_status block(job *j, size_t i, size_t first, size_t rows, sg_error *err) {
  const sgi_weight *from = &j->m->weights[i], *to = &j->to[i];
  size_t width = to->width, groups = sgi_weight_groups(to), bytes = sgi_weight_traits(to->dtype)->bytes(width);
  size_t worst = SIZE_MAX;
#pragma omp parallel for schedule(static) reduction(min : worst) if (rows * width > 65536)
  for (size_t k = 0; k < rows; k++) {
    size_t bad;
    float *x = j->x + k * width;
    sgi_weight_read(x, from, (first + k) * width, width);
    if (!sgi_quantise_row(&j->r->how, j->packed + k * bytes, j->scale + k * groups, x, width, &bad) &&
        k * width + bad < worst)
      worst = k * width + bad;
  }
  if (worst == SIZE_MAX) return SG_OK;
  float x = j->x[worst];
  return sgi_fail(err, SG_ERR_NUMERIC, "tensor %s: element %zu is %g, which %s can not hold", j->m->table.rows[i].name,
                  first * width + worst, (double)x, sgi_weight_traits(to->dtype)->name);
}

static sg_status put_chosen(job *j, size_t i, size_t at, sg_error *err) {
  const sgi_weight *to = &j->to[i];
  size_t groups = sgi_weight_groups(to), bytes = sgi_weight_traits(to->dtype)->bytes(to->width);
  size_t step = BLOCK / to->width ? BLOCK / to->width : 1;
  sg_status st = SG_OK;
  for (size_t r = 0; r < to->rows && !st; r += step) {
    size_t rows = to->rows - r < step ? to->rows - r : step;
    st = block(j, i, r, rows, err);
    if (!st) st = sgi_safetensors_writer_put(j->file, at, r * bytes, j->packed, rows * bytes, err);
    if (!st && to->scale)
      st = sgi_safetensors_writer_put(j->file, at + 1, r * groups * sizeof(float), j->scale,
                                      rows * groups * sizeof(float), err);
    j->done += (double)(rows * to->width);
    if (!st && j->r->progress && !j->r->progress(j->r->user, j->done, j->wanted))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  return st;
}

static sg_status put_kept(job *j, size_t i, size_t at, sg_error *err) {
  const sgi_weight *w = &j->to[i];
  size_t bytes = w->rows * sgi_weight_traits(w->dtype)->bytes(w->width);
  sg_status st = sgi_safetensors_writer_put(j->file, at, 0, w->data, bytes, err);
  if (!st && w->scale) st = sgi_safetensors_writer_put(j->file, at + 1, 0, w->scale, sgi_weight_bytes(w) - bytes, err);
  return st;
}

static sg_status write_all(job *j, const char *path, sg_error *err) {
  sgi_tensor *t = NULL;
  size_t count = 0, group = 0, at = 0;
  char text[32];
  for (size_t i = 0; i < j->m->table.count; i++)
    if (j->to[i].group) group = j->to[i].group;
  snprintf(text, sizeof text, "%zu", group);
  const char *metadata[] = {"format", "pt", SGI_GROUP_SIZE, text};
  sg_status st = sgi_weights_describe(&j->m->table, j->to, &t, &count, err);
  if (!st) st = sgi_safetensors_writer_open(path, t, count, metadata, group ? 2 : 1, &j->file, err);
  for (size_t i = 0; i < j->m->table.count && !st; i++) {
    st = j->chosen[i] ? put_chosen(j, i, at, err) : put_kept(j, i, at, err);
    at += j->to[i].scale ? 2 : 1;
  }
  if (!st) {
    st = sgi_safetensors_writer_close(j->file, err);
    j->file = NULL;
  }
  sgi_safetensors_writer_drop(j->file);
  sgi_free(t);
  return st;
}

/* Weights that are read while they are replaced would be both. */
static sg_status other_place(const sg_model *m, const char *path, sg_error *err) {
  sgi_file_id there;
  const char *from = NULL;
  if (!m->file || !sgi_is_file(path) || sgi_identify_file(path, &there, NULL)) return SG_OK;
  for (size_t i = 0; i < sgi_weights_count(m->file); i++) {
    sgi_file_id id;
    const char *last = from;
    sgi_weights_at(m->file, i, &from);
    if (from != last && !sgi_identify_file(from, &id, NULL) && sgi_same_file(&id, &there))
      return sgi_fail(err, SG_ERR_ARG, "%s is the model itself: write to another directory", path);
  }
  return SG_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static sg_status make_room(job *j, sg_error *err) {
  size_t widest = 0, floats = 0;
  for (size_t i = 0; i < j->m->table.count; i++)
    if (j->chosen[i] && j->to[i].width > widest) widest = j->to[i].width;
  floats = widest > BLOCK ? widest : BLOCK;
  j->x = sgi_alloc(floats * sizeof *j->x);
  j->scale = sgi_alloc(floats * sizeof *j->scale);
  j->packed = sgi_alloc(floats * sizeof(float));
  return j->x && j->scale && j->packed ? SG_OK : sgi_fail_memory(err, floats * sizeof *j->x, "a block of weights");
}

sg_status sgi_model_quantize(const sg_model *m, const sgi_quantize_request *r, const char *directory,
                             sgi_quantized *out, sg_error *err) {
  job j = {.m = m, .r = r};
  *out = (sgi_quantized){0};
  char *path = sgi_path_join(directory, "model.safetensors");
  j.to = sgi_alloc(m->table.count * sizeof *j.to);
  j.chosen = sgi_alloc(m->table.count * sizeof *j.chosen);
  sg_status st = path && j.to && j.chosen ? choose(&j, out, err)
                                          : sgi_fail_memory(err, m->table.count * sizeof *j.to, "a model's tensors");
  if (!st) st = make_room(&j, err);
  if (!st) st = other_place(m, path, err);
  if (!st) st = sgi_make_directory(directory, err);
  if (!st) st = write_all(&j, path, err);
  if (!st) st = sgi_model_save_config(m, directory, err);
  sgi_free(j.x);
  sgi_free(j.scale);
  sgi_free(j.packed);
  sgi_free(j.to);
  sgi_free(j.chosen);
  sgi_free(path);
  return st;
}

sg_status sg_model_quantize(const sg_model *m, const sg_quantize_request *r, const char *directory, sg_quantized *out,
                            sg_error *err) {
  sg_status st = sgi_need(m, "the model", err);
  if (!st) st = sgi_need(r, "the request", err);
  if (!st) st = sgi_need(r->to, "the type", err);
  if (!st) st = sgi_need(directory, "the directory", err);
  if (!st) st = sgi_need(out, "out", err);
  if (st) return st;
  sgi_quantize_request q = {
      .how = {.group = r->group_size, .clip = r->clip_mse}, .only = r->only, .progress = r->progress, .user = r->user};
  if (!sgi_weight_type(r->to, &q.how.to))
    return sgi_fail(err, SG_ERR_ARG, "weights stored as \"%.40s\": expected bf16, f16, int8, int4 or float32", r->to);
  return sgi_model_quantize(m, &q, directory, out, err);
}
