/* A study in place of a model: its runs' curves read on as they grow, results as they end, damage
 * told beside its run; numbers as `sgatlin isoflop --json` has them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../server/api.h"
#include "core/file.h"
#include "http/client.h"
#include "http/command.h"
#include "http/schema.h"
#include "study/study.h"

static char *base, directory[400];
static sgi_study *made; /* names and sizes of the runs */
static explorer e;
static http_server *server;
static json_t *document;

static void write_at(const char *run, const char *name, const char *mode, const char *text) {
  char path[800];
  snprintf(path, sizeof path, "%s/runs/%s", directory, run);
  assert_sg_ok(sgi_make_directory(path, err));
  snprintf(path, sizeof path, "%s/runs/%s/%s", directory, run, name);
  FILE *f = fopen(path, mode);
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

/* Steps [from, to) of a run of 10 FLOPs and half a second a step, loss 100 / step. */
static void write_steps(const char *run, const char *mode, size_t from, size_t to) {
  char *text = malloc(160 * (to - from) + 1);
  size_t n = 0;
  text[0] = '\0';
  for (size_t i = from; i < to; i++)
    n += (size_t)sprintf(text + n, "{\"step\":%zu,\"tokens\":%zu,\"flops\":%zu.0,\"time\":%.1f,\"train/loss\":%.9g}\n",
                         i, 4 * i, 10 * i, 0.5 * (double)i, 100.0 / (double)i);
  write_at(run, "metrics.jsonl", mode, text);
  free(text);
}

static void write_result(const sgi_study_run *r, double loss) {
  json_t *o = json_pack("{s:i, s:s, s:s, s:I, s:I, s:f, s:I, s:f, s:f, s:f, s:f, s:[f, f], s:[f, f]}", "format", 1,
                        "name", r->name, "state", "done", "parameters", (json_int_t)r->parameters, "steps",
                        (json_int_t)r->steps, "seconds", 3.5, "memory_bytes", (json_int_t)123456, "train_loss",
                        loss - 0.125, "valid_loss", loss, "standard_error", 0.03, "accuracy", 0.25, "document_nll",
                        10 * loss, 12 * loss, "document_targets", 10.0, 12.0);
  char *text = json_dumps(o, 0);
  write_at(r->name, "result.json", "w", text);
  free(text);
  json_decref(o);
}

/* A bowl over the logarithm of the parameters. */
static double loss_of(const sgi_study_run *r) {
  double x = log((double)(r->parameters - r->embedding)) - 10;
  return 4 + 0.1 * x * x - (r->budget > 2e11) * 0.3 + 0.01 * (double)r->seed;
}

static json_t *asked(const char *data) {
  return json_pack("{s:i, s:s, s:[s, s], s:[s, s, s], s:[f, f], s:[i, i], s:[s, s, s, s], s:[], s:s, s:b, s:[i, i]}",
                   "format", 1, "data", data, "kinds", "sgatlin", "mlp", "scales", "ladder;32x1", "ladder;32x2",
                   "ladder;64x2", "budgets", 1e11, 3e11, "seeds", 1, 2, "set", "train.batch_size=4", "train.seq_len=32",
                   "schedule.warmup_steps=1", "tokenizer.vocab_size=300", "variants", "sweep_scale", "ladder;32x1",
                   "sweep_only", 0, "budget_seeds", 2, 1);
}

static int start(void **state) {
  (void)state;
  char data[300], text[400];
  document = golden_json("server/openapi.json");
  base = golden_temporary();
  snprintf(data, sizeof data, "%.200s/data", base);
  snprintf(directory, sizeof directory, "%.200s/a study", base);
  assert_sg_ok(sgi_make_directory(data, err));
  snprintf(text, sizeof text, "%s/train.txt", data);
  assert_sg_ok(sgi_write_file(text, "one two three four five six seven\n", 34, err));
  snprintf(text, sizeof text, "%s/valid.txt", data);
  assert_sg_ok(sgi_write_file(text, "one two three\n", 14, err));
  json_t *o = asked(data);
  assert_false(sgi_is_study(directory));
  assert_sg_ok(sgi_study_open(directory, o, NULL, NULL, &made, err));
  assert_true(sgi_is_study(directory));
  json_decref(o);
  e.name = "a study";
  assert_sg_ok(sgi_study_view_open(directory, &e.study, err));
  http_settings s = {.handler = api_handle, .user = &e};
  return http_start(&s, &server, NULL) != SG_OK;
}

static int stop(void **state) {
  (void)state;
  http_stop(server);
  sgi_study_view_close(e.study);
  sgi_study_close(made);
  golden_remove(base);
  json_decref(document);
  return 0;
}

/* Read to the end; the answers before it are counted. */
static json_t *look(size_t since, size_t *answers) {
  char body[64], why[512];
  for (*answers = 1;; ++*answers) {
    snprintf(body, sizeof body, "{\"since\":%zu}", since);
    reply r = client_call(server, "/api/study", body, "");
    if (r.status != 200) fail_msg("%d: %s", r.status, r.body);
    json_t *o = json_loadb(r.body, r.n, 0, NULL);
    reply_free(&r);
    if (!schema_fits(document, schema_of_answer(document, "/api/study", "post", "200"), o, why, sizeof why))
      fail_msg("%s", why);
    if (!json_is_true(json_object_get(o, "more"))) return o;
    json_decref(o);
  }
}

static json_t *once(size_t since) {
  size_t answers;
  return look(since, &answers);
}

static json_t *factors(void) {
  char why[300];
  reply r = client_call(server, "/api/factors", "{}", "");
  if (r.status != 200) fail_msg("%d %s", r.status, r.body);
  json_t *o = json_loadb(r.body, r.n, 0, NULL);
  reply_free(&r);
  if (!schema_fits(document, schema_of_answer(document, "/api/factors", "post", "200"), o, why, sizeof why))
    fail_msg("%s", why);
  return o;
}

static const json_t *named(const json_t *o, const char *list, const char *name) {
  size_t i;
  json_t *x;
  json_array_foreach(json_object_get(o, list), i,
                     x) if (!strcmp(json_string_value(json_object_get(x, "name")), name)) return x;
  return NULL;
}
static size_t seen(const json_t *o) { return (size_t)json_integer_value(json_object_get(o, "seen")); }
static size_t length(const json_t *o, const char *key) { return json_array_size(json_object_get(o, key)); }
static double at(const json_t *o, const char *key, size_t i) {
  return json_number_value(json_array_get(json_object_get(o, key), i));
}
static const char *word(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

/* Before anything has begun: 2 kinds of 3 sizes, two seeds at the first budget and one at the
 * second. */
static void waiting(void **state) {
  (void)state;
  json_t *o = once(0), *i;
  assert_int_equal(length(o, "runs"), 2 * 3 * (2 + 1));
  assert_int_equal(json_integer_value(json_object_get(o, "left")), 18);
  assert_int_equal(length(o, "curves"), 0);
  assert_string_equal(word(json_array_get(json_object_get(o, "runs"), 0), "state"), "waiting");
  assert_null(json_object_get(json_object_get(o, "asked"), "data"));
  /* Factors are told when asked for: of each kind and cost why there is none yet. */
  json_t *f = factors();
  assert_int_equal(length(f, "factors"), 0);
  assert_int_equal(length(f, "no_factors"), 3 * 3); /* sgatlin against mlp, both against moe */
  assert_string_equal(word(json_array_get(json_object_get(f, "no_factors"), 0), "why"), "not enough has ended");
  assert_int_equal(json_integer_value(json_object_get(f, "ended")), 0);
  assert_int_equal(json_integer_value(json_object_get(f, "runs")), 18);
  json_decref(f);
  /* Nothing new: an answer without its lists. */
  json_t *again = once(seen(o));
  assert_int_equal(seen(again), seen(o));
  assert_int_equal(length(again, "runs"), 0);
  json_decref(again);
  json_decref(o);
  reply r = client_call(server, "/api/info", NULL, "");
  i = json_loadb(r.body, r.n, 0, NULL);
  assert_string_equal(word(i, "study"), "a study");
  assert_true(json_is_null(json_object_get(i, "model")));
  json_decref(i);
  reply_free(&r);
}

/* A curve that grows in pieces is the one that was read at once, whatever its length. */
static void growing(void **state) {
  (void)state;
  const sgi_study_run *r = sgi_study_at(made, 0), *other = sgi_study_at(made, 1);
  size_t steps = (size_t)r->steps, answers, before = 0;
  assert_true(steps > 600); /* so that points hold several steps */
  write_steps(r->name, "w", 1, 4);
  write_at(r->name, "metrics.jsonl", "a", "{\"step\":4,\"tokens\":1,\"fl");
  json_t *o = once(0);
  const json_t *c = named(o, "curves", r->name);
  assert_int_equal(length(c, "loss"), 3);
  assert_true(at(c, "flops", 2) == 30 && at(c, "seconds", 2) == 1.5 && at(c, "loss", 1) == 50);
  assert_string_equal(word(named(o, "runs", r->name), "state"), "begun");
  before = seen(o);
  json_decref(o);
  write_at(r->name, "metrics.jsonl", "a", "ops\":40.0,\"time\":2.0,\"train/loss\":null}\n");
  o = once(before);
  c = named(o, "curves", r->name);
  assert_int_equal(length(c, "loss"), 4);
  assert_true(json_is_null(json_array_get(json_object_get(c, "loss"), 3))); /* no number is no loss */
  assert_int_equal(length(o, "curves"), 1);
  json_decref(o);
  for (size_t from = 5; from < steps + 1; from += 97)
    write_steps(r->name, "a", from, from + 97 < steps + 1 ? from + 97 : steps + 1), json_decref(once(0));
  write_steps(other->name, "w", 1, 5);
  write_at(other->name, "metrics.jsonl", "a", "{\"step\":4,\"eval/loss\":3.5}\n"); /* no step */
  write_steps(other->name, "a", 5, steps < other->steps ? steps + 1 : (size_t)other->steps + 1);
  o = look(0, &answers);
  const json_t *d = named(o, "curves", other->name);
  c = named(o, "curves", r->name);
  assert_true(length(c, "loss") <= 256 && length(c, "loss") > 128);
  assert_true(at(c, "step", length(c, "step") - 1) == (double)steps);
  /* Each point: the mean loss of its steps, and where the last of them ends. */
  double from = 0;
  for (size_t i = 0; i < length(c, "loss"); i++) {
    double to = at(c, "step", i), sum = 0, n = 0;
    for (double s = from + 1; s <= to; s++)
      if (s != 4) sum += 100 / s, n++;
    assert_true(fabs(at(c, "loss", i) - sum / n) < 1e-6 * sum / n);
    assert_true(at(c, "flops", i) == 10 * to);
    if (i) assert_true(at(d, "step", i) == to);
    from = to;
  }
  json_decref(o);
}

/* A run that was begun anew, or went on from an earlier checkpoint, is read again from its
 * start. */
static void rewritten(void **state) {
  (void)state;
  const sgi_study_run *r = sgi_study_at(made, 2);
  write_steps(r->name, "w", 1, 200);
  json_t *o = once(0);
  assert_int_equal(length(named(o, "curves", r->name), "loss"), 199);
  size_t before = seen(o);
  json_decref(o);
  write_steps(r->name, "w", 1, 30);
  o = once(before);
  assert_int_equal(length(named(o, "curves", r->name), "loss"), 29);
  before = seen(o);
  json_decref(o);
  write_steps(r->name, "w", 1, 3); /* cut, and at once longer than it was, with other bytes */
  write_at(r->name, "metrics.jsonl", "a", "{\"step\":3,\"flops\":31.0,\"time\":1.5,\"train/loss\":7.0}\n");
  write_steps(r->name, "a", 4, 60);
  o = once(before);
  assert_int_equal(length(named(o, "curves", r->name), "loss"), 59);
  assert_true(at(named(o, "curves", r->name), "loss", 2) == 7);
  assert_true(json_is_null(json_object_get(named(o, "runs", r->name), "problem")));
  json_decref(o);
}

/* Damage is told beside the run, and all else goes on. */
static void damaged(void **state) {
  (void)state;
  static const struct {
    const char *line, *said;
  } all[] = {{"garbage\n", "byte"},
             {"[1]\n", "byte"},
             {"{\"step\":2,\"flops\":1,\"time\":1,\"train/loss\":\"x\"}\n", "no line of this run"},
             {"{\"step\":1e999,\"flops\":1,\"time\":1,\"train/loss\":1}\n", "no line of this run"},
             {"{\"step\":1,\"flops\":1,\"time\":1,\"train/loss\":1}\n", "steps rising"},
             {"{\"step\":99999999,\"flops\":1,\"time\":1,\"train/loss\":1}\n", "no line of this run"},
             {"{\"step\":3,\"flops\":-1,\"time\":1,\"train/loss\":1}\n", "no line of this run"},
             {"{\"step\":3,\"train/loss\":1}\n", "no line of this run"}};
  const sgi_study_run *r = sgi_study_at(made, 3);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    write_steps(r->name, "w", 1, 3);
    write_at(r->name, "metrics.jsonl", "a", all[i].line);
    write_steps(r->name, "a", 5, 9);
    json_decref(once(0));
    json_t *o = once(0);
    const char *problem = word(named(o, "runs", r->name), "problem");
    if (!problem || !strstr(problem, all[i].said)) fail_msg("%s: %s", all[i].line, problem ? problem : "none");
    if (length(named(o, "curves", r->name), "loss") != 6) fail_msg("%s: its other lines are gone", all[i].line);
    json_decref(o);
    write_at(r->name, "metrics.jsonl", "w", "");
    o = once(0);
    assert_true(json_is_null(json_object_get(named(o, "runs", r->name), "problem")));
    json_decref(o);
  }
  /* A line without an end is passed over in parts of bounded size. */
  char *text = malloc(700001);
  memset(text, 'x', 700000);
  text[700000] = '\0';
  write_at(r->name, "metrics.jsonl", "w", text);
  free(text);
  json_t *o = once(0);
  assert_non_null(strstr(word(named(o, "runs", r->name), "problem"), "256 KB"));
  json_decref(o);
  /* No file at all: not waited for. */
  char path[800];
  snprintf(path, sizeof path, "%s/runs/%s/metrics.jsonl", directory, r->name);
  remove(path);
  assert_int_equal(mkfifo(path, 0600), 0);
  json_decref(once(0));
  remove(path);
  /* A result that is another's, cut, or none. */
  static const char *const results[] = {
      "{\"format\":1", "[]",
      "{\"format\":1,\"name\":\"x\",\"state\":\"done\",\"parameters\":1,\"steps\":1,\"memory_bytes\":1,\"seconds\":1}"};
  for (size_t i = 0; i < 3; i++) {
    write_at(r->name, "result.json", "w", results[i]);
    o = once(0);
    const char *problem = word(named(o, "runs", r->name), "problem");
    assert_non_null(problem);
    assert_non_null(strstr(problem, "result.json"));
    assert_null(strstr(problem, base)); /* no path of this machine */
    assert_string_not_equal(word(named(o, "runs", r->name), "state"), "done");
    json_decref(o);
  }
  write_result(r, loss_of(r));
  o = once(0);
  assert_string_equal(word(named(o, "runs", r->name), "state"), "done");
  assert_true(json_is_null(json_object_get(named(o, "runs", r->name), "problem")));
  json_decref(o);
}

/* Much to read: in several answers, none longer than a look. */
static void bounded(void **state) {
  (void)state;
  const sgi_study_run *r = sgi_study_at(made, 4);
  size_t answers;
  char *text = malloc((1 << 20) + 1);
  for (size_t i = 0; i < 1 << 20; i++) text[i] = i % 64 == 63 ? '\n' : ' ';
  text[1 << 20] = '\0';
  write_at(r->name, "metrics.jsonl", "w", "");
  for (int i = 0; i < 10; i++) write_at(r->name, "metrics.jsonl", "a", text);
  free(text);
  json_t *o = look(0, &answers);
  assert_true(answers == 3 || answers == 4); /* 10 MB, 4 MB a look */
  json_decref(o);
  write_at(r->name, "metrics.jsonl", "w", "");
}

/* Equal, a number however it is written. */
static bool alike(const json_t *a, const json_t *b) {
  const char *key;
  size_t i;
  json_t *v;
  if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
  bool same = json_is_array(a) ? json_array_size(a) == json_array_size(b) : json_object_size(a) == json_object_size(b);
  if (!json_is_array(a) && !json_is_object(a)) return json_equal(a, b);
  json_array_foreach(a, i, v) same = same && alike(v, json_array_get(b, i));
  json_object_foreach((json_t *)a, key, v) same = same && alike(v, json_object_get(b, key));
  return same;
}

static json_t *timings_of(const json_t *runs) {
  json_t *forms = json_array(), *r, *form;
  size_t i, k;
  json_array_foreach(runs, i, r) {
    bool known = false;
    json_array_foreach(forms, k, form) known |= json_equal(json_object_get(form, "kind"), json_object_get(r, "kind")) &&
                                                json_equal(json_object_get(form, "scale"), json_object_get(r, "scale"));
    if (known) continue;
    double step = json_number_value(json_object_get(r, "flops")) / json_number_value(json_object_get(r, "steps"));
    json_array_append_new(
        forms, json_pack("{s:O, s:O, s:i, s:O, s:f, s:f, s:f, s:[f], s:[f]}", "kind", json_object_get(r, "kind"),
                         "scale", json_object_get(r, "scale"), "variant", 0, "parameters",
                         json_object_get(r, "parameters"), "step_flops", step, "seconds", 0.25, "cpu_seconds", 0.125,
                         "seconds_of_rounds", 0.25, "cpu_seconds_of_rounds", 0.125));
  }
  return json_pack("{s:i, s:s, s:i, s:s, s:i, s:i, s:s, s:o}", "format", 1, "processor", "p", "processors", 2,
                   "instructions", "avx2", "threads", 1, "rounds", 1, "date", "2026-01-02T03:04:05Z", "forms", forms);
}

/* Steps timed anew: seconds of runs, and of all curves again, are by these; without their file as
 * the runs took. */
static void retimed(void) {
  const sgi_study_run *r = sgi_study_at(made, 0);
  char path[500];
  json_t *o = once(0), *file = timings_of(json_object_get(o, "runs")), *x;
  size_t before = seen(o), i;
  double step = at(named(o, "curves", r->name), "step", 5);
  assert_string_equal(word(json_object_get(o, "timing"), "by"), "runs");
  assert_true(at(named(o, "curves", r->name), "seconds", 5) == 0.5 * step);
  json_decref(o);
  snprintf(path, sizeof path, "%s/timings.json", directory);
  assert_sg_ok(sgi_json_save(path, file, err));
  json_decref(file);
  o = once(before);
  const json_t *timing = json_object_get(o, "timing"), *c = named(o, "curves", r->name);
  assert_string_equal(word(timing, "by"), "timings");
  assert_string_equal(word(timing, "date"), "2026-01-02T03:04:05Z");
  assert_null(json_object_get(timing, "forms"));
  assert_non_null(c); /* told again, although it has not grown */
  assert_true(fabs(at(c, "seconds", 5) - 0.25 * step) < 1e-9 * step);
  json_t *f = factors(); /* made anew, by these */
  bool by_cpu = false;
  json_array_foreach(json_object_get(f, "factors"), i, x) by_cpu |= !strcmp(word(x, "by"), "cpu_seconds");
  assert_true(by_cpu);
  assert_string_equal(word(json_object_get(f, "timing"), "by"), "timings");
  json_decref(f);
  json_array_foreach(json_object_get(o, "runs"), i, x) {
    double steps = json_number_value(json_object_get(x, "steps"));
    assert_true(json_number_value(json_object_get(x, "seconds")) == 0.25 * steps);
  }
  before = seen(o);
  json_decref(o);
  assert_int_equal(remove(path), 0);
  o = once(before);
  assert_string_equal(word(json_object_get(o, "timing"), "by"), "runs");
  assert_true(at(named(o, "curves", r->name), "seconds", 5) == 0.5 * step);
  json_decref(o);
}

/* All ended: losses, parabolas and best sizes are those of the command, digit by digit. */
static void ended(void **state) {
  (void)state;
  const sgi_study_run *r;
  for (size_t i = 0; (r = sgi_study_at(made, i)); i++) write_result(r, loss_of(r));
  json_t *o = once(0);
  assert_int_equal(json_integer_value(json_object_get(o, "left")), 0);
  char line[500], path[500];
  snprintf(line, sizeof line, "isoflop -o '%s' --json", directory);
  json_t *printed = command(line);
  assert_true(length(o, "optima") == 4);
  assert_true(alike(json_object_get(o, "optima"), json_object_get(printed, "optima")));
  assert_true(length(o, "train_optima") == 4);
  assert_true(alike(json_object_get(o, "train_optima"), json_object_get(printed, "train_optima")));
  json_t *asked_for = factors();
  static const char *const same[] = {"factors", "no_factors", "resampled_documents", "resampled_rows"};
  for (size_t k = 0; k < sizeof same / sizeof *same; k++)
    assert_true(alike(json_object_get(asked_for, same[k]), json_object_get(printed, same[k])));
  assert_true(length(asked_for, "factors") > 0);
  assert_int_equal(json_integer_value(json_object_get(asked_for, "resampled_documents")), 2);
  assert_int_equal(json_integer_value(json_object_get(asked_for, "ended")), 18);
  json_t *again = factors(); /* kept, until something is new */
  assert_true(json_equal(asked_for, again));
  json_decref(again);
  json_decref(asked_for);
  size_t i;
  json_t *a;
  json_array_foreach(json_object_get(printed, "runs"), i, a) {
    static const char *const keys[] = {"valid_loss", "train_loss",  "perplexity",
                                       "seconds",    "parameters",  "non_embedding_parameters",
                                       "flops",      "memory_bytes"};
    const json_t *b = named(o, "runs", word(a, "name"));
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
      if (!alike(json_object_get(a, keys[k]), json_object_get(b, keys[k])))
        fail_msg("%s: %s", word(a, "name"), keys[k]);
  }
  json_decref(printed);
  json_decref(o);
  retimed();
  /* A tokenizer that is gone: an error that tells no path. */
  snprintf(path, sizeof path, "%s/tokenizer.json", directory);
  assert_int_equal(remove(path), 0);
  sgi_study_view *v;
  sg_error why = {0};
  assert_true(sgi_study_view_open(directory, &v, &why));
  assert_non_null(strstr(why.text, "tokenizer.json"));
}

/* Every other call says what it needs. */
static void other_calls(void **state) {
  (void)state;
  const char *path;
  json_t *value;
  json_object_foreach(json_object_get(document, "paths"), path, value) {
    bool get = json_object_get(value, "get") != NULL,
         served = get || !strcmp(path, "/api/study") || !strcmp(path, "/api/factors");
    reply r = client_call(server, path, get ? NULL : "{}", "");
    if (r.status != (served ? 200 : 400)) fail_msg("%s: %d %s", path, r.status, r.body);
    if (!served && !strstr(r.body, "shows a study: ")) fail_msg("%s: %s", path, r.body);
    reply_free(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(waiting), cmocka_unit_test(growing), cmocka_unit_test(rewritten),  cmocka_unit_test(damaged),
      cmocka_unit_test(bounded), cmocka_unit_test(ended),   cmocka_unit_test(other_calls)};
  return cmocka_run_group_tests(tests, start, stop);
}
