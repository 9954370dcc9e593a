/* The file of names: round trips, two processes' handles, another model, damage of every kind. */
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/file.h"
#include "names/browse.h"
#include "names/score.h"
#include "read/neuron.h"
#include "report/names.h"
#include "support/golden.h"
#include "support/prompts.h"

static const sgi_names_model of = {"0123456789abcdef"}, other = {"0123456789abcde0"};
static const sgi_neuron_at at = {1, 0, 17};
static const sgi_label label = {
    .reads = {5, 7}, .n_reads = 2, .recorded = true, .writes = {9, 0}, .raises = {false, true}, .n_writes = 2};

static char path[512], *folder;
static int setup(void **state) {
  (void)state;
  folder = golden_temporary();
  snprintf(path, sizeof path, "%s/names.sqlite", folder);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  golden_remove(folder);
  return 0;
}
static int clear(void **state) {
  (void)state;
  unlink(path);
  return 0;
}

static sg_names *open_names(bool write) {
  sg_names *n;
  assert_sg_ok(sgi_names_open(path, &of, write, &n, err));
  return n;
}

static sg_status take(void *user, const sgi_named *row, sg_error *e) {
  sgi_named *out = user;
  (void)e;
  if (!memcmp(&row->at, &out->at, sizeof out->at)) *out = *row;
  return SG_OK;
}
/* The label of a neuron in tokens. */
static sgi_label label_at(sg_names *n, sgi_neuron_at where) {
  sgi_named row = {.at = where};
  assert_sg_ok(sgi_names_each(n, take, &row, err));
  return row.label;
}

static void kept(void **state) {
  (void)state;
  sg_names *n = open_names(true);
  assert_sg_ok(sgi_names_label(n, at, &label, "was | soup -, e +", err));
  assert_sg_ok(sg_names_give(n, at, "food \"after\" was", "ann", 1764249600, err));
  sg_names_close(n);
  n = open_names(false);
  sg_neuron_called row;
  assert_sg_ok(sg_names_find(n, at, &row, err));
  sgi_label l = label_at(n, at);
  assert_true(row.labelled && l.recorded && l.n_reads == 2 && l.n_writes == 2);
  assert_true(l.reads[0] == 5 && l.reads[1] == 7 && l.writes[0] == 9 && !l.writes[1]);
  assert_true(!l.raises[0] && l.raises[1]);
  assert_string_equal(row.label, "was | soup -, e +");
  assert_string_equal(row.name, "food \"after\" was");
  assert_string_equal(row.author, "ann");
  assert_int_equal(row.time, 1764249600);
  assert_sg_ok(sg_names_find(n, (sgi_neuron_at){0, 0, 1}, &row, err));
  assert_true(!row.labelled && !*row.name);
  assert_int_equal(sg_names_give(n, at, "x", "", 0, NULL), SG_ERR_IO); /* opened to read */
  sg_names_close(n);
  n = open_names(true);
  assert_sg_ok(sg_names_give(n, at, "", "", 0, err));
  assert_sg_ok(sg_names_find(n, at, &row, err));
  assert_true(row.labelled && !*row.name);
  sg_names_close(n);
}

static void bounds(void **state) {
  (void)state;
  sg_names *n = open_names(true);
  char text[SG_NAME_BYTES + 1];
  memset(text, 'x', sizeof text);
  text[SG_NAME_BYTES] = 0;
  static const char *const wrong[] = {"a\nb", "\x1b[2J", "\xff", "\x7f"};
  assert_int_equal(sg_names_give(n, at, text, "", 0, NULL), SG_ERR_ARG);
  for (size_t i = 0; i < 4; i++) assert_int_equal(sg_names_give(n, at, wrong[i], "", 0, NULL), SG_ERR_ARG);
  assert_int_equal(sg_names_give(n, at, "x", text, 0, NULL), SG_ERR_ARG);
  assert_int_equal(sg_names_give(n, at, "x", "", -1, NULL), SG_ERR_ARG);
  text[SG_NAME_BYTES - 1] = 0;
  assert_sg_ok(sg_names_give(n, at, text, "", 0, err));
  sg_names_close(n);
}

