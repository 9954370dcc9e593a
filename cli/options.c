/* options.c: from argv and the environment to the values of the table's options. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/limits.h"
#include "core/number.h"

const cli_option cli_global_options[] = {
    {.name = "help", .letter = 'h', .type = CLI_FLAG, .help = "show this help and stop"},
    {.name = "verbose", .letter = 'v', .type = CLI_FLAG, .help = "say more on standard error"},
    {.name = "quiet", .letter = 'q', .type = CLI_FLAG, .help = "say nothing but errors and results"},
    {.name = "threads",
     .letter = 't',
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "all cores",
     .min = 1,
     .max = 4096,
     .help = "threads to compute with"},
    {.name = "color",
     .type = CLI_CHOICE,
     .argument = "auto|always|never",
     .value = "auto",
     .help = "colour in messages and tables; auto: on a terminal, unless NO_COLOR is set"},
    CLI_END};

static size_t option_count(const cli_option *o) {
  size_t n = 0;
  while (o && o[n].name) n++;
  return n;
}

int cli_call_begin(cli_call *c, const cli_command *command) {
  size_t n_own = command ? option_count(command->options) : 0, n_global = option_count(cli_global_options);
  cli_value *values = calloc(n_own + n_global, sizeof *values);
  if (!values) return cli_failed(SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < n_global; i++) {
    if (c->values) values[i] = c->values[i]; /* what stood before the verb */
    values[i].option = &cli_global_options[i];
  }
  for (size_t i = 0; i < n_own; i++) values[n_global + i].option = &command->options[i];
  free(c->values);
  c->values = values;
  c->n_values = n_global + n_own;
  c->command = command;
  return 0;
}

void cli_call_free(cli_call *c) {
  for (size_t i = 0; i < c->n_values; i++) free(c->values[i].list);
  free(c->values);
  free(c->args);
  *c = (cli_call){0};
}

/* ---- one value ------------------------------------------------------------------------------- */

static const char *expected(const cli_option *o, char *out, size_t size) {
  const char *kind = o->type == CLI_REAL    ? "a number"
                     : o->type == CLI_BYTES ? "a size such as 512M or 1.5G"
                                            : "a whole number";
  bool low = o->min != 0 || o->max > 0, high = o->max > o->min;
  if (o->type == CLI_CHOICE)
    snprintf(out, size, "one of %s", o->argument);
  else if (o->type == CLI_FLAG)
    snprintf(out, size, "1 or 0");
  else if (high && isfinite(o->max))
    snprintf(out, size, "%s from %.15g to %.15g", kind, o->min, o->max);
  else if (low || o->type == CLI_SIZE || o->type == CLI_U64)
    snprintf(out, size, "%s of at least %.15g", kind, o->min);
  else
    snprintf(out, size, "%s", kind);
  return out;
}

static bool in_limits(const cli_option *o, double x) {
  if (o->min == 0 && o->max == 0) return true;
  return x >= o->min && (o->max < o->min || x <= o->max);
}

static bool read_bytes(const char *s, uint64_t *out) {
  uint64_t n;
  if (sgi_number_whole(s, &n)) return *out = n, true;
  double x;
  const char *p;
  if (!sgi_number_real(s, &p, &x) || x < 0) return false;
  static const char units[] = "kmgt";
  const char *u = *p ? strchr(units, tolower((unsigned char)*p)) : NULL;
  if (u) {
    x = ldexp(x, (int)(10 * (u - units + 1)));
    p++;
    if (*p == 'i') p++;
  }
  if (*p == 'B') p++;
  if (*p || x >= 9.2e18) return false;
  *out = (uint64_t)x;
  return true;
}

/* Index of word in "a|b|c", or -1. */
static int choice_index(const char *words, const char *word) {
  size_t n = strlen(word);
  int i = 0;
  for (const char *p = words;; i++) {
    size_t len = strcspn(p, "|");
    if (len == n && n && memcmp(p, word, n) == 0) return i;
    if (!p[len]) return -1;
    p += len + 1;
  }
}

static const char *choice_near(const char *words, const char *word, char *copy, size_t size) {
  const char *list[64];
  size_t n = 0;
  snprintf(copy, size, "%s", words);
  for (char *save = NULL, *w = strtok_r(copy, "|", &save); w && n < SGI_COUNT(list); w = strtok_r(NULL, "|", &save))
    list[n++] = w;
  return sgi_nearest(word, list, n);
}

