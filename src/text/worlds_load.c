/* Reads the grammar's files: worlds.json lists the others; each may bring classes, rules and one
 * topic with its plots. */
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "text/worlds.h"

static sg_status open_file(sgi_worlds *g, const sgi_embedded_file *files, const char *name, const json_t **out,
                           sg_error *err) {
  const sgi_embedded_file *f = files;
  while (f->name && strcmp(f->name, name)) f++;
  if (!f->name) return sgi_fail(err, SG_ERR_FORMAT, "worlds.json: the file \"%s\" is not built in", name);
  json_t **root = sgi_worlds_add(&g->roots);
  if (!root) return sgi_fail_memory(err, g->roots.size, "files of worlds");
  sg_status st = sgi_json_parse((const char *)f->data, f->size, name, root, err);
  if (!st && !json_is_object(*root)) st = sgi_fail(err, SG_ERR_FORMAT, "%s: expected an object", name);
  *out = *root;
  return st;
}

/* A string of the index at least n bytes long. */
static sg_status text_of(const json_t *object, const char *key, size_t n, const char **out, sg_error *err) {
  *out = json_string_value(json_object_get(object, key));
  if (*out && strlen(*out) >= n) return SG_OK;
  return sgi_fail(err, SG_ERR_FORMAT, "worlds.json: \"%s\" must be a string of %zu bytes or more", key, n);
}

static sg_status read_index(sgi_worlds *g, const json_t *index, sg_error *err) {
  const char *keys[] = {"files",   "variables", "hero",   "facts",     "comma",        "and",
                        "article", "tail",      "vowels", "with_tail", "without_tail", "max_depth"};
  size_t depth;
  sg_status st = sgi_json_only_keys(index, "worlds.json", keys, SGI_COUNT(keys), err);
  if (!st) st = text_of(index, "comma", 1, &g->comma, err);
  if (!st) st = text_of(index, "and", 1, &g->and_, err);
  if (!st) st = text_of(index, "article", 1, &g->article, err);
  if (!st) st = text_of(index, "tail", 1, &g->tail, err);
  if (!st) st = text_of(index, "vowels", 1, &g->vowels, err);
  if (!st) st = sgi_json_size(index, "worlds.json", "max_depth", 1, 64, &depth, err);
  if (st) return st;
  g->max_depth = (uint32_t)depth;
  g->with = json_object_get(index, "with_tail");
  g->without = json_object_get(index, "without_tail");
  return SG_OK;
}

/* The column that refers to a class of pronouns, that is, one where a column says what may stand
 * instead. */
static uint32_t pronoun_of(const sgi_worlds *g, uint32_t class_) {
  const worlds_class *c = worlds_row(&g->classes, class_);
  for (uint32_t i = 0; i < c->n_columns; i++) {
    const worlds_column *col = worlds_row(&g->columns, c->first_column + i);
    if (col->kind != WORLDS_REF) continue;
    const worlds_class *other = worlds_row(&g->classes, col->ref_class);
    for (uint32_t k = 0; k < other->n_columns; k++)
      if (((const worlds_column *)worlds_row(&g->columns, other->first_column + k))->instead) return i;
  }
  return WORLDS_NONE;
}

static sg_status read_variables(sgi_worlds *g, const json_t *index, sg_error *err) {
  const char *name;
  json_t *value;
  json_object_foreach(json_object_get(index, "variables"), name, value) {
    const char *of = json_string_value(value);
    uint32_t class_ = sgi_worlds_find_class(g, worlds_slice_of(of ? of : ""));
    if (class_ == WORLDS_NONE || g->variables.n == WORLDS_VARS ||
        sgi_worlds_find_class(g, worlds_slice_of(name)) != WORLDS_NONE)
      return sgi_fail(err, SG_ERR_FORMAT,
                      "worlds.json: variable \"%s\": expected the name of a class, a name that is no class, and at "
                      "most %d variables",
                      name, WORLDS_VARS);
    worlds_variable *v = sgi_worlds_add(&g->variables);
    if (!v) return sgi_fail_memory(err, g->variables.size, "variables of worlds");
    *v = (worlds_variable){name, class_, pronoun_of(g, class_)};
  }
  const char *hero;
  sg_status st = text_of(index, "hero", 1, &hero, err);
  if (st) return st;
  g->hero = sgi_worlds_find_variable(g, worlds_slice_of(hero));
  return g->hero != WORLDS_NONE ? SG_OK
                                : sgi_fail(err, SG_ERR_FORMAT, "worlds.json: there is no variable \"%s\" (hero)", hero);
}