/* Two handles: one waits for the other's transaction (here: is refused while it is open), and sees
 * all of it or nothing. */
static void two(void **state) {
  (void)state;
  sg_names *a = open_names(true), *b = open_names(true);
  sg_neuron_called row;
  assert_sg_ok(sgi_names_begin(a, err));
  assert_sg_ok(sg_names_give(a, at, "first", "a", 1, err));
  assert_sg_ok(sg_names_find(b, at, &row, err));
  assert_true(!*row.name);
  sgi_names_rollback(a);
  assert_sg_ok(sg_names_find(a, at, &row, err));
  assert_true(!*row.name);
  assert_sg_ok(sg_names_give(b, at, "second", "b", 2, err));
  assert_sg_ok(sg_names_find(a, at, &row, err));
  assert_string_equal(row.name, "second");
  sg_names_close(a);
  sg_names_close(b);
}

static void another_model(void **state) {
  (void)state;
  sg_names *n = open_names(true);
  sg_names_close(n);
  sg_error e = {0};
  assert_int_equal(sgi_names_open(path, &other, false, &n, &e), SG_ERR_ARG);
  assert_null(n);
  assert_non_null(strstr(e.text, of.hash));
  assert_non_null(strstr(e.text, other.hash));
  assert_sg_ok(sgi_names_open(path, NULL, false, &n, err));
  assert_string_equal(sgi_names_of(n)->hash, of.hash);
  sg_names_close(n);
}

static void json(void **state) {
  (void)state;
  char second[600];
  snprintf(second, sizeof second, "%s2", path);
  unlink(second);
  sg_names *a = open_names(true), *b;
  assert_sg_ok(sgi_names_label(a, at, &label, "was | soup -, e +", err));
  assert_sg_ok(sg_names_give(a, (sgi_neuron_at){0, 2, 3}, "n\xc3\xa4me", "ann", 12, err));
  json_t *x, *y;
  assert_sg_ok(sgi_names_export(a, &x, err));
  assert_sg_ok(sgi_names_open(second, &of, true, &b, err));
  size_t rows;
  assert_sg_ok(sgi_names_import(b, x, "x", &rows, err));
  assert_int_equal(rows, 2);
  assert_sg_ok(sgi_names_export(b, &y, err));
  assert_true(json_equal(x, y));
  json_decref(y);
  /* All or nothing, with the place. */
  json_t *list = json_object_get(x, "neurons"),
         *bad = json_pack("{si si si s{ss ss si}}", "layer", 0, "channel", 0, "index", 9, "name", "text", "a\nb",
                          "author", "", "time", 1);
  json_object_set_new(json_object_get(json_array_get(list, 0), "name"), "text", json_string("changed"));
  json_array_append_new(list, bad);
  sg_error e = {0};
  assert_int_equal(sgi_names_import(b, x, "x", &rows, &e), SG_ERR_ARG);
  assert_sg_ok(sgi_names_export(b, &y, err));
  assert_null(strstr(json_string_value(json_object_get(
                         json_object_get(json_array_get(json_object_get(y, "neurons"), 0), "name"), "text")),
                     "changed"));
  json_decref(y);
  json_object_set_new(x, "model_hash", json_string(other.hash));
  assert_int_equal(sgi_names_import(b, x, "x", &rows, &e), SG_ERR_ARG);
  json_object_set_new(x, "more", json_true());
  assert_int_equal(sgi_names_import(b, x, "x", &rows, &e), SG_ERR_FORMAT);
  json_decref(x);
  sg_names_close(a);
  sg_names_close(b);
  unlink(second);
}

/* Every file that is none: cut anywhere, a byte changed, other tables, rows out of bounds. What
 * opens gives every row or an error; nothing crashes, and nothing but the file's own codes comes
 * back. */
