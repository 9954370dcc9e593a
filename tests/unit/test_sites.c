/* The table of sites (src/ffn/sites.h): what a pass visits is what its rows say, and the pages that
 * list sites say the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/pass.h"
#include "read/sites_kept.h"
#include "support/page.h"
#include "support/prompts.h"

/* Whole numbers that are no units: flags, and a metarouter's pools. */
static bool holds_units(const sgi_site_row *row) {
  return row->holds != SGI_AXIS_NONE && row->holds != SGI_AXIS_FLAG && row->holds != SGI_AXIS_POOL;
}

static bool visited[SGI_SITE_COUNT];
static sgi_site_id last;
static ptrdiff_t last_layer;

static bool every(void *user, const sgi_site *s) {
  (void)user;
  assert_int_equal(sgi_site_row_of(s->id)->when, SGI_SITE_DEMAND); /* only such sites are asked for */
  return true;
}

/* Sites come in the order of the table, layer by layer, whole where they choose units. */
static sg_status visit(void *user, const sgi_site *s, sg_error *e) {
  (void)e;
  const sg_model *m = user;
  const sgi_site_row *row = sgi_site_row_of(s->id);
  visited[s->id] = true;
  assert_int_equal(row->where == SGI_SITE_LAYER, s->layer >= 0);
  assert_true(s->layer > last_layer || s->layer < 0 || s->id >= last);
  last = s->id;
  last_layer = s->layer;
  const sg_config *c = s->layer < 0 ? &m->config : &m->layers[s->layer].config;
  for (int k = 0; k < SGI_SITE_AXES; k++)
    assert_int_equal(s->dims[k], k < row->n_axes ? sgi_axis_extent(row->axes[k], c, 3) : 1);
  if (!row->holds) return SG_OK;
  assert_int_equal(row->role, holds_units(row) ? SGI_SITE_CHOICE : SGI_SITE_OTHER);
  assert_true(s->first == 0 && s->n == 3);
  size_t units = sgi_axis_extent(row->holds, c, 3);
  for (size_t i = 0; i < s->n * sgi_site_width(s); i++) assert_in_range(((const int32_t *)s->data)[i], 0, units - 1);
  return SG_OK;
}

static void as_the_table_says(const sg_model *m, const char *name, ref_random *r) {
  (void)name;
  int32_t tokens[3];
  random_prompt(m, r, tokens, 3);
  sgi_pass *p;
  assert_sg_ok(sgi_pass_create(m, 1, 3, false, &p, err));
  last = SGI_SITE_NONE;
  last_layer = -1;
  sgi_tap tap = {.visit = visit, .user = (void *)m, .wants = every};
  assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = 3, .inputs = tokens}, &tap, err));
  sgi_pass_free(p);
}

static void visits(void **state) {
  (void)state;
  each_model(as_the_table_says);
  for (int i = 1; i < SGI_SITE_COUNT; i++)
    if (!visited[i]) fail_msg("no model has the site %s (row %d)", sgi_site_row_of((sgi_site_id)i)->name, i);
}

/* A choice says units of an axis; whoever is chosen by it has its axes first and comes after it,
 * scores before. */
static void rows(void **state) {
  (void)state;
  for (int i = 1; i < SGI_SITE_COUNT; i++) {
    const sgi_site_row *row = sgi_site_row_of((sgi_site_id)i), *by = sgi_site_row_of(row->chosen_by);
    assert_int_equal(row->id, i);
    assert_true((row->role == SGI_SITE_CHOICE) == holds_units(row));
    assert_true(row->n_axes == 2 || row->axes[1] == SGI_AXIS_NONE);
    if (!row->chosen_by) continue;
    assert_int_equal(by->role, SGI_SITE_CHOICE);
    assert_true(row->n_axes >= by->n_axes && (row->id < by->id) == (row->role == SGI_SITE_SCORES));
    for (int k = 0; k < by->n_axes; k++) assert_int_equal(row->axes[k], by->axes[k]);
  }
}

