#include "report/study_live.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "report/report.h"
#include "study/study.h"

/* A line is some 400 bytes; one longer than a part is no line of a run. */
enum { POINTS = 256, PART = 256 << 10, TAIL = 32, PROBLEM = 160, SHOWN = 4096 };

typedef struct point {
  double loss; /* sum over its steps that have one */
  size_t lines, losses;
  double step, flops, seconds; /* at its last step */
} point;

/* What was read of a run's metrics.jsonl. */
typedef struct curve {
  char name[SGI_STUDY_TEXT];
  size_t at;       /* byte to read on from */
  char tail[TAIL]; /* the bytes before it: another file was put there where they differ */
  size_t per;      /* steps of a point */
  size_t n;        /* points, the last one perhaps not full */
  point points[POINTS];
  size_t seen;           /* the look at which it last grew */
  char problem[PROBLEM]; /* "" : none */
} curve;

struct sgi_study_view {
  sgi_study *study;
  char *directory;
  curve **curves; /* (count), each new; found by name, since runs come and change places */
  size_t count, capacity;
  size_t seen, next; /* looks that found something; the run that the next look begins with */
  size_t timed;      /* the look at which seconds became others: curves are told again */
  bool retimed;
  json_t *factors; /* of the results that are there; NULL: nobody asked yet */
  char *part;      /* (TAIL + PART) */
};

/* ---- open and close -------------------------------------------------------------------------- */

bool sgi_is_study(const char *directory) {
  char *path = sgi_path_join(directory, "study.json");
  bool there = path && sgi_is_file(path);
  sgi_free(path);
  return there;
}

sg_status sgi_study_view_open(const char *directory, sgi_study_view **out, sg_error *err) {
  *out = NULL;
  sgi_study_view *v = sgi_alloc(sizeof *v);
  sg_status st = v ? sgi_study_follow(directory, &v->study, err) : sgi_fail_memory(err, sizeof *v, "a study");
  if (!st && (!(v->directory = sgi_strdup(directory)) || !(v->part = sgi_alloc(TAIL + PART))))
    st = sgi_fail_memory(err, TAIL + PART, "a study");
  if (!st && sgi_study_at(v->study, SHOWN))
    st = sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: a study of more than %d runs is not shown", directory, SHOWN);
  if (st) {
    sgi_study_view_close(v);
    return st;
  }
  v->seen = 1;
  *out = v;
  return SG_OK;
}

void sgi_study_view_close(sgi_study_view *v) {
  if (!v) return;
  for (size_t i = 0; i < v->count; i++) sgi_free(v->curves[i]);
  sgi_free(v->curves);
  sgi_free(v->directory);
  sgi_free(v->part);
  sgi_study_close(v->study);
  json_decref(v->factors);
  sgi_free(v);
}

/* ---- a curve --------------------------------------------------------------------------------- */

static curve *find_curve(const sgi_study_view *v, const char *name) {
  for (size_t i = 0; i < v->count; i++)
    if (!strcmp(v->curves[i]->name, name)) return v->curves[i];
  return NULL;
}

static sg_status curve_of(sgi_study_view *v, const char *name, curve **out, sg_error *err) {
  if ((*out = find_curve(v, name))) return SG_OK;
  curve *c = sgi_alloc(sizeof *c);
  if (!c || !sgi_room(&v->curves, &v->capacity, v->count, sizeof *v->curves)) {
    sgi_free(c);
    return sgi_fail_memory(err, sizeof *c, "a run's curve");
  }
  snprintf(c->name, sizeof c->name, "%s", name);
  c->per = 1;
  v->curves[v->count++] = *out = c;
  return SG_OK;
}

/* All over again: the file is another one. */
static void begin_again(curve *c) {
  c->at = c->n = 0;
  c->per = 1;
  c->problem[0] = '\0';
}

/* Two points become one, so that the curve has room again. */
static void halve(curve *c) {
  for (size_t i = 0; i < POINTS / 2; i++) {
    const point *a = &c->points[2 * i], *b = a + 1;
    c->points[i] =
        (point){a->loss + b->loss, a->lines + b->lines, a->losses + b->losses, b->step, b->flops, b->seconds};
  }
  c->n = POINTS / 2;
  c->per *= 2;
}

