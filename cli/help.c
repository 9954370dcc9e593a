/* help.c: help on the terminal. Man pages and completions, from the same tables, are in dump.c. */
#include "cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "report/sites.h"

enum { COLUMNS = 96, HELP_COLUMN = 30 };

static void heading(FILE *f, const char *text) {
  fprintf(f, "%s%s%s\n", cli_color(f, CLI_BOLD), text, cli_color(f, CLI_PLAIN));
}

/* Words of text from column `at` on, later lines indented by `indent`. */
static void wrap(FILE *f, const char *text, size_t at, size_t indent) {
  bool first = true;
  while (*text) {
    size_t n = strcspn(text, " \n");
    if (n && !first && at + 1 + n > COLUMNS) {
      fprintf(f, "\n%*s", (int)indent, "");
      at = indent;
      first = true;
    }
    if (n) {
      at += (size_t)fprintf(f, "%s%.*s", first ? "" : " ", (int)n, text);
      first = false;
    }
    text += n;
    text += *text == ' ' || *text == '\n';
  }
  fputc('\n', f);
}

/* Lines of text, each with `before` in front. */
static void lines(FILE *f, const char *before, const char *text) {
  for (const char *p = text; p && *p;) {
    size_t n = strcspn(p, "\n");
    fprintf(f, "%s%.*s\n", n ? before : "", (int)n, p);
    p += n + (p[n] == '\n');
  }
}

void cli_option_left(const cli_option *o, char *out, size_t size) {
  bool flag = o->type == CLI_FLAG, on = flag && o->value && strcmp(o->value, "on") == 0;
  char letter[8] = "    ";
  if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
  snprintf(out, size, "%s--%s%s%s%s%s", letter, on ? "[no-]" : "", o->name, flag ? "" : " ", flag ? "" : o->argument,
           o->type == CLI_LIST ? " ..." : "");
}

static void put_kinds(FILE *f) {
  for (size_t i = 0; sg_feedforward_name(i); i++) fprintf(f, "%s%s", i ? " " : "", sg_feedforward_name(i));
}

char *cli_filled(const char *text) {
  static const char *const words[] = {"{kinds}", "{shown}", "{named}", "{on demand}"};
  char *out = NULL;
  size_t n;
  FILE *f = open_memstream(&out, &n);
  if (!f) return NULL;
  while (*text) {
    size_t plain = strcspn(text, "{"), i = 0;
    fwrite(text, 1, plain, f);
    text += plain;
    if (!*text) break;
    while (i < SGI_COUNT(words) && strncmp(text, words[i], strlen(words[i]))) i++;
    if (i == SGI_COUNT(words)) {
      fputc(*text++, f);
      continue;
    }
    if (i)
      fputs(sgi_sites_text((sgi_sites_told)(i - 1)), f);
    else
      put_kinds(f);
    text += strlen(words[i]);
  }
  bool whole = !ferror(f);
  if (fclose(f) || !whole) {
    free(out);
    return NULL;
  }
  return out;
}

/* Help of an option with its default and limits. */
void cli_option_text(const cli_option *o, char *out, size_t size) {
  char *help = cli_filled(o->help);
  size_t n = (size_t)snprintf(out, size, "%s", help ? help : o->help);
  free(help);
  char notes[3][80];
  size_t count = 0;
  if (o->required) snprintf(notes[count++], 80, "required");
  if (o->type == CLI_FLAG && o->value && strcmp(o->value, "on") == 0)
    snprintf(notes[count++], 80, "default: on");
  else if (o->type != CLI_FLAG && (o->value || o->value_text))
    snprintf(notes[count++], 80, "default: %s", o->value_text ? o->value_text : o->value);
  if (o->type == CLI_LIST) snprintf(notes[count++], 80, "may be repeated");
  for (size_t i = 0; i < count && n < size; i++)
    n += (size_t)snprintf(out + n, size - n, "%s%s%s", i ? "; " : " (", notes[i], i + 1 == count ? ")" : "");
}

