/* study.json: what a study asks, held against what it may say. */
#include <math.h>
#include <string.h>

#include "study/study_state.h"
#include "ffn/ffn.h"

enum { MOST = 64, MOST_VARIANTS = 256, MOST_RUNS = 10000 };

size_t sgi_study_list(const sgi_study *s, const char *key) { return json_array_size(json_object_get(s->asked, key)); }

const char *sgi_study_word(const sgi_study *s, const char *key, size_t i) {
  return json_string_value(json_array_get(json_object_get(s->asked, key), i));
}

double sgi_study_number(const sgi_study *s, const char *key, size_t i) {
  return json_number_value(json_array_get(json_object_get(s->asked, key), i));
}

/* ---- the same in two spellings --------------------------------------------------------------- */

static bool is_preset(const char *key) { return !strcmp(key, "scales") || !strcmp(key, "sweep_scale"); }

/* "ladder;64x2" is "ladder:64x2". */
static bool same_word(const char *key, const char *a, const char *b) {
  for (; *a && *b; a++, b++)
    if (*a != *b && !(is_preset(key) && strchr(";:", *a) && strchr(";:", *b))) return false;
  return *a == *b;
}

bool sgi_study_equal(const char *key, const json_t *a, const json_t *b) {
  if (json_is_string(a) && json_is_string(b)) return same_word(key, json_string_value(a), json_string_value(b));
  if (!is_preset(key) || !json_is_array(a) || json_array_size(a) != json_array_size(b)) return json_equal(a, b);
  for (size_t i = 0; i < json_array_size(a); i++)
    if (!sgi_study_equal(key, json_array_get(a, i), json_array_get(b, i))) return false;
  return true;
}

/* ---- every key ------------------------------------------------------------------------------- */

static sg_status words(const json_t *o, const char *where, const char *key, size_t least, size_t most, sg_error *err) {
  const json_t *list = json_object_get(o, key);
  size_t n = json_array_size(list);
  if (!json_is_array(list) || n < least || n > most)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" must be a list of %zu to %zu texts", where, key, least, most);
  for (size_t i = 0; i < n; i++) {
    const char *word = json_string_value(json_array_get(list, i));
    if (!word || !*word || strlen(word) >= SGI_STUDY_TEXT)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\": entry %zu must be a text of 1 to %d bytes", where, key, i,
                      SGI_STUDY_TEXT - 1);
    for (size_t j = 0; j < i; j++)
      if (same_word(key, word, json_string_value(json_array_get(list, j))))
        return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" names %s twice", where, key, word);
  }
  return SG_OK;
}

static sg_status numbers(const json_t *o, const char *where, const char *key, double least, double most, bool whole,
                         sg_error *err) {
  const json_t *list = json_object_get(o, key);
  size_t n = json_array_size(list);
  if (!json_is_array(list) || !n || n > MOST)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" must be a list of 1 to %d numbers", where, key, MOST);
  for (size_t i = 0; i < n; i++) {
    const json_t *x = json_array_get(list, i);
    double v = json_number_value(x);
    if (!json_is_number(x) || !(v >= least && v <= most) || (whole && v != floor(v)))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\": entry %zu must be a%s number from %g to %g", where, key, i,
                      whole ? " whole" : "", least, most);
    for (size_t j = 0; j < i; j++)
      if (json_number_value(json_array_get(list, j)) == v)
        return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" names %g twice", where, key, v);
  }
  return SG_OK;
}

static sg_status variants(const json_t *o, const char *where, sg_error *err) {
  const json_t *list = json_object_get(o, "variants");
  size_t n = json_array_size(list);
  if (!json_is_array(list) || n > MOST_VARIANTS)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: \"variants\" must be a list of at most %d lists of \"key=value\"", where,
                    MOST_VARIANTS);
  for (size_t i = 0; i < n; i++) {
    const json_t *v = json_array_get(list, i);
    bool good = json_is_array(v) && json_array_size(v) > 0 && json_array_size(v) <= MOST;
    for (size_t k = 0; good && k < json_array_size(v); k++) {
      const char *text = json_string_value(json_array_get(v, k));
      good = text && strchr(text, '=') && strlen(text) < SGI_STUDY_TEXT;
    }
    if (!good)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: \"variants\": entry %zu must be a list of \"key=value\"", where, i);
  }
  return SG_OK;
}

