/* The lexicon: classes of entries with columns (base word, plural, sound, references into other
 * classes), subsets by tag, and paths through columns. */
#include <string.h>

#include "core/arena.h"
#include "text/worlds.h"

void *sgi_worlds_add(worlds_list *l) {
  if (l->n == l->cap) {
    size_t cap = l->cap ? 2 * l->cap : 32;
    void *at = sgi_realloc(l->at, l->n * l->size, cap * l->size);
    if (!at) return NULL;
    l->at = at;
    l->cap = cap;
  }
  return worlds_row(l, l->n++);
}

worlds_slice worlds_slice_of(const char *text) { return (worlds_slice){text, (uint32_t)strlen(text)}; }

bool worlds_same(worlds_slice a, worlds_slice b) { return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n)); }

/* Takes the part of *text before `mark` off its front. */
static worlds_slice cut(worlds_slice *text, char mark) {
  const char *end = text->n ? memchr(text->p, mark, text->n) : NULL;
  worlds_slice part = {text->p, end ? (uint32_t)(end - text->p) : text->n};
  uint32_t used = end ? part.n + 1 : part.n;
  text->p += used;
  text->n -= used;
  return part;
}

static worlds_column *column_of(const sgi_worlds *g, uint32_t class_, uint32_t i) {
  const worlds_class *c = worlds_row(&g->classes, class_);
  return worlds_row(&g->columns, c->first_column + i);
}

static worlds_cell *cell_of(const sgi_worlds *g, uint32_t entry, uint32_t column) {
  const worlds_entry *e = worlds_row(&g->entries, entry);
  return worlds_row(&g->cells, e->first_cell + column);
}

worlds_slice worlds_word(const sgi_worlds *g, uint32_t entry) {
  return *(worlds_slice *)worlds_row(&g->strings, cell_of(g, entry, 0)->first);
}

uint32_t sgi_worlds_find_class(const sgi_worlds *g, worlds_slice name) {
  for (uint32_t i = 0; i < g->classes.n; i++) {
    const worlds_class *c = worlds_row(&g->classes, i);
    if (worlds_same(worlds_slice_of(c->name), name)) return i;
  }
  return WORLDS_NONE;
}

static uint32_t find_column(const sgi_worlds *g, uint32_t class_, worlds_slice name) {
  const worlds_class *c = worlds_row(&g->classes, class_);
  for (uint32_t i = 0; i < c->n_columns; i++)
    if (worlds_same(column_of(g, class_, i)->name, name)) return i;
  return WORLDS_NONE;
}

static uint32_t find_entry(const sgi_worlds *g, uint32_t class_, worlds_slice word) {
  const worlds_class *c = worlds_row(&g->classes, class_);
  for (uint32_t i = 0; i < c->n_entries; i++)
    if (worlds_same(worlds_word(g, c->first_entry + i), word)) return c->first_entry + i;
  return WORLDS_NONE;
}

/* Columns are written "word", "adj+" (several values), "topic#" (tags) and "pet>animal" (a
 * reference). */
static sg_status add_columns(sgi_worlds *g, worlds_class *c, sg_error *err) {
  const json_t *names = json_object_get(c->json, "columns"), *labels = json_object_get(c->json, "labels");
  const json_t *defaults = json_object_get(c->json, "defaults"), *instead = json_object_get(c->json, "instead");
  c->as = json_string_value(json_object_get(c->json, "as"));
  size_t n = json_array_size(names);
  c->first_column = (uint32_t)g->columns.n;
  c->n_columns = (uint32_t)n;
  if (!n)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\" needs an array \"columns\" with the base word first", c->file,
                    c->name);
  for (size_t i = 0; i < n; i++) {
    const char *text = json_string_value(json_array_get(names, i));
    worlds_column *col = sgi_worlds_add(&g->columns);
    if (!col) return sgi_fail_memory(err, g->columns.size, "columns of worlds");
    worlds_slice rest = worlds_slice_of(text ? text : "");
    col->name = cut(&rest, '>');
    col->other = rest;
    if (rest.n) col->kind = WORLDS_REF;
    char last = col->name.n ? col->name.p[col->name.n - 1] : 0;
    if (last == '+' || last == '#') {
      col->kind = last == '+' ? WORLDS_MULTI : WORLDS_TAGS;
      col->name.n--;
    }
    if (!col->name.n || (!i && col->kind != WORLDS_PLAIN))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\": column %zu is no name (the first one must be plain)",
                      c->file, c->name, i + 1);
    char key[64] = "";
    if (col->name.n < sizeof key) memcpy(key, col->name.p, col->name.n);
    col->label = json_string_value(json_object_get(labels, key));
    col->pattern = json_string_value(json_object_get(defaults, key));
    col->instead = json_string_value(json_object_get(instead, key));
  }
  return SG_OK;
}

