/* cmd_facts_mine.c: facts out of text. */
#include <string.h>

#include "cli.h"
#include "read/facts.h"
#include "text/reader.h"
#include "text_form.h"

typedef struct work {
  const cli_call *c;
  sg_facts *facts, *truth; /* truth: NULL where none was given */
  size_t documents;
  sgi_text_notes notes;
  size_t *distinct, n_distinct;
  bool proven;
  size_t mined, mined_true, known; /* pairs: listed, of them true; facts of truth */
  size_t found;                    /* facts of truth that are listed */
  cli_progress progress;
} work;

static sg_status read_file(work *w, const char *path, sg_error *err) {
  sgi_reader *r;
  const char *text = NULL;
  size_t n;
  sg_status st = sgi_reader_open(path, cli_choice(w->c, "split") == 1, cli_string(w->c, "field"), &r, err);
  if (st) return st;
  while (!(st = sgi_reader_next(r, &text, &n, err)) && text) {
    if ((st = sg_facts_mine(w->facts, text, n, err))) break;
    w->documents++;
    if (cli_stop) {
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped; nothing was written");
      break;
    }
    cli_progress_update(&w->progress, (double)sgi_reader_position(r), path);
  }
  sgi_text_notes_add(&w->notes, sgi_reader_notes(r));
  sgi_reader_close(r);
  return st;
}

static sg_status read_all(work *w, sg_error *err) {
  sg_status st = SG_OK;
  cli_progress_begin(&w->progress, "reading", "B", 0, 0);
  for (int i = 0; i < w->c->n_args && !st; i++) {
    char **files;
    size_t n;
    st = sgi_text_files(w->c->args[i], cli_string(w->c, "field"), &w->notes, &files, &n, err);
    for (size_t k = 0; k < n && !st; k++) st = read_file(w, files[k], err);
    sgi_text_files_free(files, n);
  }
  cli_progress_end(&w->progress);
  cli_text_notes(&w->notes);
  if (!st && !w->documents) st = sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", w->c->args[0]);
  return st;
}

static void count_pairs(const sg_facts *f, const sg_facts *other, size_t min_count, size_t *all, size_t *both) {
  for (size_t i = 0; i < sg_facts_count(f); i++) {
    sg_fact noun = sg_facts_noun(f, i);
    for (size_t k = 0; k < noun.count; k++, ++*all)
      *both += sgi_facts_said(other, noun.text, sg_facts_answer(f, i, k).text) >= min_count;
  }
}

static sg_status compare(work *w, sg_error *err) {
  const char *path = cli_string(w->c, "truth");
  if (!path) return SG_OK;
  sg_status st = sg_facts_load(path, "quality", &w->truth, err);
  if (!st) st = sg_facts_list(w->truth, 1, err);
  if (st) return st;
  count_pairs(w->facts, w->truth, 1, &w->mined, &w->mined_true);
  count_pairs(w->truth, w->facts, cli_size(w->c, "min-count"), &w->known, &w->found);
  return SG_OK;
}

static sg_status mine(work *w, sg_error *err) {
  sg_status st = sg_facts_create("The ", " was", &w->facts, err);
  if (!st) st = read_all(w, err);
  if (!st) st = sg_facts_list(w->facts, cli_size(w->c, "min-count"), err);
  if (st) return st;
  w->distinct = sgi_alloc((sg_facts_count(w->facts) + 1) * sizeof *w->distinct);
  if (!w->distinct) return sgi_fail(err, SG_ERR_MEMORY, "out of memory for %zu nouns", sg_facts_count(w->facts));
  st = sg_facts_distinct(w->facts, 1000000 * (uint64_t)cli_size(w->c, "effort"), w->distinct, &w->n_distinct,
                         &w->proven, err);
  if (!st) st = compare(w, err);
  if (st || !cli_string(w->c, "output")) return st;
  json_t *o = sgi_facts_to_json(w->facts);
  if (!o) return sgi_fail(err, SG_ERR_MEMORY, "out of memory for facts");
  st = sgi_json_save(cli_string(w->c, "output"), o, err);
  json_decref(o);
  return st;
}

