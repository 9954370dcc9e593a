/* main.c: the one table of commands, and what happens before and after a command runs. */
#include "cli.h"

#include <fcntl.h>
#include <locale.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/limits.h"
#include "ranks.h"

/* Every command, in the order in which help lists them. One line adds one. */
#define COMMANDS(X) \
  X(cli_data_worlds) \
  X(cli_data_greater_than) \
  X(cli_data_tokens) \
  X(cli_tokenizer_train) \
  X(cli_tokenizer_encode) \
  X(cli_tokenizer_decode) \
  X(cli_tokenizer_info) \
  X(cli_eval) \
  X(cli_generate) \
  X(cli_flops) \
  X(cli_info) \
  X(cli_trace) \
  X(cli_attribute) \
  X(cli_lens) \
  X(cli_graph) \
  X(cli_ablate) \
  X(cli_steer) \
  X(cli_neuron) \
  X(cli_label_make) \
  X(cli_label_list) \
  X(cli_label_set) \
  X(cli_label_export) \
  X(cli_label_import) \
  X(cli_label_score) \
  X(cli_prune) \
  X(cli_minimal) \
  X(cli_svd) \
  X(cli_svd_score) \
  X(cli_previous) \
  X(cli_knockout) \
  X(cli_enrich) \
  X(cli_extract) \
  X(cli_quantize) \
  X(cli_convert) \
  X(cli_distill) \
  X(cli_sparse_train) \
  X(cli_sparse_eval) \
  X(cli_sparse_match) \
  X(cli_sparse_feature) \
  X(cli_circuit) \
  X(cli_circuit_score) \
  X(cli_circuit_greater_than) \
  X(cli_functions_fit) \
  X(cli_functions_show) \
  X(cli_functions_bench) \
  X(cli_functions_parse) \
  X(cli_margins) \
  X(cli_record) \
  X(cli_neighbors) \
  X(cli_map) \
  X(cli_coactivation) \
  X(cli_superposition) \
  X(cli_sinks) \
  X(cli_topics) \
  X(cli_cka) \
  X(cli_usage_command) \
  X(cli_explore) \
  X(cli_train) \
  X(cli_sweep) \
  X(cli_isoflop) \
  X(cli_bench) \
  X(cli_facts_mine) \
  X(cli_facts_patch) \
  X(cli_benchmark_reading) \
  X(cli_verify) \
  X(cli_version)

#define DECLARE(name) extern const cli_command name;
COMMANDS(DECLARE)
#define ADDRESS(name) &name,
static const cli_command *const table[] = {COMMANDS(ADDRESS)};

size_t cli_command_count(void) { return SGI_COUNT(table); }
const cli_command *cli_command_at(size_t i) { return i < SGI_COUNT(table) ? table[i] : NULL; }

/* The command whose name is the next two words or else the next one ("svd score", "svd"); *at moves
 * past them. *verb is set if only a verb with sub-verbs fits. */
static const cli_command *find(int argc, char **argv, int *at, const char **verb) {
  const char *first = argv[*at], *second = *at + 1 < argc ? argv[*at + 1] : NULL;
  const cli_command *own = NULL;
  size_t n = strlen(first);
  *verb = NULL;
  for (size_t i = 0; i < SGI_COUNT(table); i++) {
    const char *name = table[i]->name;
    if (strncmp(name, first, n) != 0) continue;
    if (!name[n]) own = table[i];
    if (name[n] != ' ') continue;
    *verb = first;
    if (second && strcmp(name + n + 1, second) == 0) return *at += 2, table[i];
  }
  if (own) ++*at;
  return own;
}

static int unknown_command(const char *first, const char *verb, const char *second) {
  const char *names[SGI_COUNT(table)];
  char verbs[SGI_COUNT(table)][SG_NAME];
  size_t n = 0, len = verb ? strlen(verb) : 0;
  for (size_t i = 0; i < SGI_COUNT(table); i++) {
    if (verb && (strncmp(table[i]->name, verb, len) != 0 || table[i]->name[len] != ' ')) continue;
    snprintf(verbs[n], SG_NAME, "%s", table[i]->name + (verb ? len + 1 : 0));
    if (!verb) verbs[n][strcspn(verbs[n], " ")] = 0;
    names[n] = verbs[n];
    n++;
  }
  const char *near = verb ? NULL : cli_word_command(first);
  if (!near) near = sgi_nearest(verb ? second : first, names, n);
  char full[128];
  snprintf(full, sizeof full, "%s%s%.60s", verb ? verb : "", verb ? " " : "", verb ? second : first);
  if (near)
    cli_failed(SG_ERR_ARG, "unknown command '%s'; did you mean '%s%s%s'?", full, verb ? verb : "", verb ? " " : "",
               near);
  else
    cli_failed(SG_ERR_ARG, "unknown command '%s'", full);
  cli_hint(verb ? "'sgatlin help %s' lists its commands" : "'sgatlin help' lists the commands", verb);
  return 2;
}