static sg_status kinds_known(const json_t *o, const char *where, sg_error *err) {
  const json_t *list = json_object_get(o, "kinds");
  for (size_t i = 0; i < json_array_size(list); i++) {
    sg_error why = {0};
    if (!sgi_ffn_find(json_string_value(json_array_get(list, i)), &why))
      return sgi_fail(err, SG_ERR_ARG, "%s: %s", where, why.text);
  }
  return SG_OK;
}

static size_t seeds_of(const json_t *o, size_t budget) {
  const json_t *n = json_array_get(json_object_get(o, "budget_seeds"), budget);
  return n ? (size_t)json_number_value(n) : json_array_size(json_object_get(o, "seeds"));
}

size_t sgi_study_seeds_of(const sgi_study *s, size_t budget) { return seeds_of(s->asked, budget); }

/* How many of the seeds each budget has: all, unless the list says fewer. */
static sg_status seeds_of_budgets(const json_t *o, const char *where, sg_error *err) {
  const json_t *list = json_object_get(o, "budget_seeds");
  size_t n = json_array_size(json_object_get(o, "budgets")), most = json_array_size(json_object_get(o, "seeds")), i;
  json_t *x;
  if (!list) return SG_OK;
  if (!json_is_array(list) || json_array_size(list) != n)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: \"budget_seeds\" must be a list of %zu numbers, one a budget", where, n);
  json_array_foreach(list, i, x) {
    double v = json_number_value(x);
    if (!json_is_number(x) || v != floor(v) || v < 1 || v > (double)most)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: \"budget_seeds\": entry %zu must be a whole number from 1 to %zu", where,
                      i, most);
  }
  return SG_OK;
}

/* As many as runs.c makes of it; every list is short by now. */
static sg_status few_enough(const json_t *o, bool sweep_only, const char *where, sg_error *err) {
  size_t kinds = json_array_size(json_object_get(o, "kinds")), scales = json_array_size(json_object_get(o, "scales"));
  size_t seeds = sweep_only ? json_array_size(json_object_get(o, "seeds")) : 1;
  size_t n = kinds * json_array_size(json_object_get(o, "variants")) * seeds;
  for (size_t b = 0; b < json_array_size(json_object_get(o, "budgets")) && !sweep_only; b++)
    n += kinds * scales * seeds_of(o, b);
  if (n <= MOST_RUNS) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "%s: asks for %zu runs; at most %d", where, n, MOST_RUNS);
}

sg_status sgi_study_check(const json_t *o, const char *where, sg_error *err) {
  static const char *const keys[] = {"format", "data",     "kinds",       "scales",     "budgets",     "seeds",
                                     "set",    "variants", "sweep_scale", "sweep_only", "budget_seeds"};
  size_t format;
  bool only;
  char text[4096];
  sg_status st = sgi_json_only_keys(o, where, keys, SGI_COUNT(keys), err);
  if (!st) st = sgi_json_size(o, where, "format", 1, 1, &format, err);
  if (!st) st = sgi_json_string(o, where, "data", text, sizeof text, err);
  if (!st) st = words(o, where, "kinds", 1, MOST, err);
  if (!st) st = kinds_known(o, where, err);
  if (!st) st = words(o, where, "scales", 1, MOST, err);
  if (!st) st = numbers(o, where, "budgets", 0, 1e30, false, err);
  if (!st) st = numbers(o, where, "seeds", 0, 9e15, true, err);
  if (!st) st = seeds_of_budgets(o, where, err);
  if (!st) st = words(o, where, "set", 0, MOST, err);
  if (!st) st = variants(o, where, err);
  if (!st) st = sgi_json_string(o, where, "sweep_scale", text, sizeof text, err);
  if (!st) st = sgi_json_bool(o, where, "sweep_only", &only, err);
  if (!st) st = few_enough(o, only, where, err);
  if (!st && only && !json_array_size(json_object_get(o, "variants")))
    st = sgi_fail(err, SG_ERR_ARG, "%s: a sweep of no variants", where);
  return st;
}