static sg_status add_string(sgi_worlds *g, worlds_slice text, sg_error *err) {
  worlds_slice *s = sgi_worlds_add(&g->strings);
  if (!s) return sgi_fail_memory(err, g->strings.size, "words of worlds");
  *s = text;
  return SG_OK;
}

/* "*s" with the base word in place of '*', in the pool. */
static sg_status from_pattern(sgi_worlds *g, const char *pattern, worlds_slice base, worlds_slice *out, sg_error *err) {
  size_t n = strlen(pattern) + base.n + 1;
  char **row = sgi_worlds_add(&g->pool), *p = row ? sgi_alloc(n) : NULL;
  if (!p) return sgi_fail_memory(err, n, "a word of worlds");
  *row = p;
  const char *star = strchr(pattern, '*');
  size_t before = star ? (size_t)(star - pattern) : strlen(pattern);
  memcpy(p, pattern, before);
  if (star) {
    memcpy(p + before, base.p, base.n);
    memcpy(p + before + base.n, star + 1, strlen(star + 1));
  }
  *out = worlds_slice_of(p);
  return SG_OK;
}

static sg_status add_entry(sgi_worlds *g, uint32_t class_, const char *line, sg_error *err) {
  const worlds_class *c = worlds_row(&g->classes, class_);
  worlds_slice rest = worlds_slice_of(line);
  worlds_entry *e = sgi_worlds_add(&g->entries);
  if (!e) return sgi_fail_memory(err, g->entries.size, "entries of worlds");
  e->class_ = class_;
  e->first_cell = (uint32_t)g->cells.n;
  worlds_slice base = {0};
  for (uint32_t i = 0; i < c->n_columns; i++) {
    const worlds_column *col = column_of(g, class_, i);
    worlds_slice text = cut(&rest, '|');
    worlds_cell *cell = sgi_worlds_add(&g->cells);
    if (!cell) return sgi_fail_memory(err, g->cells.size, "cells of worlds");
    size_t at = g->cells.n - 1;
    if (!i) base = text;
    if (!text.n && col->kind == WORLDS_TAGS) continue;
    if (!text.n && col->pattern) {
      sg_status st = from_pattern(g, col->pattern, base, &text, err);
      if (st) return st;
    }
    if (!text.n)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\", entry \"%s\": column \"%.*s\" is empty and has no default",
                      c->file, c->name, line, (int)col->name.n, col->name.p);
    uint32_t first = (uint32_t)g->strings.n;
    bool many = col->kind == WORLDS_MULTI || col->kind == WORLDS_TAGS;
    do {
      sg_status st = add_string(g, many ? cut(&text, ',') : text, err);
      if (st) return st;
    } while (many && text.n);
    *(worlds_cell *)worlds_row(&g->cells, at) = (worlds_cell){first, (uint32_t)g->strings.n - first};
  }
  if (rest.n)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\", entry \"%s\" has more than the %u columns of its class",
                    c->file, c->name, line, c->n_columns);
  if (find_entry(g, class_, base) != WORLDS_NONE)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\" has \"%.*s\" twice", c->file, c->name, (int)base.n, base.p);
  ((worlds_class *)worlds_row(&g->classes, class_))->n_entries++;
  return SG_OK;
}

/* The words of reference columns become entries. */
static sg_status resolve(sgi_worlds *g, uint32_t class_, sg_error *err) {
  const worlds_class *c = worlds_row(&g->classes, class_);
  for (uint32_t i = 0; i < c->n_columns; i++) {
    worlds_column *col = column_of(g, class_, i);
    if (col->kind != WORLDS_REF) continue;
    col->ref_class = sgi_worlds_find_class(g, col->other);
    if (col->ref_class == WORLDS_NONE)
      return sgi_fail(err, SG_ERR_FORMAT,
                      "%s: class \"%s\": column \"%.*s\" refers to a class \"%.*s\" that does not exist", c->file,
                      c->name, (int)col->name.n, col->name.p, (int)col->other.n, col->other.p);
    for (uint32_t k = 0; k < c->n_entries; k++) {
      worlds_cell *cell = cell_of(g, c->first_entry + k, i);
      worlds_slice word = *(worlds_slice *)worlds_row(&g->strings, cell->first);
      uint32_t entry = find_entry(g, col->ref_class, word);
      if (entry == WORLDS_NONE) {
        worlds_slice base = worlds_word(g, c->first_entry + k);
        return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\", entry \"%.*s\": class \"%.*s\" has no \"%.*s\"", c->file,
                        c->name, (int)base.n, base.p, (int)col->other.n, col->other.p, (int)word.n, word.p);
      }
      *cell = (worlds_cell){entry, 1};
    }
  }
  return SG_OK;
}