/* Names of classes, rules and topics of one file; what they hold is compiled when all names are
 * known. */
static sg_status read_names(sgi_worlds *g, const char *file, const json_t *root, sg_error *err) {
  const char *keys[] = {"classes", "rules", "topic", "weight", "plots"}, *name;
  sg_status st = sgi_json_only_keys(root, file, keys, SGI_COUNT(keys), err);
  if (st) return st;
  json_t *value;
  json_object_foreach(json_object_get(root, "classes"), name, value) {
    const char *inner[] = {"columns", "labels", "defaults", "entries", "instead", "as"};
    if ((st = sgi_json_only_keys(value, file, inner, SGI_COUNT(inner), err))) return st;
    if (sgi_worlds_find_class(g, worlds_slice_of(name)) != WORLDS_NONE)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: there are two classes \"%s\"", file, name);
    worlds_class *c = sgi_worlds_add(&g->classes);
    if (!c) return sgi_fail_memory(err, g->classes.size, "classes of worlds");
    *c = (worlds_class){.name = name, .file = file, .json = value};
  }
  json_object_foreach(json_object_get(root, "rules"), name, value) {
    for (size_t i = 0; i < g->rules.n; i++)
      if (!strcmp(((const worlds_rule *)worlds_row(&g->rules, i))->name, name))
        return sgi_fail(err, SG_ERR_FORMAT, "%s: there are two rules \"%s\"", file, name);
    worlds_rule *r = sgi_worlds_add(&g->rules);
    if (!r) return sgi_fail_memory(err, g->rules.size, "rules of worlds");
    *r = (worlds_rule){.name = name, .file = file, .json = value};
  }
  const char *topic = json_string_value(json_object_get(root, "topic"));
  if (!topic) return SG_OK;
  size_t weight;
  if ((st = sgi_json_size(root, file, "weight", 1, 1000, &weight, err))) return st;
  worlds_topic *t = sgi_worlds_add(&g->topics);
  if (!t) return sgi_fail_memory(err, g->topics.size, "topics of worlds");
  *t = (worlds_topic){.name = topic, .file = file, .json = root, .weight = (uint32_t)weight};
  g->topic_weight += t->weight;
  return SG_OK;
}

/* "thing=object/farm" (a draw) or "pet=hero.pet" (part of what is bound already). */
static sg_status read_bind(sgi_worlds *g, const char *where, const char *text, worlds_plot *plot, sg_error *err) {
  const char *eq = strchr(text, '=');
  worlds_bind made = {.subset = WORLDS_NONE};
  if (!eq)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" must be variable=class/tag or variable=variable.column", where,
                    text);
  made.variable = sgi_worlds_find_variable(g, (worlds_slice){text, (uint32_t)(eq - text)});
  if (made.variable == WORLDS_NONE || plot->bound >> made.variable & 1)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\": the variable is unknown or bound before", where, text);
  uint32_t want = ((const worlds_variable *)worlds_row(&g->variables, made.variable))->class_, got;
  size_t head = strcspn(eq + 1, "/.");
  worlds_slice name = {eq + 1, (uint32_t)head}, rest = worlds_slice_of(eq + 1 + head);
  if (rest.n) rest.p++, rest.n--;
  sg_status st;
  made.source = sgi_worlds_find_variable(g, name);
  if (made.source != WORLDS_NONE) {
    if (!(plot->bound >> made.source & 1))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" takes from a variable that is not bound before it", where, text);
    st = sgi_worlds_path(g, where, ((const worlds_variable *)worlds_row(&g->variables, made.source))->class_, rest,
                         &made.path, &got, err);
  } else {
    got = sgi_worlds_find_class(g, name);
    if (got == WORLDS_NONE) return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" names no class or variable", where, text);
    st = sgi_worlds_subset(g, where, got, rest, &made.subset, err);
  }
  if (st) return st;
  if (got != want)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" does not give a %s", where, text,
                    ((const worlds_class *)worlds_row(&g->classes, want))->name);
  worlds_bind *b = sgi_worlds_add(&g->binds);
  if (!b) return sgi_fail_memory(err, g->binds.size, "plots of worlds");
  *b = made;
  plot->bound |= UINT32_C(1) << made.variable;
  plot->n_binds++;
  return SG_OK;
}