static int print_json(const work *w) {
  json_t *o = sgi_facts_to_json(w->facts), *set = json_array();
  if (!o) o = json_object();
  for (size_t i = 0; i < w->n_distinct; i++)
    json_array_append_new(set, json_string(sg_facts_noun(w->facts, w->distinct[i]).text));
  json_object_set_new(o, "documents", json_integer((json_int_t)w->documents));
  json_object_set_new(o, "min_count", json_integer((json_int_t)cli_size(w->c, "min-count")));
  json_object_set_new(o, "distinct", set);
  json_object_set_new(o, "distinct_size", json_integer((json_int_t)w->n_distinct));
  json_object_set_new(o, "distinct_proven", json_boolean(w->proven));
  if (w->truth)
    json_object_set_new(
        o, "truth",
        json_pack("{s:I, s:I, s:I, s:I}", "mined", (json_int_t)w->mined, "mined_true", (json_int_t)w->mined_true,
                  "known", (json_int_t)w->known, "known_found", (json_int_t)w->found));
  return cli_json(o);
}

static void print_summary(const work *w) {
  size_t n = sg_facts_count(w->facts);
  printf("%s in %s; %zu of them (*) share no adjective: %s\n", cli_number(n, "noun").s,
         cli_number(w->documents, "document").s, w->n_distinct,
         !n          ? "the text never says \"The NOUN was ADJECTIVE\" often enough (--min-count)"
         : w->proven ? "no larger set exists"
                     : "the search met its bound, a larger set may exist (--effort)");
  if (w->truth)
    printf("%zu of %zu mined facts are true; %zu of %zu true facts were found\n", w->mined_true, w->mined, w->found,
           w->known);
}

static void print_table(const work *w) {
  size_t n = sg_facts_count(w->facts), top = cli_size(w->c, "top"), shown = top && top < n ? top : n;
  print_summary(w);
  if (!n) return;
  putchar('\n');
  cli_table *t = cli_table_begin("lll");
  cli_cell(t, "noun");
  cli_cell(t, "alone");
  cli_cell(t, "adjectives");
  for (size_t i = 0, at = 0; i < shown; i++) {
    sg_fact noun = sg_facts_noun(w->facts, i);
    char text[200] = "";
    for (size_t k = 0; k < noun.count && strlen(text) < 150; k++) {
      sg_fact a = sg_facts_answer(w->facts, i, k);
      snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.60s %zu", k ? ", " : "", a.text, a.count);
    }
    bool alone = at < w->n_distinct && w->distinct[at] == i;
    at += alone;
    cli_cell(t, "%s", noun.text);
    cli_cell(t, "%s", alone ? "*" : "");
    cli_cell(t, "%s", text);
  }
  cli_table_end(t);
  if (shown < n) printf("%zu of %zu nouns shown (--top 0: all)\n", shown, n);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  cli_signals_install();
  sg_status st = mine(&w, &err);
  int code = 0;
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = print_json(&w);
  else
    print_table(&w);
  if (!st && !w.proven && cli_flag(c, "json")) cli_warn("the search for the largest set met its bound: see --effort");
  sgi_free(w.distinct);
  sg_facts_free(w.facts);
  sg_facts_free(w.truth);
  return code;
}

static const cli_option options[] = {
    {.name = "min-count",
     .letter = 'm',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "10",
     .min = 1,
     .help = "sentences that a noun and an adjective must have together"},
    {.name = "truth",
     .type = CLI_STRING,
     .argument = "FACTS.json",
     .help = "known facts (facts.json of 'data worlds') to compare with"},
    {.name = "top",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20",
     .help = "nouns shown; 0: all; --json and -o have all"},
    {.name = "effort",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1000",
     .min = 1,
     .max = 1e9,
     .help = "bound of the search for the largest set, in millions of steps a group; 1000 is a few seconds"},
    {.name = "split",
     .type = CLI_CHOICE,
     .argument = "endoftext|blank-lines",
     .value = "endoftext",
     .help = "where a document of .txt ends"},
    {.name = "field",
     .type = CLI_STRING,
     .argument = "NAME",
     .value_text = "text",
     .help = "field of .jsonl with the text"},
    CLI_OUTPUT_OPTION("FACTS.json", "also write nouns and adjectives for 'facts patch'"),
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_facts_mine = {
    .name = "facts mine",
    .group = "Reading",
    .summary = "mine 'The NOUN was ADJECTIVE' and nouns sharing no adjective",
    .usage = "[--min-count N] [-o FACTS.json] FILE...",
    .examples =
        "# facts of a corpus, kept for patched runs\nsgatlin facts mine worlds/train.txt -o facts.json\n"
        "# how many of the known facts the pattern finds\nsgatlin facts mine worlds/train.txt --truth "
        "worlds/facts.json --json",
    .description =
        "The pattern is plain: 'the', one word, 'was', one word, and the end of a clause; no parser, case does not "
        "matter, words come out in lower case.\n\n"
        "Of the nouns found, the largest set in which no two share an adjective is marked. It is exact unless the "
        "search "
        "meets its bound, which is said.",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY,
    .run = run,
};