sg_status sgi_worlds_classes(sgi_worlds *g, sg_error *err) {
  for (uint32_t i = 0; i < g->classes.n; i++) {
    worlds_class *c = worlds_row(&g->classes, i);
    c->first_entry = (uint32_t)g->entries.n;
    sg_status st = add_columns(g, c, err);
    if (st) return st;
    const json_t *lines = json_object_get(c->json, "entries");
    for (size_t k = 0; k < json_array_size(lines); k++) {
      const char *line = json_string_value(json_array_get(lines, k));
      if (!line)
        return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\": entry %zu is no string", c->file, c->name, k + 1);
      if ((st = add_entry(g, i, line, err))) return st;
    }
    if (!c->n_entries)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\" needs an array \"entries\"", c->file, c->name);
  }
  for (uint32_t i = 0; i < g->classes.n; i++) {
    sg_status st = resolve(g, i, err);
    if (st) return st;
  }
  return SG_OK;
}

static bool has_tag(const sgi_worlds *g, uint32_t entry, worlds_slice tag) {
  const worlds_entry *e = worlds_row(&g->entries, entry);
  const worlds_class *c = worlds_row(&g->classes, e->class_);
  for (uint32_t i = 0; i < c->n_columns; i++) {
    if (column_of(g, e->class_, i)->kind != WORLDS_TAGS) continue;
    const worlds_cell *cell = cell_of(g, entry, i);
    for (uint32_t k = 0; k < cell->n; k++)
      if (worlds_same(*(worlds_slice *)worlds_row(&g->strings, cell->first + k), tag)) return true;
  }
  return false;
}

sg_status sgi_worlds_subset(sgi_worlds *g, const char *where, uint32_t class_, worlds_slice tag, uint32_t *out,
                            sg_error *err) {
  for (uint32_t i = 0; i < g->subsets.n; i++) {
    const worlds_subset *s = worlds_row(&g->subsets, i);
    if (s->class_ == class_ && worlds_same(s->tag, tag)) {
      *out = i;
      return SG_OK;
    }
  }
  const worlds_class *c = worlds_row(&g->classes, class_);
  worlds_subset made = {.class_ = class_, .first = (uint32_t)g->picks.n, .tag = tag};
  for (uint32_t k = 0; k < c->n_entries; k++) {
    if (tag.n && !has_tag(g, c->first_entry + k, tag)) continue;
    uint32_t *pick = sgi_worlds_add(&g->picks);
    if (!pick) return sgi_fail_memory(err, g->picks.size, "subsets of worlds");
    *pick = c->first_entry + k;
    made.n++;
  }
  if (!made.n)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\" has no entry tagged \"%.*s\"", where, c->name, (int)tag.n,
                    tag.p);
  worlds_subset *s = sgi_worlds_add(&g->subsets);
  if (!s) return sgi_fail_memory(err, g->subsets.size, "subsets of worlds");
  *s = made;
  *out = (uint32_t)g->subsets.n - 1;
  return SG_OK;
}

sg_status sgi_worlds_path(sgi_worlds *g, const char *where, uint32_t class_, worlds_slice dotted, worlds_path *out,
                          uint32_t *last, sg_error *err) {
  worlds_path path = {0};
  worlds_slice whole = dotted;
  uint32_t at = class_;
  while (dotted.n) {
    worlds_slice name = cut(&dotted, '.');
    uint32_t i = at == WORLDS_NONE ? WORLDS_NONE : find_column(g, at, name), via = WORLDS_NONE;
    /* A column that the class lacks is looked for in the classes it refers to: {hero.he} for
     * {hero.pronoun.he}. */
    if (i == WORLDS_NONE && at != WORLDS_NONE) {
      const worlds_class *c = worlds_row(&g->classes, at);
      for (uint32_t k = 0; k < c->n_columns && i == WORLDS_NONE; k++)
        if (column_of(g, at, k)->kind == WORLDS_REF) i = find_column(g, column_of(g, at, k)->ref_class, name), via = k;
    }
    if (i == WORLDS_NONE || path.n + (via != WORLDS_NONE) >= WORLDS_STEPS)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: class \"%s\" has no column for \"%.*s\" in \".%.*s\"", where,
                      ((const worlds_class *)worlds_row(&g->classes, class_))->name, (int)name.n, name.p, (int)whole.n,
                      whole.p);
    if (via != WORLDS_NONE) {
      path.columns[path.n++] = via;
      at = column_of(g, at, via)->ref_class;
    }
    path.columns[path.n++] = i;
    const worlds_column *col = column_of(g, at, i);
    if (col->kind == WORLDS_TAGS)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%.*s\" holds tags, not text", where, (int)name.n, name.p);
    at = col->kind == WORLDS_REF ? col->ref_class : WORLDS_NONE;
  }
  *out = path;
  if (last) *last = at;
  return SG_OK;
}
