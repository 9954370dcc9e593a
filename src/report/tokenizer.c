#include "tokenizer.h"

#include "text/json_line.h"
#include "text/reader.h"
#include "text/tokenizer.h"

/* ---- a file ---------------------------------------------------------------------------------- */

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

json_t *sgi_tokenizer_json(const sg_tokenizer *t, const char *path) {
  json_t *added = json_array();
  for (size_t i = 0; i < t->n_added; i++) {
    const sgi_token *k = &t->tokens[t->added[i]];
    json_array_append_new(
        added, json_pack("{s:i, s:o}", "id", t->added[i], "text", sgi_report_text(t->text.data + k->begin, k->n)));
  }
  return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:o, s:b, s:b, s:o}", "file", path, "model", "BPE",
                   "vocab_size", (json_int_t)t->vocab_size, "merges", (json_int_t)t->n_merges, "single_bytes",
                   (json_int_t)single_bytes(t), "longest_token", (json_int_t)longest(t), "normalizer", form_name(t),
                   "pre_tokenizer", cuts_json(t), "ignore_merges", t->whole_first, "prefix_space",
                   t->split.add_prefix_space, "added", added);
}

bool sgi_token_special(const sg_tokenizer *t, int32_t id) {
  return id >= 0 && (size_t)id < t->vocab_size && t->tokens[id].special;
}

/* ---- lines ----------------------------------------------------------------------------------- */

struct sgi_mended {
  sgi_text_notes notes;
};

sg_status sgi_tokenizer_line(const sg_tokenizer *tok, const char *line, size_t n, const char *field, const char *file,
                             const char *place, uint64_t number, sgi_mended **notes, int32_t **ids, size_t *count,
                             sg_error *err) {
  json_error_t e;
  sgi_line_mended now = {0};
  if (!*notes && !(*notes = sgi_alloc(sizeof **notes))) return sgi_fail_memory(err, sizeof **notes, "notes");
  json_t *o = sgi_json_line(line, n, &now, &e);
  const json_t *text = json_object_get(o, field);
  sg_status st = SG_OK;
  if (!o)
    st = json_error_code(&e) == json_error_out_of_memory
             ? sgi_fail_memory(err, n, place)
             : sgi_fail(err, SG_ERR_FORMAT, "%s: not valid JSON: %s", place, e.text);
  else if (!json_is_string(text))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" is %s, expected a string", place, field, text ? "none" : "missing");
  if (!st) st = sg_tokenizer_encode(tok, json_string_value(text), json_string_length(text), ids, count, err);
  json_decref(o);
  if (!st) sgi_text_notes_mended(&(*notes)->notes, file, number, now.broken, now.halves);
  return st;
}

void sgi_mended_say(const sgi_mended *notes, void (*say)(void *user, const char *text), void *user) {
  if (notes) sgi_text_notes_say(&notes->notes, say, user);
}

void sgi_mended_free(sgi_mended *notes) { sgi_free(notes); }

/* ---- from text ------------------------------------------------------------------------------- */

typedef struct reading {
  const sgi_tokenizer_files *q;
  sgi_words words;
  size_t documents, bytes;
  uint64_t before; /* bytes of the files that are done */
  sgi_text_notes notes;
} reading;

static bool full(const reading *w) { return w->q->max_bytes && w->bytes >= w->q->max_bytes; }

static sg_status read_file(reading *w, const char *path, sg_error *err) {
  sgi_reader *r;
  const char *text = NULL;
  size_t n;
  sg_status st = sgi_reader_open(path, w->q->blank_lines, w->q->field, &r, err);
  if (st) return st;
  sgi_reader_keep_space(r);
  while (!full(w) && !(st = sgi_reader_next(r, &text, &n, err)) && text) {
    if ((st = sgi_words_add(&w->words, text, n, err))) break;
    w->documents++;
    w->bytes += n;
    if (w->q->read && !w->q->read(w->q->user, w->before + sgi_reader_position(r))) {
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped; nothing was written");
      break;
    }
  }
  w->before += sgi_reader_position(r);
  sgi_text_notes_add(&w->notes, sgi_reader_notes(r));
  sgi_reader_close(r);
  return st;
}

static sg_status read_all(reading *w, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < w->q->n && !st && !full(w); i++) {
    char **files;
    size_t n;
    st = sgi_text_files(w->q->paths[i], w->q->field, &w->notes, &files, &n, err);
    for (size_t k = 0; k < n && !st && !full(w); k++) st = read_file(w, files[k], err);
    sgi_text_files_free(files, n);
  }
  if (w->q->say) sgi_text_notes_say(&w->notes, w->q->say, w->q->user);
  if (!st && !w->documents) st = sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", w->q->paths[0]);
  return st;
}

sg_status sgi_tokenizer_make(const sgi_tokenizer_files *q, sg_tokenizer **out, sgi_tokenizer_made *made,
                             sg_error *err) {
  reading w = {.q = q, .words = {.nfkc = q->training.nfkc, .prefix_space = q->training.prefix_space}};
  *out = NULL;
  if (q->begun) q->begun(q->user, false);
  sg_status st = read_all(&w, err);
  if (!st && q->begun) q->begun(q->user, true);
  if (!st) st = sgi_tokenizer_train_words(&q->training, &w.words, out, err);
  if (!st) *made = (sgi_tokenizer_made){w.documents, w.bytes, w.words.n, (*out)->n_merges};
  sgi_words_deinit(&w.words);
  return st;
}
