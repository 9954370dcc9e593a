/* cmd_tokenizer_info.c: what a tokenizer.json holds. */
#include "cli.h"
#include "text/tokenizer.h"

static size_t single_bytes(const sg_tokenizer *t) {
  size_t n = 0;
  for (size_t i = 0; i < 256; i++) n += t->bpe.byte_ids[i] >= 0;
  return n;
}

/* The longest token of the model's vocabulary, in bytes. */
static size_t longest(const sg_tokenizer *t) {
  size_t n = 0;
  for (size_t i = 0; i < t->vocab_size; i++)
    if (!t->tokens[i].added && t->tokens[i].n > n) n = t->tokens[i].n;
  return n;
}

static const char *form_name(const sg_tokenizer *t) {
  return t->form == SGI_NFKC ? "NFKC" : t->form == SGI_NFC ? "NFC" : "none";
}

/* What cuts a text before the merges, in order. */
static json_t *cuts_json(const sg_tokenizer *t) {
  static const char *const names[] = {
      [SGI_CUT_PATTERN] = "Split", [SGI_CUT_DIGITS] = "Digits", [SGI_CUT_PUNCTUATION] = "Punctuation"};
  json_t *list = json_array();
  for (size_t i = 0; i < t->n_cuts; i++) json_array_append_new(list, json_string(names[t->cuts[i].kind]));
  json_array_append_new(list, json_string(t->split.use_regex ? "ByteLevel" : "ByteLevel without its pattern"));
  return list;
}

static int print_json(const sg_tokenizer *t, const char *path) {
  json_t *added = json_array();
  for (size_t i = 0; i < t->n_added; i++) {
    const sgi_token *k = &t->tokens[t->added[i]];
    json_array_append_new(
        added, json_pack("{s:i, s:o}", "id", t->added[i], "text", sgi_report_text(t->text.data + k->begin, k->n)));
  }
  return cli_json(json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:o, s:b, s:b, s:o}", "file", path, "model", "BPE",
                            "vocab_size", (json_int_t)t->vocab_size, "merges", (json_int_t)t->n_merges, "single_bytes",
                            (json_int_t)single_bytes(t), "longest_token", (json_int_t)longest(t), "normalizer",
                            form_name(t), "pre_tokenizer", cuts_json(t), "ignore_merges", t->whole_first,
                            "prefix_space", t->split.add_prefix_space, "added", added));
}

static void print_rows(const sg_tokenizer *t) {
  cli_table *table = cli_table_begin("ll");
  cli_cell(table, "what"), cli_cell(table, "value");
  cli_cell(table, "model"), cli_cell(table, "byte-level BPE");
  cli_cell(table, "ids"), cli_cell(table, "%zu", t->vocab_size);
  cli_cell(table, "merges"), cli_cell(table, "%zu", t->n_merges);
  cli_cell(table, "single bytes"), cli_cell(table, "%zu of 256", single_bytes(t));
  cli_cell(table, "longest token"), cli_cell(table, "%zu bytes", longest(t));
  cli_cell(table, "normalizer"), cli_cell(table, "%s", form_name(t));
  json_t *cuts = cuts_json(t);
  for (size_t i = 0; i < json_array_size(cuts); i++) {
    cli_cell(table, "%s", i ? "" : "cut by");
    cli_cell(table, "%s", json_string_value(json_array_get(cuts, i)));
  }
  json_decref(cuts);
  if (t->whole_first) cli_cell(table, "ignore_merges"), cli_cell(table, "yes");
  cli_cell(table, "prefix space"), cli_cell(table, "%s", t->split.add_prefix_space ? "yes" : "no");
  for (size_t i = 0; i < t->n_added; i++) {
    const sgi_token *k = &t->tokens[t->added[i]];
    cli_cell(table, "id %d", t->added[i]);
    cli_cell(table, "%s (%s)", t->text.data + k->begin, k->special ? "special" : "added");
  }
  cli_table_end(table);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sg_tokenizer *t;
  int code = 0;
  if (sg_tokenizer_load(c->args[0], &t, &err)) return cli_fail(&err);
  if (cli_flag(c, "json"))
    code = print_json(t, c->args[0]);
  else
    print_rows(t);
  sg_tokenizer_free(t);
  return code;
}

static const cli_option options[] = {CLI_JSON_OPTION, CLI_END};

const cli_command cli_tokenizer_info = {
    .name = "tokenizer info",
    .group = "Text",
    .summary = "show the size, features and special tokens of a tokenizer",
    .usage = "TOKENIZER.json",
    .examples = "# can this tokenizer.json be used here?\nsgatlin tokenizer info tokenizer.json",
    .description = "A feature of the file that is not supported is an error that names it.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
