/* cmd_tokenizer_decode.c: ids to text. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const size_t MAX_TEXT = (size_t)1 << 28, MAX_LINE = (size_t)64 << 20;

typedef struct id_buffer {
  int32_t *ids;
  size_t n, size;
} id_buffer;

static sg_status add_id(const sg_tokenizer *t, id_buffer *b, long long id, const char *place, sg_error *err) {
  size_t unused;
  if (id < 0 || id > INT32_MAX || !sg_tokenizer_token_bytes(t, (int32_t)id, &unused))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: id %lld (number %zu) is not in the vocabulary of %zu", place, id, b->n,
                    sg_tokenizer_vocab_size(t));
  if (b->n == b->size) {
    size_t size = 2 * b->size + 256;
    int32_t *ids = sgi_realloc(b->ids, b->n * sizeof *ids, size * sizeof *ids);
    if (!ids) return sgi_fail_memory(err, size * sizeof *ids, "ids");
    b->ids = ids;
    b->size = size;
  }
  b->ids[b->n++] = (int32_t)id;
  return SG_OK;
}

/* [1, 2] or {"ids": [1, 2]} */
static sg_status read_json(const sg_tokenizer *t, const char *text, size_t n, const char *place, id_buffer *b,
                           sg_error *err) {
  json_error_t e;
  json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
  if (!o && json_error_code(&e) == json_error_out_of_memory) return sgi_fail_memory(err, n, place);
  if (!o) return sgi_fail(err, SG_ERR_FORMAT, "%s: not valid JSON: %s", place, e.text);
  const json_t *list = json_is_object(o) ? json_object_get(o, "ids") : o;
  sg_status st = SG_OK;
  if (!json_is_array(list)) st = sgi_fail(err, SG_ERR_FORMAT, "%s: expected [id, ...] or {\"ids\": [id, ...]}", place);
  for (size_t i = 0; i < json_array_size(list) && !st; i++) {
    const json_t *v = json_array_get(list, i);
    st = json_is_integer(v) ? add_id(t, b, json_integer_value(v), place, err)
                            : sgi_fail(err, SG_ERR_FORMAT, "%s: number %zu is no whole number", place, i);
  }
  json_decref(o);
  return st;
}

/* Ids with white space between them. */
static sg_status read_plain(const sg_tokenizer *t, const char *text, const char *place, id_buffer *b, sg_error *err) {
  for (const char *p = text;;) {
    char *end;
    while (isspace((unsigned char)*p)) p++;
    if (!*p) return SG_OK;
    errno = 0;
    long long id = strtoll(p, &end, 10);
    if (end == p || errno || (*end && !isspace((unsigned char)*end))) {
      size_t word = strcspn(p, " \t\r\n");
      return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%.*s\" is no id", place, (int)(word < 40 ? word : 40), p);
    }
    sg_status st = add_id(t, b, id, place, err);
    if (st) return st;
    p = end;
  }
}

static sg_status read_ids(const sg_tokenizer *t, const char *text, size_t n, const char *place, id_buffer *b,
                          sg_error *err) {
  size_t first = strspn(text, " \t\r\n");
  b->n = 0;
  if (text[first] == '[' || text[first] == '{') return read_json(t, text, n, place, b, err);
  if (strlen(text) != n) return sgi_fail(err, SG_ERR_FORMAT, "%s: byte %zu is zero", place, strlen(text));
  return read_plain(t, text, place, b, err);
}

static sg_status decode_file(const cli_call *c, const sg_tokenizer *t, const char *path, id_buffer *b, int *code,
                             sg_error *err) {
  char *input = NULL, *text;
  size_t n;
  sg_status st = cli_read_all(path, MAX_TEXT, &input, &n, err);
  if (!st) st = read_ids(t, input, n, strcmp(path, "-") ? path : "standard input", b, err);
  free(input);
  if (!st) st = sg_tokenizer_decode(t, b->ids, b->n, cli_flag(c, "skip-special"), &text, &n, err);
  if (st) return st;
  if (cli_flag(c, "json")) {
    *code = cli_json(json_pack("{s:o}", "text", sgi_report_text(text, n)));
  } else {
    cli_put_text(text, n);
    if (isatty(STDOUT_FILENO)) putchar('\n'); /* so that the prompt has its line; elsewhere only the text's bytes */
  }
  sg_buffer_free(text);
  return SG_OK;
}

static sg_status decode_lines(const cli_call *c, const sg_tokenizer *t, const char *path, id_buffer *b, int *code,
                              sg_error *err) {
  cli_lines *lines;
  const char *line;
  size_t n;
  char place[300], *text;
  sg_status st = cli_lines_open(path, MAX_LINE, &lines, err);
  if (st) return st;
  while (!*code && !cli_output_gone() && !(st = cli_lines_next(lines, &line, &n, err)) && line) {
    if (!n) continue;
    st = read_ids(t, line, n, cli_lines_where(lines, place, sizeof place), b, err);
    if (!st) st = sg_tokenizer_decode(t, b->ids, b->n, cli_flag(c, "skip-special"), &text, &n, err);
    if (st) break;
    *code = cli_json(json_pack("{s:o}", "text", sgi_report_text(text, n)));
    sg_buffer_free(text);
  }
  cli_lines_close(lines);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sg_tokenizer *t;
  id_buffer b = {0};
  const char *path = c->n_args ? c->args[0] : "-";
  int code = 0;
  sg_status st = sg_tokenizer_load(cli_string(c, "tokenizer"), &t, &err);
  if (st) return cli_fail(&err);
  st = cli_flag(c, "jsonl") ? decode_lines(c, t, path, &b, &code, &err) : decode_file(c, t, path, &b, &code, &err);
  sg_tokenizer_free(t);
  sgi_free(b.ids);
  return st ? cli_fail(&err) : code;
}

static const cli_option options[] = {{.name = "tokenizer",
                                      .letter = 'T',
                                      .required = true,
                                      .type = CLI_STRING,
                                      .argument = "FILE",
                                      .help = "tokenizer.json"},
                                     {.name = "skip-special", .type = CLI_FLAG, .help = "leave special tokens out"},
                                     {.name = "jsonl",
                                      .type = CLI_FLAG,
                                      .help = "read lines [id, ...] or {\"ids\": [...]}, write lines {\"text\": ...}"},
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_tokenizer_decode = {
    .name = "tokenizer decode",
    .group = "Text",
    .summary = "turn token ids into text",
    .usage = "-T TOKENIZER.json [FILE]",
    .examples =
        "# there and back\nsgatlin tokenizer encode -T tokenizer.json story.txt | sgatlin tokenizer decode -T "
        "tokenizer.json\n"
        "# lines of JSON\nsgatlin tokenizer decode -T tokenizer.json --jsonl --skip-special ids.jsonl",
    .description =
        "Reads FILE, or standard input: ids with white space between them, [id, ...] or {\"ids\": [id, "
        "...]}. The text is written as it is, without a line end of its own; bytes that are no UTF-8 "
        "become U+FFFD.",
    .options = options,
    .max_args = 1,
    .run = run,
};
