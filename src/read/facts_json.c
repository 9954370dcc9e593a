/* Facts as JSON: our own form, and the rows of facts.json of the corpus worlds. */
#include <string.h>

#include "read/facts.h"

json_t *sgi_facts_to_json(const sg_facts *f) {
  json_t *nouns = json_object();
  for (size_t i = 0; i < f->n_nouns; i++) {
    json_t *answers = json_object();
    for (size_t k = 0; k < f->nouns[i].n; k++) {
      sg_fact a = sg_facts_answer(f, i, k);
      json_object_set_new(answers, a.text, json_integer((json_int_t)a.count));
    }
    json_object_set_new(nouns, sg_facts_noun(f, i).text, answers);
  }
  return json_pack("{s:s, s:s, s:o}", "before", f->before, "after", f->after, "facts", nouns);
}

static sg_status from_object(const json_t *json, const char *where, sg_facts **out, sg_error *err) {
  char before[SG_NAME * 4], after[SG_NAME * 4];
  const json_t *nouns, *answers;
  sg_status st = sgi_json_string(json, where, "before", before, sizeof before, err);
  if (!st) st = sgi_json_string(json, where, "after", after, sizeof after, err);
  if (!st) st = sgi_json_object(json, where, "facts", &nouns, err);
  if (!st) st = sg_facts_create(before, after, out, err);
  const char *noun, *answer;
  if (st) return st;
  json_object_foreach((json_t *)nouns, noun, answers) {
    json_t *count;
    if (!json_is_object(answers))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: facts.%s: expected an object of counts", where, noun);
    json_object_foreach((json_t *)answers, answer, count) {
      if (!*noun || !*answer)
        return sgi_fail(err, SG_ERR_FORMAT, "%s: facts: \"%s\", \"%s\": an empty noun or answer is no word", where,
                        noun, answer);
      if (!json_is_integer(count) || json_integer_value(count) < 0)
        return sgi_fail(err, SG_ERR_FORMAT, "%s: facts.%s.%s: expected a count", where, noun, answer);
      st = sg_facts_add(*out, noun, answer, (size_t)json_integer_value(count), err);
      if (st) return st;
    }
  }
  return SG_OK;
}

typedef struct row {
  char type[SG_NAME], prompt[256], noun[128], answer[128];
  size_t count;
} row;

static sg_status read_row(const json_t *json, const char *where, row *r, sg_error *err) {
  sg_status st = sgi_json_string(json, where, "type", r->type, sizeof r->type, err);
  if (!st) st = sgi_json_string(json, where, "prompt", r->prompt, sizeof r->prompt, err);
  if (!st) st = sgi_json_string(json, where, "noun", r->noun, sizeof r->noun, err);
  if (!st) st = sgi_json_string(json, where, "answer", r->answer, sizeof r->answer, err);
  return st ? st : sgi_json_size(json, where, "occurrences", 0, SIZE_MAX / 2, &r->count, err);
}

/* The prompt is before, noun, after. The first row of a type says which; rows of another form ("'s
 * pet was an" among "'s pet was a") are left out, since runs are compared within one. */
static sg_status add_row(const row *r, const char *where, sg_facts **out, sg_error *err) {
  const char *at = *r->noun ? strstr(r->prompt, r->noun) : NULL;
  if (!at)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: the prompt \"%s\" does not hold its noun \"%s\"", where, r->prompt,
                    r->noun);
  if (!*r->answer) return sgi_fail(err, SG_ERR_FORMAT, "%s: an empty answer is no word", where);
  size_t before = (size_t)(at - r->prompt);
  const char *after = at + strlen(r->noun);
  if (!*out) {
    char text[sizeof r->prompt];
    memcpy(text, r->prompt, before);
    text[before] = 0;
    sg_status st = sg_facts_create(text, after, out, err);
    if (st) return st;
  }
  if (strncmp((*out)->before, r->prompt, before) || (*out)->before[before] || strcmp((*out)->after, after))
    return SG_OK;
  return sg_facts_add(*out, r->noun, r->answer, r->count, err);
}

static sg_status from_rows(const json_t *json, const char *where, const char *type, sg_facts **out, sg_error *err) {
  size_t i;
  json_t *item;
  char types[256] = "";
  json_array_foreach((json_t *)json, i, item) {
    char place[320];
    row r;
    snprintf(place, sizeof place, "%.255s: fact %zu", where, i);
    sg_status st = read_row(item, place, &r, err);
    if (!st && !strcmp(r.type, type)) st = add_row(&r, place, out, err);
    if (st) return st;
    if (!strstr(types, r.type) && strlen(types) + strlen(r.type) + 3 < sizeof types) {
      if (*types) strcat(types, ", ");
      strcat(types, r.type);
    }
  }
  return *out ? SG_OK
              : sgi_fail(err, SG_ERR_ARG, "%s has no facts of type \"%s\": there are %s", where, type,
                         *types ? types : "none");
}

sg_status sgi_facts_from_json(const json_t *json, const char *where, const char *type, sg_facts **out, sg_error *err) {
  *out = NULL;
  sg_status st = SG_OK;
  if (json_is_array(json))
    st = from_rows(json, where, type ? type : "quality", out, err);
  else if (json_is_object(json))
    st = from_object(json, where, out, err);
  else
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: expected facts: an object, or an array as in facts.json of worlds", where);
  if (st) {
    sg_facts_free(*out);
    *out = NULL;
  }
  return st;
}

sg_status sg_facts_load(const char *path, const char *type, sg_facts **out, sg_error *err) {
  json_t *json;
  sg_status st = sgi_need(path, "the path", err);
  if (!st) st = sgi_need(out, "the place for the facts", err);
  if (st) return st;
  *out = NULL;
  st = sgi_json_load(path, &json, err);
  if (st) return st;
  st = sgi_facts_from_json(json, path, type, out, err);
  json_decref(json);
  return st;
}
