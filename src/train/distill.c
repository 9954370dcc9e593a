#include "train/distill.h"

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "data/data.h"
#include "model/convert.h"
#include "model/low.h"
#include "model/quantize.h"
#include "text/reader.h"
#include "train/optim.h"

static const double CLIP = 2; /* of the gradient's norm, as training has it */

typedef struct run {
  const sgi_distill_request *r;
  const sg_model *teacher;
  sg_model *masters, *stored; /* stored: the masters as they will be, or NULL */
  const sg_model *student;    /* what runs: one of the two */
  bool *chosen, *learns;      /* (rows of the table) */
  bool *which;                /* (L) layers of the first part */
  float *grad, *moment[SGI_MAX_MOMENTS];
  sgi_pass *pass, *teaching;
  sgi_layerwise *layers;
  sgi_layer_fit *fit; /* (L) */
  float *room;
  sgi_corpus *corpus;
  sgi_batcher *batches;
  int32_t *inputs, *targets, *starts; /* (B,T) */
  sgi_optimizer optimizer;
  sgi_distill_costs costs;
  sgi_distill_point at;
} run;

static void release(run *x) {
  sgi_pass_free(x->pass);
  sgi_pass_free(x->teaching);
  sgi_layerwise_free(x->layers);
  sg_model_free(x->stored);
  sgi_batcher_free(x->batches);
  sgi_corpus_close(x->corpus);
  void *blocks[] = {x->chosen,    x->learns, x->which,  x->fit,     x->grad,  x->moment[0],
                    x->moment[1], x->room,   x->inputs, x->targets, x->starts};
  for (size_t i = 0; i < SGI_COUNT(blocks); i++) sgi_free(blocks[i]);
}

/* ---- setting up ------------------------------------------------------------------------------ */

static bool bad_part(const sgi_distill_part *p) { return p->steps && !(p->learning_rate > 0); }

static sg_status check_pair(const sg_model *t, const sg_model *s, sg_error *err) {
  const sg_config *a = &t->config, *b = &s->config;
  if (a->vocab_size == b->vocab_size && a->hidden_size == b->hidden_size && a->num_layers == b->num_layers &&
      a->bos_id == b->bos_id && a->eos_id == b->eos_id && a->pad_id == b->pad_id)
    return SG_OK;
  return sgi_fail(err, SG_ERR_ARG,
                  "the student (%zu layers, width %zu, vocabulary %zu) and the teacher (%zu, %zu, %zu) must be alike "
                  "but for their feedforward layers",
                  b->num_layers, b->hidden_size, b->vocab_size, a->num_layers, a->hidden_size, a->vocab_size);
}

static sg_status check(const sgi_distill_request *r, const sg_model *teacher, sg_error *err) {
  const sg_model *student = r->student ? r->student : teacher;
  if (!(r->layers.steps + r->whole.steps) || !r->batch_size || !r->seq_len)
    return sgi_fail(err, SG_ERR_ARG, "distillation needs at least one step of one row of one token");
  if (bad_part(&r->layers) || bad_part(&r->whole) || !(r->loss.tau > 0) || !(r->loss.alpha >= 0 && r->loss.alpha <= 1))
    return sgi_fail(
        err, SG_ERR_ARG,
        "distillation: the learning rate is %g, the temperature %g, alpha %g: expected numbers above 0, and "
        "alpha from 0 to 1",
        bad_part(&r->layers) ? r->layers.learning_rate : r->whole.learning_rate, r->loss.tau, r->loss.alpha);
  if (r->stored && r->how.clip)
    return sgi_fail(err, SG_ERR_ARG, "distillation takes each scale from the largest weight: no clip mse with it");
  size_t longest = teacher->config.max_position < student->config.max_position ? teacher->config.max_position
                                                                               : student->config.max_position;
  if (r->seq_len > longest && !r->beyond_context)
    return sgi_fail(err, SG_ERR_ARG, "rows of %zu tokens: the model was made for at most %zu", r->seq_len, longest);
  sg_status st = check_pair(teacher, student, err);
  return st || !r->stored ? st : sgi_quantize_check(&r->how, err);
}

static sg_status copy_of(const sg_model *m, sg_model **out, sg_error *err) {
  sg_status st = sgi_model_blank(&m->config, out, err);
  for (size_t i = 0; i < m->table.count && !st; i++)
    sgi_weight_to_float((*out)->arena + m->table.rows[i].offset, &m->weights[i]);
  return st;
}