/* Takes text as the value; where: how the user wrote the option ("--steps", "SGATLIN_STEPS"). */
static int set_value(const cli_call *c, cli_value *v, const char *where, const char *text, cli_source source) {
  const cli_option *o = v->option;
  uint64_t n = 0;
  double x = 0;
  const char *rest = NULL;
  bool ok = true;
  switch (o->type) {
    case CLI_FLAG:
      if (!strcmp(text, "on") || !strcmp(text, "1") || !strcmp(text, "true") || !strcmp(text, "yes"))
        n = 1;
      else
        ok = !strcmp(text, "off") || !strcmp(text, "0") || !strcmp(text, "false") || !strcmp(text, "no") || !*text;
      break;
    case CLI_SIZE:
    case CLI_U64:
      ok = sgi_number_whole(text, &n) && in_limits(o, (double)n) && (o->type == CLI_U64 || n <= SIZE_MAX);
      break;
    case CLI_BYTES: ok = read_bytes(text, &n) && in_limits(o, (double)n); break;
    case CLI_INT: {
      const char *digits = text + (*text == '-' || *text == '+');
      ok = sgi_number_whole(digits, &n) && n <= (uint64_t)INT64_MAX;
      if (ok && *text == '-') n = 0 - n;
      ok = ok && in_limits(o, (double)(int64_t)n);
      break;
    }
    case CLI_REAL: ok = sgi_number_real(text, &rest, &x) && !*rest && in_limits(o, x); break;
    case CLI_CHOICE: {
      int i = choice_index(o->argument, text);
      ok = i >= 0;
      n = (uint64_t)i;
      break;
    }
    case CLI_STRING: break;
    case CLI_LIST: {
      if (source == CLI_GIVEN && v->source != CLI_GIVEN) v->count = 0;
      const char **list = realloc(v->list, (v->count + 2) * sizeof *list);
      if (!list) return cli_failed(SG_ERR_MEMORY, "out of memory");
      v->list = list;
      list[v->count++] = text;
      list[v->count] = NULL;
      break;
    }
  }
  if (!ok) {
    char want[320], copy[320];
    expected(o, want, sizeof want);
    const char *near = o->type == CLI_CHOICE ? choice_near(o->argument, text, copy, sizeof copy) : NULL;
    if (near) return cli_usage(c, "%s: unknown value '%s'; did you mean '%s'? (%s)", where, text, near, want);
    return cli_usage(c, "%s: expected %s, found '%s'", where, want, text);
  }
  v->number = n;
  v->real = x;
  v->string = text;
  v->source = source;
  return 0;
}

/* ---- argv ------------------------------------------------------------------------------------ */

static cli_value *by_name(const cli_call *c, const char *name, size_t n) {
  for (size_t i = 0; i < c->n_values; i++) {
    const char *own[] = {c->values[i].option->name, c->values[i].option->old};
    for (size_t k = 0; k < SGI_COUNT(own); k++)
      if (own[k] && strlen(own[k]) == n && memcmp(own[k], name, n) == 0) return &c->values[i];
  }
  return NULL;
}

static cli_value *by_letter(const cli_call *c, char letter) {
  for (size_t i = 0; i < c->n_values; i++)
    if (c->values[i].option->letter == letter) return &c->values[i];
  return NULL;
}

static bool of_a_command(const char *name) {
  for (size_t i = 0; cli_command_at(i); i++)
    for (const cli_option *o = cli_command_at(i)->options; o && o->name; o++)
      if (!strcmp(o->name, name)) return true;
  return false;
}

static int unknown_option(const cli_call *c, const char *name, size_t n) {
  char given[64];
  snprintf(given, sizeof given, "%.*s", (int)(n < 60 ? n : 60), name);
  const char *names[128], *near = cli_word_option(c, given);
  char advice[160];
  size_t count = 0;
  for (size_t i = 0; i < c->n_values && count < SGI_COUNT(names); i++) names[count++] = c->values[i].option->name;
  if (near) return cli_usage(c, "unknown option '--%s'; did you mean '--%s'?", given, near);
  if (c->command && c->command->advise && c->command->advise(given, advice, sizeof advice))
    return cli_usage(c, "unknown option '--%s'; did you mean %s?", given, advice);
  if (!c->command && of_a_command(given))
    return cli_usage(c, "'--%s' is an option of commands and stands behind one: sgatlin COMMAND --%s", given, given);
  near = sgi_nearest(given, names, count);
  if (near) return cli_usage(c, "unknown option '--%s'; did you mean '--%s'?", given, near);
  return cli_usage(c, "unknown option '--%s'", given);
}