static size_t read_all(const char *file) {
  sg_names *n;
  sg_neuron_called row;
  json_t *o = NULL;
  sg_error e = {0};
  sg_status st = sgi_names_open(file, &of, false, &n, &e);
  if (!st) st = sgi_names_export(n, &o, &e);
  if (!st) st = sg_names_find(n, at, &row, &e);
  assert_true(!st || st == SG_ERR_FORMAT || st == SG_ERR_ARG || st == SG_ERR_IO);
  if (st) assert_non_null(strstr(e.text, file));
  json_decref(o);
  sg_names_close(n);
  return st != SG_OK;
}

static void damage(void **state) {
  (void)state;
  char bad[600], *bytes;
  size_t size, refused = 0;
  snprintf(bad, sizeof bad, "%s-bad.sqlite", path);
  sg_names *n = open_names(true);
  for (size_t i = 0; i < 200; i++)
    assert_sg_ok(sgi_names_label(n, (sgi_neuron_at){0, 0, i}, &label, "was | soup -, e +", err));
  assert_sg_ok(sg_names_give(n, at, "name", "ann", 3, err));
  sg_names_close(n);
  assert_sg_ok(sgi_read_file(path, 1 << 24, &bytes, &size, err));
  for (size_t cut = 0; cut < size; cut += cut < 200 ? 17 : 1021) {
    assert_sg_ok(sgi_write_file(bad, bytes, cut, err));
    assert_int_equal(read_all(bad), 1);
  }
  for (size_t i = 0; i < size; i += i < 200 ? 3 : 101) {
    bytes[i] ^= 0x55;
    assert_sg_ok(sgi_write_file(bad, bytes, size, err));
    refused += read_all(bad);
    bytes[i] ^= 0x55;
  }
  assert_true(refused > 20);
  sgi_free(bytes);
  static const char *const changes[] = {
      "CREATE TRIGGER t AFTER INSERT ON names BEGIN DELETE FROM labels; END",
      "CREATE VIEW v AS SELECT * FROM names",
      "CREATE TABLE more (x)",
      "DROP TABLE names",
      "PRAGMA user_version = 2",
      "PRAGMA application_id = 5",
      "DELETE FROM model",
      "UPDATE model SET hash = 'xyz'",
      "INSERT INTO model VALUES ('0123456789abcdee')",
      "UPDATE labels SET layer = -1 WHERE neuron = 3",
      "UPDATE labels SET neuron = 99999999999 WHERE neuron = 3",
      "UPDATE labels SET reads = '5 x' WHERE neuron = 3",
      "UPDATE labels SET reads = '1 2 3 4' WHERE neuron = 3",
      "UPDATE labels SET writes = '5' WHERE neuron = 3",
      "UPDATE labels SET text = char(10) WHERE neuron = 3",
      "UPDATE labels SET text = CAST(x'61ff' AS TEXT) WHERE neuron = 3",
      "UPDATE labels SET text = hex(zeroblob(90)) WHERE neuron = 3",
      "UPDATE names SET author = char(27)",
      "UPDATE names SET name = hex(zeroblob(100000))",
      "UPDATE names SET time = -5",
  };
  for (size_t i = 0; i < SGI_COUNT(changes); i++) {
    sqlite3 *db;
    assert_sg_ok(sgi_copy_file(path, bad, 1 << 24, err));
    assert_int_equal(sqlite3_open(bad, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, changes[i], NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    if (!read_all(bad)) fail_msg("taken: %s", changes[i]);
  }
  unlink(bad);
  assert_int_equal(sgi_names_open(folder, &of, true, &n, NULL), SG_ERR_IO);
  assert_int_equal(sgi_names_open("/no/such/names.sqlite", &of, true, &n, NULL), SG_ERR_IO);
}

/* Labels of all neurons are those made one by one, for one and two threads; pages of the list hold
 * every neuron once, in the order that was asked for, and scores are the card's numbers. */
static void listed(void **state) {
  (void)state;
  static const char *const models[] = {"tests/golden/models/peer", "tests/golden/models/mlp", "tests/golden/models/moe",
                                       "tests/golden/eval/model"};
  for (size_t k = 0; k < SGI_COUNT(models); k++) {
    sg_model *m;
    sgi_browser *b;
    sgi_page page;
    assert_sg_ok(sg_model_load(models[k], &m, err));
    size_t V = sg_model_config(m)->vocab_size;
    float *v = sgi_alloc(4 * V * sizeof *v);
    sgi_label_request q = {.model = m};
    assert_sg_ok(sgi_browser_create(&q, &b, err));
    size_t count = sgi_browser_list(b)->count;
    sgi_browse ask = {.question = SGI_ASK_RAISES,
                      .token = 7,
                      .layer = -1,
                      .channel = -1,
                      .order = SGI_ORDER_SCORE,
                      .count = count + 5};
    assert_sg_ok(sgi_browser_page(b, NULL, &ask, NULL, NULL, &page, err));
    assert_int_equal(page.n, count);
    assert_int_equal(page.found, count);
    for (size_t i = 0; i < page.n; i += 1 + page.n / 40) {
      const sgi_browsed_row *r = &page.rows[i];
      sg_neuron_view view = {v, v + V, v + 2 * V, v + 3 * V};
      sgi_label l;
      char text[SG_LABEL_BYTES];
      assert_sg_ok(sg_neuron_read(m, r->stat->layer, r->stat->channel, r->stat->index, &view, err));
      assert_true(fabs(r->score - (double)view.writes[7]) <= 1e-5 * (1 + fabs(r->score)));
      assert_true(!i || page.rows[i - 1].score >= r->score);
      assert_sg_ok(sgi_label_make(m, NULL, NULL, r->stat->layer, r->stat->channel, r->stat->index, &l, err));
      sgi_label_text(&l, NULL, text);
      assert_string_equal(text, r->named.called.label);
    }
    sgi_page_deinit(&page);
    /* One page after the other, in random order: each once. */
    bool *seen = sgi_alloc(count);
    ask = (sgi_browse){.layer = -1, .channel = -1, .order = SGI_ORDER_RANDOM, .seed = 5, .count = 7};
    for (; ask.from < count; ask.from += 7) {
      assert_sg_ok(sgi_browser_page(b, NULL, &ask, NULL, NULL, &page, err));
      for (size_t i = 0; i < page.n; i++) {
        size_t number = (size_t)(page.rows[i].stat - sgi_browser_list(b)->at);
        assert_false(seen[number]);
        seen[number] = true;
      }
      sgi_page_deinit(&page);
    }
    for (size_t i = 0; i < count; i++) assert_true(seen[i]);
    /* A neuron is nearest to itself. */
    const sgi_neuron_stat *self = &sgi_browser_list(b)->at[count / 2];
    ask = (sgi_browse){.question = SGI_ASK_NEAR,
                       .near = {self->layer, self->channel, self->index},
                       .layer = -1,
                       .channel = -1,
                       .order = SGI_ORDER_SCORE,
                       .count = 1};
    assert_sg_ok(sgi_browser_page(b, NULL, &ask, NULL, NULL, &page, err));
    assert_ptr_equal(page.rows[0].stat, self);
    assert_true(fabs(page.rows[0].score - 1) < 1e-6);
    sgi_page_deinit(&page);
    ask.near.index = 1u << 30;
    assert_int_equal(sgi_browser_page(b, NULL, &ask, NULL, NULL, &page, NULL), SG_ERR_ARG);
    sgi_page_deinit(&page);
    sgi_free(seen);
    sgi_free(v);
    sgi_browser_free(b);
    sg_model_free(m);
  }
}

/* Scores beside plain loops over the values that the card gives along each row. */
static void scored_beside(const char *directory) {
  enum { B = 6, T = 24, N = B * T };
  sg_model *m;
  sg_names *n;
  int32_t inputs[N], category[N];
  assert_sg_ok(sg_model_load(directory, &m, err));
  const sg_config *c = sg_model_config(m);
  for (size_t i = 0; i < N; i++) {
    inputs[i] = i % T ? (int32_t)(3 + i * i % 11) : c->bos_id;
    category[i] = inputs[i] % 4 == 3 ? -1 : inputs[i] % 4;
  }
  unlink(path);
  size_t made;
  assert_sg_ok(sg_names_open(path, m, true, &n, err));
  assert_sg_ok(sgi_names_label_all(n, &(sgi_label_request){.model = m}, &made, err));
  /* Labels that speak of the tokens of this text. */
  assert_sg_ok(sgi_names_begin(n, err));
  for (size_t i = 0; i < c->num_neurons; i++) {
    sgi_label l = {.reads = {(int32_t)(3 + i % 11), 5}, .n_reads = 2, .writes = {7}, .raises = {true}, .n_writes = 1};
    assert_sg_ok(sgi_names_label(n, (sgi_neuron_at){0, 0, i}, &l, "x", err));
  }
  assert_sg_ok(sgi_names_commit(n, err));
  sgi_label_score_request q = {.model = m,
                               .inputs = inputs,
                               .B = B,
                               .T = T,
                               .category = category,
                               .n_categories = 3,
                               .neurons = made,
                               .positions = 1000,
                               .others = 5,
                               .share = 0.2,
                               .seed = 1};
  sgi_label_scores s;
  assert_sg_ok(sgi_label_score(n, &q, &s, err));
  size_t positions = 0;
  for (size_t i = 0; i < N; i++)
    positions += inputs[i] != c->bos_id && inputs[i] != c->eos_id && inputs[i] != c->pad_id;
  assert_int_equal(s.positions, positions);
  assert_true(s.n > 3);
  for (size_t k = 0; k < s.n; k += 1 + s.n / 30) {
    const sgi_label_scored *one = &s.neurons[k];
    sg_activation a[N];
    double x[N];
    for (size_t r = 0; r < B; r++)
      assert_sg_ok(
          sg_neuron_activations(m, inputs + r * T, T, one->at.layer, one->at.channel, one->at.index, a + r * T, err));
    sgi_label own_label = label_at(n, one->at);
    size_t wanted = (size_t)(0.2 * (double)positions + 0.5), fired = 0, told = 0, quiet = 0, wrong = 0;
    for (size_t i = 0; i < N; i++) x[i] = a[i].chosen ? fabs((double)(float)a[i].value) : 0;
    for (size_t i = 0; i < N; i++) {
      size_t above = 0;
      if (i % T == 0) continue;
      for (size_t j = 0; j < N; j++) above += j % T && x[j] > x[i];
      bool fires = above < wanted && x[i] > 0, foretold = false;
      for (size_t r = 0; r < own_label.n_reads; r++) foretold |= own_label.reads[r] == inputs[i];
      fired += fires;
      quiet += !fires;
      told += fires && foretold;
      wrong += !fires && foretold;
    }
    assert_int_equal(one->fired, fired);
    double want = ((double)told / (double)fired + 1 - (double)wrong / (double)quiet) / 2;
    assert_true(fabs(one->reads - want) < 1e-12);
    assert_true(one->rank >= 0 && one->rank <= 1 && one->others > 0 && one->others < 1);
    assert_true(one->category >= 0 && one->category <= 1);
  }
  sgi_label_scores_deinit(&s);
  q.share = 0;
  assert_int_equal(sgi_label_score(n, &q, &s, NULL), SG_ERR_ARG);
  sgi_label_scores_deinit(&s);
  sg_names_close(n);
  sg_model_free(m);
  unlink(path);
}

static void scored(void **state) {
  (void)state;
  scored_beside("tests/golden/models/mlp");
  scored_beside("tests/golden/models/peer");
  scored_beside("tests/golden/models/moe");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(kept, clear),
      cmocka_unit_test_setup(bounds, clear),
      cmocka_unit_test_setup(two, clear),
      cmocka_unit_test_setup(another_model, clear),
      cmocka_unit_test_setup(json, clear),
      cmocka_unit_test_setup(damage, clear),
      cmocka_unit_test(listed),
      cmocka_unit_test(scored),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