static int help(int argc, char **argv, int at) {
  const char *verb;
  if (at >= argc) return cli_help_commands(stdout), 0;
  int after = at;
  const cli_command *cmd = find(argc, argv, &after, &verb);
  if (cmd) return cli_help_command(stdout, cmd), 0;
  if (verb && at + 1 >= argc) return cli_help_group(stdout, verb), 0;
  return unknown_command(argv[at], verb, verb ? argv[at + 1] : NULL);
}

static bool is(const char *word, const char *a, const char *b) { return strcmp(word, a) == 0 || strcmp(word, b) == 0; }

/* -v, -q, --color and -t as they stand so far. */
static void setup(const cli_call *c) {
  cli_output_setup((cli_when)cli_choice(c, "color"), cli_flag(c, "verbose"), cli_flag(c, "quiet"));
}

/* As told; else as many as a container's share of the processors keeps busy, or a rank's of the
 * machine: more would only wait for each other. */
static void set_threads(const cli_call *c) {
  size_t most = sgi_processor_limit(), there = (size_t)omp_get_max_threads(), local = cli_ranks_local();
  if (cli_is_set(c, "threads")) {
    omp_set_num_threads((int)cli_size(c, "threads"));
  } else if (!getenv("OMP_NUM_THREADS")) {
    if (there > most) there = most;
    omp_set_num_threads((int)(there > local ? there / local : 1));
  }
}

/* No command takes the last of the memory: a size too large ends with its message instead of the
 * kernel's kill. */
static void set_memory(void) {
  size_t limit = sgi_memory_limit();
  sgi_alloc_limit(limit - limit / 8);
}

static int run(cli_call *c, int argc, char **argv) {
  int at = 1, bad = cli_call_begin(c, NULL);
  const char *verb = NULL;
  if (bad) return bad;
  if (argc > 1 && strcmp(argv[1], "--dump") == 0) return cli_dump(argc - 2, argv + 2);
  if (argc > 1 && is(argv[1], "-V", "--version")) {
    if ((bad = cli_check_variables())) return bad;
    return cli_version_text(stdout), 0;
  }
  if ((bad = cli_parse(c, argc, argv, &at))) return bad;
  setup(c);
  if (cli_flag(c, "help")) return help(argc, argv, at);
  if (at >= argc) return cli_help_short(stderr), 2;
  if (strcmp(argv[at], "help") == 0) return help(argc, argv, at + 1);

  const cli_command *command = find(argc, argv, &at, &verb);
  if (!command && verb) {
    if (at + 1 >= argc) return cli_help_group(stderr, verb), 2;
    if (is(argv[at + 1], "-h", "--help")) return cli_help_group(stdout, verb), 0;
    return unknown_command(verb, verb, argv[at + 1]);
  }
  if (!command) return unknown_command(argv[at], NULL, NULL);

  if ((bad = cli_call_begin(c, command)) || (bad = cli_parse(c, argc, argv, &at))) return bad;
  setup(c);
  if (cli_flag(c, "help")) return cli_help_command(stdout, command), 0;
  if ((bad = cli_check_variables()) || (bad = cli_call_complete(c))) return bad;
  setup(c);
  set_threads(c);
  set_memory();
  cli_signals_begin();
  return command->run(c);
}

int main(int argc, char **argv) {
  cli_wait_briefly(argv);
  /* With a closed 0, 1 or 2 the next opened file would take its number, and messages would land in
   * it. */
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd) return 1;
  cli_watch_memory();
  cli_output_begin();
  cli_signals_pipe();
  cli_output_setup(CLI_AUTO, false, false);
  cli_call c = {0};
  int code = cli_finish(run(&c, argc, argv));
  cli_call_free(&c);
  cli_main_ends();
  return code;
}
