#include "pruning.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare/latency.h"
#include "compare/prune.h"
#include "model/model.h"
#include "open.h"

enum { ROUNDS = 9, METHODS = 7, SEEDS = 5 };
static const char *const methods[METHODS] = {"sprint", "oneshot", "untuned", "loss", "loss-once", "depth", "random"};

/* What --compare sets beside each other: the methods, and the first without one of its parts. */
static const struct {
  const char *name;
  sgi_prune_method method;
  bool tune_any, last, no_latency;
  uint64_t seeds; /* that a mean is taken over by whoever reads the table */
} ways[] = {{"sprint", SGI_PRUNE_SPRINT, .seeds = 1},
            {"oneshot", SGI_PRUNE_ONE_SHOT, .seeds = 1},
            {"sprint, no latency", SGI_PRUNE_SPRINT, .no_latency = true, .seeds = 1},
            {"sprint, tune any", SGI_PRUNE_SPRINT, .tune_any = true, .seeds = 1},
            {"sprint, last", SGI_PRUNE_SPRINT, .last = true, .seeds = 1},
            {"untuned", SGI_PRUNE_UNTUNED, .seeds = 1},
            {"loss", SGI_PRUNE_LOSS, .seeds = 1},
            {"loss-once", SGI_PRUNE_LOSS_ONCE, .seeds = 1},
            {"depth", SGI_PRUNE_DEPTH, .seeds = 1},
            {"random", SGI_PRUNE_RANDOM, .seeds = SEEDS}};
_Static_assert(SGI_COUNT(ways) - 1 + SEEDS + SGI_PRUNE_RIVALS <= SGI_PRUNE_LINES, "lines");

typedef struct job {
  const sgi_pruning *q;
  sgi_latency latency;
  sgi_latency_request timing;
  sgi_prune_request request;
  sg_model *standing; /* a copy of the model whose output maps are changed */
  double began;
  sgi_prune_line *lines; /* (SGI_PRUNE_LINES) what each method reached */
  size_t n_lines;
  size_t sweep, seen; /* only round number sweep is told (0: all), of seen so far */
  json_t *rounds;     /* of the method at hand */
  sg_error err;       /* of what happens between rounds */
} job;

static bool watch(void *user, size_t done, size_t wanted) {
  const job *j = user;
  return j->q->working(j->q->user, "scoring", done, wanted);
}

static bool timing(void *user, size_t done, size_t wanted) {
  const job *j = user;
  return j->q->working(j->q->user, "timing", done, wanted);
}

static bool goes_on(const job *j) { return !j->q->stopped(j->q->user); }

/* ---- rounds ---------------------------------------------------------------------------------- */

static const char *sublayer_name(size_t s, char out[64]) {
  snprintf(out, 64, "%s of layer %zu", s % 2 ? "feedforward" : "attention", s / 2);
  return out;
}

static json_t *wholes(const size_t *x, size_t n) {
  json_t *a = json_array();
  for (size_t i = 0; i < n; i++)
    if (!a || json_array_append_new(a, json_integer((json_int_t)x[i]))) {
      json_decref(a);
      return NULL;
    }
  return a;
}

static json_t *round_json(const job *j, const sgi_prune_round *x, double measured) {
  size_t S = sgi_cut_sublayers(j->q->p->model);
  return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "sublayer", (json_int_t)x->sublayer, "tuned",
                   x->tuned < 0 ? json_null() : json_integer((json_int_t)x->tuned), "candidates",
                   wholes(x->candidates, x->n_candidates), "untuned", sgi_report_reals(x->untuned, S), "tuned_scores",
                   sgi_report_reals(x->scores, S), "speedup_estimated", sgi_report_real(x->speedup), "speedup_measured",
                   sgi_report_real(measured), "calibration_loss", sgi_report_real(x->calibration_loss),
                   "validation_loss", sgi_report_real(x->validation_loss), "seconds",
                   sgi_report_real(sgi_now() - j->began));
}