static void option_lines(FILE *f, const cli_option *o) {
  for (; o && o->name; o++) {
    char left[160], text[600];
    cli_option_left(o, left, sizeof left);
    cli_option_text(o, text, sizeof text);
    size_t n = (size_t)fprintf(f, "  %s", left);
    if (n + 2 > HELP_COLUMN)
      fprintf(f, "\n%*s", HELP_COLUMN, "");
    else
      fprintf(f, "%*s", (int)(HELP_COLUMN - n), "");
    wrap(f, text, HELP_COLUMN, HELP_COLUMN);
  }
}

void cli_help_command(FILE *f, const cli_command *cmd) {
  char before[80];
  fprintf(f, "%ssgatlin %s%s: %s\n\n", cli_color(f, CLI_BOLD), cmd->name, cli_color(f, CLI_PLAIN), cmd->summary);
  heading(f, "Examples");
  lines(f, "  ", cmd->examples);
  fputc('\n', f);
  heading(f, "Usage");
  snprintf(before, sizeof before, "  sgatlin %s ", cmd->name);
  lines(f, before, cmd->usage);
  fputc('\n', f);
  if (cmd->options) {
    heading(f, "Options");
    option_lines(f, cmd->options);
    fputc('\n', f);
  }
  heading(f, "Options of every command");
  option_lines(f, cli_global_options);
  char *description = cmd->description ? cli_filled(cmd->description) : NULL;
  for (const char *p = description; p && *p;) {
    const char *end = strstr(p, "\n\n");
    size_t n = end ? (size_t)(end - p) : strlen(p);
    char *part = strndup(p, n);
    if (!part) break;
    fputc('\n', f);
    wrap(f, part, 0, 0);
    free(part);
    p += n + (end ? 2 : 0);
  }
  free(description);
}

static void command_line(FILE *f, const cli_command *cmd) { fprintf(f, "  %-20s %s\n", cmd->name, cmd->summary); }

void cli_help_short(FILE *f) {
  fputs("usage: sgatlin COMMAND [OPTION]... [ARGUMENT]...\n", f);
  fputs("'sgatlin help' lists the commands; 'sgatlin help COMMAND' explains one.\n", f);
}

void cli_help_commands(FILE *f) {
  size_t n = cli_command_count();
  fputs("sgatlin trains, runs and reads small language models with sparsely gated linear neurons.\n\n", f);
  fputs("usage: sgatlin COMMAND [OPTION]... [ARGUMENT]...\n", f);
  for (size_t i = 0; i < n; i++) {
    const char *group = cli_command_at(i)->group;
    bool seen = false;
    for (size_t j = 0; j < i; j++) seen = seen || strcmp(cli_command_at(j)->group, group) == 0;
    if (seen) continue;
    fputc('\n', f);
    heading(f, group);
    for (size_t j = i; j < n; j++)
      if (strcmp(cli_command_at(j)->group, group) == 0) command_line(f, cli_command_at(j));
  }
  fputc('\n', f);
  heading(f, "Options of every command");
  option_lines(f, cli_global_options);
  fputs("  -V, --version             version, commit, compiler, oneDNN, instruction set\n\n", f);
  wrap(f,
       "'sgatlin help COMMAND' explains a command, examples first. Every long option can also be set by a "
       "variable: SGATLIN_THREADS=4 is "
       "--threads 4; the command line wins. Results go to standard output, all else to standard error.",
       0, 0);
  fputc('\n', f);
  wrap(f,
       "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad or corrupt input, 4 out of memory or disk, 5 NaN "
       "or infinity met, 130 and 143 "
       "stopped by INT and TERM.",
       0, 0);
}

void cli_help_group(FILE *f, const char *verb) {
  size_t len = strlen(verb);
  fprintf(f, "usage: sgatlin %s COMMAND [OPTION]... [ARGUMENT]...\n\n", verb);
  for (size_t i = 0; i < cli_command_count(); i++) {
    const cli_command *cmd = cli_command_at(i);
    if (strncmp(cmd->name, verb, len) == 0 && cmd->name[len] == ' ') command_line(f, cmd);
  }
}
