/* cmd_tokenizer_train.c: a tokenizer from text. Documents are read one at a time and only their
 * words are kept. */
#include "cli.h"
#include "text_form.h"
#include "text/reader.h"
#include "text/tokenizer.h"

typedef struct work {
  const cli_call *call;
  sgi_words words;
  size_t documents, bytes, max_bytes;
  uint64_t before; /* bytes of the files that are done */
  sgi_text_notes notes;
  cli_progress progress;
} work;

static bool full(const work *w) { return w->max_bytes && w->bytes >= w->max_bytes; }

static sg_status read_file(work *w, const char *path, sg_error *err) {
  sgi_reader *r;
  const char *text = NULL;
  size_t n;
  sg_status st = sgi_reader_open(path, cli_choice(w->call, "split") == 1, cli_string(w->call, "field"), &r, err);
  if (st) return st;
  sgi_reader_keep_space(r);
  while (!full(w) && !(st = sgi_reader_next(r, &text, &n, err)) && text) {
    if ((st = sgi_words_add(&w->words, text, n, err))) break;
    w->documents++;
    w->bytes += n;
    if (cli_stop) {
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped; nothing was written");
      break;
    }
    cli_progress_update(&w->progress, (double)(w->before + sgi_reader_position(r)), NULL);
  }
  w->before += sgi_reader_position(r);
  sgi_text_notes_add(&w->notes, sgi_reader_notes(r));
  sgi_reader_close(r);
  return st;
}

static sg_status read_all(work *w, sg_error *err) {
  sg_status st = SG_OK;
  cli_progress_begin(&w->progress, "reading", "B", 0, 0);
  for (int i = 0; i < w->call->n_args && !st && !full(w); i++) {
    char **files;
    size_t n;
    st = sgi_text_files(w->call->args[i], cli_string(w->call, "field"), &w->notes, &files, &n, err);
    for (size_t k = 0; k < n && !st && !full(w); k++) st = read_file(w, files[k], err);
    sgi_text_files_free(files, n);
  }
  cli_progress_end(&w->progress);
  cli_text_notes(&w->notes);
  if (!st && !w->documents) st = sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", w->call->args[0]);
  return st;
}

static int report(const work *w, const sg_tokenizer *t, size_t wanted) {
  const char *path = cli_string(w->call, "output");
  size_t n = sg_tokenizer_vocab_size(t);
  if (n < wanted) cli_note("%zu tokens instead of %zu: no pair is left to merge", n, wanted);
  if (cli_flag(w->call, "json"))
    return cli_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "file", path, "vocab_size", (json_int_t)n, "merges",
                              (json_int_t)t->n_merges, "documents", (json_int_t)w->documents, "bytes",
                              (json_int_t)w->bytes, "distinct_words", (json_int_t)w->words.n));
  cli_note("wrote %s: %s from %s, %s", path, cli_number(n, "token").s, cli_number(w->documents, "document").s,
           cli_bytes((double)w->bytes).s);
  return 0;
}

static int run(const cli_call *c) {
  static const char *const usual[] = {"<|pad|>", "<|endoftext|>"};
  sg_error err = {0};
  sg_tokenizer *t = NULL;
  work w = {.call = c,
            .max_bytes = cli_size(c, "max-bytes"),
            .words = {.nfkc = cli_flag(c, "nfkc"), .prefix_space = cli_flag(c, "prefix-space")}};
  sg_tokenizer_training s = {.vocab_size = cli_size(c, "vocab-size"),
                             .full_alphabet = cli_choice(c, "alphabet") == 0,
                             .nfkc = w.words.nfkc,
                             .prefix_space = w.words.prefix_space,
                             .progress = cli_progress_advance,
                             .user = &w.progress};
  s.special = cli_list(c, "special", &s.n_special);
  if (!s.n_special) s.special = usual, s.n_special = SGI_COUNT(usual);
  cli_signals_install();
  sg_status st = read_all(&w, &err);
  if (!st) {
    cli_progress_begin(&w.progress, "merging", "merges", 0, 0);
    st = sgi_tokenizer_train_words(&s, &w.words, &t, &err);
    cli_progress_end(&w.progress);
  }
  if (!st) st = sg_tokenizer_save(t, cli_string(c, "output"), &err);
  int code = st ? cli_fail(&err) : report(&w, t, s.vocab_size);
  sg_tokenizer_free(t);
  sgi_words_deinit(&w.words);
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
