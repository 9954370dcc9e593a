/* cmd_data.c: makes text to train on. */
#include "cli.h"
#include "report/worlds.h"

static void progress(void *user, size_t done, size_t total) {
  (void)total;
  cli_progress_update(user, (double)done, NULL);
}

static bool stop(void *user) {
  (void)user;
  return cli_stop != 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_progress bar;
  const sgi_worlds_request q = {.directory = cli_string(c, "output"),
                                .stories = cli_size(c, "stories"),
                                .seed = cli_u64(c, "seed"),
                                .force = cli_flag(c, "force"),
                                .progress = progress,
                                .stop = stop,
                                .user = &bar};
  if (sgi_worlds_check_directory(&q, &err)) return cli_fail(&err);
  json_t *o = NULL;
  cli_signals_install();
  cli_progress_begin(&bar, "writing worlds", "stories", (double)q.stories, 0);
  sg_status st = sgi_worlds_run(&q, &o, &err);
  cli_progress_end(&bar);
  if (st) return cli_fail(&err);
  if (cli_flag(c, "json")) return cli_json(o);
  cli_note(
      "wrote train.txt, valid.txt, topics.jsonl, labels.json, facts.json and corpus.json into %s: %zu stories of "
      "%zu topics, %zu words (%zu distinct), %zu facts",
      q.directory, sgi_field_size(o, "stories"), sgi_field_size(o, "topics"), sgi_field_size(o, "words"),
      sgi_field_size(o, "distinct_words"), sgi_field_size(o, "facts"));
  json_decref(o);
  return 0;
}

static const cli_option options[] = {{.name = "stories",
                                      .letter = 'n',
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "20000",
                                      .min = SGI_STORIES_MIN,
                                      .max = SGI_STORIES_MAX,
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
