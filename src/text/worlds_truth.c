/* Ground truth of the corpus: facts, where they stand in a text, and the categories of words. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/arena.h"
#include "text/worlds.h"

enum { FACT_TEXT = 160 };

static sg_status add_fact(sgi_worlds *g, sgi_story *s, worlds_fact made, uint32_t choice, worlds_slice answer,
                          sg_error *err) {
  sgi_story_expand(s, choice);
  const char *at = NULL;
  for (const char *p = strchr(s->text, ' '); p; p = strchr(p + 1, ' ')) /* whole words only: "hen" is in "then" */
    if (!strncmp(p + 1, answer.p, answer.n) && strchr(" .", p[1 + answer.n])) at = p + 1;
  if (!at || s->n >= FACT_TEXT)
    return sgi_fail(err, SG_ERR_FORMAT, "worlds.json: fact \"%s\": the answer \"%.*s\" is not in \"%s\"", made.type,
                    (int)answer.n, answer.p, s->text);
  made.prompt = (size_t)(at - s->text) - 1;
  worlds_fact *f = sgi_worlds_add(&g->facts);
  if (!f) return sgi_fail_memory(err, g->facts.size, "facts of worlds");
  *f = made;
  f->sentence = sgi_strdup(s->text);
  return f->sentence ? SG_OK : sgi_fail_memory(err, s->n + 1, "facts of worlds");
}

/* {"type", "variable", "tag", "answer", "key", "sentence"}: one fact for each value of the column
 * for each entry. */
static sg_status read_fact(sgi_worlds *g, sgi_story *s, const json_t *json, sg_error *err) {
  const char *keys[] = {"type", "variable", "tag", "answer", "key", "sentence"}, *text[SGI_COUNT(keys)];
  sg_status st = sgi_json_only_keys(json, "worlds.json: facts", keys, SGI_COUNT(keys), err);
  if (st) return st;
  for (size_t i = 0; i < SGI_COUNT(keys); i++)
    if (!(text[i] = json_string_value(json_object_get(json, keys[i]))))
      return sgi_fail(err, SG_ERR_FORMAT, "worlds.json: a fact lacks the string \"%s\"", keys[i]);
  uint32_t variable = sgi_worlds_find_variable(g, worlds_slice_of(text[1])), uses = 0, choice, subset;
  if (variable == WORLDS_NONE)
    return sgi_fail(err, SG_ERR_FORMAT, "worlds.json: fact \"%s\": no variable \"%s\"", text[0], text[1]);
  uint32_t class_ = ((const worlds_variable *)worlds_row(&g->variables, variable))->class_;
  worlds_path path;
  st = sgi_worlds_subset(g, "worlds.json: facts", class_, worlds_slice_of(text[2]), &subset, err);
  if (!st) st = sgi_worlds_path(g, "worlds.json: facts", class_, worlds_slice_of(text[3]), &path, NULL, err);
  if (!st)
    st =
        sgi_worlds_choice(g, "worlds.json: facts", json_object_get(json, "sentence"), WORLDS_NONE, &uses, &choice, err);
  if (st) return st;
  if (path.n != 1 || uses != UINT32_C(1) << variable)
    return sgi_fail(err, SG_ERR_FORMAT,
                    "worlds.json: fact \"%s\" must speak of its variable and answer with a column of it", text[0]);
  const worlds_subset *set = worlds_row(&g->subsets, subset);
  const worlds_class *c = worlds_row(&g->classes, class_);
  const worlds_column *col = worlds_row(&g->columns, c->first_column + path.columns[0]);
  for (uint32_t i = 0; i < set->n; i++) {
    uint32_t entry = *(const uint32_t *)worlds_row(&g->picks, set->first + i);
    const worlds_entry *e = worlds_row(&g->entries, entry);
    worlds_cell cell = *(const worlds_cell *)worlds_row(&g->cells, e->first_cell + path.columns[0]);
    if (col->kind == WORLDS_REF)
      cell = *(const worlds_cell *)worlds_row(&g->cells,
                                              ((const worlds_entry *)worlds_row(&g->entries, cell.first))->first_cell);
    s->vars[variable] = entry;
    for (s->forced = 0; s->forced < cell.n; s->forced++) {
      worlds_fact made = {.type = text[0], .key = text[4], .entry = entry, .answers = cell, .answer = s->forced};
      st = add_fact(g, s, made, choice, *(const worlds_slice *)worlds_row(&g->strings, cell.first + s->forced), err);
      if (st) return st;
    }
  }
  return SG_OK;
}