static void add_step(curve *c, const point *line) {
  point *last = c->n ? &c->points[c->n - 1] : NULL;
  if (!last || last->lines == c->per) {
    if (c->n == POINTS) halve(c);
    c->points[c->n++] = *line;
    return;
  }
  last->loss += line->loss;
  last->lines++;
  last->losses += line->losses;
  last->step = line->step, last->flops = line->flops, last->seconds = line->seconds;
}

static double last_step(const curve *c) { return c->n ? c->points[c->n - 1].step : 0; }

/* A line without a training loss (an evaluation) is no step. *good false: it is damaged. */
static sg_status take_line(curve *c, const char *text, size_t n, double steps, bool *good, sg_error *err) {
  json_t *o = NULL;
  sg_status st = sgi_json_parse(text, n, "metrics.jsonl", &o, err);
  if (st == SG_ERR_MEMORY) return st;
  const json_t *loss = json_object_get(o, "train/loss"), *step = json_object_get(o, "step"),
               *flops = json_object_get(o, "flops"), *seconds = json_object_get(o, "time");
  *good = json_is_object(o);
  if (*good && loss) {
    point p = {.lines = 1,
               .losses = json_is_number(loss),
               .loss = json_number_value(loss),
               .step = json_number_value(step),
               .flops = json_number_value(flops),
               .seconds = json_number_value(seconds)};
    *good = (json_is_number(loss) || json_is_null(loss)) && json_is_integer(step) && json_is_number(flops) &&
            json_is_number(seconds) && p.step > last_step(c) && p.step <= steps && p.flops >= 0 && p.seconds >= 0;
    if (*good) add_step(c, &p);
  }
  json_decref(o);
  return SG_OK;
}

static void say(curve *c, size_t byte, const char *what) {
  if (!c->problem[0]) snprintf(c->problem, sizeof c->problem, "metrics.jsonl, byte %zu: %s", byte, what);
}

/* Whole lines of text; *used: the bytes that were. */
static sg_status take_lines(curve *c, const char *text, size_t n, double steps, size_t *used, sg_error *err) {
  const char *end;
  *used = 0;
  while (*used < n && (end = memchr(text + *used, '\n', n - *used))) {
    size_t length = (size_t)(end - text) - *used;
    bool good;
    sg_status st = take_line(c, text + *used, length, steps, &good, err);
    if (st) return st;
    if (!good)
      say(c, c->at + *used, "no line of this run: expected a JSON object with step, flops and time, steps rising");
    *used += length + 1;
  }
  return SG_OK;
}

/* What stands behind the part's first `front` bytes, n in all: *got of it was used. */
static sg_status take_part(sgi_study_view *v, curve *c, size_t front, size_t n, double steps, size_t *got,
                           sg_error *err) {
  sg_status st = take_lines(c, v->part + front, n - front, steps, got, err);
  if (st) return st;
  if (!*got && n - front == PART) {
    say(c, c->at, "a line of more than 256 KB");
    *got = PART;
  }
  size_t end = front + *got, keep = end < TAIL ? end : TAIL;
  memmove(c->tail, v->part + end - keep, keep);
  c->at += *got;
  return SG_OK;
}

/* Reads a part on. *got: bytes that were looked at; 0: nothing new is there. */
static sg_status read_on(sgi_study_view *v, curve *c, double steps, size_t *got, sg_error *err) {
  char name[2 * SGI_STUDY_TEXT];
  snprintf(name, sizeof name, "runs/%s/metrics.jsonl", c->name);
  char *path = sgi_path_join(v->directory, name);
  sg_error why = {0};
  size_t front = c->at < TAIL ? c->at : TAIL, n = 0;
  *got = 0;
  if (!path) return sgi_fail_memory(err, sizeof name, "a path");
  bool there = sgi_is_file(path);
  sg_status st = there ? sgi_read_part(path, c->at - front, v->part, front + PART, &n, &why) : SG_OK;
  sgi_free(path);
  if (st == SG_ERR_MEMORY) return sgi_fail(err, st, "%s", why.text);
  if (st) snprintf(c->problem, sizeof c->problem, "metrics.jsonl can not be read");
  if (st || (!there && !c->at)) return SG_OK;
  if (n < front || !there || memcmp(v->part, c->tail, front)) {
    begin_again(c);
    *got = 1; /* there may be more to read */
    return SG_OK;
  }
  return n > front ? take_part(v, c, front, n, steps, got, err) : SG_OK;
}