/* After a round: the model as it stands is timed against the one that came. */
static bool after(void *user, const sgi_prune_round *x) {
  job *j = user;
  sgi_prune_line *line = &j->lines[j->n_lines];
  sg_model *now = NULL;
  double ratio = 0;
  j->q->working(j->q->user, NULL, 0, 0);
  line->off[x->sublayer] = true;
  if (++j->seen < j->sweep) return goes_on(j);
  sg_status st = sgi_cut_view(j->standing, line->off, &now, &j->err);
  sgi_latency_request quiet = j->timing;
  quiet.progress = NULL;
  if (!st) st = sgi_latency_ratio(j->q->p->model, now, &quiet, &ratio, &j->err);
  sg_model_free(now);
  if (st) return false;
  line->speedup[line->n] = ratio;
  line->loss[line->n++] = x->validation_loss;
  json_t *o = round_json(j, x, ratio);
  if (!o || json_array_append_new(j->rounds, o)) {
    sgi_fail(&j->err, SG_ERR_MEMORY, "out of memory");
    return false;
  }
  if (j->q->note) {
    char name[64], tuned[80] = "", text[320];
    if (x->tuned >= 0) snprintf(tuned, sizeof tuned, ", tuned: %s", sublayer_name((size_t)x->tuned, (char[64]){0}));
    snprintf(text, sizeof text,
             "%s: without %s%s: speed-up %.3f estimated, %.3f measured; perplexity %.4f (calibration text %.4f)",
             line->name, sublayer_name(x->sublayer, name), tuned, x->speedup, ratio, exp(x->validation_loss),
             exp(x->calibration_loss));
    j->q->note(j->q->user, text);
  }
  return goes_on(j);
}

/* ---- set-up ---------------------------------------------------------------------------------- */

static sg_status measure(job *j, sg_error *err) {
  size_t T = sg_model_config(j->q->p->model)->max_position;
  j->timing = (sgi_latency_request){.use = (sgi_latency_use)j->q->use,
                                    .T = T < 128 ? T : 128,
                                    .rounds = ROUNDS,
                                    .each = j->q->each,
                                    .cpu_time = j->q->cpu_time,
                                    .progress = timing,
                                    .user = j};
  sg_status st = sgi_latency_measure(j->q->p->model, &j->timing, &j->latency, err);
  j->q->working(j->q->user, NULL, 0, 0);
  return st;
}

static sg_status open_all(job *j, sg_error *err) {
  const sgi_pruning *q = j->q;
  const sgi_text_rows *rows[] = {q->calibration, q->validation};
  sgi_cut_rows *to[] = {&j->request.calibration, &j->request.validation};
  for (size_t i = 0; i < SGI_COUNT(rows); i++)
    *to[i] = (sgi_cut_rows){rows[i]->targets, rows[i]->B < q->rows ? rows[i]->B : q->rows, rows[i]->T};
  sg_status st = measure(j, err);
  if (st) return st;
  for (size_t s = 0, S = sgi_cut_sublayers(q->p->model); s < S && q->note; s++) {
    char name[64], text[128];
    if (j->latency.sublayer[s] > 0 || !sgi_cut_there(q->p->model, s)) continue;
    snprintf(text, sizeof text, "%s stays: other layers use what its router chooses", sublayer_name(s, name));
    q->note(q->user, text);
  }
  j->request.target = (sgi_prune_target)q->target;
  j->request.distance = (sgi_prune_distance)q->distance;
  j->request.tune_any = q->tune_any;
  j->request.last = q->last;
  j->request.no_latency = q->no_latency;
  j->request.damping = q->damping;
  j->request.candidates = q->candidates;
  j->request.seed = q->seed;
  j->request.latency = j->latency.sublayer;
  j->request.other = j->latency.other;
  j->request.speedup = q->speedup;
  j->request.remove = q->remove;
  j->request.progress = after;
  j->request.watch = watch;
  j->request.user = j;
  return SG_OK;
}

static sg_status begin_line(job *j, const char *name, sg_error *err) {
  sgi_prune_line *line = &j->lines[j->n_lines];
  size_t S = sgi_cut_sublayers(j->q->p->model);
  *line = (sgi_prune_line){0};
  snprintf(line->name, sizeof line->name, "%s", name);
  line->off = sgi_alloc(S);
  line->speedup = sgi_alloc(2 * S * sizeof *line->speedup);
  json_decref(j->rounds);
  j->rounds = json_array();
  j->sweep = 0;
  if (!line->off || !line->speedup || !j->rounds)
    return sgi_fail_memory(err, 2 * S * sizeof *line->speedup, "a line of a figure");
  line->loss = line->speedup + S;
  return SG_OK;
}