void sgi_distill_layers(const sg_model *teacher, const sg_model *student, bool *which) {
  bool any = false;
  for (size_t l = 0; l < student->config.num_layers; l++)
    any = (which[l] = sgi_convert_differs(teacher, student, l)) || any;
  for (size_t l = 0; l < student->config.num_layers && !any; l++)
    which[l] = sgi_feedforward_of(teacher, l) && sgi_feedforward_of(student, l);
}

/* The row is a tensor of such a layer's feedforward, its norm not. */
static bool is_of_layers(const run *x, size_t row) {
  size_t tensor;
  const sgi_sublayer *s = sgi_row_user(x->masters, row, &tensor);
  return s && s->ffn && tensor >= SGI_T_OWN && sgi_convert_differs(x->teacher, x->masters, s->layer);
}

/* What is stored in fewer bytes learns, the routers, which may have to choose otherwise, and layers
 * of another kind. */
static sg_status choose(run *x, size_t *count, sg_error *err) {
  const sgi_table *t = &x->masters->table;
  size_t some = 0;
  for (size_t i = 0; i < t->count; i++) {
    const sgi_row *row = &t->rows[i];
    x->chosen[i] = x->r->stored && sgi_quantize_chooses(x->r->only, row);
    x->learns[i] = !row->state && (x->r->free_all || x->chosen[i] || is_of_layers(x, i) ||
                                   (x->r->stored && strstr(row->name, ".router.")));
    some += x->chosen[i];
    *count += x->learns[i];
  }
  if (x->r->stored && !some)
    return sgi_fail(err, SG_ERR_ARG, "no map or pool has a name like \"%s\": info --tensors lists them", x->r->only);
  return *count ? SG_OK
                : sgi_fail(err, SG_ERR_ARG,
                           "the student's layers are of the teacher's kind and nothing is stored in fewer bytes: there "
                           "is nothing to learn but everything (free all)");
}

static sg_status make_rooms(run *x, sg_error *err) {
  size_t rows = x->masters->table.count, bytes = x->masters->table.floats * sizeof(float);
  size_t n = x->r->batch_size * x->r->seq_len * sizeof(int32_t), L = x->masters->config.num_layers;
  size_t room = sgi_distill_room(x->masters->config.vocab_size) * sizeof(float);
  bool all = (x->chosen = sgi_alloc(rows)) && (x->learns = sgi_alloc(rows)) && (x->which = sgi_alloc(L)) &&
             (x->fit = sgi_alloc(L * sizeof *x->fit)) && (x->grad = sgi_alloc(bytes)) && (x->room = sgi_alloc(room)) &&
             (x->inputs = sgi_alloc(n)) && (x->targets = sgi_alloc(n)) && (x->starts = sgi_alloc(n));
  for (size_t i = 0; i < x->optimizer.ops->n_moments && all; i++) all = (x->moment[i] = sgi_alloc(bytes)) != NULL;
  return all ? SG_OK : sgi_fail_memory(err, 3 * bytes + room + 3 * n, "a distillation");
}

static size_t steps_of(const run *x) { return x->r->layers.steps + x->r->whole.steps; }

