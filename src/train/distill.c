#include "train/distill.h"

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "data/data.h"
#include "model/flops.h"
#include "model/low.h"
#include "model/quantize.h"
#include "text/reader.h"
#include "train/optim.h"

static const double CLIP = 2; /* of the gradient's norm, as training has it */

typedef struct run {
  const sgi_distill_request *r;
  sg_model *masters, *student; /* the student: the masters as they will be stored */
  bool *chosen, *learns;       /* (rows of the table) */
  float *grad, *moment[SGI_MAX_MOMENTS];
  sgi_pass *pass, *teacher;
  float *room;
  sgi_corpus *corpus;
  sgi_batcher *batches;
  int32_t *inputs, *targets, *starts; /* (B,T) */
  sgi_optimizer optimizer;
} run;

static void release(run *x) {
  sgi_pass_free(x->pass);
  sgi_pass_free(x->teacher);
  sg_model_free(x->student);
  sgi_batcher_free(x->batches);
  sgi_corpus_close(x->corpus);
  void *blocks[] = {x->chosen, x->learns, x->grad,    x->moment[0], x->moment[1],
                    x->room,   x->inputs, x->targets, x->starts};
  for (size_t i = 0; i < SGI_COUNT(blocks); i++) sgi_free(blocks[i]);
}

/* ---- setting up ------------------------------------------------------------------------------ */

static sg_status check(const sgi_distill_request *r, const sg_model *teacher, sg_error *err) {
  if (!r->steps || !r->batch_size || !r->seq_len)
    return sgi_fail(err, SG_ERR_ARG, "distillation needs at least one step of one row of one token");
  if (!(r->learning_rate > 0) || !(r->loss.tau > 0) || !(r->loss.alpha >= 0 && r->loss.alpha <= 1))
    return sgi_fail(
        err, SG_ERR_ARG,
        "distillation: the learning rate is %g, the temperature %g, alpha %g: expected numbers above 0, and "
        "alpha from 0 to 1",
        r->learning_rate, r->loss.tau, r->loss.alpha);
  if (r->how.clip)
    return sgi_fail(err, SG_ERR_ARG, "distillation takes each scale from the largest weight: no clip mse with it");
  if (r->seq_len > teacher->config.max_position)
    return sgi_fail(err, SG_ERR_ARG, "rows of %zu tokens: the model was made for at most %zu", r->seq_len,
                    teacher->config.max_position);
  return sgi_quantize_check(&r->how, err);
}

static sg_status copy_of(const sg_model *m, sg_model **out, sg_error *err) {
  sg_status st = sgi_model_blank(&m->config, out, err);
  for (size_t i = 0; i < m->table.count && !st; i++)
    sgi_weight_to_float((*out)->arena + m->table.rows[i].offset, &m->weights[i]);
  return st;
}

/* What is stored in fewer bytes learns, and the routers, which may have to choose otherwise. */
static sg_status choose(run *x, size_t *count, sg_error *err) {
  const sgi_table *t = &x->masters->table;
  size_t some = 0;
  for (size_t i = 0; i < t->count; i++) {
    x->chosen[i] = sgi_quantize_chooses(x->r->only, &t->rows[i]);
    x->learns[i] = x->r->free_all || x->chosen[i] || strstr(t->rows[i].name, ".router.");
    some += x->chosen[i];
    *count += x->learns[i];
  }
  return some ? SG_OK
              : sgi_fail(err, SG_ERR_ARG, "no map or pool has a name like \"%s\": info --tensors lists them",
                         x->r->only);
}

static sg_status make_rooms(run *x, sg_error *err) {
  size_t rows = x->masters->table.count, bytes = x->masters->table.floats * sizeof(float);
  size_t n = x->r->batch_size * x->r->seq_len * sizeof(int32_t);
  size_t room = sgi_distill_room(x->masters->config.vocab_size) * sizeof(float);
  bool all = (x->chosen = sgi_alloc(rows)) && (x->learns = sgi_alloc(rows)) && (x->grad = sgi_alloc(bytes)) &&
             (x->room = sgi_alloc(room)) && (x->inputs = sgi_alloc(n)) && (x->targets = sgi_alloc(n)) &&
             (x->starts = sgi_alloc(n));
  for (size_t i = 0; i < x->optimizer.ops->n_moments && all; i++) all = (x->moment[i] = sgi_alloc(bytes)) != NULL;
  return all ? SG_OK : sgi_fail_memory(err, 3 * bytes + room + 3 * n, "a distillation");
}

static bool tokenising(void *user, uint64_t done, uint64_t total) {
  const run *x = user;
  (void)done, (void)total;
  return !x->r->progress || x->r->progress(x->r->user, 0, (double)x->r->steps);
}

