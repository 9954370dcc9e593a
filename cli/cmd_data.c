/* cmd_data.c: makes text to train on. */
#include <dirent.h>
#include <string.h>

#include "cli.h"
#include "core/file.h"
#include "core/json.h"
#include "text/worlds.h"

static void progress(void *user, size_t done, size_t total) {
  (void)total;
  cli_progress_update(user, (double)done, NULL);
}

static bool stop(void *user) {
  (void)user;
  return cli_stop != 0;
}

/* No directory with something in it but what a killed process had not given its name yet. */
static bool is_empty(const char *directory) {
  DIR *d = opendir(directory);
  if (!d) return true; /* not there, or no directory: making it will tell */
  bool empty = true;
  for (const struct dirent *e; empty && (e = readdir(d));)
    empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || strstr(e->d_name, ".json.tmp-");
  closedir(d);
  return empty;
}

/* What this command wrote about a corpus, or about one that it was killed in; NULL where there is
 * none. */
static json_t *old_corpus(const char *directory, const char *file) {
  char *path = sgi_path_join(directory, file);
  json_t *old = NULL;
  sg_error ignored;
  if (path && sgi_is_file(path) && sgi_json_load(path, &old, &ignored)) old = NULL;
  sgi_free(path);
  const char *name = json_string_value(json_object_get(old, "corpus"));
  if (name && !strcmp(name, "worlds") && json_is_string(json_object_get(old, "seed"))) return old;
  json_decref(old);
  return NULL;
}

/* 0 where writing loses nothing: the directory is new, empty, or holds the same corpus. */
static int check_directory(const char *directory, size_t n, const char *seed) {
  if (is_empty(directory)) return 0;
  json_t *old = old_corpus(directory, "corpus.json");
  if (!old) old = old_corpus(directory, sgi_worlds_part);
  int code = 0;
  if (!old) {
    code = cli_failed(SG_ERR_IO, "%s holds other files and no corpus worlds; --force writes into it", directory);
  } else {
    const char *was = json_string_value(json_object_get(old, "seed"));
    json_int_t stories = json_integer_value(json_object_get(old, "stories"));
    if ((uint64_t)stories != n || strcmp(was, seed))
      code = cli_failed(SG_ERR_IO, "%s holds worlds of %lld stories with seed %s; --force replaces it", directory,
                        (long long)stories, was);
  }
  json_decref(old);
  return code;
}

static json_t *files_json(const char *directory) {
  json_t *files = json_object();
  for (size_t i = 0; sgi_worlds_files[i]; i++) {
    char *path = sgi_path_join(directory, sgi_worlds_files[i]);
    if (path) json_object_set_new(files, sgi_worlds_files[i], sgi_report_text(path, strlen(path)));
    sgi_free(path);
  }
  return files;
}

static int run(const cli_call *c) {
  const char *directory = cli_string(c, "output");
  size_t n = cli_size(c, "stories");
  char seed[24];
  snprintf(seed, sizeof seed, "%llu", (unsigned long long)cli_u64(c, "seed"));
  int code = cli_flag(c, "force") ? 0 : check_directory(directory, n, seed);
  if (code) return code;
  sg_error err = {0};
  sgi_worlds_summary s;
  cli_progress bar;
  cli_signals_install();
  cli_progress_begin(&bar, "writing worlds", "stories", (double)n, 0);
  sgi_worlds_watch watch = {progress, stop, &bar};
  sg_status st = sgi_worlds_write(directory, n, cli_u64(c, "seed"), &watch, &s, &err);
  cli_progress_end(&bar);
  if (st) return cli_fail(&err);
  if (!cli_flag(c, "json")) {
    cli_note(
        "wrote train.txt, valid.txt, topics.jsonl, labels.json, facts.json and corpus.json into %s: %zu stories of "
        "%zu topics, %zu words (%zu distinct), %zu facts",
        directory, s.stories, s.topics, s.words, s.distinct_words, s.facts);
    return 0;
  }
  return cli_json(json_pack("{sI ss sI sI sI sI so}", "stories", (json_int_t)s.stories, "seed", seed, "words",
                            (json_int_t)s.words, "distinct_words", (json_int_t)s.distinct_words, "topics",
                            (json_int_t)s.topics, "facts", (json_int_t)s.facts, "files", files_json(directory)));
}

static const cli_option options[] = {{.name = "stories",
                                      .letter = 'n',
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "20000",
                                      .min = SGI_WORLDS_MIN,
                                      .max = SGI_WORLDS_MAX,
                                      .help = "stories to write, one in 20 of them into valid.txt"},
                                     CLI_SEED_OPTION,
                                     CLI_REQUIRED_OUTPUT("DIR", "directory for the corpus"),
                                     {.name = "force",
                                      .letter = 'f',
                                      .type = CLI_FLAG,
                                      .help = "write into a directory that holds another corpus or other files"},
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_data_worlds = {
    .name = "data worlds",
    .group = "Text",
    .summary = "write the built-in corpus of stories, with its ground truth",
    .usage = "[--stories N] [--seed N] -o DIR",
    .examples =
        "# the corpus of the demo\nsgatlin data worlds -o worlds\n# a larger one, its counts for a script\nsgatlin "
        "data worlds -n 100000 --seed 7 -o worlds-large --json",
    .description =
        "Stories for children, made from a grammar: no two are equal, and train.txt and valid.txt have none in common. "
        "topics.jsonl says what each story is about, labels.json which words belong to which category, and facts.json "
        "which "
        "invented facts hold in all of them. Equal seeds give equal bytes on any machine.",
    .options = options,
    .run = run,
};