static sg_status read_plot(sgi_worlds *g, uint32_t topic, const json_t *json, sg_error *err) {
  worlds_topic *t = worlds_row(&g->topics, topic);
  char where[160];
  const char *keys[] = {"name", "weight", "bind", "slots"}, *name = json_string_value(json_object_get(json, "name"));
  if (!name) return sgi_fail(err, SG_ERR_FORMAT, "%s: a plot has no \"name\"", t->file);
  snprintf(where, sizeof where, "%s: plot \"%s\"", t->file, name);
  worlds_plot plot = {.name = name,
                      .topic = topic,
                      .first_bind = (uint32_t)g->binds.n,
                      .first_slot = (uint32_t)g->slots.n,
                      .first_edge = (uint32_t)g->edges.n};
  size_t weight = 1;
  sg_status st = sgi_json_only_keys(json, where, keys, SGI_COUNT(keys), err);
  if (!st && json_object_get(json, "weight")) st = sgi_json_size(json, where, "weight", 1, 1000, &weight, err);
  if (st) return st;
  plot.weight = (uint32_t)weight;
  const json_t *binds = json_object_get(json, "bind"), *slots = json_object_get(json, "slots");
  for (size_t i = 0; i < json_array_size(binds); i++) {
    const char *text = json_string_value(json_array_get(binds, i));
    if ((st = read_bind(g, where, text ? text : "", &plot, err))) return st;
  }
  if (!(plot.bound >> g->hero & 1)) return sgi_fail(err, SG_ERR_FORMAT, "%s does not bind the hero", where);
  for (size_t i = 0; i < json_array_size(slots); i++) {
    char place[190];
    snprintf(place, sizeof place, "%s, slot %zu", where, i + 1);
    uint32_t choice;
    if ((st = sgi_worlds_choice(g, place, json_array_get(slots, i), WORLDS_NONE, &plot.uses, &choice, err))) return st;
    uint32_t *slot = sgi_worlds_add(&g->slots);
    if (!slot) return sgi_fail_memory(err, g->slots.size, "plots of worlds");
    *slot = choice;
    plot.n_slots++;
  }
  if (!plot.n_slots) return sgi_fail(err, SG_ERR_FORMAT, "%s needs an array \"slots\"", where);
  plot.n_edges = (uint32_t)g->edges.n - plot.first_edge;
  worlds_plot *row = sgi_worlds_add(&g->plots);
  if (!row) return sgi_fail_memory(err, g->plots.size, "plots of worlds");
  *row = plot;
  t->n_plots++;
  t->plot_weight += plot.weight;
  return SG_OK;
}