/* Two sites that come in rows take turns; a third comes at once between them. */
static void in_turns(void **state) {
  (void)state;
  enum { T = 3 };
  sgi_kept_sites k = {.T = T, .max_bytes = 1 << 20};
  float q[T][4], pattern[T][6], out[T][4];
  for (size_t i = 0; i < T; i++) {
    for (size_t j = 0; j < 4; j++) q[i][j] = (float)(100 * i + j), out[i][j] = -q[i][j];
    for (size_t j = 0; j < 6; j++) pattern[i][j] = (float)(1000 * i + j);
  }
  for (size_t i = 0; i < T; i++) {
    assert_sg_ok(sgi_kept_visit(
        &k, &(sgi_site){.id = SGI_SITE_ATTN_Q, .layer = 1, .data = q[i], .first = i, .n = 1, .dims = {2, 2}}, err));
    assert_sg_ok(sgi_kept_visit(
        &k,
        &(sgi_site){.id = SGI_SITE_ATTN_PATTERN, .layer = 1, .data = pattern[i], .first = i, .n = 1, .dims = {2, 3}},
        err));
    if (i == 1)
      assert_sg_ok(sgi_kept_visit(
          &k, &(sgi_site){.id = SGI_SITE_MLP_OUT, .layer = 1, .data = out, .first = 0, .n = T, .dims = {4, 1}}, err));
  }
  assert_int_equal(k.count, 3);
  assert_memory_equal(k.at[0].data, q, sizeof q);
  assert_memory_equal(k.at[1].data, pattern, sizeof pattern);
  assert_memory_equal(k.at[2].data, out, sizeof out);
  assert_string_equal(k.at[1].name, "layers.1.attn.pattern");
  assert_int_equal(
      sgi_kept_visit(
          &k, &(sgi_site){.id = SGI_SITE_EMBED, .layer = -1, .data = out, .first = 0, .n = T, .dims = {1 << 20, 1}},
          NULL),
      SG_ERR_MEMORY);
  sgi_kept_deinit(&k);
}

/* ---- the pages ------------------------------------------------------------------------------- */

static const char *full(const sgi_site_row *row) {
  static char name[SG_SITE_NAME];
  snprintf(name, sizeof name, "%s%s", row->where == SGI_SITE_LAYER ? "layers.L." : "", row->name);
  return name;
}

static const char *axes(const sgi_site_row *row, const char *first, const char *after) {
  static char text[128];
  size_t n = (size_t)snprintf(text, sizeof text, "%s", first);
  for (int k = 0; k < row->n_axes; k++)
    n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", k ? ", " : after, sgi_axis_name(row->axes[k]));
  return text;
}

static void header_line(FILE *f, const sgi_site_row *row) {
  char shape[140];
  snprintf(shape, sizeof shape, "(%s)", axes(row, "T", "; "));
  fprintf(f, " *   %-25s %-18s %s%s\n", full(row), shape, row->text, row->when == SGI_SITE_DEMAND ? ", on demand" : "");
}

static void page_line(FILE *f, const sgi_site_row *row) {
  fprintf(f, "| `%s` | %s", full(row), axes(row, "pos", ", "));
  const char *chosen = row->chosen_by ? sgi_axis_name(sgi_site_row_of(row->chosen_by)->holds) : "";
  if (*chosen && row->role != SGI_SITE_SCORES) fprintf(f, ", %s", chosen);
  fprintf(f, " | %s%s |\n", row->text, row->when == SGI_SITE_DEMAND ? "; on demand" : "");
}

static void header_lines(FILE *f) {
  for (int i = 1; i < SGI_SITE_COUNT; i++) header_line(f, sgi_site_row_of((sgi_site_id)i));
}

static void page_lines(FILE *f) {
  for (int i = 1; i < SGI_SITE_COUNT; i++) page_line(f, sgi_site_row_of((sgi_site_id)i));
}

static void pages(void **state) {
  (void)state;
  const char *source = "src/ffn/sites.h", *command = "build/tests/unit/test_sites";
  page_holds("include/sgatlin.h", "each has one row per position, then its axes:\n", " */", header_lines, source,
             command);
  page_holds("docs/reading.md", "| site | axes | what it is |\n| --- | --- | --- |\n", "\n`*` and `?`", page_lines,
             source, command);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rows), cmocka_unit_test(visits), cmocka_unit_test(in_turns),
                                     cmocka_unit_test(pages)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