/* The method of the request from the model as it came. *out keeps what it says of the model before
 * any cut. */
static sg_status run_method(job *j, sgi_prune **out, sg_error *err) {
  sgi_prune_line *line = &j->lines[j->n_lines];
  memset(line->off, 0, sgi_cut_sublayers(j->q->p->model));
  sg_model_free(j->standing);
  j->standing = NULL;
  sg_status st = sgi_model_load(j->q->p->directory, j->q->allow_nonfinite, &j->standing, err);
  if (!st) st = sgi_model_own(j->standing, err);
  j->began = sgi_now();
  j->seen = 0;
  if (!st) st = sgi_prune_run(j->q->p->model, j->standing, &j->request, out, err);
  j->q->working(j->q->user, NULL, 0, 0);
  if (st == SG_ERR_CANCELLED && j->err.code) {
    *err = j->err;
    st = j->err.code;
  }
  if (!st) line->dense_loss = (*out)->dense_validation;
  return st;
}

static sg_status save(job *j, const sgi_prune *p, const char *directory, sg_error *err) {
  sg_model *cut = NULL;
  bool there = sgi_is_directory(directory);
  sg_status st = sgi_cut_view(j->standing, p->off, &cut, err);
  if (!st) st = sg_model_save(cut, directory, err);
  if (!st) st = sgi_copy_tokenizer(j->q->p->directory, directory, err);
  sg_model_free(cut);
  return sgi_whole_directory(directory, there, st);
}

/* ---- answer ---------------------------------------------------------------------------------- */

static json_t *result_json(job *j, const sgi_prune *p) {
  size_t S = p->sublayers;
  return json_pack("{s:s, s:{s:o, s:o, s:o}, s:o, s:o, s:O}", "method", j->lines[j->n_lines].name, "dense", "loss",
                   sgi_report_real(p->dense_validation), "perplexity", sgi_report_real(exp(p->dense_validation)),
                   "latency_ms", sgi_report_real(j->latency.all), "latency", sgi_report_reals(j->latency.sublayer, S),
                   "other_ms", sgi_report_real(j->latency.other), "rounds", j->rounds);
}

/* One-shot tunes once, when all are out: every point of its curve is a pruning of its own. */
static sg_status sweep(job *j, sgi_prune **out, sg_error *err) {
  const sgi_prune_request wanted = j->request;
  size_t there = sgi_cut_count(j->q->p->model);
  size_t most = wanted.remove ? wanted.remove : there ? there - 1 : 0;
  sg_status st = SG_OK;
  j->request.speedup = 0;
  for (size_t n = 1; n <= most && !st; n++) {
    sgi_prune_free(*out);
    *out = NULL;
    j->request.remove = j->sweep = n;
    st = run_method(j, out, err);
    if (st || (*out)->n_rounds < n) break;
    if (wanted.speedup > 0 && (*out)->rounds[n - 1].speedup >= wanted.speedup) break;
  }
  j->request = wanted;
  return st;
}

