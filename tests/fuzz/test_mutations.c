/* test_mutations [EVERY [PART OF [NAME]]]: right files damaged in every way that can be listed,
 * each EVERY-th of them: every bit of the header and of the first data flipped, every byte set to
 * 00, FF, 7F, 80, removed and doubled, every truncation, every number replaced by those that
 * overflow something, every pair of numbers swapped, white space where it means nothing. Each is
 * accepted, or refused with the file's name and what is wrong, within a second of processor time
 * and twice the file plus 64 MB; layout alone changes no meaning. NAME: only inputs that hold
 * it. */
#include <errno.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/file.h"
#include "fuzz/target.h"

enum { MEMORY = 64 << 20, MAX_NUMBERS = 400, MAX_PAIRS = 4000, CHUNK = 4000 };

/* ---- what the process asks of malloc --------------------------------------------------------- */

static atomic_size_t peak;

#ifndef __SANITIZE_ADDRESS__
static void heap_took(size_t bytes, size_t held) {
  (void)bytes;
  size_t most = atomic_load(&peak);
  while (held > most && !atomic_compare_exchange_weak(&peak, &most, held)) continue;
}
#endif
#include "support/heap.h"

/* ---- seeds ----------------------------------------------------------------------------------- */

typedef struct seed {
  const fuzz_target *target;
  const char *file;
  size_t fixed;  /* bytes in front that say which kind of file follows: left as they are */
  size_t region; /* bytes whose every bit is flipped; 0: all */
  bool json;     /* white space means nothing */
} seed;

static const seed seeds[] = {{&fuzz_safetensors, "safetensors/plain", 0, 0, false},
                             {&fuzz_safetensors, "safetensors/types", 0, 0, false},
                             {&fuzz_safetensors, "safetensors/many", 0, 0, false},
                             {&fuzz_safetensors, "safetensors/scalar", 0, 0, false},
                             {&fuzz_config, "config/sgatlin_product_dense_identity", 0, 0, true},
                             {&fuzz_config, "config/moe", 0, 0, true},
                             {&fuzz_settings, "settings/settings", 0, 0, true},
                             {&fuzz_settings, "settings/run", 0, 0, true},
                             {&fuzz_state, "state/plain", 0, 0, true},
                             {&fuzz_bundle, "bundle/two", 0, 0, true},
                             {&fuzz_recording, "recording/recording", 1, 0, true},
                             {&fuzz_recording, "recording/shard-00000", 1, 1400, false},
                             {&fuzz_recording, "recording/index-layer-0", 1, 700, false},
                             {&fuzz_tokenizer, "tokenizer/tiny", 0, 0, true},
                             {&fuzz_tokenizer, "tokenizer/eval", 0, 3000, true},
                             {&fuzz_graph, "graph/small", 0, 3000, true},
                             {&fuzz_reader, "reader/jsonl", 1, 0, false},
                             {&fuzz_reader, "reader/txt", 1, 0, false},
                             {&fuzz_reader, "reader/gz", 1, 0, false},
                             {&fuzz_reader, "reader/zst", 1, 0, false},
                             {&fuzz_reader, "reader/jsonl_gz", 1, 0, false},
                             {&fuzz_reader, "reader/jsonl_zst", 1, 0, false}};
enum { SEEDS = sizeof seeds / sizeof *seeds };

typedef struct span {
  size_t at, n;
} span;

typedef struct original {
  char *data;
  size_t n, from, to; /* [from, to): the region */
  span numbers[MAX_NUMBERS];
  size_t n_numbers, n_pairs;
  uint64_t meaning;
} original;

static bool digit(char c) { return c >= '0' && c <= '9'; }

static void find_numbers(original *o) {
  for (size_t i = o->from; i < o->to && o->n_numbers < MAX_NUMBERS; i++) {
    if (!digit(o->data[i])) continue;
    size_t k = i;
    while (k < o->n && (digit(o->data[k]) || strchr(".eE+-", o->data[k] ? o->data[k] : 'x'))) k++;
    o->numbers[o->n_numbers++] = (span){i, k - i};
    i = k;
  }
  o->n_pairs = o->n_numbers * (o->n_numbers - 1) / 2;
  if (!o->n_numbers || o->n_pairs > MAX_PAIRS) o->n_pairs = o->n_numbers ? MAX_PAIRS : 0;
}

/* ---- mutations by number --------------------------------------------------------------------- */

static const char *const lies[] = {"-1",
                                   "0",
                                   "2147483648",
                                   "4294967296",
                                   "9007199254740992",
                                   "9223372036854775808",
                                   "18446744073709551615",
                                   "1e308",
                                   "0.5",
                                   "\"1\"",
                                   "null",
                                   "[]"};