static uint64_t hash(const char *p, size_t n) { return XXH3_64bits(p, n); }

/* Row of fact_slots that holds the sentence, or the empty one where it belongs. */
static uint32_t *slot_of(const sgi_worlds *g, const char *p, size_t n) {
  size_t mask = g->fact_slots.n - 1;
  for (size_t i = hash(p, n) & mask;; i = (i + 1) & mask) {
    uint32_t *slot = worlds_row(&g->fact_slots, i);
    if (!*slot) return slot;
    const worlds_fact *f = worlds_row(&g->facts, *slot - 1);
    if (strlen(f->sentence) == n && !memcmp(f->sentence, p, n)) return slot;
  }
}

sg_status sgi_worlds_facts(sgi_worlds *g, const json_t *index, sg_error *err) {
  sgi_story *s;
  sg_status st = sgi_story_create(g, &s, err);
  if (st) return st;
  s->rng = sgi_rng_make(0, SGI_STREAM_WORLDS, 0);
  const json_t *facts = json_object_get(index, "facts");
  for (size_t i = 0; i < json_array_size(facts) && !st; i++) st = read_fact(g, s, json_array_get(facts, i), err);
  sgi_story_free(s);
  if (st) return st;
  size_t slots = 64;
  while (slots < 2 * g->facts.n) slots *= 2;
  g->fact_slots.at = sgi_alloc(slots * sizeof(uint32_t));
  if (!g->fact_slots.at) return sgi_fail_memory(err, slots * sizeof(uint32_t), "facts of worlds");
  g->fact_slots.n = g->fact_slots.cap = slots;
  for (uint32_t i = 0; i < g->facts.n; i++) {
    const worlds_fact *f = worlds_row(&g->facts, i);
    uint32_t *slot = slot_of(g, f->sentence, strlen(f->sentence));
    if (*slot) return sgi_fail(err, SG_ERR_FORMAT, "worlds.json: the fact \"%s\" is there twice", f->sentence);
    *slot = i + 1;
  }
  return SG_OK;
}

worlds_slice sgi_worlds_sentence(const char *text, size_t n, size_t *at) {
  bool open = !*at || strchr(".!?\"\n", text[*at - 1]);
  for (size_t i = *at; i < n; i++) {
    char c = text[i];
    if (open && c >= 'A' && c <= 'Z') {
      size_t end = i;
      while (end < n && !strchr(".!?\n", text[end])) end++;
      *at = end < n ? end + 1 : n;
      return (worlds_slice){text + i, (uint32_t)(*at - i)};
    }
    if (strchr(".!?\"\n", c))
      open = true;
    else if (c != ' ')
      open = false;
  }
  *at = n;
  return (worlds_slice){0};
}

void sgi_worlds_count_facts(const sgi_worlds *g, const char *text, size_t n, uint32_t *counts) {
  size_t at = 0;
  for (worlds_slice one; (one = sgi_worlds_sentence(text, n, &at)).n;) {
    uint32_t slot = *slot_of(g, one.p, one.n);
    if (slot) counts[slot - 1]++;
  }
}

static json_t *text_json(worlds_slice s) { return json_stringn(s.p, s.n); }