/* Curves of all runs, a part of each in turn, until so many bytes were read or all is read. */
static sg_status read_curves(sgi_study_view *v, bool *more, sg_error *err) {
  size_t runs = 0, read = 0, idle = 0;
  while (sgi_study_at(v->study, runs)) runs++;
  sg_status st = SG_OK;
  for (*more = false; idle < runs && !st; v->next++) {
    const sgi_study_run *r = sgi_study_at(v->study, v->next % runs);
    curve *c;
    size_t got = 0;
    if (read >= SGI_STUDY_LOOK) {
      *more = true;
      break;
    }
    st = curve_of(v, r->name, &c, err);
    bool told = !st && c->problem[0];
    if (!st) st = read_on(v, c, (double)r->steps, &got, err);
    if (!st && (got || told != (c->problem[0] != '\0'))) c->seen = v->seen + 1;
    read += got;
    idle = got ? 0 : idle + 1;
  }
  for (size_t i = 0; i < v->count; i++)
    if (v->curves[i]->seen > v->seen) {
      v->seen++;
      break;
    }
  return st;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* When a run was at this point: by its own clock, or where the study is retimed as many steps of
 * that time. */
static double seconds_at(const sgi_study *s, const sgi_study_run *r, const point *p) {
  if (!sgi_study_retimed(s, NULL)) return p->seconds;
  return sgi_study_seconds(s, r) * p->step / (double)r->steps;
}

static json_t *column(const sgi_study *s, const sgi_study_run *r, const curve *c, size_t field) {
  json_t *a = json_array();
  for (size_t i = 0; i < c->n; i++) {
    const point *p = &c->points[i];
    const double all[] = {p->step, p->flops, seconds_at(s, r, p), p->losses ? p->loss / (double)p->losses : NAN};
    json_array_append_new(a, sgi_report_real(all[field]));
  }
  return a;
}

static json_t *curve_json(const sgi_study *s, const sgi_study_run *r, const curve *c) {
  return json_pack("{s:s, s:o, s:o, s:o, s:o}", "name", c->name, "step", column(s, r, c, 0), "flops",
                   column(s, r, c, 1), "seconds", column(s, r, c, 2), "loss", column(s, r, c, 3));
}

static json_t *run_json(const sgi_study_view *v, const sgi_study_run *r) {
  static const char *const ended[] = {[SGI_STUDY_DONE] = "done", [SGI_STUDY_DIVERGED] = "diverged"};
  const curve *c = find_curve(v, r->name);
  const point *last = c && c->n ? &c->points[c->n - 1] : NULL;
  bool waits = r->state == SGI_STUDY_WAITING, done = r->state == SGI_STUDY_DONE;
  const char *problem = r->problem ? r->problem : c && c->problem[0] ? c->problem : NULL;
  json_t *o =
      json_pack("{s:s, s:s, s:s, s:b, s:f, s:I, s:s, s:s?, s:I, s:I, s:I, s:f}", "name", r->name, "kind", r->kind,
                "scale", r->scale, "sweep", (int)r->sweep, "budget", r->budget, "seed", (json_int_t)r->seed, "state",
                !waits ? ended[r->state]
                : last ? "begun"
                       : "waiting",
                "problem", problem, "parameters", (json_int_t)r->parameters, "non_embedding_parameters",
                (json_int_t)(r->parameters - r->embedding), "steps", (json_int_t)r->steps, "flops", r->flops);
  json_object_set_new(o, "variant", r->sweep ? json_integer((json_int_t)r->variant) : json_null());
  json_object_set_new(o, "step", json_integer(last ? (json_int_t)last->step : 0));
  json_object_set_new(o, "seconds",
                      sgi_report_real(!waits ? sgi_study_seconds(v->study, r)
                                      : last ? seconds_at(v->study, r, last)
                                             : 0));
  json_object_set_new(o, "memory_bytes", waits ? json_null() : json_integer((json_int_t)r->memory));
  json_object_set_new(o, "train_loss", sgi_report_real(done ? r->train_loss : NAN));
  json_object_set_new(o, "valid_loss", sgi_report_real(done ? r->valid_loss : NAN));
  json_object_set_new(o, "standard_error", sgi_report_real(done ? r->standard_error : NAN));
  json_object_set_new(o, "perplexity", sgi_report_real(done ? exp(r->valid_loss) : NAN));
  return o;
}

/* Where the text lies is no business of a page. */
static json_t *asked_json(const sgi_study_view *v) {
  static const char *const keys[] = {"kinds", "scales", "budgets", "seeds"};
  const json_t *asked = sgi_study_asked(v->study);
  json_t *o = json_object();
  for (size_t i = 0; i < SGI_COUNT(keys); i++) json_object_set(o, keys[i], json_object_get(asked, keys[i]));
  return o;
}

/* Whose seconds these are; a step's of each form are no business of a page. */
static json_t *timing_json(const sgi_study_view *v) {
  json_t *o = sgi_study_timing(v->study);
  json_object_del(o, "forms");
  return o;
}

/* New reference; an empty list where there is no report. */
static json_t *part_of(const json_t *report, const char *key) {
  json_t *list = json_incref(json_object_get(report, key));
  return list ? list : json_array();
}

static sg_status answer(sgi_study_view *v, size_t since, bool more, json_t **out, sg_error *err) {
  json_t *runs = json_array(), *curves = json_array(), *report = NULL;
  const sgi_study_run *r;
  bool fresh = since != v->seen;
  if (since > v->seen) since = 0; /* of another explorer */
  sg_status st = fresh ? sgi_study_report(v->study, NULL, 0, NULL, &report, err) : SG_OK;
  for (size_t i = 0; fresh && (r = sgi_study_at(v->study, i)); i++) json_array_append_new(runs, run_json(v, r));
  for (size_t i = 0; (r = sgi_study_at(v->study, i)); i++) {
    const curve *c = find_curve(v, r->name);
    if (c && c->n && (c->seen > since || v->timed > since)) json_array_append_new(curves, curve_json(v->study, r, c));
  }
  json_t *optima = part_of(report, "optima"), *train_optima = part_of(report, "train_optima"),
         *best = part_of(report, "best_settings");
  json_decref(report);
  *out =
      json_pack("{s:I, s:b, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "seen", (json_int_t)v->seen, "more", (int)more,
                "asked", asked_json(v), "left", (json_int_t)sgi_study_left(v->study), "timing", timing_json(v), "runs",
                runs, "curves", curves, "optima", optima, "train_optima", train_optima, "best_settings", best);
  if (!st && (sgi_json_state() || !*out)) st = sgi_json_incomplete("the study's curves", err);
  if (st) {
    json_decref(*out);
    *out = NULL;
  }
  return st;
}

/* Results and timings that have come since. */
static sg_status look_at_results(sgi_study_view *v, sg_error *err) {
  bool changed;
  sg_status st = sgi_study_look(v->study, &changed, err);
  if (!st && changed) v->seen++;
  if (!st && changed && (sgi_study_retimed(v->study, NULL) || v->retimed)) v->timed = v->seen;
  v->retimed = sgi_study_retimed(v->study, NULL);
  if (changed) {
    json_decref(v->factors);
    v->factors = NULL;
  }
  return st;
}

sg_status sgi_study_view_look(sgi_study_view *v, size_t since, json_t **out, sg_error *err) {
  bool more = false;
  *out = NULL;
  sg_status st = look_at_results(v, err);
  if (!st) st = read_curves(v, &more, err);
  return st ? st : answer(v, since, more, out, err);
}

/* ---- factors --------------------------------------------------------------------------------- */

sg_status sgi_study_view_factors(sgi_study_view *v, bool (*on)(void *user, double part), void *user, json_t **out,
                                 sg_error *err) {
  static const char *const against[] = {"mlp", "moe"};
  json_t *o = NULL, *names = json_array();
  size_t runs = 0;
  *out = NULL;
  sg_status st = look_at_results(v, err);
  for (size_t i = 0; i < SGI_COUNT(against); i++) json_array_append_new(names, json_string(against[i]));
  if (!st && !v->factors)
    st = sgi_study_factors(v->study, against, SGI_COUNT(against), &(sgi_study_going){on, user}, &o, err);
  if (!st && !v->factors) {
    while (sgi_study_at(v->study, runs)) runs++;
    json_object_del(o, "left");
    json_object_set_new(o, "runs", json_integer((json_int_t)runs));
    json_object_set_new(o, "ended", json_integer((json_int_t)(runs - sgi_study_left(v->study))));
    json_object_set_new(o, "timing", timing_json(v));
    json_object_set(o, "against", names);
    if (sgi_json_state()) {
      json_decref(o);
      st = sgi_json_incomplete("the study's factors", err);
    } else {
      v->factors = o;
    }
  }
  json_decref(names);
  if (!st) *out = json_incref(v->factors);
  return st;
}