enum { LIES = sizeof lies / sizeof *lies, BITS = 8, BYTES = 4, LENGTHS = 14 };
typedef enum kind { FLIP, BYTE, CUT, REMOVE, DOUBLE, LIE, SWAP, HEAD, LAYOUT, KINDS } kind;
static const char *const kind_names[] = {"bit",    "byte",    "cut",    "removed", "doubled",
                                         "number", "swapped", "length", "layout"};

static size_t count_of(const seed *s, const original *o, kind k) {
  size_t region = o->to - o->from;
  switch (k) {
    case FLIP: return region * BITS;
    case BYTE: return region * BYTES;
    case CUT: return o->n - o->from;
    case REMOVE:
    case DOUBLE: return region;
    case LIE: return o->n_numbers * LIES;
    case SWAP: return o->n_pairs;
    case HEAD: return s->json || s->target == &fuzz_reader ? 0 : LENGTHS;
    case LAYOUT: return s->json ? region : 0;
    default: return 0;
  }
}

static size_t splice(const original *o, char *out, size_t at, size_t cut, const char *with, size_t n) {
  memcpy(out, o->data, at);
  memcpy(out + at, with, n);
  memcpy(out + at + n, o->data + at + cut, o->n - at - cut);
  return o->n - cut + n;
}

static size_t swap(const original *o, char *out, size_t i) {
  size_t a = 0, b;
  if (o->n_pairs == MAX_PAIRS) { /* a spread choice of them */
    a = i * 7919 % (o->n_numbers - 1);
    b = a + 1 + i * 104729 % (o->n_numbers - 1 - a);
  } else {
    while (i >= o->n_numbers - 1 - a) i -= o->n_numbers - 1 - a++;
    b = a + 1 + i;
  }
  span x = o->numbers[a], y = o->numbers[b];
  char *p = out;
  memcpy(p, o->data, x.at), p += x.at;
  memcpy(p, o->data + y.at, y.n), p += y.n;
  memcpy(p, o->data + x.at + x.n, y.at - x.at - x.n), p += y.at - x.at - x.n;
  memcpy(p, o->data + x.at, x.n), p += x.n;
  memcpy(p, o->data + y.at + y.n, o->n - y.at - y.n);
  return o->n;
}

/* The eight bytes in front of a header say how long it is. */
static void put_length(const original *o, char *out, size_t i) {
  const uint64_t sizes[LENGTHS] = {0,        1,          2,        7,          8,          o->n - 9,   o->n - 8,
                                   o->n - 7, 100u << 20, 1u << 31, 1ull << 32, 1ull << 53, 1ull << 63, UINT64_MAX};
  memcpy(out + o->from, &sizes[i], 8);
}

/* True where white space at that place is between two words of JSON. */
static bool between(const original *o, size_t at) {
  bool quoted = false;
  for (size_t i = o->from; i < at; i++) {
    if (quoted && o->data[i] == '\\')
      i++;
    else if (o->data[i] == '"')
      quoted = !quoted;
  }
  return !quoted && at > o->from && strchr(",:[]{}", o->data[at - 1]);
}

/* The input into out (room for n + 32); its size, SIZE_MAX: there is none of that number. */
static size_t mutate(const original *o, kind k, size_t i, char *out) {
  static const unsigned char bytes[BYTES] = {0x00, 0xFF, 0x7F, 0x80};
  memcpy(out, o->data, o->n);
  switch (k) {
    case FLIP: out[o->from + i / BITS] ^= (char)(1 << i % BITS); return o->n;
    case BYTE: out[o->from + i / BYTES] = (char)bytes[i % BYTES]; return o->n;
    case CUT: return o->from + i;
    case REMOVE: return splice(o, out, o->from + i, 1, "", 0);
    case DOUBLE: return splice(o, out, o->from + i, 0, o->data + o->from + i, 1);
    case LIE:
      return splice(o, out, o->numbers[i / LIES].at, o->numbers[i / LIES].n, lies[i % LIES], strlen(lies[i % LIES]));
    case SWAP: return swap(o, out, i);
    case HEAD: put_length(o, out, i); return o->n;
    case LAYOUT: return between(o, o->from + i) ? splice(o, out, o->from + i, 0, " \n\t", 3) : SIZE_MAX;
    default: return SIZE_MAX;
  }
}

/* ---- trying ---------------------------------------------------------------------------------- */

static FILE *say;
static size_t failures;

static void wrong(const seed *s, kind k, size_t i, const char *what, const char *text) {
  if (failures++ < 60) fprintf(say, "FAIL  %s, %s %zu: %s: %s\n", s->file, kind_names[k], i, what, text), fflush(say);
}