static bool tokenising(void *user, uint64_t done, uint64_t total) {
  const run *x = user;
  (void)done, (void)total;
  return !x->r->progress || x->r->progress(x->r->user, 0, (double)steps_of(x));
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
  if (r->form) form = *r->form;
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

static sg_status set_up(run *x, sgi_distilled *report, sg_error *err) {
  const sgi_distill_request *r = x->r;
  size_t B = r->batch_size, T = r->seq_len;
  sg_status st = copy_of(r->student ? r->student : x->teacher, &x->masters, err);
  if (!st) st = make_rooms(x, err);
  if (!st) st = choose(x, &report->tensors, err);
  if (!st && r->stored) st = sgi_low_quantised(x->masters, &r->how, x->chosen, &x->stored, err);
  if (st) return st;
  x->student = x->stored ? x->stored : x->masters;
  sgi_distill_layers(x->teacher, x->masters, x->which);
  st = open_data(x, err);
  if (!st && r->layers.steps) st = sgi_layerwise_create(x->teacher, x->student, x->which, B, T, true, &x->layers, err);
  if (!st && r->whole.steps) st = sgi_pass_create(x->student, B, T, true, &x->pass, err);
  if (!st && r->whole.steps) st = sgi_pass_create(x->teacher, B, T, false, &x->teaching, err);
  return st ? st : sgi_distill_count(x->teacher, x->masters, B, T, &x->costs, err);
}

static void keep_still(run *x) {
  const sgi_table *t = &x->masters->table;
  for (size_t i = 0; i < t->count; i++)
    if (!x->learns[i]) memset(x->grad + t->rows[i].offset, 0, t->rows[i].count * sizeof *x->grad);
}

/* Of the rate: in a line, or half a cosine. */
static double left_of(const run *x, const sgi_distill_part *p, uint64_t step) {
  double done = (double)step / (double)p->steps;
  return x->r->cosine ? (1 + cos(acos(-1) * done)) / 2 : 1 - done;
}

static void update(run *x, const sgi_distill_part *p, uint64_t step) {
  const sgi_table *t = &x->masters->table;
  keep_still(x);
  sgi_update u = {.lr = p->learning_rate * left_of(x, p, step),
                  .grad_scale = sgi_clip_scale(sgi_arena_norm(x->grad, t->floats), CLIP),
                  .done = step};
  sgi_shard whole = {t, x->masters->arena, x->grad, x->moment, 0, t->floats, 0};
  sgi_optimizer_update(&x->optimizer, &u, &whole);
}

/* Each layer by itself. */
static sg_status layers_step(run *x, const sgi_batch *batch, double *loss, sg_error *err) {
  size_t L = x->masters->config.num_layers, layers = 0;
  memset(x->fit, 0, L * sizeof *x->fit);
  sg_status st = sgi_layerwise_run(x->layers, batch, x->fit, x->grad, NULL, err);
  *loss = 0;
  for (size_t l = 0; l < L; l++) {
    if (!x->fit[l].rows) continue;
    *loss += x->fit[l].square > 0 ? x->fit[l].error / x->fit[l].square : 0;
    layers++;
  }
  if (layers) *loss /= (double)layers;
  return st;
}

static sg_status whole_step(run *x, const sgi_batch *batch, size_t counted, double *loss, sg_error *err) {
  sgi_distill_sum sum = {0};
  float scale = counted ? (float)(1.0 / (double)counted) : 0;
  sg_status st = sgi_pass_forward(x->teaching, batch, NULL, err);
  if (!st) st = sgi_pass_forward(x->pass, batch, NULL, err);
  if (!st) st = sgi_pass_distill(x->pass, x->teaching, &x->r->loss, &sum, x->grad, scale, x->room, err);
  if (!st) st = sgi_pass_backward(x->pass, x->grad, err);
  *loss = sgi_distill_mean(&x->r->loss, &sum);
  return st;
}

/* Step i of a part; batches go on from the first part to the second. */
static sg_status step(run *x, const sgi_distill_part *p, uint64_t i, double *loss, sg_error *err) {
  const sgi_distill_request *r = x->r;
  bool whole = p == &r->whole;
  size_t n = r->batch_size * r->seq_len, counted = 0;
  double began = sgi_now();
  sgi_batcher_get(x->batches, i + (whole ? r->layers.steps : 0), x->inputs, x->targets, x->starts);
  for (size_t k = 0; k < n; k++) counted += x->targets[k] != x->masters->config.pad_id;
  sgi_batch batch = {r->batch_size, r->seq_len, x->inputs, x->targets, x->starts};
  sg_status st = x->stored ? sgi_low_requantise(x->stored, &r->how, err) : SG_OK;
  if (!st) st = whole ? whole_step(x, &batch, counted, loss, err) : layers_step(x, &batch, loss, err);
  if (st) return st;
  if (!isfinite(*loss))
    return sgi_fail(err, SG_ERR_NUMERIC, "distillation, step %llu: the loss is %g; a lower learning rate may help",
                    (unsigned long long)i + 1, *loss);
  update(x, p, i);
  x->at.whole = whole;
  x->at.step = i + 1 + (whole ? r->layers.steps : 0);
  x->at.tokens += counted;
  x->at.flops += whole ? x->costs.whole : x->costs.layers;
  x->at.seconds += sgi_now() - began;
  x->at.loss = *loss;
  return SG_OK;
}

/* Stopped there, what has been learned may still be wanted. */
static sg_status show(run *x, sgi_distilled *report, sg_error *err) {
  if (!x->r->point) return SG_OK;
  sg_status st = x->stored ? sgi_low_requantise(x->stored, &x->r->how, err) : SG_OK;
  if (!st) st = x->r->point(x->r->user, x->student, &x->at, err);
  if (st != SG_ERR_CANCELLED || !x->r->keep) return st;
  report->stopped = true;
  return SG_OK;
}

/* During the second part, so that the last falls on the last step, which is shown anyway. */
static bool is_point(const run *x, uint64_t done) {
  uint64_t k = x->r->points, n = x->r->whole.steps;
  return k && done < n && done * k / n != (done - 1) * k / n;
}

/* Means over tenths of the steps, at least one step. */
static sg_status all_steps(run *x, const sgi_distill_part *p, double *first, double *last, sgi_distilled *report,
                           sg_error *err) {
  size_t tenth = (p->steps + 9) / 10;
  bool whole = p == &x->r->whole;
  for (size_t i = 0; i < p->steps; i++) {
    double loss;
    sg_status st = step(x, p, i, &loss, err);
    if (st) return st;
    if (i < tenth) *first += loss / (double)tenth;
    if (i >= p->steps - tenth) *last += loss / (double)tenth;
    if (whole && is_point(x, i + 1) && ((st = show(x, report, err)) || report->stopped)) return st;
    if (!x->r->progress || x->r->progress(x->r->user, (double)x->at.step, (double)steps_of(x))) continue;
    report->stopped = true;
    return x->r->keep ? SG_OK
                      : sgi_fail(err, SG_ERR_CANCELLED, "stopped after %llu of %zu steps of the distillation",
                                 (unsigned long long)x->at.step, steps_of(x));
  }
  return SG_OK;
}

/* Moments of the first part mean nothing to the second. */
static void forget(run *x) {
  for (size_t i = 0; i < x->optimizer.ops->n_moments; i++)
    memset(x->moment[i], 0, x->masters->table.floats * sizeof(float));
}

static sg_status both_parts(run *x, sgi_distilled *report, sg_error *err) {
  const sgi_distill_request *r = x->r;
  x->at.loss = NAN;
  sg_status st = show(x, report, err);
  if (!st && !report->stopped) st = all_steps(x, &r->layers, &report->layers_first, &report->layers_last, report, err);
  if (!st && r->layers.steps && r->whole.steps && !report->stopped) {
    forget(x);
    st = show(x, report, err);
  }
  if (!st && !report->stopped) st = all_steps(x, &r->whole, &report->first, &report->last, report, err);
  return st || report->stopped ? st : show(x, report, err);
}

sg_status sgi_distill_count(const sg_model *teacher, const sg_model *student, size_t B, size_t T,
                            sgi_distill_costs *out, sg_error *err) {
  uint64_t taught, own;
  double rows = (double)B;
  bool *which = sgi_alloc(student->config.num_layers);
  if (!which) return sgi_fail_memory(err, student->config.num_layers, "layers of a distillation");
  sgi_distill_layers(teacher, student, which);
  sg_status st = sg_config_flops(&teacher->config, T, &taught, err);
  if (!st) st = sg_config_flops(&student->config, T, &own, err);
  if (!st)
    *out = (sgi_distill_costs){.layers = rows * ((double)taught + 3 * sgi_layerwise_flops(student, which, T)),
                               .whole = rows * ((double)taught + 3 * (double)own)};
  sgi_free(which);
  return st;
}

sg_status sgi_distill(const sg_model *teacher, const sgi_distill_request *r, sg_model **out, sgi_distilled *report,
                      sg_error *err) {
  *out = NULL;
  *report = (sgi_distilled){0};
  run x = {.r = r, .teacher = teacher, .optimizer = sgi_optimizer_usual(sgi_optimizer_default())};
  sg_status st = check(r, teacher, err);
  if (!st) st = set_up(&x, report, err);
  if (!st) st = both_parts(&x, report, err);
  report->tokens = x.at.tokens;
  report->flops = x.at.flops;
  report->seconds = x.at.seconds;
  release(&x);
  if (st)
    sg_model_free(x.masters);
  else
    *out = x.masters;
  return st;
}
