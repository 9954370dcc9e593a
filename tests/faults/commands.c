#include "faults/commands.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/arena.h"
#include "train/checkpoint.h"
#include "core/file.h"
#include "core/json.h"
#include "core/safetensors.h"

#define MODEL "tests/golden/eval/model"
#define TOKENIZER "tests/golden/bpe/stories_alpha_300.json"

const commands_entry commands_all[] = {
    {.name = "train",
     .kind = COMMAND_RUN,
     .begin = {"train",     "--data",
               "$FIX/data", "--tokenizer",
               TOKENIZER,   "-o",
               "$OUT/run",  "--steps",
               "12",        "-t",
               "1",         "-q",
               "--set",     "model.hidden_size=16",
               "--set",     "model.num_hidden_layers=1",
               "--set",     "model.head_dim=8",
               "--set",     "feedforward.num_neurons=16",
               "--set",     "feedforward.num_channels=1",
               "--set",     "feedforward.top_k=2",
               "--set",     "feedforward.key_dim=4",
               "--set",     "train.batch_size=2",
               "--set",     "train.seq_len=16",
               "--set",     "eval.every=6",
               "--set",     "checkpoint.every=3",
               "--set",     "log.every=1"},
     .resume = {"train", "--resume", "-o", "$OUT/run", "-t", "1", "-q"},
     .started = "run/config.json"},
    {.name = "record",
     .kind = COMMAND_RUN,
     .begin = {"record", MODEL, "--data", "$FIX/stories.txt", "-o", "$OUT/rec", "--shard-size", "20000", "-q", "-t",
               "1"}},
    {.name = "token cache",
     .kind = COMMAND_RUN,
     .begin = {"eval", MODEL, "--data", "$OUT/text.txt", "-q", "-t", "1"},
     .leaves = true},
    {.name = "tokenizer train",
     .kind = COMMAND_FILE,
     .begin = {"tokenizer", "train", "-n", "280", "$FIX/stories.txt", "-o", "$OUT/tokenizer.json", "-q", "-t", "1"},
     .older = {"tokenizer", "train", "-n", "270", "$FIX/stories.txt", "-o", "$OUT/tokenizer.json", "-q", "-t", "1"}},
    {.name = "data worlds",
     .kind = COMMAND_RUN,
     .begin = {"data", "worlds", "--stories", "40", "--seed", "2", "-o", "$OUT/worlds", "-q"},
     .leaves = true},
    {.name = "facts mine",
     .kind = COMMAND_FILE,
     .begin = {"facts", "mine", "$FIX/stories.txt", "-o", "$OUT/facts.json", "-q"},
     .older = {"facts", "mine", "$FIX/data/train.txt", "-o", "$OUT/facts.json", "-q"}},
    {.name = "trace",
     .kind = COMMAND_FILE,
     .begin = {"trace", MODEL, "--ids", "$FIX/ids.json", "-o", "$OUT/trace.safetensors", "-q", "-t", "1"},
     .older = {"trace", MODEL, "--ids", "$FIX/ids.json", "--only", "layers.1.*", "-o", "$OUT/trace.safetensors", "-q",
               "-t", "1"}},
    {.name = "graph",
     .kind = COMMAND_FILE,
     .begin = {"graph", MODEL, "--prompt", "The dog was", "-o", "$OUT/g.json", "--svg", "$OUT/g.svg", "-q", "-t", "1"},
     .older = {"graph", MODEL, "--prompt", "The cake was", "-o", "$OUT/g.json", "--svg", "$OUT/g.svg", "-q", "-t",
               "1"}},
    {.name = "coactivation",
     .kind = COMMAND_FILE,
     .begin = {"coactivation", "$FIX/rec", "--layer", "0", "--channel", "0", "-o", "$OUT/co.safetensors", "-q", "-t",
               "1"},
     .older = {"coactivation", "$FIX/rec", "--layer", "1", "--channel", "0", "-o", "$OUT/co.safetensors", "-q", "-t",
               "1"}},
    {.name = "map",
     .kind = COMMAND_FILE,
     .begin = {"map", "$FIX/rec", "--layer", "0", "-o", "$OUT/map.svg", "-q", "-t", "1"},
     .older = {"map", "$FIX/rec", "--layer", "1", "-o", "$OUT/map.svg", "-q", "-t", "1"}},
};
const size_t commands_count = sizeof commands_all / sizeof *commands_all;

bool commands_wanted(const commands_entry *c) {
  const char *only = getenv("FAULTS_ONLY");
  return !only || !strcmp(only, c->name);
}

