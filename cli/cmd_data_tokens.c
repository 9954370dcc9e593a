/* cmd_data_tokens.c: text to tokens ahead of training, and how fast that is here. */
#include <omp.h>
#include <string.h>
#include <sys/resource.h>

#include "cli.h"
#include "own_text.h"
#include "text_form.h"

typedef struct watch {
  cli_progress bar;
  uint64_t bytes; /* of the files as they lie on disk, or of the stream */
} watch;

static bool progress(void *user, uint64_t done, uint64_t total) {
  watch *w = user;
  w->bar.total = (double)total;
  w->bytes = done > w->bytes ? done : w->bytes;
  cli_progress_update(&w->bar, (double)done, NULL);
  return !cli_stop;
}

static int report(const cli_call *c, const sgi_corpus *corpus, double seconds, double cpu, uint64_t bytes) {
  struct rusage used = {0};
  getrusage(RUSAGE_SELF, &used);
  double text = (double)bytes / 1e6;
  if (cli_flag(c, "json"))
    return cli_json(json_pack("{s:I, s:I, s:I, s:f, s:f, s:I, s:I}", "documents",
                              (json_int_t)sgi_text_documents(corpus), "tokens", (json_int_t)sgi_text_tokens(corpus),
                              "bytes", (json_int_t)bytes, "seconds", seconds, "cpu_seconds", cpu, "threads",
                              (json_int_t)omp_get_max_threads(), "peak_rss_bytes", (json_int_t)used.ru_maxrss * 1024));
  printf("%zu documents, %llu tokens\n", sgi_text_documents(corpus), (unsigned long long)sgi_text_tokens(corpus));
  if (bytes)
    cli_note("%s in %s: %.1f MB/s with %s, %.1f MB per second of one core; at most %s of memory",
             cli_bytes((double)bytes).s, cli_seconds(seconds).s, text / seconds,
             cli_number((uint64_t)omp_get_max_threads(), "thread").s, text / cpu,
             cli_bytes((double)used.ru_maxrss * 1024).s);
  else
    cli_note("they were there already");
  return 0;
}

static sg_status work(const cli_call *c, watch *w, sg_tokenizer **tok, sgi_corpus **corpus, sg_error *err) {
  const sgi_text_watch watching = {.note = cli_told_note, .progress = progress, .user = w};
  sg_text_form form;
  json_t *own = NULL;
  sgi_text text = {.path = (char *)c->args[0]};
  sg_status st = sgi_text_form_of(NULL, cli_string(c, "split"), cli_string(c, "field"), &form, &own, err);
  if (!st && !cli_flag(c, "partial")) st = sgi_text_complete(&text, &form, "go on without (--partial)", err);
  if (!st) st = sg_tokenizer_load(cli_string(c, "tokenizer"), tok, err);
  if (!st && sgi_text_end(*tok) < 0)
    st = sgi_fail(err, SG_ERR_UNSUPPORTED, "%s has no special token <|endoftext|> (or </s>) to end documents with",
                  cli_string(c, "tokenizer"));
  return st ? st : sgi_text_encode(&text, &form, *tok, sgi_text_end(*tok), &watching, corpus, err);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sg_tokenizer *tok = NULL;
  sgi_corpus *corpus = NULL;
  watch w = {0};
  cli_signals_install();
  cli_progress_begin(&w.bar, "tokenising", "B", 0, 0);
  double begin = sgi_now(), cpu = sgi_cpu_now();
  sg_status st = work(c, &w, &tok, &corpus, &err);
  cli_progress_end(&w.bar);
  int code = 0;
  if (!st) code = report(c, corpus, sgi_now() - begin, sgi_cpu_now() - cpu, w.bytes);
  sgi_text_close(corpus);
  sg_tokenizer_free(tok);
  if (st == SG_ERR_CANCELLED && cli_stop) return 128 + cli_stop;
  return st ? cli_fail(&err) : code;
}

static const cli_option options[] = {
    {.name = "tokenizer",
     .letter = 'T',
     .required = true,
     .type = CLI_STRING,
     .argument = "FILE",
     .help = "tokenizer.json"},
    CLI_FORM_OPTIONS,
    {.name = "partial",
     .type = CLI_FLAG,
     .help = "also where shards are missing by the numbers in the names of the others"},
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_data_tokens = {
    .name = "data tokens",
    .group = "Text",
    .summary = "tokenise text ahead of training, and say how fast",
    .usage = "PATH -T tokenizer.json",
    .examples =
        "# shards in SlimPajama's layout (.jsonl.zst), so that a run starts at once\n"
        "sgatlin data tokens DIR/train -T tokenizer.json\n"
        "# a stream: counted, nothing kept\nzstdcat shard-*.zst | sgatlin data tokens - -T tokenizer.json",
    .description =
        "PATH is a text file, a directory of such (in the order of their names), or - for a stream. The tokens are "
        "kept "
        "where training looks for them: beside the text (.sgatlin/), or in the user's cache where that cannot be "
        "written. Text is read 4 MB at a time, tokenised by all threads and written, so memory does not grow with it; "
        "a "
        "stream's tokens lie in a file of $TMPDIR until the command ends. Of numbered files (chunk_0003.jsonl.zst, "
        "train-00003-of-00010.jsonl) none may be missing, unless --partial says so.\n\n"
        "--json keys: documents, tokens, bytes (read, as they lie on disk; 0 where the tokens were there), seconds, "
        "cpu_seconds, threads, peak_rss_bytes.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