static sg_status one_way(job *j, size_t i, uint64_t seed, json_t *list, sg_error *err) {
  const sgi_prune_request given = j->request;
  char name[48];
  snprintf(name, sizeof name, ways[i].seeds > 1 ? "%s, seed %llu" : "%s", ways[i].name,
           (unsigned long long)(given.seed + seed));
  sgi_prune *p = NULL;
  j->request.method = ways[i].method;
  j->request.tune_any |= ways[i].tune_any;
  j->request.last |= ways[i].last;
  j->request.no_latency |= ways[i].no_latency;
  j->request.seed += seed;
  sg_status st = begin_line(j, name, err);
  if (!st) st = ways[i].method == SGI_PRUNE_ONE_SHOT ? sweep(j, &p, err) : run_method(j, &p, err);
  if (!st && !p) st = sgi_fail(err, SG_ERR_ARG, "a model of one sublayer has none to spare");
  json_t *o = st ? NULL : result_json(j, p);
  if (!st && (!o || json_array_append_new(list, o))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  j->n_lines++;
  sgi_prune_free(p);
  j->request = given;
  return st;
}

/* A model of its own, timed against the one that is pruned and scored on the same rows. */
static sg_status rival(job *j, const char *path, json_t *list, sg_error *err) {
  char name[48], *directory = NULL;
  sg_model *m = NULL;
  snprintf(name, sizeof name, "rival %zu", json_array_size(list) + 1);
  sg_status st = begin_line(j, name, err);
  sgi_prune_line *line = &j->lines[j->n_lines++];
  line->point = true;
  line->dense_loss = j->lines[0].dense_loss;
  if (!st)
    st = sgi_open_directory(
        &(sg_open_request){.path = path, .checkpoint = j->q->checkpoint, .skipped = j->q->skipped, .user = j->q->user},
        &directory, err);
  if (!st) st = sgi_model_load(directory, j->q->allow_nonfinite, &m, err);
  if (!st && sg_model_config(m)->vocab_size != sg_model_config(j->q->p->model)->vocab_size)
    st = sgi_fail(err, SG_ERR_ARG, "%s has a vocabulary of %zu, %s one of %zu: a rival reads the same tokens", path,
                  sg_model_config(m)->vocab_size, j->q->name, sg_model_config(j->q->p->model)->vocab_size);
  sgi_latency_request quiet = j->timing;
  quiet.progress = NULL;
  if (!st) st = sgi_latency_ratio(j->q->p->model, m, &quiet, &line->speedup[0], err);
  if (!st) st = sgi_cut_whole_loss(m, &j->request.validation, &line->loss[0], err);
  line->n = !st;
  json_t *o =
      st ? NULL
         : json_pack("{s:s, s:I, s:o, s:o, s:o}", "model", path, "parameters", (json_int_t)sg_model_parameter_count(m),
                     "speedup_measured", sgi_report_real(line->speedup[0]), "loss", sgi_report_real(line->loss[0]),
                     "perplexity", sgi_report_real(exp(line->loss[0])));
  if (!st && (!o || json_array_append_new(list, o))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_model_free(m);
  sgi_free(directory);
  return st;
}

/* All ways from the same model, and models beside it. */
static sg_status compare(job *j, json_t *list, json_t *rivals, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(ways) && !st; i++) {
    /* A part that the call asks for in any case is no way of its own. */
    if ((ways[i].tune_any && j->request.tune_any) || (ways[i].last && j->request.last) ||
        (ways[i].no_latency && j->request.no_latency))
      continue;
    for (uint64_t k = 0; k < ways[i].seeds && !st; k++) st = one_way(j, i, k, list, err);
  }
  for (size_t i = 0; i < j->q->n_rivals && !st; i++) st = rival(j, j->q->rivals[i], rivals, err);
  return st;
}

static sg_status one(job *j, json_t *list, sg_error *err) {
  sgi_prune *p = NULL;
  const char *out = j->q->out;
  j->request.method = (sgi_prune_method)j->q->method;
  sg_status st = begin_line(j, methods[j->request.method], err);
  if (!st) st = run_method(j, &p, err);
  if (!st && out) st = save(j, p, out, err);
  json_t *o = st ? NULL : result_json(j, p);
  if (!st && (!o || json_array_append_new(list, o))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  j->n_lines++;
  sgi_prune_free(p);
  return st;
}

sg_status sgi_prune_report(const sgi_pruning *q, sgi_pruned *out, sg_error *err) {
  job j = {.q = q, .lines = out->lines};
  json_t *list = json_array(), *rivals = json_array();
  sg_status st = list && rivals ? open_all(&j, err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st && q->compare && j.request.speedup == 0 && !j.request.remove) j.request.speedup = 2;
  if (!st) st = q->compare ? compare(&j, list, rivals, err) : one(&j, list, err);
  out->n_lines = j.n_lines;
  if (!st)
    out->document =
        q->compare ? json_pack("{s:O, s:O}", "methods", list, "rivals", rivals) : json_incref(json_array_get(list, 0));
  json_decref(list);
  json_decref(rivals);
  json_decref(j.rounds);
  sg_model_free(j.standing);
  sgi_latency_deinit(&j.latency);
  return st ? st : sgi_report_whole(&out->document, "the methods", err);
}

void sgi_pruned_deinit(sgi_pruned *p) {
  for (size_t k = 0; k < SGI_PRUNE_LINES; k++) {
    sgi_free(p->lines[k].off);
    sgi_free(p->lines[k].speedup);
  }
  json_decref(p->document);
  *p = (sgi_pruned){0};
}