static sg_status open_data(run *x, sg_error *err) {
  const sgi_distill_request *r = x->r;
  const sg_config *c = &x->masters->config;
  char *path = NULL;
  sg_status st = SG_OK;
  if (sgi_is_directory(r->data))
    st = sgi_find_split(r->data, "train", &path, err);
  else if (!(path = sgi_strdup(r->data)))
    st = sgi_fail_memory(err, strlen(r->data), "a path");
  sgi_text_form form = {.field = "text"};
  sgi_batcher_settings b = {.rows = SGI_ROWS_PACK,
                            .B = r->batch_size,
                            .T = r->seq_len,
                            .bos = c->bos_id,
                            .pad = c->pad_id,
                            .shuffle = true,
                            .seed = r->seed};
  if (!st) st = sgi_corpus_open(path, &form, r->tokenizer, c->eos_id, tokenising, x, &x->corpus, err);
  if (!st) st = sgi_batcher_create(x->corpus, &b, &x->batches, err);
  sgi_free(path);
  return st;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void keep_still(run *x) {
  const sgi_table *t = &x->masters->table;
  for (size_t i = 0; i < t->count; i++)
    if (!x->learns[i]) memset(x->grad + t->rows[i].offset, 0, t->rows[i].count * sizeof *x->grad);
}

static void update(run *x, uint64_t step) {
  const sgi_table *t = &x->masters->table;
  double left = 1 - (double)step / (double)x->r->steps;
  keep_still(x);
  sgi_update u = {.lr = x->r->learning_rate * left,
                  .grad_scale = sgi_clip_scale(sgi_arena_norm(x->grad, t->floats), CLIP),
                  .done = step};
  sgi_shard whole = {t, x->masters->arena, x->grad, x->moment, 0, t->floats, 0};
  sgi_optimizer_update(&x->optimizer, &u, &whole);
}

static sg_status step(run *x, uint64_t i, double *loss, sgi_distilled *report, sg_error *err) {
  const sgi_distill_request *r = x->r;
  sgi_distill_sum sum = {0};
  size_t n = r->batch_size * r->seq_len, counted = 0;
  sgi_batcher_get(x->batches, i, x->inputs, x->targets, x->starts);
  for (size_t k = 0; k < n; k++) counted += x->targets[k] != x->masters->config.pad_id;
  sgi_batch batch = {r->batch_size, r->seq_len, x->inputs, x->targets, x->starts};
  sg_status st = sgi_low_requantise(x->student, &r->how, err);
  if (!st) st = sgi_pass_forward(x->teacher, &batch, NULL, err);
  if (!st) st = sgi_pass_forward(x->pass, &batch, NULL, err);
  if (!st)
    st = sgi_pass_distill(x->pass, x->teacher, &r->loss, &sum, x->grad, counted ? (float)(1.0 / (double)counted) : 0,
                          x->room, err);
  if (!st) st = sgi_pass_backward(x->pass, x->grad, err);
  if (st) return st;
  *loss = sgi_distill_mean(&r->loss, &sum);
  if (!isfinite(*loss))
    return sgi_fail(err, SG_ERR_NUMERIC, "distillation, step %llu: the loss is %g; a lower learning rate may help",
                    (unsigned long long)i + 1, *loss);
  update(x, i);
  report->tokens += counted;
  return SG_OK;
}

/* Tenths of the steps, at least one step. */
static sg_status all_steps(run *x, sgi_distilled *report, sg_error *err) {
  size_t steps = x->r->steps, tenth = (steps + 9) / 10;
  for (size_t i = 0; i < steps; i++) {
    double loss;
    sg_status st = step(x, i, &loss, report, err);
    if (st) return st;
    if (i < tenth) report->first += loss / (double)tenth;
    if (i >= steps - tenth) report->last += loss / (double)tenth;
    if (x->r->progress && !x->r->progress(x->r->user, (double)i + 1, (double)steps))
      return sgi_fail(err, SG_ERR_CANCELLED, "stopped after %zu of %zu steps of the distillation", i + 1, steps);
  }
  return SG_OK;
}

/* Teacher forward, student forward and backward. */
static sg_status count_flops(const run *x, double *flops, sg_error *err) {
  uint64_t layers, head;
  sg_status st = sg_config_flops(&x->masters->config, x->r->seq_len, &layers, err);
  if (!st) st = sgi_config_head_flops(&x->masters->config, x->r->seq_len, &head, err);
  if (!st) *flops = 4 * ((double)layers + (double)head) * (double)x->r->batch_size * (double)x->r->steps;
  return st;
}

sg_status sgi_distill(const sg_model *teacher, const sgi_distill_request *r, sg_model **out, sgi_distilled *report,
                      sg_error *err) {
  *out = NULL;
  *report = (sgi_distilled){0};
  run x = {.r = r, .optimizer = sgi_optimizer_usual(sgi_optimizer_at(0))};
  double begin = sgi_now();
  sg_status st = check(r, teacher, err);
  if (!st) st = copy_of(teacher, &x.masters, err);
  if (!st) st = make_rooms(&x, err);
  if (!st) st = choose(&x, &report->tensors, err);
  if (!st) st = sgi_low_quantised(x.masters, &r->how, x.chosen, &x.student, err);
  if (!st) st = open_data(&x, err);
  if (!st) st = sgi_pass_create(x.student, r->batch_size, r->seq_len, true, &x.pass, err);
  if (!st) st = sgi_pass_create(teacher, r->batch_size, r->seq_len, false, &x.teacher, err);
  if (!st) st = count_flops(&x, &report->flops, err);
  if (!st) st = all_steps(&x, report, err);
  report->seconds = sgi_now() - begin;
  release(&x);
  if (st)
    sg_model_free(x.masters);
  else
    *out = x.masters;
  return st;
}
