/* rows.c: the rows that a run makes of its text. One document a row is the paper's way with short
 * stories; of long documents it would use the first row_length tokens for ever, so where nobody
 * chose, the text decides. What no row holds is always said. */
#include <stdio.h>
#include <string.h>

#include "train/run_state.h"

/* One document a row wastes no more than this part of the tokens, else documents are packed. */
static const double SMALL_PART = 0.1;
/* Where nobody set a batch, an epoch of a small text is cut into so many at least. */
enum { LEAST_BATCHES = 8 };

static double share(uint64_t part, uint64_t whole) { return whole ? (double)part / (double)whole : 0; }

static bool packed(const sgi_settings *s) { return !strcmp(s->rows, "pack"); }

static uint64_t row_count(const sgi_run *run, bool pack) {
  return pack ? sgi_corpus_tokens(run->train) / run->settings.seq_len : sgi_corpus_documents(run->train);
}

/* Settles data.rows=auto. */
static void choose_form(sgi_run *run, const sgi_corpus_fit *fit) {
  sgi_settings *s = &run->settings;
  if (strcmp(s->rows, "auto")) return;
  double beyond = share(fit->beyond, sgi_corpus_tokens(run->train));
  bool pack = beyond > SMALL_PART;
  snprintf(s->rows, sizeof s->rows, pack ? "pack" : "pad");
  if (pack)
    sgi_run_note(
        run,
        "rows: documents one behind the other (data.rows=pack), because %.0f %% of the tokens would lie beyond "
        "rows of one document each and %zu tokens; --set data.rows=pad takes those",
        100 * beyond, s->seq_len);
}

/* A batch that nobody chose is made to fit a small text. */
static void choose_batch(sgi_run *run) {
  sgi_settings *s = &run->settings;
  uint64_t rows = row_count(run, packed(s)), most = rows;
  if (!s->free_batch || s->micro_batch) return;
  if (!s->given_preset && rows / LEAST_BATCHES < s->batch_size) most = rows / LEAST_BATCHES;
  if (most >= s->batch_size) return;
  size_t B = 1;
  while (2 * B <= most) B *= 2;
  sgi_run_note(run,
               "batch: %zu %s instead of the preset's %zu, because the text has %llu of %zu tokens (--set "
               "train.batch_size=N sets it)",
               B, B == 1 ? "row" : "rows", s->batch_size, (unsigned long long)rows, s->seq_len);
  s->batch_size = B;
}

/* What a user can do who asked for more rows a batch than there are: each piece of advice makes the
 * run start. */
static sg_status fail_few_rows(const sgi_run *run, sg_error *err) {
  const sgi_settings *s = &run->settings;
  bool pack = packed(s);
  uint64_t rows = row_count(run, pack), other = row_count(run, !pack), most = rows > other ? rows : other;
  const char *form = pack ? "pad" : "pack";
  char advice[160];
  if (other >= s->batch_size)
    snprintf(advice, sizeof advice, "--set data.rows=%s makes %llu rows", form, (unsigned long long)other);
  else if (most == rows)
    snprintf(advice, sizeof advice, "--set train.batch_size=%llu is the most", (unsigned long long)rows);
  else
    snprintf(advice, sizeof advice, "--set data.rows=%s --set train.batch_size=%llu is the most", form,
             (unsigned long long)most);
  return sgi_fail(
      err, SG_ERR_ARG,
      "the training text has %llu %s with %llu tokens, %llu %s of %zu tokens: fewer than train.batch_size = "
      "%zu; %s",
      (unsigned long long)sgi_corpus_documents(run->train),
      sgi_corpus_documents(run->train) == 1 ? "document" : "documents",
      (unsigned long long)sgi_corpus_tokens(run->train), (unsigned long long)rows,
      pack ? "packed rows" : "rows (one a document)", s->seq_len, s->batch_size, advice);
}

static void say_cut(sgi_run *run, const char *text, uint64_t cut, uint64_t tokens, const char *fate) {
  if (cut)
    sgi_run_note(run,
                 "%s: %llu of %llu tokens (%.3g %%) lie beyond the rows of %zu tokens and are %s; --set data.rows=pack "
                 "uses them",
                 text, (unsigned long long)cut, (unsigned long long)tokens, 100 * share(cut, tokens),
                 run->settings.seq_len, fate);
}

sg_status sgi_run_choose_rows(sgi_run *run, sg_error *err) {
  sgi_settings *s = &run->settings;
  sgi_run_plan *p = &run->plan;
  sgi_corpus_fit fit, valid = {0};
  sgi_corpus_measure(run->train, s->seq_len, &fit);
  if (run->valid) sgi_corpus_measure(run->valid, s->seq_len, &valid);
  if (sgi_corpus_documents(run->train) == 1 && !strcmp(s->split, "endoftext"))
    sgi_run_note(run,
                 "the training text is one document (documents end at <|endoftext|>; --set data.split=blank-lines "
                 "parts them at blank lines)");
  choose_form(run, &fit);
  choose_batch(run);
  if (row_count(run, packed(s)) < s->batch_size) return fail_few_rows(run, err);
  /* Held-out text that fills no packed row is taken a document a row. */
  run->valid_packed = packed(s) && run->valid && sgi_corpus_tokens(run->valid) >= s->seq_len;
  p->train_documents = sgi_corpus_documents(run->train);
  p->train_tokens = sgi_corpus_tokens(run->train);
  p->cut_tokens = packed(s) ? 0 : fit.beyond;
  p->batch_tokens = packed(s)
                        ? (double)s->batch_size * (double)s->seq_len
                        : (double)(p->train_tokens - fit.beyond) * (double)s->batch_size / (double)p->train_documents;
  say_cut(run, "training text", p->cut_tokens, p->train_tokens, "never used");
  if (!run->valid) return SG_OK;
  p->valid_documents = sgi_corpus_documents(run->valid);
  p->valid_tokens = sgi_corpus_tokens(run->valid);
  p->valid_cut_tokens = run->valid_packed ? 0 : valid.beyond;
  say_cut(run, "held-out text", p->valid_cut_tokens, p->valid_tokens, "not evaluated");
  return SG_OK;
}