static sg_status read_all(sgi_worlds *g, const sgi_embedded_file *files, sg_error *err) {
  const json_t *index, *root;
  sg_status st = open_file(g, files, "worlds.json", &index, err);
  if (st || (st = read_index(g, index, err))) return st;
  const json_t *names = json_object_get(index, "files");
  for (size_t i = 0; i < json_array_size(names); i++) {
    const char *name = json_string_value(json_array_get(names, i));
    if (!name) return sgi_fail(err, SG_ERR_FORMAT, "worlds.json: \"files\" must be an array of strings");
    if ((st = open_file(g, files, name, &root, err)) || (st = read_names(g, name, root, err))) return st;
  }
  if ((st = sgi_worlds_classes(g, err)) || (st = read_variables(g, index, err))) return st;
  for (uint32_t i = 0; i < g->rules.n; i++) {
    worlds_rule *r = worlds_row(&g->rules, i);
    char where[160];
    snprintf(where, sizeof where, "%s: rule \"%s\"", r->file, r->name);
    if ((st = sgi_worlds_choice(g, where, r->json, i, &r->uses, &r->choice, err))) return st;
  }
  for (uint32_t i = 0; i < g->topics.n; i++) {
    worlds_topic *t = worlds_row(&g->topics, i);
    t->first_plot = (uint32_t)g->plots.n;
    const json_t *plots = json_object_get(t->json, "plots");
    for (size_t k = 0; k < json_array_size(plots); k++)
      if ((st = read_plot(g, i, json_array_get(plots, k), err))) return st;
    if (!t->n_plots) return sgi_fail(err, SG_ERR_FORMAT, "%s: the topic needs an array \"plots\"", t->file);
  }
  if (!g->topics.n) return sgi_fail(err, SG_ERR_FORMAT, "worlds.json: none of the files has a topic");
  if ((st = sgi_worlds_facts(g, index, err))) return st;
  return sgi_worlds_check(g, err);
}

sg_status sgi_worlds_load(const sgi_embedded_file *files, sgi_worlds **out, sg_error *err) {
  *out = NULL;
  sgi_worlds *g = sgi_alloc(sizeof *g);
  if (!g) return sgi_fail_memory(err, sizeof *g, "the grammar of worlds");
  g->roots.size = sizeof(json_t *);
  g->pool.size = sizeof(char *);
  g->columns.size = sizeof(worlds_column);
  g->classes.size = sizeof(worlds_class);
  g->entries.size = sizeof(worlds_entry);
  g->cells.size = sizeof(worlds_cell);
  g->strings.size = sizeof(worlds_slice);
  g->subsets.size = sizeof(worlds_subset);
  g->picks.size = g->slots.size = g->fact_slots.size = sizeof(uint32_t);
  g->nodes.size = sizeof(worlds_node);
  g->alternatives.size = sizeof(worlds_alternative);
  g->choices.size = sizeof(worlds_choice);
  g->rules.size = sizeof(worlds_rule);
  g->edges.size = sizeof(worlds_edge);
  g->variables.size = sizeof(worlds_variable);
  g->topics.size = sizeof(worlds_topic);
  g->plots.size = sizeof(worlds_plot);
  g->binds.size = sizeof(worlds_bind);
  g->facts.size = sizeof(worlds_fact);
  sg_status st = read_all(g, files, err);
  if (st)
    sgi_worlds_free(g);
  else
    *out = g;
  return st;
}

void sgi_worlds_free(sgi_worlds *g) {
  if (!g) return;
  for (size_t i = 0; i < g->roots.n; i++) json_decref(*(json_t **)worlds_row(&g->roots, i));
  for (size_t i = 0; i < g->pool.n; i++) sgi_free(*(char **)worlds_row(&g->pool, i));
  for (size_t i = 0; i < g->facts.n; i++) sgi_free(((worlds_fact *)worlds_row(&g->facts, i))->sentence);
  worlds_list *lists[] = {&g->roots,   &g->pool,    &g->columns,   &g->classes, &g->entries,      &g->cells,
                          &g->strings, &g->subsets, &g->picks,     &g->nodes,   &g->alternatives, &g->choices,
                          &g->rules,   &g->edges,   &g->variables, &g->topics,  &g->plots,        &g->binds,
                          &g->slots,   &g->facts,   &g->fact_slots};
  for (size_t i = 0; i < SGI_COUNT(lists); i++) sgi_free(lists[i]->at);
  sgi_free(g);
}
