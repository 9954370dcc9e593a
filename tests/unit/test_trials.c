/* Trials on models of every kind against single passes with a tap of the test's own; facts as
 * prompts: positions, truths, what is refused. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare/extract.h"
#include "compare/subjects.h"
#include "core/arena.h"
#include "core/rng.h"
#include "model/sub_attention.h"
#include "support/failing.h"
#include "support/near.h"
#include "support/prompts.h"
#include "support/text_scratch.h"

enum { T = 9 };

typedef struct single {
  const sg_model *m;
  const sgi_trial *trial;
  float *streams; /* (L + 1,T,D) kept of the run, where not NULL */
} single;

static bool in(size_t from, size_t to, const sgi_site *s) {
  return s->layer >= 0 && (size_t)s->layer >= from && (size_t)s->layer < to;
}

/* Weights of what is cut set to 0, the rest divided by its sum, of which a learned sink is a part;
 * norms written out. */
static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  (void)err;
  const single *k = user;
  const sgi_trial *x = k->trial;
  size_t D = k->m->config.hidden_size, width = sgi_site_width(s);
  for (size_t i = 0; i < s->n; i++) {
    size_t t = s->first + i;
    float *row = (float *)s->data + i * width;
    if (s->id == SGI_SITE_ATTN_PATTERN && t == T - 1 && x->blocked.at && in(x->blocked.from, x->blocked.to, s))
      for (size_t h = 0; h < s->dims[0]; h++) {
        double sum = 0;
        for (size_t j = 0; j < T; j++) sum += x->blocked.at[j] ? 0 : (double)row[h * T + j];
        if (k->m->config.attention_sink[0]) sum += 1;
        for (size_t j = 0; j < T && k->m->config.attention_sink[0]; j++) sum -= (double)row[h * T + j];
        for (size_t j = 0; j < T; j++)
          row[h * T + j] = x->blocked.at[j] || sum == 0 ? 0 : (float)((double)row[h * T + j] / sum);
      }
    if (s->id == SGI_SITE_ATTN_OUT && x->cut.attention && in(x->cut.from, x->cut.to, s)) memset(row, 0, width * 4);
    if (s->id == SGI_SITE_MLP_OUT && x->cut.feedforward && in(x->cut.from, x->cut.to, s)) memset(row, 0, width * 4);
    if (s->id == SGI_SITE_ATTN_NORM && x->patched.at && x->patched.at[t] && in(x->patched.from, x->patched.to, s)) {
      const float *from = x->patched.stream + t * D, *g = sgi_attention_of(k->m, (size_t)s->layer)->w[SGI_T_NORM];
      double mean = 0;
      for (size_t d = 0; d < D; d++) mean += (double)from[d] * (double)from[d] / (double)D;
      for (size_t d = 0; d < D; d++)
        row[d] = (float)((double)from[d] / sqrt(mean + k->m->config.rms_norm_eps) * (double)g[d]);
    }
    if (k->streams && (s->id == SGI_SITE_EMBED || s->id == SGI_SITE_RESID_POST))
      memcpy(k->streams + ((size_t)(s->layer + 1) * T + t) * D, row, D * sizeof *row);
  }
  return SG_OK;
}

static bool wants(void *user, const sgi_site *s) {
  (void)user;
  return s->id == SGI_SITE_ATTN_PATTERN;
}

static void run_single(const sg_model *m, const int32_t *tokens, const sgi_trial *trial, float *streams,
                       float *logits) {
  sgi_pass *p;
  single k = {m, trial, streams};
  const sgi_batch b = {.B = 1, .T = T, .inputs = tokens};
  assert_sg_ok(sgi_pass_create(m, 1, T, false, &p, err));
  assert_sg_ok(sgi_pass_forward(p, &b, &(sgi_tap){.visit = visit, .user = &k, .err = err, .wants = wants}, err));
  assert_sg_ok(sgi_pass_logits(p, T - 1, 1, logits, err));
  sgi_pass_free(p);
}

static size_t compared;

