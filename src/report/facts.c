#include "facts.h"

#include "core/arena.h"
#include "read/fact_prompts.h"
#include "text/reader.h"

sg_status sgi_facts_of(const json_t *file, const char *type, sg_facts **out, sg_error *err) {
  sg_status st = sgi_facts_from_json(file, "facts", type, out, err);
  return st ? st : sg_facts_list(*out, 1, err);
}

/* Types of the rows of worlds' facts.json in order of appearance; empty for mined facts, which have
 * none. */
static json_t *types_of(const json_t *file) {
  json_t *types = json_array();
  for (size_t i = 0; json_is_array(file) && i < json_array_size(file); i++) {
    json_t *type = json_object_get(json_array_get(file, i), "type");
    bool known = !json_is_string(type);
    for (size_t k = 0; k < json_array_size(types) && !known; k++) known = json_equal(json_array_get(types, k), type);
    if (!known) json_array_append(types, type);
  }
  return types;
}

static json_t *noun_json(const sg_facts *f, size_t i, bool single) {
  sg_fact noun = sg_facts_noun(f, i);
  json_t *answers = json_array();
  for (size_t k = 0; k < noun.count; k++) {
    sg_fact a = sg_facts_answer(f, i, k);
    json_array_append_new(answers, json_pack("{ss sI}", "answer", a.text, "count", (json_int_t)a.count));
  }
  return json_pack("{ss so sb}", "noun", noun.text, "answers", answers, "single", single);
}

sg_status sgi_facts_report(const sgi_prompt *p, const json_t *file, const sg_facts *f, const char *type, json_t **out,
                           sg_error *err) {
  json_t *nouns = json_array(), *types = types_of(file);
  sg_fact_prompt *prompts = NULL;
  size_t n = 0;
  sg_status st = sgi_fact_prompts(f, p->tokenizer, sg_model_config(p->model)->bos_id, 1, false, &prompts, &n, err);
  for (size_t i = 0; !st && i < sg_facts_count(f); i++) {
    bool single = false;
    for (size_t k = 0; k < n && !single; k++) single = prompts[k].noun == i;
    json_array_append_new(nouns, noun_json(f, i, single));
  }
  if (!type) type = json_array_size(types) ? "quality" : "";
  if (!st && !(*out = json_pack("{ss ss sO ss sO}", "before", f->before, "after", f->after, "types", types, "type",
                                type, "nouns", nouns)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_fact_prompts_free(prompts, n);
  json_decref(nouns);
  json_decref(types);
  return st;
}

/* ---- out of text ----------------------------------------------------------------------------- */

static sg_status read_file(const sgi_mine_request *q, const char *path, sgi_mined *m, sgi_text_notes *notes,
                           sg_error *err) {
  sgi_reader *r;
  const char *text = NULL;
  size_t n;
  sg_status st = sgi_reader_open(path, q->blank_lines, q->field, &r, err);
  if (st) return st;
  while (!(st = sgi_reader_next(r, &text, &n, err)) && text) {
    if ((st = sg_facts_mine(m->facts, text, n, err))) break;
    m->documents++;
    if (q->read && !q->read(q->user, path, sgi_reader_position(r))) {
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped; nothing was written");
      break;
    }
  }
  sgi_text_notes_add(notes, sgi_reader_notes(r));
  sgi_reader_close(r);
  return st;
}

static sg_status read_all(const sgi_mine_request *q, sgi_mined *m, sg_error *err) {
  sgi_text_notes notes = {0};
  sg_status st = SG_OK;
  for (size_t i = 0; i < q->n && !st; i++) {
    char **files;
    size_t n;
    st = sgi_text_files(q->paths[i], q->field, &notes, &files, &n, err);
    for (size_t k = 0; k < n && !st; k++) st = read_file(q, files[k], m, &notes, err);
    sgi_text_files_free(files, n);
  }
  if (q->all_read) q->all_read(q->user);
  if (q->say) sgi_text_notes_say(&notes, q->say, q->user);
  if (!st && !m->documents) st = sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", q->paths[0]);
  return st;
}

static void count_pairs(const sg_facts *f, const sg_facts *other, size_t min_count, size_t *all, size_t *both) {
  for (size_t i = 0; i < sg_facts_count(f); i++) {
    sg_fact noun = sg_facts_noun(f, i);
    for (size_t k = 0; k < noun.count; k++, ++*all)
      *both += sgi_facts_said(other, noun.text, sg_facts_answer(f, i, k).text) >= min_count;
  }
}

static sg_status compare(const sgi_mine_request *q, sgi_mined *m, sg_error *err) {
  sg_facts *truth = NULL;
  if (!q->truth) return SG_OK;
  sg_status st = sg_facts_load(q->truth, "quality", &truth, err);
  if (!st) st = sg_facts_list(truth, 1, err);
  if (!st) {
    count_pairs(m->facts, truth, 1, &m->pairs, &m->true_pairs);
    count_pairs(truth, m->facts, q->min_count, &m->known, &m->found);
    m->compared = true;
  }
  sg_facts_free(truth);
  return st;
}

sg_status sgi_mine(const sgi_mine_request *q, sgi_mined *m, sg_error *err) {
  *m = (sgi_mined){0};
  sg_status st = sg_facts_create("The ", " was", &m->facts, err);
  if (!st) st = read_all(q, m, err);
  if (!st) st = sg_facts_list(m->facts, q->min_count, err);
  if (st) return st;
  m->distinct = sgi_alloc((sg_facts_count(m->facts) + 1) * sizeof *m->distinct);
  if (!m->distinct) return sgi_fail(err, SG_ERR_MEMORY, "out of memory for %zu nouns", sg_facts_count(m->facts));
  st = sg_facts_distinct(m->facts, q->effort, m->distinct, &m->n_distinct, &m->proven, err);
  return st ? st : compare(q, m, err);
}

void sgi_mined_deinit(sgi_mined *m) {
  sgi_free(m->distinct);
  sg_facts_free(m->facts);
}

json_t *sgi_mined_facts(const sgi_mined *m) { return sgi_facts_to_json(m->facts); }

json_t *sgi_mined_json(const sgi_mined *m, size_t min_count) {
  json_t *o = sgi_facts_to_json(m->facts), *set = json_array();
  if (!o) o = json_object();
  for (size_t i = 0; i < m->n_distinct; i++)
    json_array_append_new(set, json_string(sg_facts_noun(m->facts, m->distinct[i]).text));
  json_object_set_new(o, "documents", json_integer((json_int_t)m->documents));
  json_object_set_new(o, "min_count", json_integer((json_int_t)min_count));
  json_object_set_new(o, "distinct", set);
  json_object_set_new(o, "distinct_size", json_integer((json_int_t)m->n_distinct));
  json_object_set_new(o, "distinct_proven", json_boolean(m->proven));
  if (m->compared)
    json_object_set_new(
        o, "truth",
        json_pack("{s:I, s:I, s:I, s:I}", "mined", (json_int_t)m->pairs, "mined_true", (json_int_t)m->true_pairs,
                  "known", (json_int_t)m->known, "known_found", (json_int_t)m->found));
  return o;
}
