/* cmd_tokenizer_train.c: a tokenizer from text. Documents are read one at a time and only their
 * words are kept. */
#include "cli.h"
#include "report/tokenizer.h"

typedef struct watch {
  cli_progress bar;
  bool begun;
} watch;

static void begun(void *user, bool merging) {
  watch *w = user;
  if (w->begun) cli_progress_end(&w->bar);
  cli_progress_begin(&w->bar, merging ? "merging" : "reading", merging ? "merges" : "B", 0, 0);
  w->begun = true;
}

static bool read_on(void *user, uint64_t bytes) {
  cli_progress_update(&((watch *)user)->bar, (double)bytes, NULL);
  return !cli_stop;
}

static bool merged(void *user, size_t done, size_t wanted) {
  return cli_progress_advance(&((watch *)user)->bar, done, wanted);
}

static void say(void *user, const char *text) {
  watch *w = user;
  if (w->begun) cli_progress_end(&w->bar);
  w->begun = false;
  cli_note("%s", text);
}

static int report(const cli_call *c, const sgi_tokenizer_made *made, const sg_tokenizer *t) {
  const char *path = cli_string(c, "output");
  size_t n = sg_tokenizer_vocab_size(t), wanted = cli_size(c, "vocab-size");
  if (n < wanted) cli_note("%zu tokens instead of %zu: no pair is left to merge", n, wanted);
  if (cli_flag(c, "json"))
    return cli_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "file", path, "vocab_size", (json_int_t)n, "merges",
                              (json_int_t)made->merges, "documents", (json_int_t)made->documents, "bytes",
                              (json_int_t)made->bytes, "distinct_words", (json_int_t)made->words));
  cli_note("wrote %s: %s from %s, %s", path, cli_number(n, "token").s, cli_number(made->documents, "document").s,
           cli_bytes((double)made->bytes).s);
  return 0;
}

static int run(const cli_call *c) {
  static const char *const usual[] = {"<|pad|>", "<|endoftext|>"};
  sg_error err = {0};
  sg_tokenizer *t = NULL;
  sgi_tokenizer_made made;
  watch w = {0};
  sgi_tokenizer_files q = {.paths = c->args,
                           .n = (size_t)c->n_args,
                           .field = cli_string(c, "field"),
                           .blank_lines = cli_choice(c, "split") == 1,
                           .max_bytes = cli_size(c, "max-bytes"),
                           .training = {.vocab_size = cli_size(c, "vocab-size"),
                                        .full_alphabet = cli_choice(c, "alphabet") == 0,
                                        .nfkc = cli_flag(c, "nfkc"),
                                        .prefix_space = cli_flag(c, "prefix-space"),
                                        .progress = merged,
                                        .user = &w},
                           .say = say,
                           .begun = begun,
                           .read = read_on,
                           .user = &w};
  q.training.special = cli_list(c, "special", &q.training.n_special);
  if (!q.training.n_special) q.training.special = usual, q.training.n_special = SGI_COUNT(usual);
  cli_signals_install();
  sg_status st = sgi_tokenizer_make(&q, &t, &made, &err);
  if (w.begun) cli_progress_end(&w.bar);
  if (!st) st = sg_tokenizer_save(t, cli_string(c, "output"), &err);
  int code = st ? cli_fail(&err) : report(c, &made, t);
  sg_tokenizer_free(t);
  return code;
}

static const cli_option options[] = {
    {.name = "vocab-size",
     .letter = 'n',
     .required = true,
     .type = CLI_SIZE,
     .argument = "N",
     .min = 1,
     .max = 1 << 24,
     .help = "number of tokens, special ones and single bytes among them"},
    {.name = "alphabet",
     .type = CLI_CHOICE,
     .argument = "full|seen",
     .value = "full",
     .help = "a token for each of the 256 bytes, or only for those in the text (others are lost in encoding)"},
    {.name = "special",
     .type = CLI_LIST,
     .argument = "TEXT",
     .value_text = "<|pad|> <|endoftext|>",
     .help = "special tokens, which get the first ids in this order"},
    {.name = "nfkc", .type = CLI_FLAG, .value = "on", .help = "normalise text by NFKC"},
    {.name = "prefix-space", .type = CLI_FLAG, .value = "on", .help = "put a space in front of a text's first word"},
    {.name = "split",
     .type = CLI_CHOICE,
     .argument = "endoftext|blank-lines",
     .value = "endoftext",
     .help = "where a document of .txt ends"},
    {.name = "field", .type = CLI_STRING, .argument = "NAME", .value = "text", .help = "field of .jsonl with the text"},
    {.name = "max-bytes",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value_text = "all",
     .help = "stop reading once this much text was read"},
    CLI_REQUIRED_OUTPUT("TOKENIZER.json", "file to write"),
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_tokenizer_train = {
    .name = "tokenizer train",
    .group = "Text",
    .summary = "make a byte-level BPE tokenizer from text",
    .usage = "--vocab-size N FILE... -o TOKENIZER.json",
    .examples =
        "# the tokenizer of a TinyStories model\nsgatlin tokenizer train -n 8192 stories/train.txt -o "
        "tokenizer.json\n"
        "# from JSON lines, compressed, only their first 100 MB\nsgatlin tokenizer train -n 4096 --field body "
        "--max-bytes 100M news.jsonl.zst -o tokenizer.json",
    .description =
        "FILE is .txt (documents between <|endoftext|> marks, or blank lines as told) or .jsonl, plain, .gz or .zst, "
        "or a directory of such files. A document is taken with its white space; only the line breaks beside a mark "
        "are not part of it.\n\n"
        "Merges are those of Hugging Face's trainer with a document as one sequence; of pairs that are equally "
        "frequent, the one of the smallest ids is merged. The file loads there, too.",
    .options = options,
    .min_args = 1,
    .max_args = CLI_ANY,
    .run = run,
};