void commands_fixtures(void) {
  static const char *const record[] = {"record", MODEL, "--data", "$FIX/stories.txt", "-o", "$FIX/rec", "-q",
                                       "-t",     "1",   NULL};
  inside_result r = inside_run(record, NULL);
  if (r.code) inside_wrong("the fixtures' recording: exit code %d: %s", r.code, r.err);
}

/* ---- files below $OUT ------------------------------------------------------------------------ */

typedef struct file_entry {
  char *name; /* below $OUT */
  uint64_t hash;
} file_entry;

struct commands_files {
  file_entry *list;
  size_t count;
};

typedef void (*visit)(const char *path, const char *below, bool directory, void *user);

static void walk(const char *path, const char *below, visit f, void *user) {
  struct dirent **names;
  int n = scandir(path, &names, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    char p[4600], b[1100];
    const char *name = names[i]->d_name;
    struct stat s;
    snprintf(p, sizeof p, "%.4200s/%s", path, name);
    snprintf(b, sizeof b, "%.800s%s%s", below, *below ? "/" : "", name);
    if (strcmp(name, ".") && strcmp(name, "..") && !lstat(p, &s)) {
      f(p, b, S_ISDIR(s.st_mode), user);
      if (S_ISDIR(s.st_mode)) walk(p, b, f, user);
    }
    free(names[i]);
  }
  if (n >= 0) free(names);
}

/* Files whose content is other each time: times of day, rates, process numbers. */
static bool with_times(const char *below) {
  static const char *const names[] = {"metrics.jsonl", "log.txt", "train_state.json", "MANIFEST.json", "lock"};
  const char *slash = strrchr(below, '/'), *name = slash ? slash + 1 : below;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcmp(name, names[i])) return true;
  return false;
}

static void add_file(const char *path, const char *below, bool directory, void *user) {
  commands_files *f = user;
  uint64_t bytes, hash;
  if (directory || with_times(below) || strstr(below, ".tmp-")) return;
  if (sgi_hash_file(path, &bytes, &hash, NULL)) hash = 0;
  size_t n = strlen(below);
  if (n > 7 && !strcmp(below + n - 7, ".tokens")) { /* beside the data or in the user's cache: the same bytes */
    below = "tokens";
    for (size_t i = 0; i < f->count; i++)
      if (!strcmp(f->list[i].name, below) && f->list[i].hash == hash) return;
  }
  f->list = realloc(f->list, (f->count + 1) * sizeof *f->list);
  f->list[f->count++] = (file_entry){strdup(below), hash};
}

commands_files *commands_list(void) {
  commands_files *f = calloc(1, sizeof *f);
  walk(inside_out, "", add_file, f);
  return f;
}

void commands_free(commands_files *f) {
  for (size_t i = 0; i < f->count; i++) free(f->list[i].name);
  free(f->list);
  free(f);
}

uint64_t commands_digest(void) {
  commands_files *f = commands_list();
  uint64_t sum = 1469598103934665603u;
  for (size_t i = 0; i < f->count; i++) {
    sum = XXH3_64bits_withSeed(f->list[i].name, strlen(f->list[i].name), sum);
    sum = XXH3_64bits_withSeed(&f->list[i].hash, sizeof f->list[i].hash, sum);
  }
  commands_free(f);
  return sum;
}

static bool has(const commands_files *f, const file_entry *e) {
  for (size_t i = 0; i < f->count; i++)
    if (!strcmp(f->list[i].name, e->name)) return f->list[i].hash == e->hash;
  return false;
}

void commands_either(const commands_files *a, const commands_files *b, const char *name, const char *when) {
  commands_files *f = commands_list();
  for (size_t i = 0; i < f->count; i++)
    if (!strstr(f->list[i].name, ".tmp-") && !has(a, &f->list[i]) && !has(b, &f->list[i]))
      inside_wrong("%s, %s: %s is neither the older nor the newer file", name, when, f->list[i].name);
  for (size_t i = 0; i < a->count; i++) { /* what stood there still stands, as the older or the newer one */
    size_t k = 0;
    while (k < f->count && strcmp(f->list[k].name, a->list[i].name)) k++;
    if (k == f->count) inside_wrong("%s, %s: %s is gone", name, when, a->list[i].name);
  }
  commands_free(f);
}

static char leftover[1100];

static void find_leftover(const char *path, const char *below, bool directory, void *user) {
  (void)path, (void)directory, (void)user;
  if (strstr(below, ".tmp-") && !*leftover) snprintf(leftover, sizeof leftover, "%s", below);
}

