/* cmd_data_greater_than.c: makes sentences about spans of years, with their tokenizer. */
#include "cli.h"
#include "core/file.h"
#include "report/spans.h"

static bool go_on(void *user) {
  (void)user;
  return !cli_stop;
}

static int run(const cli_call *c) {
  const char *directory = cli_string(c, "output");
  sg_error err = {0};
  json_t *about = NULL;
  cli_signals_install();
  sg_status st = cli_flag(c, "force") ? SG_OK : sgi_spans_check_directory(directory, &err);
  if (!st)
    st = sgi_spans_write_json(directory, cli_size(c, "sentences"), cli_u64(c, "seed"), go_on, NULL, &about, &err);
  if (st) return cli_end(st, &err);
  if (cli_flag(c, "json")) return cli_json(about);
  cli_note("wrote train.txt, valid.txt, tokenizer.json and corpus.json into %s: %lld and %lld sentences", directory,
           (long long)json_integer_value(json_object_get(about, "train")),
           (long long)json_integer_value(json_object_get(about, "valid")));
  json_decref(about);
  return 0;
}

static const cli_option options[] = {
    {.name = "sentences",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20000",
     .min = 1,
     .max = 5000000,
     .help = "sentences to write, about one in 20 of them into valid.txt"},
    CLI_SEED_OPTION,
    CLI_REQUIRED_OUTPUT("DIR", "directory for the corpus"),
    {.name = "force", .letter = 'f', .type = CLI_FLAG, .help = "write into a directory that holds other files"},
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_data_greater_than = {
    .name = "data greater-than",
    .group = "Text",
    .summary = "write sentences about spans of years, the second year above the first",
    .usage = "[--sentences N] [--seed N] -o DIR",
    .examples =
        "# a corpus whose one skill is known, and its tokenizer\nsgatlin data greater-than -o spans\n"
        "sgatlin train --data spans --tokenizer spans/tokenizer.json -o run",
    .description =
        "\"The war lasted from the year 1732 to the year 1745.\": twelve such sentences, years 1102 to 1998, the last "
        "two digits uniform above the first year's. A beginning (sentence, event, first year) stands in train.txt or "
        "in "
        "valid.txt, never in both; so few sentences that one of them would be empty are refused. tokenizer.json has a "
        "token for each pair of digits, which nothing is merged with. "
        "'circuit greater-than' reads a model of them. Equal seeds give equal bytes on any machine.\n\n"
        "JSON: corpus, seed, sentences, train, valid, templates.",
    .options = options,
    .run = run,
};