static void check(const sg_model *m, const char *name, ref_random *r) {
  size_t L = m->config.num_layers, V = m->config.vocab_size, D = m->config.hidden_size;
  int32_t tokens[T];
  bool at[3][T] = {{false, true, true}, {true, true, true, true, true, true, true, true, true}, {0}};
  sgi_trials *t;
  random_prompt(m, r, tokens, T);
  for (size_t i = 0; i < T; i++) at[2][i] = ref_below(r, 2);
  assert_sg_ok(sgi_trials_create(m, T, &t, err)); /* of mixed and pruned layers, too */
  float *streams = sgi_alloc((L + 1) * T * D * sizeof *streams), *got = sgi_alloc(8 * V * sizeof *got),
        *want = sgi_alloc(V * sizeof *want);
  run_single(m, tokens, &(sgi_trial){0}, streams, want);
  const sgi_trial trials[] = {{.cut = {0}},
                              {.blocked = {0, 1, at[0]}},
                              {.blocked = {0, L, at[2]}},
                              {.blocked = {L - 1, L, at[1]}}, /* no key is left */
                              {.cut = {0, 1, true, false}},
                              {.cut = {L - 1, L, true, true}},
                              {.patched = {L - 1, L, at[2], streams}},
                              {.blocked = {0, 1, at[2]}, .cut = {L - 1, L, false, true}}};
  assert_sg_ok(sgi_trials_run(t, tokens, T, trials, SGI_COUNT(trials), NULL, NULL, err));
  assert_sg_ok(sgi_trials_logits(t, got, err));
  for (size_t i = 0; i < SGI_COUNT(trials); i++) {
    run_single(m, tokens, &trials[i], NULL, want);
    double most = 0, worst = 0;
    for (size_t v = 0; v < V; v++) {
      most = fmax(most, fabs((double)want[v]));
      worst = worse(worst, fabs((double)want[v] - (double)got[i * V + v]));
    }
    near(name, worst / most, 0, 2e-5);
    compared++;
  }
  sgi_trials_free(t);
  sgi_free(streams);
  sgi_free(got);
  sgi_free(want);
}

static void every_kind(void **state) {
  (void)state;
  assert_true(each_model(check) > 5);
  assert_true(compared > 40);
}

static void forms(const sg_model *m, const char *name, ref_random *r) {
  (void)name, (void)r;
  sgi_trials *t;
  sg_error err = {0};
  sg_status st = sgi_trials_create(m, T, &t, &err);
  if (st)
    assert_int_equal(st, SG_ERR_UNSUPPORTED);
  else
    sgi_trials_free(t);
  assert_true(st || m->plan.n_steps == 2 * m->config.num_layers);
}

static void every_form(void **state) {
  (void)state;
  assert_true(each_form(forms) > 2);
}

/* ---- facts ----------------------------------------------------------------------------------- */

#define MODEL "tests/golden/eval/model"

typedef struct opened {
  sg_model *m;
  sg_tokenizer *tok;
} opened;

static void open_model(opened *o) {
  assert_sg_ok(sg_model_load(MODEL, &o->m, err));
  assert_sg_ok(sg_tokenizer_load(MODEL "/tokenizer.json", &o->tok, err));
}

static void close_model(opened *o) {
  sg_tokenizer_free(o->tok);
  sg_model_free(o->m);
}

#define ROW(type, prompt, noun, answer) \
  "{\"type\":\"" type "\",\"prompt\":\"" prompt "\",\"noun\":\"" noun "\",\"answer\":\"" answer \
  "\",\"occurrences\":" \
  "1}"

