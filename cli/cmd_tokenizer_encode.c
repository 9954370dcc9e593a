/* cmd_tokenizer_encode.c: text to ids. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "report/tokenizer.h"

static const size_t MAX_TEXT = (size_t)1 << 30, MAX_LINE = (size_t)64 << 20;

static json_t *id_list(const int32_t *ids, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_integer(ids[i]));
  return list;
}

static json_t *token_list(const sg_tokenizer *t, const int32_t *ids, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) {
    size_t length;
    const char *bytes = sg_tokenizer_token_bytes(t, ids[i], &length);
    json_array_append_new(list, sgi_report_text(bytes, length));
  }
  return list;
}

static sg_status encode_text(const cli_call *c, const sg_tokenizer *t, const char *text, size_t n, int *code,
                             sg_error *err) {
  int32_t *ids;
  size_t count;
  sg_status st = sg_tokenizer_encode(t, text, n, &ids, &count, err);
  if (st) return st;
  if (cli_flag(c, "json")) {
    *code = cli_json(json_pack("{s:o, s:o}", "ids", id_list(ids, count), "tokens", token_list(t, ids, count)));
  } else {
    for (size_t i = 0; i < count && !cli_output_gone(); i++) printf("%s%d", i ? " " : "", ids[i]);
    putchar('\n');
  }
  sg_buffer_free(ids);
  return SG_OK;
}

static sg_status encode_lines(const cli_call *c, const sg_tokenizer *t, const char *path, int *code, sg_error *err) {
  cli_lines *lines;
  const char *line;
  size_t n, count;
  char place[300];
  uint64_t number = 0;
  int32_t *ids;
  sgi_mended *mended = NULL;
  sg_status st = cli_lines_open(path, MAX_LINE, &lines, err);
  if (st) return st;
  while (!*code && !cli_output_gone() && !(st = cli_lines_next(lines, &line, &n, err)) && line) {
    number++;
    if (!n) continue;
    st = sgi_tokenizer_line(t, line, n, cli_string(c, "field"), path, cli_lines_where(lines, place, sizeof place),
                            number, &mended, &ids, &count, err);
    if (st) break;
    *code = cli_json(json_pack("{s:o}", "ids", id_list(ids, count)));
    sg_buffer_free(ids);
  }
  sgi_mended_say(mended, cli_told_note, NULL);
  sgi_mended_free(mended);
  cli_lines_close(lines);
  return st;
}

static sg_status encode_file(const cli_call *c, const sg_tokenizer *t, const char *path, int *code, sg_error *err) {
  char *text = NULL;
  size_t n;
  sg_status st = cli_read_all(path, MAX_TEXT, &text, &n, err);
  if (!st && memmem(text, n, "\r\n", 2))
    cli_note("%s: lines end in CRLF, and every CR is encoded as it stands; train and eval read such text as if in LF",
             strcmp(path, "-") ? path : "standard input");
  size_t mark = st ? 0 : (size_t)(sgi_skip_mark(text) - text); /* which no reader of a text takes for text */
  if (!st) st = encode_text(c, t, text + mark, n - mark, code, err);
  free(text);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sg_tokenizer *t;
  const char *text = cli_string(c, "text"), *path = c->n_args ? c->args[0] : "-";
  int code = 0;
  if (text && (c->n_args || cli_flag(c, "jsonl"))) return cli_usage(c, "--text TEXT takes the place of FILE");
  sg_status st = sg_tokenizer_load(cli_string(c, "tokenizer"), &t, &err);
  if (st) return cli_fail(&err);
  if (text)
    st = encode_text(c, t, text, strlen(text), &code, &err);
  else if (cli_flag(c, "jsonl"))
    st = encode_lines(c, t, path, &code, &err);
  else
    st = encode_file(c, t, path, &code, &err);
  sg_tokenizer_free(t);
  return st ? cli_fail(&err) : code;
}

static const cli_option options[] = {
    {.name = "tokenizer",
     .letter = 'T',
     .required = true,
     .type = CLI_STRING,
     .argument = "FILE",
     .help = "tokenizer.json"},
    {.name = "text", .type = CLI_STRING, .argument = "TEXT", .help = "the text itself, in the place of a file"},
    {.name = "jsonl", .type = CLI_FLAG, .help = "read lines {\"text\": ...} and write lines {\"ids\": [...]}"},
    {.name = "field", .type = CLI_STRING, .argument = "NAME", .value = "text", .help = "with --jsonl: field to read"},
    {.name = "json", .type = CLI_FLAG, .help = "print ids and the text of each token as JSON"},
    CLI_END};

const cli_command cli_tokenizer_encode = {
    .name = "tokenizer encode",
    .group = "Text",
    .summary = "turn text into token ids",
    .usage = "-T TOKENIZER.json [FILE]",
    .examples =
        "# ids of one text\nsgatlin tokenizer encode -T tokenizer.json --text 'Once upon a time'\n"
        "# where a text is cut\nsgatlin tokenizer encode -T tokenizer.json --json story.txt\n"
        "# many texts\nsgatlin tokenizer encode -T tokenizer.json --jsonl <texts.jsonl >ids.jsonl",
    .description =
        "Reads FILE, or standard input, as one text, its last line break included, a byte order mark left out. Special "
        "tokens in the text become their ids. Broken "
        "UTF-8 becomes U+FFFD.",
    .options = options,
    .max_args = 1,
    .run = run,
};