static void try_one(const seed *s, const original *o, kind k, size_t i, const char *data, size_t n) {
  static fuzz_outcome out;
  memset(&out, 0, sizeof out);
  size_t before = atomic_load(&heap_held);
  atomic_store(&peak, before);
  double start = sgi_cpu_now();
  s->target->run((const uint8_t *)data, n, &out);
  double took = sgi_cpu_now() - start;
  size_t used = atomic_load(&peak) - before;
  char number[80];
  if (took > 1 && heap_counts) snprintf(number, sizeof number, "%.2f s", took), wrong(s, k, i, "took", number);
  if (heap_counts && used > 2 * n + MEMORY)
    snprintf(number, sizeof number, "%zu bytes for %zu", used, n), wrong(s, k, i, "took", number);
  if (k == LAYOUT && (out.status || out.meaning != o->meaning)) wrong(s, k, i, "another meaning", out.err.text);
  if (!out.status) return;
  const char *slash = strrchr(out.path, '/'), *file = slash ? slash + 1 : out.path;
  if (out.status == SG_ERR_MEMORY || out.status == SG_ERR_INTERNAL)
    wrong(s, k, i, sg_status_text(out.status), out.err.text);
  if (!strstr(out.err.text, file) && !strstr(out.err.text, "bundle/") &&
      !strstr(out.err.text, "rec/")) /* or a file that does not fit it */

    wrong(s, k, i, "the file is not named", out.err.text);
  if (strlen(out.err.text) < strlen(file) + 10) wrong(s, k, i, "no reason", out.err.text);
}

typedef struct work {
  size_t every, part, of, done;
  size_t *at; /* shared: where a child is */
} work;

/* Every numbers of [from, to) of one kind, in a child: a crash is told with its number. */
static void chunk(const seed *s, const original *o, kind k, size_t from, size_t to, work *w) {
  fflush(say);
  pid_t pid = fork();
  if (!pid) {
    char *data = malloc(o->n + 64);
    for (size_t i = from; i < to; i += w->every) {
      size_t n = mutate(o, k, i, data);
      *w->at = i;
      if (n != SIZE_MAX) try_one(s, o, k, i, data, n);
    }
    fflush(say);
    _exit(failures > 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status))
    wrong(s, k, *w->at, "ended by a signal", strsignal(WTERMSIG(status)));
  else if (WEXITSTATUS(status))
    failures++;
}

static size_t try_seed(const seed *s, work *w) {
  original o = {.from = s->fixed};
  char path[300];
  sg_error err = {0};
  static fuzz_outcome out;
  static size_t number;
  size_t before = w->done;
  snprintf(path, sizeof path, "tests/fuzz/corpus/%s", s->file);
  fuzz_expect(!sgi_read_file(path, 1 << 24, &o.data, &o.n, &err), err.text);
  o.to = s->region && s->region < o.n ? s->region : o.n;
  find_numbers(&o);
  memset(&out, 0, sizeof out);
  s->target->run((const uint8_t *)o.data, o.n, &out);
  o.meaning = out.meaning;
  if (out.status) wrong(s, FLIP, 0, "the right file is refused", out.err.text);
  for (int k = 0; k < KINDS; k++) {
    size_t n = count_of(s, &o, (kind)k), step = w->every * CHUNK;
    for (size_t from = 0; from < n; from += step) {
      if (number++ % w->of != w->part) continue;
      size_t first = from + (from / step * 7 + (size_t)k * 3) % w->every, to = from + step < n ? from + step : n;
      if (first >= to) continue;
      chunk(s, &o, (kind)k, first, to, w);
      w->done += (to - first + w->every - 1) / w->every;
    }
  }
  fprintf(say, "%-44s %6zu bytes, %6zu mutations\n", s->file, o.n, w->done - before);
  fflush(say);
  sgi_free(o.data);
  return w->done;
}

int main(int argc, char **argv) {
  work w = {.every = argc > 1 ? strtoull(argv[1], NULL, 10) : 25, .of = 1};
  if (argc > 3) {
    w.part = strtoull(argv[2], NULL, 10);
    w.of = strtoull(argv[3], NULL, 10);
  }
  if (!w.every || !w.of) return 2;
  omp_set_num_threads(1); /* children are forked */
  say = fdopen(dup(1), "w");
  w.at = mmap(NULL, sizeof *w.at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (!say || w.at == MAP_FAILED) return 2;
  for (size_t i = 0; fuzz_targets[i]; i++)
    for (size_t k = 0; k < SEEDS; k++)
      if (seeds[k].target == fuzz_targets[i] && fuzz_targets[i]->begin) {
        fuzz_targets[i]->begin();
        break;
      }
  for (size_t i = 0; i < SEEDS; i++)
    if (argc < 5 || strstr(seeds[i].file, argv[4])) try_seed(&seeds[i], &w);
  fprintf(say, "mutations: %zu, %zu failed\n", w.done, failures);
  return failures ? 1 : 0;
}
