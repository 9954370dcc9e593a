/* cmd_tokenizer_info.c: what a tokenizer.json holds. */
#include "cli.h"
#include "report/tokenizer.h"

static void print_rows(const sg_tokenizer *t, const json_t *o) {
  const json_t *cuts = json_object_get(o, "pre_tokenizer");
  json_t *k;
  size_t i;
  cli_table *table = cli_table_begin("ll");
  cli_cell(table, "what"), cli_cell(table, "value");
  cli_cell(table, "model"), cli_cell(table, "byte-level BPE");
  cli_cell(table, "ids"), cli_cell(table, "%zu", sgi_field_size(o, "vocab_size"));
  cli_cell(table, "merges"), cli_cell(table, "%zu", sgi_field_size(o, "merges"));
  cli_cell(table, "single bytes"), cli_cell(table, "%zu of 256", sgi_field_size(o, "single_bytes"));
  cli_cell(table, "longest token"), cli_cell(table, "%zu bytes", sgi_field_size(o, "longest_token"));
  cli_cell(table, "normalizer"), cli_cell(table, "%s", sgi_field_word(o, "normalizer"));
  for (i = 0; i < json_array_size(cuts); i++) {
    cli_cell(table, "%s", i ? "" : "cut by");
    cli_cell(table, "%s", json_string_value(json_array_get(cuts, i)));
  }
  if (sgi_field_flag(o, "ignore_merges")) cli_cell(table, "ignore_merges"), cli_cell(table, "yes");
  cli_cell(table, "prefix space"), cli_cell(table, "%s", sgi_field_flag(o, "prefix_space") ? "yes" : "no");
  json_array_foreach(json_object_get(o, "added"), i, k) {
    size_t id = sgi_field_size(k, "id");
    cli_cell(table, "id %zu", id);
    cli_cell(table, "%s (%s)", sgi_field_word(k, "text"), sgi_token_special(t, (int32_t)id) ? "special" : "added");
  }
  cli_table_end(table);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sg_tokenizer *t;
  int code = 0;
  if (sg_tokenizer_load(c->args[0], &t, &err)) return cli_fail(&err);
  json_t *o = sgi_tokenizer_json(t, c->args[0]);
  if (cli_flag(c, "json"))
    code = cli_json(json_incref(o));
  else if (sgi_report_whole(&o, "the table", &err))
    code = cli_fail(&err);
  else
    print_rows(t, o);
  json_decref(o);
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
