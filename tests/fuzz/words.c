/* words.c: command lines, settings, edits, shapes of products. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cli/cli.h"
#include "../cli/reading.h"
#include "core/arena.h"
#include "fuzz/target.h"
#include "math/gemm.h"
#include "train/settings.h"

/* Words end with a line break. Parsed only: no command runs. */
enum { WORDS = 40 };

static size_t split(char *text, char **words) {
  size_t n = 0;
  for (char *p = text; p && n < WORDS;) {
    words[n++] = p;
    p = strchr(p, '\n');
    if (p) *p++ = '\0';
  }
  words[n] = NULL;
  return n;
}

static void parse(const cli_command *command, int argc, char **argv) {
  cli_call c = {0};
  int at = 1;
  if (!cli_call_begin(&c, command) && !cli_parse(&c, argc, argv, &at) && (!command || !cli_call_complete(&c))) {
    fuzz_expect(at <= argc, "read past the last word");
    if (command) fuzz_expect(c.n_args >= command->min_args && c.n_args <= command->max_args, "a number of arguments");
  }
  cli_call_free(&c);
}

static void settings(char **words) {
  sgi_assignments a = {0};
  sgi_settings s;
  sg_error err = {0};
  sg_status st = SG_OK;
  for (size_t i = 0; words[i] && !st; i++) st = sgi_assign_text(&a, words[i], NULL, &err);
  if (!st) st = sgi_settings_resolve(&a, &s, &err);
  fuzz_expect(!st || *err.text, "a refusal without a word");
  sgi_assignments_free(&a);
}

static void begin_words(void) {
  if (!freopen("/dev/null", "w", stdout)) exit(2);
  if (!getenv("FUZZ_VERBOSE")) fclose(stderr), stderr = fopen("/dev/null", "w"); /* thousands of messages a second */
}

static void run_words(const uint8_t *data, size_t n, fuzz_outcome *out) {
  char *words[WORDS + 2], *text;
  (void)out;
  if (n > 4096) return;
  text = malloc(n + 1);
  if (!text) return;
  memcpy(text, data, n);
  text[n] = '\0';
  words[0] = (char[]){"sgatlin"};
  size_t count = split(text, words + 1);
  parse(NULL, (int)count + 1, words);
  for (size_t i = 0; i < cli_command_count(); i++) parse(cli_command_at(i), (int)count + 1, words);
  settings(words + 1);
  size_t *numbers = NULL, k;
  sg_neuron_id *units = NULL;
  sg_error err = {0};
  if (!cli_number_list(words[1], "--x", &numbers, &k, &err))
    for (size_t i = 1; i < k; i++) fuzz_expect(numbers[i - 1] < numbers[i], "numbers out of order");
  sgi_free(numbers);
  cli_unit_list(words[1], &units, &k, &err);
  sgi_free(units);
  free(text);
}

/* ---- edits ------------------------------------------------------------------------------- */

static void run_edit(const uint8_t *data, size_t n, fuzz_outcome *out) {
  char text[4097];
  sg_edit e = {0};
  if (n > 4096) return;
  memcpy(text, data, n);
  text[n] = '\0';
  out->status = sg_edit_parse(text, &e, &out->err);
  fuzz_expect(!out->status || *out->err.text, "a refusal without a word");
  if (out->status) return;
  fuzz_expect(memchr(e.site, 0, sizeof e.site) && *e.site, "an edit without a site");
  fuzz_expect(e.n_axes <= SG_EDIT_AXES, "too many axes");
  for (size_t i = 0; i < e.n_axes; i++)
    fuzz_expect(memchr(e.axes[i].name, 0, sizeof e.axes[i].name), "a name without an end");
  out->meaning = fuzz_mix(0, e.site, strlen(e.site));
}

/* ---- products ---------------------------------------------------------------------------- */

/* Shapes, strides and values from the input; compared with the plain sum. */
static void run_gemm(const uint8_t *data, size_t n, fuzz_outcome *out) {
  (void)out;
  if (n < 8) return;
  bool ta = data[0] & 1, tb = data[0] & 2;
  float beta = data[0] & 4 ? 1 : 0;
  size_t m = data[1] % 20, cols = data[2] % 40, k = data[3] % 24;
  size_t lda = (ta ? m : k) + data[4] % 4, ldb = (tb ? k : cols) + data[5] % 4, ldc = cols + data[6] % 4;
  if (!lda || !ldb || !ldc) return;
  size_t sizes[3] = {(ta ? k : m) * lda, (tb ? cols : k) * ldb, m * ldc};
  float *x[3], *want = NULL;
  for (int i = 0; i < 3; i++) {
    x[i] = malloc((sizes[i] + 1) * sizeof(float));
    if (!x[i]) abort();
    for (size_t j = 0; j < sizes[i]; j++) x[i][j] = (float)((int)data[(7 + j * 13 + (size_t)i) % n] - 128) / 16;
  }
  want = malloc((sizes[2] + 1) * sizeof(float));
  if (!want) abort();
  memcpy(want, x[2], sizes[2] * sizeof(float));
  for (size_t r = 0; r < m; r++)
    for (size_t c = 0; c < cols; c++) {
      double sum = beta > 0 ? (double)x[2][r * ldc + c] : 0;
      for (size_t i = 0; i < k; i++)
        sum +=
            (double)(ta ? x[0][i * lda + r] : x[0][r * lda + i]) * (double)(tb ? x[1][c * ldb + i] : x[1][i * ldb + c]);
      want[r * ldc + c] = (float)sum;
    }
  fuzz_expect(!sgi_gemm(ta, tb, m, cols, k, x[0], lda, x[1], ldb, beta, x[2], ldc), "a product fails");
  for (size_t j = 0; j < sizes[2]; j++)
    fuzz_expect(fabs((double)x[2][j] - (double)want[j]) <= 1e-3, "another product, or a write between the rows");
  for (int i = 0; i < 3; i++) free(x[i]);
  free(want);
}

const fuzz_target fuzz_words = {"words", begin_words, run_words};
const fuzz_target fuzz_edit = {"edit", NULL, run_edit};
const fuzz_target fuzz_gemm = {"gemm", NULL, run_gemm};