const char *commands_leftover(void) {
  *leftover = '\0';
  walk(inside_out, "", find_leftover, NULL);
  return *leftover ? leftover : NULL;
}

typedef struct sizes {
  size_t largest, total;
} sizes;

static void add_size(const char *path, const char *below, bool directory, void *user) {
  (void)below;
  sizes *z = user;
  struct stat s;
  if (directory || stat(path, &s)) return;
  size_t n = (size_t)s.st_size;
  if (n > z->largest) z->largest = n;
  z->total += (n + 4095) / 4096 * 4096;
}

void commands_sizes(size_t *largest, size_t *total) {
  sizes z = {0};
  walk(inside_out, "", add_size, &z);
  *largest = z.largest;
  *total = z.total;
}

/* ---- whole ----------------------------------------------------------------------------------- */

typedef struct intact {
  const commands_entry *command;
  const char *when;
} intact;

static bool ends(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && !strcmp(s + n - m, end);
}

static void check_pointer(const intact *w, const char *path, const char *below) {
  char *text = NULL, target[4700];
  size_t n;
  sg_error err = {0};
  if (sgi_read_file(path, 256, &text, &n, &err)) {
    inside_wrong("%s, %s: %s", w->command->name, w->when, err.text);
    return;
  }
  snprintf(target, sizeof target, "%.*s/%.*s", (int)(strrchr(path, '/') - path), path, (int)strcspn(text, "\n"), text);
  if (!sgi_is_directory(target)) inside_wrong("%s, %s: %s points at %s", w->command->name, w->when, below, text);
  sgi_free(text);
}

static void check_one(const char *path, const char *below, bool directory, void *user) {
  const intact *w = user;
  sg_error err = {0};
  sg_status st = SG_OK;
  if (strstr(below, ".tmp-")) return;
  if (directory) {
    const char *name = strrchr(below, '/');
    if (name && !strncmp(name, "/step-", 6)) st = sgi_checkpoint_verify(path, &err);
  } else if (ends(below, ".safetensors")) {
    sgi_safetensors *f;
    st = sgi_safetensors_open(path, &f, &err);
    if (!st) sgi_safetensors_close(f);
  } else if (ends(below, ".json")) {
    json_t *o;
    st = sgi_json_load(path, &o, &err);
    if (!st) json_decref(o);
  } else if (ends(below, "/latest") || ends(below, "/best")) {
    check_pointer(w, path, below);
  }
  if (st) inside_wrong("%s, %s: %s is not whole: %s", w->command->name, w->when, below, err.text);
}

void commands_intact(const commands_entry *c, const char *when) {
  intact w = {c, when};
  walk(inside_out, "", check_one, &w);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void copy_text(void) {
  char from[4200], to[4200], *text;
  size_t n;
  snprintf(from, sizeof from, "%s/stories.txt", inside_fix);
  snprintf(to, sizeof to, "%s/text.txt", inside_out);
  if (sgi_read_file(from, 1 << 20, &text, &n, NULL)) return;
  FILE *f = fopen(to, "w");
  if (f) {
    fwrite(text, 1, n, f);
    fclose(f);
  }
  sgi_free(text);
  struct timespec t[2] = {{1700000000, 0}, {1700000000, 0}}; /* the cache keeps the text's time */
  utimensat(-1, to, t, 0);
}

void commands_prepare(const commands_entry *c) {
  inside_clear();
  if (!strcmp(c->name, "token cache")) copy_text();
  if (!c->older[0]) return;
  inside_result r = inside_run(c->older, NULL);
  if (r.code) inside_wrong("%s: what stood there before: exit code %d: %s", c->name, r.code, r.err);
}

const char *const *commands_next(const commands_entry *c) {
  char path[4300];
  if (!c->resume[0]) return c->begin;
  snprintf(path, sizeof path, "%s/%s", inside_out, c->started);
  return access(path, F_OK) ? c->begin : c->resume;
}

uint64_t commands_reference(const commands_entry *c, double *seconds, size_t *calls) {
  inside_result r;
  for (int i = 0; i < 2; i++) { /* the first one warms up */
    commands_prepare(c);
    r = inside_run(c->begin, NULL);
    if (r.code) inside_wrong("%s: exit code %d, signal %d: %s", c->name, r.code, r.signal, r.err);
  }
  if (commands_leftover()) inside_wrong("%s: left %s", c->name, commands_leftover());
  *seconds = r.seconds;
  *calls = r.calls;
  return commands_digest();
}