static json_t *fact_json(const sgi_worlds *g, const worlds_fact *f, uint32_t count) {
  json_t *answers = json_array(), *fact = json_object();
  bool ok = answers && fact;
  for (uint32_t i = 0; i < f->answers.n && ok; i++)
    ok = !json_array_append_new(answers,
                                text_json(*(const worlds_slice *)worlds_row(&g->strings, f->answers.first + i)));
  ok = ok && !json_object_set_new(fact, "type", json_string(f->type)) &&
       !json_object_set_new(fact, "sentence", json_string(f->sentence)) &&
       !json_object_set_new(fact, "prompt", json_stringn(f->sentence, f->prompt)) &&
       !json_object_set_new(fact, "noun", text_json(worlds_word(g, f->entry))) &&
       !json_object_set(fact, "answer", json_array_get(answers, f->answer)) &&
       !json_object_set(fact, f->key, answers) && !json_object_set_new(fact, "occurrences", json_integer(count));
  json_decref(answers);
  if (ok) return fact;
  json_decref(fact);
  return NULL;
}

json_t *sgi_worlds_facts_json(const sgi_worlds *g, const uint32_t *counts) {
  json_t *list = json_array();
  for (uint32_t i = 0; i < g->facts.n && list; i++)
    if (json_array_append_new(list, fact_json(g, worlds_row(&g->facts, i), counts[i]))) {
      json_decref(list);
      return NULL;
    }
  return list;
}

/* ---- labels ---------------------------------------------------------------------------------- */

typedef struct labelled {
  worlds_slice word;
  const char *label;
} labelled;

static int by_word(const void *a, const void *b) {
  const labelled *x = a, *y = b;
  size_t n = x->word.n < y->word.n ? x->word.n : y->word.n;
  int order = memcmp(x->word.p, y->word.p, n);
  if (order) return order;
  if (x->word.n != y->word.n) return x->word.n < y->word.n ? -1 : 1;
  return strcmp(x->label, y->label);
}

static bool collect(const sgi_worlds *g, worlds_list *rows) {
  for (uint32_t e = 0; e < g->entries.n; e++) {
    const worlds_entry *entry = worlds_row(&g->entries, e);
    const worlds_class *c = worlds_row(&g->classes, entry->class_);
    for (uint32_t i = 0; i < c->n_columns; i++) {
      const worlds_column *col = worlds_row(&g->columns, c->first_column + i);
      const worlds_cell *cell = worlds_row(&g->cells, entry->first_cell + i);
      for (uint32_t k = 0; k < cell->n && col->label && col->kind != WORLDS_REF; k++) {
        worlds_slice word = *(const worlds_slice *)worlds_row(&g->strings, cell->first + k);
        if (memchr(word.p, ' ', word.n)) continue; /* labels are of single words */
        labelled *row = sgi_worlds_add(rows);
        if (!row) return false;
        *row = (labelled){word, col->label};
      }
    }
  }
  return true;
}

json_t *sgi_worlds_labels_json(const sgi_worlds *g) {
  worlds_list rows = {.size = sizeof(labelled)};
  json_t *labels = json_object(), *list = NULL;
  bool ok = labels && collect(g, &rows);
  /* Sorted here: the order in which JSON objects are walked must not show in the bytes. */
  if (ok && rows.n) qsort(rows.at, rows.n, rows.size, by_word);
  for (size_t i = 0; i < rows.n && ok; i++) {
    const labelled *row = worlds_row(&rows, i), *before = i ? worlds_row(&rows, i - 1) : NULL;
    bool same = before && worlds_same(before->word, row->word);
    if (same && !strcmp(before->label, row->label)) continue;
    if (!same) {
      list = json_array();
      ok = !json_object_setn_new(labels, row->word.p, row->word.n, list);
    }
    ok = ok && !json_array_append_new(list, json_string(row->label));
  }
  sgi_free(rows.at);
  if (ok) return labels;
  json_decref(labels);
  return NULL;
}
