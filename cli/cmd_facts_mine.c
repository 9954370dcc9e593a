/* cmd_facts_mine.c: facts out of text. */
#include <string.h>

#include "cli.h"
#include "report/facts.h"

typedef struct work {
  const cli_call *c;
  sgi_mined m;
  cli_progress progress;
} work;

static bool read_on(void *user, const char *path, uint64_t bytes) {
  cli_progress_update(&((work *)user)->progress, (double)bytes, path);
  return !cli_stop;
}

static void all_read(void *user) { cli_progress_end(&((work *)user)->progress); }

static sg_status mine(work *w, sg_error *err) {
  const cli_call *c = w->c;
  const sgi_mine_request q = {.paths = c->args,
                              .n = (size_t)c->n_args,
                              .field = cli_string(c, "field"),
                              .blank_lines = cli_choice(c, "split") == 1,
                              .min_count = cli_size(c, "min-count"),
                              .effort = 1000000 * (uint64_t)cli_size(c, "effort"),
                              .truth = cli_string(c, "truth"),
                              .all_read = all_read,
                              .say = cli_told_note,
                              .read = read_on,
                              .user = w};
  cli_progress_begin(&w->progress, "reading", "B", 0, 0);
  sg_status st = sgi_mine(&q, &w->m, err);
  if (st || !cli_string(c, "output")) return st;
  json_t *o = sgi_mined_facts(&w->m);
  if (!o) return sgi_fail(err, SG_ERR_MEMORY, "out of memory for facts");
  st = sgi_json_save(cli_string(c, "output"), o, err);
  json_decref(o);
  return st;
}

static void print_summary(const work *w) {
  size_t n = sg_facts_count(w->m.facts);
  printf("%s in %s; %zu of them (*) share no adjective: %s\n", cli_number(n, "noun").s,
         cli_number(w->m.documents, "document").s, w->m.n_distinct,
         !n            ? "the text never says \"The NOUN was ADJECTIVE\" often enough (--min-count)"
         : w->m.proven ? "no larger set exists"
                       : "the search met its bound, a larger set may exist (--effort)");
  if (w->m.compared)
    printf("%zu of %zu mined facts are true; %zu of %zu true facts were found\n", w->m.true_pairs, w->m.pairs,
           w->m.found, w->m.known);
}

static void print_table(const work *w) {
  size_t n = sg_facts_count(w->m.facts), top = cli_size(w->c, "top"), shown = top && top < n ? top : n;
  print_summary(w);
  if (!n) return;
  putchar('\n');
  cli_table *t = cli_table_begin("lll");
  cli_cell(t, "noun");
  cli_cell(t, "alone");
  cli_cell(t, "adjectives");
  for (size_t i = 0, at = 0; i < shown; i++) {
    sg_fact noun = sg_facts_noun(w->m.facts, i);
    char text[200] = "";
    for (size_t k = 0; k < noun.count && strlen(text) < 150; k++) {
      sg_fact a = sg_facts_answer(w->m.facts, i, k);
      snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.60s %zu", k ? ", " : "", a.text, a.count);
    }
    bool alone = at < w->m.n_distinct && w->m.distinct[at] == i;
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
    code = cli_json(sgi_mined_json(&w.m, cli_size(c, "min-count")));
  else
    print_table(&w);
  if (!st && !w.m.proven && cli_flag(c, "json")) cli_warn("the search for the largest set met its bound: see --effort");
  sgi_mined_deinit(&w.m);
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