/* "--name", "--name=value", "--no-name" */
static int long_option(cli_call *c, int argc, char **argv, int *at) {
  const char *name = argv[*at] + 2, *value = strchr(name, '=');
  size_t n = value ? (size_t)(value++ - name) : strlen(name);
  char where[80];
  snprintf(where, sizeof where, "--%.*s", (int)(n < 70 ? n : 70), name);
  ++*at;
  cli_value *v = by_name(c, name, n);
  if (!v && n > 3 && memcmp(name, "no-", 3) == 0) {
    v = by_name(c, name + 3, n - 3);
    if (v && v->option->type == CLI_FLAG) {
      if (value) return cli_usage(c, "%s takes no value", where);
      return set_value(c, v, where, "off", CLI_GIVEN);
    }
    v = NULL;
  }
  if (!v) return unknown_option(c, name, n);
  if (v->option->type == CLI_FLAG) {
    if (value) return cli_usage(c, "%s takes no value; --no-%s turns it off", where, v->option->name);
    return set_value(c, v, where, "on", CLI_GIVEN);
  }
  if (!value) {
    if (*at >= argc) return cli_usage(c, "%s needs a value (%s)", where, v->option->argument);
    value = argv[*at];
    if (strncmp(value, "--", 2) == 0)
      return cli_usage(c, "%s needs a value (%s), found '%s'; write %s=%s if that is the value", where,
                       v->option->argument, value, where, value);
    ++*at;
  }
  return set_value(c, v, where, value, CLI_GIVEN);
}

/* "-t 4", "-t4", "-vq" */
static int short_options(cli_call *c, int argc, char **argv, int *at) {
  for (const char *p = argv[(*at)++] + 1; *p; p++) {
    char where[3] = {'-', *p, 0};
    cli_value *v = by_letter(c, *p);
    if (!v)
      return isprint((unsigned char)*p) ? cli_usage(c, "unknown option '-%c'", *p) : cli_usage(c, "unknown option");
    if (v->option->type == CLI_FLAG) {
      int bad = set_value(c, v, where, "on", CLI_GIVEN);
      if (bad) return bad;
      continue;
    }
    const char *value = p + 1;
    if (!*value) {
      if (*at >= argc) return cli_usage(c, "%s needs a value (%s)", where, v->option->argument);
      value = argv[(*at)++];
      if (strncmp(value, "--", 2) == 0)
        return cli_usage(c, "%s needs a value (%s), found '%s'; write --%s=%s if that is the value", where,
                         v->option->argument, value, v->option->name, value);
    }
    return set_value(c, v, where, value, CLI_GIVEN);
  }
  return 0;
}

int cli_parse(cli_call *c, int argc, char **argv, int *at) {
  if (!c->args && !(c->args = calloc((size_t)argc + 1, sizeof *c->args)))
    return cli_failed(SG_ERR_MEMORY, "out of memory");
  bool options = true;
  while (*at < argc) {
    char *word = argv[*at];
    int bad = 0;
    if (options && strcmp(word, "--") == 0) {
      options = false;
      ++*at;
    } else if (options && word[0] == '-' && word[1] == '-') {
      bad = long_option(c, argc, argv, at);
    } else if (options && word[0] == '-' && word[1]) {
      bad = short_options(c, argc, argv, at);
    } else if (!c->command) {
      return 0;
    } else {
      c->args[c->n_args++] = word;
      ++*at;
    }
    if (bad) return bad;
  }
  return 0;
}

