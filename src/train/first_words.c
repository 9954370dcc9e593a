/* first_words.c: how a document of the run's text begins. */
#include <string.h>

#include "text/unicode.h"
#include "train/run_state.h"

enum { TOKENS = 12, BYTES = 40, WORDS = 4 };

/* Bytes of the first words: letters, digits and what stands between them on one line. */
static size_t measure(const char *text, size_t n) {
  size_t end = 0, words = 0;
  bool inside = false;
  for (size_t i = 0; i < n && i < BYTES && words < WORDS;) {
    uint32_t c;
    size_t k = sgi_utf8_next(text + i, n - i, &c);
    if (c == SGI_BROKEN || c == 0xFFFD || c < 32 || c == '"' || c == '\\' || c == '$' || c == '`' || c == '!') break;
    int class = sgi_unicode_class(c);
    bool word = class == SGI_LETTER || class == SGI_NUMBER;
    if (inside && class == SGI_SPACE) words++, end = i;
    inside = word || (inside && class != SGI_SPACE);
    i += k;
    if (inside && i == n && !words) end = i;
  }
  return end;
}

_Static_assert((int)BYTES < (int)SGI_FIRST_WORDS, "first words");

void sgi_run_first_words(const sgi_run *run, char out[SGI_FIRST_WORDS]) {
  /* The held-out end of a single file may begin within a word. */
  const sgi_corpus *corpus = run->valid && !sgi_is_file(run->data) ? run->valid : run->train;
  size_t documents = corpus ? sgi_corpus_documents(corpus) : 0;
  *out = 0;
  for (size_t i = 0; i < documents && i < 16 && !*out; i++) {
    size_t n, length, from = 0;
    const int32_t *ids = sgi_corpus_document(corpus, i, &n);
    char *text = NULL;
    if (sg_tokenizer_decode(run->tokenizer, ids, n - 1 < TOKENS ? n - 1 : TOKENS, false, &text, &length, NULL)) return;
    while (from < length && text[from] == ' ') from++;
    size_t k = measure(text + from, length - from);
    memcpy(out, text + from, k);
    out[k] = 0;
    sg_buffer_free(text);
  }
}