static void prompts(void **state) {
  (void)state;
  opened o;
  sgi_subjects s;
  open_model(&o);
  scratch_text(
      "facts.json",
      "[" ROW("quality", "The dog was", "dog", "happy") "," ROW("quality", "The dog was", "dog", "red") "," ROW(
          "home", "dog saw the", "dog", "moon") "," ROW("quality", "The sky was", "sky", "blue") "]");
  assert_sg_ok(sgi_subjects_load(scratch_path("facts.json"), o.m, o.tok, NULL, &s, err));
  assert_int_equal(s.n, 3);
  assert_int_equal(s.n_names, 2);
  assert_int_equal(s.at[0].n_truths, 2); /* both answers of one prompt */
  assert_int_equal(s.n_attributes[s.at[0].who], 3);
  assert_int_equal(s.n_attributes[s.at[2].who], 1);
  for (size_t i = 0; i < s.n; i++) {
    const sgi_subject *p = &s.at[i];
    size_t bytes;
    char text[64] = "";
    for (size_t t = p->first; t < p->end; t++) {
      const char *b = sg_tokenizer_token_bytes(o.tok, p->tokens[t], &bytes);
      strncat(text, b, bytes);
    }
    assert_string_equal(text + (text[0] == ' '), s.names[p->who]);
    assert_int_equal(p->tokens[0], o.m->config.bos_id);
    assert_false(p->relation[0] || p->relation[p->count - 1] || p->relation[p->first]);
  }
  assert_int_equal(s.at[1].first, 1); /* the subject stands at position 1 */
  sgi_subjects_limit(&s, 2, 0);
  assert_int_equal(s.n, 2);
  sgi_subjects_deinit(&s);
  assert_sg_ok(sgi_subjects_load(scratch_path("facts.json"), o.m, o.tok, "home", &s, err));
  assert_int_equal(s.n, 1);
  assert_int_equal(s.n_attributes[s.at[0].who], 3); /* of all types */
  sgi_subjects_deinit(&s);
  assert_refused(sgi_subjects_load(scratch_path("facts.json"), o.m, o.tok, "pet", &s, err), SG_ERR_ARG,
                 "there are quality, home");
  sgi_subjects_deinit(&s);
  close_model(&o);
}

static void refuse(const opened *o, const char *text, sg_status code, const char *says) {
  sgi_subjects s;
  scratch_text("bad.json", text);
  assert_refused(sgi_subjects_load(scratch_path("bad.json"), o->m, o->tok, NULL, &s, err), code, says);
  sgi_subjects_deinit(&s);
}

static void bad_files(void **state) {
  (void)state;
  opened o;
  sgi_subjects s;
  open_model(&o);
  refuse(&o, "7", SG_ERR_FORMAT, "expected facts");
  refuse(&o, "[]", SG_ERR_ARG, "another world");
  refuse(&o, "[{\"type\": 3}]", SG_ERR_FORMAT, "fact 0");
  refuse(&o, "[" ROW("quality", "The cat was", "dog", "red") "]", SG_ERR_FORMAT, "does not hold its noun");
  refuse(&o, "[" ROW("quality", "The dog was", "dog", "") "]", SG_ERR_FORMAT, "empty");
  refuse(&o, "{\"before\": \"The \", \"after\": \" was\", \"facts\": {\"dog\": 3}}", SG_ERR_FORMAT, "expected nouns");
  refuse(&o, "{\"before\": \"The \", \"facts\": {}}", SG_ERR_FORMAT, "after");
  /* What the model does not say is of another world. */
  scratch_text("other.json",
               "[" ROW("quality", "The dog was", "dog", "the") "," ROW("quality", "The sky was", "sky", "the") "]");
  assert_sg_ok(sgi_subjects_load(scratch_path("other.json"), o.m, o.tok, NULL, &s, err));
  assert_refused(sgi_subjects_know(o.m, &s, "other.json", NULL, NULL, err), SG_ERR_ARG,
                 "other.json: the model answers 0 of 2");
  sgi_subjects_deinit(&s);
  close_model(&o);
}

typedef struct asked {
  opened o;
  sgi_subjects s;
} asked;

static sg_status ask(void *user, sg_error *err) {
  asked *a = user;
  sgi_knockout *k = NULL;
  sgi_extract *x = NULL;
  const sgi_knock_request r = {.draws = 2};
  const sgi_extract_request q = {.raw = true};
  sg_status st = sgi_subjects_load(scratch_path("facts.json"), a->o.m, a->o.tok, NULL, &a->s, err);
  if (!st) st = sgi_subjects_know(a->o.m, &a->s, "facts.json", NULL, NULL, err);
  if (!st) st = sgi_knockout_run(a->o.m, &a->s, &r, &k, err);
  if (!st) st = sgi_extract_run(a->o.m, &a->s, &q, &x, err);
  sgi_knockout_free(k);
  sgi_extract_free(x);
  sgi_subjects_deinit(&a->s);
  return st;
}

static void memory(void **state) {
  (void)state;
  asked a = {0};
  open_model(&a.o);
  assert_true(allocations_fail_by(ask, &a, 7) > 5);
  close_model(&a.o);
}

static int setup(void **state) {
  (void)state;
  scratch_begin();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  scratch_end();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind), cmocka_unit_test(every_form),
                                     cmocka_unit_test(prompts), cmocka_unit_test(bad_files), cmocka_unit_test(memory)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