void cli_variable_name(const cli_option *o, char *out, size_t size) {
  snprintf(out, size, "SGATLIN_%s", o->name);
  for (char *p = out; *p; p++) *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

/* An option that was not given, by its variable or that of its former name. */
static int take_variable(const cli_call *c, cli_value *v) {
  const char *names[] = {v->option->name, v->option->old};
  for (size_t i = 0; i < SGI_COUNT(names) && v->source == CLI_UNSET; i++) {
    if (!names[i] || !strcmp(names[i], "help")) continue;
    char name[96];
    cli_variable_name(&(cli_option){.name = names[i]}, name, sizeof name);
    const char *text = getenv(name);
    int bad = text && *text ? set_value(c, v, name, text, CLI_VARIABLE) : 0;
    if (bad) return bad;
  }
  return 0;
}

static bool is_directory(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* One argument more than the command has stands for an option: `generate MODEL TEXT`. */
static int take_also(cli_call *c) {
  const cli_command *cmd = c->command;
  if (!cmd->also || c->n_args != cmd->max_args + 1) return 0;
  const char *word = c->args[cmd->max_args];
  cli_value *v = by_name(c, cmd->also, strlen(cmd->also));
  if (v->source == CLI_GIVEN)
    return cli_usage(c, "unexpected argument '%s': --%s is '%s' already", word, cmd->also, v->string);
  if (cmd->max_args && !is_directory(c->args[cmd->max_args - 1]) && is_directory(word))
    return cli_usage(c, "'%s' is no directory and '%s' is: did you mean sgatlin %s %s '%s'?",
                     c->args[cmd->max_args - 1], word, cmd->name, word, c->args[cmd->max_args - 1]);
  c->args[--c->n_args] = NULL;
  return set_value(c, v, v->option->argument, word, CLI_GIVEN);
}

int cli_call_complete(cli_call *c) {
  int bad = take_also(c);
  if (bad) return bad;
  for (size_t i = 0; i < c->n_values; i++) {
    cli_value *v = &c->values[i];
    const cli_option *o = v->option;
    if ((bad = take_variable(c, v))) return bad;
    if (v->source == CLI_UNSET && o->value) {
      bad = set_value(c, v, o->name, o->value, CLI_DEFAULT);
      if (bad) return bad;
      if (o->type == CLI_BYTES && !strcmp(o->name, "max-memory")) v->number = sgi_memory_default((size_t)v->number);
    }
    if (v->source == CLI_UNSET && o->required) return cli_usage(c, "--%s %s is missing", o->name, o->argument);
  }
  if (c->n_args < c->command->min_args) return cli_usage(c, "an argument is missing");
  if (c->n_args > c->command->max_args) return cli_usage(c, "unexpected argument '%s'", c->args[c->command->max_args]);
  return 0;
}

/* ---- getters --------------------------------------------------------------------------------- */

static const cli_value *get(const cli_call *c, const char *name, unsigned types) {
  const cli_value *v = by_name(c, name, strlen(name));
  if (!v || !(types >> v->option->type & 1)) {
    fprintf(stderr, "sgatlin: mistake in command '%s': option '%s' is not declared with this type\n", c->command->name,
            name);
    abort();
  }
  return v;
}

bool cli_flag(const cli_call *c, const char *name) { return get(c, name, 1u << CLI_FLAG)->number != 0; }
size_t cli_size(const cli_call *c, const char *name) {
  return (size_t)get(c, name, 1u << CLI_SIZE | 1u << CLI_BYTES)->number;
}
uint64_t cli_u64(const cli_call *c, const char *name) { return get(c, name, 1u << CLI_U64)->number; }
int64_t cli_int(const cli_call *c, const char *name) { return (int64_t)get(c, name, 1u << CLI_INT)->number; }
double cli_real(const cli_call *c, const char *name) { return get(c, name, 1u << CLI_REAL)->real; }
const char *cli_string(const cli_call *c, const char *name) {
  return get(c, name, 1u << CLI_STRING | 1u << CLI_CHOICE)->string;
}
size_t cli_choice(const cli_call *c, const char *name) { return (size_t)get(c, name, 1u << CLI_CHOICE)->number; }

const char *cli_given(const cli_call *c, const char *name) { return get(c, name, ~0u)->string; }

const char *const *cli_list(const cli_call *c, const char *name, size_t *count) {
  const cli_value *v = get(c, name, 1u << CLI_LIST);
  *count = v->count;
  return v->list;
}

cli_source cli_source_of(const cli_call *c, const char *name) { return get(c, name, ~0u)->source; }
bool cli_is_set(const cli_call *c, const char *name) { return cli_source_of(c, name) >= CLI_VARIABLE; }
