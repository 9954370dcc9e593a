/* dump.c: man pages and shell completions from the table of commands (make man, make completion,
 * make install). */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "version.h"

/* ---- man pages ------------------------------------------------------------------------------- */

/* Text of a man page: roff's own characters are quoted, and a line never starts as a request. */
static void roff(FILE *f, const char *text) {
  bool start = true;
  for (const char *p = text; *p; p++) {
    if (start && (*p == '.' || *p == '\'')) fputs("\\&", f);
    start = *p == '\n';
    if (*p == '\\')
      fputs("\\e", f);
    else if (*p == '-')
      fputs("\\-", f);
    else if (*p == '\'')
      fputs("\\(aq", f);
    else if (*p == '^')
      fputs("\\(ha", f);
    else if (*p == '~')
      fputs("\\(ti", f);
    else if (*p == '`')
      fputs("\\(ga", f);
    else
      fputc(*p, f);
  }
}

static void roff_paragraphs(FILE *f, const char *text) {
  for (const char *p = text; p && *p;) {
    const char *end = strstr(p, "\n\n");
    size_t n = end ? (size_t)(end - p) : strlen(p);
    char part[4096];
    snprintf(part, sizeof part, "%.*s", (int)n, p);
    fputs(".PP\n", f);
    roff(f, part);
    fputc('\n', f);
    p += n + (end ? 2 : 0);
  }
}

static void roff_title(FILE *f, const char *name, const char *summary) {
  char title[80];
  snprintf(title, sizeof title, "%s", name);
  for (char *p = title; *p; p++) *p = (char)toupper((unsigned char)*p);
  fprintf(f, ".\\\" made by 'sgatlin --dump man' from the table of commands\n.TH ");
  roff(f, title);
  fprintf(f, " 1 \"\" \"sgatlin %s\" \"User Commands\"\n.SH NAME\n", SGI_VERSION);
  roff(f, name);
  fputs(" \\- ", f);
  roff(f, summary);
  fputc('\n', f);
}

static void roff_options(FILE *f, const cli_option *o) {
  for (; o && o->name; o++) {
    char left[160], text[600];
    cli_option_left(o, left, sizeof left);
    cli_option_text(o, text, sizeof text);
    fputs(".TP\n.B ", f);
    roff(f, left + strspn(left, " "));
    fputc('\n', f);
    roff(f, text);
    fputc('\n', f);
  }
}

/* Each line of text in the form of a literal block, `before` in front. */
static void roff_lines(FILE *f, const char *before, const char *text) {
  fputs(".nf\n", f);
  for (const char *p = text; p && *p;) {
    size_t n = strcspn(p, "\n");
    char line[512];
    snprintf(line, sizeof line, "%s%.*s", before, (int)n, p);
    roff(f, line);
    fputc('\n', f);
    p += n + (p[n] == '\n');
  }
  fputs(".fi\n", f);
}

static const char exit_codes[] =
    "0 done; 1 failed; 2 wrong usage; 3 bad or corrupt input; 4 out of memory or disk; 5 NaN or infinity "
    "met; 130 and 143 stopped by "
    "INT and TERM.";

static void man_command(FILE *f, const cli_command *cmd) {
  char name[80], before[80];
  snprintf(name, sizeof name, "sgatlin-%s", cmd->name);
  for (char *p = name; *p; p++) *p = *p == ' ' ? '-' : *p;
  roff_title(f, name, cmd->summary);
  fputs(".SH SYNOPSIS\n", f);
  snprintf(before, sizeof before, "sgatlin %s ", cmd->name);
  roff_lines(f, before, cmd->usage);
  char *description = cmd->description ? cli_filled(cmd->description) : NULL;
  if (description) fputs(".SH DESCRIPTION\n", f);
  roff_paragraphs(f, description);
  free(description);
  fputs(".SH OPTIONS\n", f);
  roff_options(f, cmd->options);
  fputs(".SS Options of every command\n", f);
  roff_options(f, cli_global_options);
  fputs(".SH EXAMPLES\n", f);
  roff_lines(f, "", cmd->examples);
  fputs(".SH EXIT STATUS\n", f);
  roff(f, exit_codes);
  fputs("\n.SH SEE ALSO\n.BR sgatlin (1)\n", f);
}

static void man_main(FILE *f) {
  roff_title(f, "sgatlin", "train, run and read small language models with sparsely gated linear neurons");
  fputs(".SH SYNOPSIS\n.B sgatlin\n.I COMMAND\n[OPTION]... [ARGUMENT]...\n.SH COMMANDS\n", f);
  for (size_t i = 0; i < cli_command_count(); i++) {
    const cli_command *cmd = cli_command_at(i);
    char page[80];
    snprintf(page, sizeof page, "sgatlin-%s", cmd->name);
    for (char *p = page; *p; p++) *p = *p == ' ' ? '-' : *p;
    fputs(".TP\n.BR ", f);
    roff(f, page);
    fputs(" (1)\n", f);
    roff(f, cmd->summary);
    fputc('\n', f);
  }
  fputs(".SH OPTIONS\n", f);
  roff_options(f, cli_global_options);
  fputs(".TP\n.B \\-V, \\-\\-version\nversion, commit, compiler, oneDNN, instruction set\n", f);
  fputs(".SH ENVIRONMENT\n", f);
  roff(f,
       "Every long option can be set by a variable: SGATLIN_THREADS=4 is --threads 4, and a '-' in the name "
       "becomes '_'. The command "
       "line wins. NO_COLOR, when not empty, turns colour off. SGATLIN_ISA (generic, avx2, avx512) chooses "
       "the instruction set, SGATLIN_BF16 (native, emulated) how bf16 products are made. A variable SGATLIN_... that "
       "names no option is refused, but for SGATLIN_TEST_...");
  fputs("\n.SH EXIT STATUS\n", f);
  roff(f, exit_codes);
  fputc('\n', f);
}

/* Writes one page; cmd NULL: the page of the program. */
static int man_page(const char *directory, const cli_command *cmd) {
  char path[PATH_MAX];
  int n = snprintf(path, sizeof path, "%s/sgatlin%s%s.1", directory, cmd ? "-" : "", cmd ? cmd->name : "");
  if (n < 0 || (size_t)n >= sizeof path) return cli_failed(SG_ERR_ARG, "%s: path is too long", directory);
  for (char *p = path + strlen(directory); *p; p++) *p = *p == ' ' ? '-' : *p;
  FILE *f = fopen(path, "we");
  if (!f) return cli_failed(SG_ERR_IO, "%s: can not be written: %s", path, strerror(errno));
  if (cmd)
    man_command(f, cmd);
  else
    man_main(f);
  bool bad = ferror(f);
  if (fclose(f) != 0 || bad) return cli_failed(SG_ERR_SPACE, "%s: can not be written: %s", path, strerror(errno));
  return 0;
}

static int dump_man(const char *directory) {
  int bad = man_page(directory, NULL);
  for (size_t i = 0; i < cli_command_count() && !bad; i++) bad = man_page(directory, cli_command_at(i));
  return bad;
}

/* ---- completions ----------------------------------------------------------------------------- */

/* First words of all commands, each once, a blank between them. */
static void verbs(FILE *f) {
  for (size_t i = 0; i < cli_command_count(); i++) {
    const char *name = cli_command_at(i)->name;
    size_t n = strcspn(name, " ");
    bool seen = false;
    for (size_t j = 0; j < i; j++) {
      const char *old = cli_command_at(j)->name;
      seen = seen || (strcspn(old, " ") == n && memcmp(old, name, n) == 0);
    }
    if (!seen) fprintf(f, "%.*s ", (int)n, name);
  }
}

static void option_words(FILE *f, const cli_option *o) {
  for (; o && o->name; o++) {
    fprintf(f, "--%s ", o->name);
    if (o->type == CLI_FLAG && o->value) fprintf(f, "--no-%s ", o->name);
  }
}

static void words_of_choice(FILE *f, const char *choice) {
  for (; *choice; choice++) fputc(*choice == '|' ? ' ' : *choice, f);
}

/* Lines of a case statement: command (both words), then what the option before the cursor takes. */
static void bash_choices(FILE *f, const char *command, const cli_option *o) {
  for (; o && o->name; o++)
    if (o->type == CLI_CHOICE) {
      fprintf(f, "    '%s --%s') words='", command, o->name);
      words_of_choice(f, o->argument);
      fputs("' ;;\n", f);
    }
}

/* The first n bytes of name are a command of their own ("svd" of "svd score"). */
static bool is_command(const char *name, size_t n) {
  for (size_t i = 0; i < cli_command_count(); i++)
    if (!strncmp(cli_command_at(i)->name, name, n) && !cli_command_at(i)->name[n]) return true;
  return false;
}

/* One body for bash and, through bashcompinit, for zsh. */
static void dump_bash(FILE *f) {
  fputs(
      "# made by 'sgatlin --dump completion' from the table of commands\n"
      "_sgatlin() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} words='' "
      "command\n"
      "  local subs='' own=''\n"
      "  COMPREPLY=()\n"
      "  case $verb in\n",
      f);
  for (size_t i = 0; i < cli_command_count(); i++) {
    const char *name = cli_command_at(i)->name, *sub = strchr(name, ' ');
    if (!sub) continue;
    int n = (int)(sub - name);
    bool first = i == 0 || strncmp(cli_command_at(i - 1)->name, name, (size_t)n + 1) != 0;
    if (first) fprintf(f, "    %.*s) %ssubs='", n, name, is_command(name, (size_t)n) ? "own=1 " : "");
    fprintf(f, "%s ", sub + 1);
    bool last = i + 1 == cli_command_count() || strncmp(cli_command_at(i + 1)->name, name, (size_t)n + 1) != 0;
    if (last) fputs("' ;;\n", f);
  }
  fputs(
      "  esac\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words='help --help --version ",
      f);
  verbs(f);
  fputs(
      "'\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n    return\n  fi\n"
      "  if [ -n \"$subs\" ] && [ \"$COMP_CWORD\" -eq 2 ]; then\n"
      "    COMPREPLY=($(compgen -W \"$subs\" -- \"$cur\"))\n"
      "    [ -n \"$own\" ] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n    return\n  fi\n"
      "  command=$verb\n"
      "  [ -n \"$subs\" ] && [ -z \"$own\" ] && command=\"$verb ${COMP_WORDS[2]}\"\n"
      "  [ -n \"$own\" ] && case \" $subs\" in *\" ${COMP_WORDS[2]} \"*) command=\"$verb ${COMP_WORDS[2]}\" ;; esac\n"
      "  case \"$command $prev\" in\n",
      f);
  for (size_t i = 0; i < cli_command_count(); i++) {
    const cli_command *cmd = cli_command_at(i);
    bash_choices(f, cmd->name, cmd->options);
    bash_choices(f, cmd->name, cli_global_options);
  }
  fputs("    'help '*) words='", f);
  verbs(f);
  fputs(
      "' ;;\n  esac\n"
      "  if [ -z \"$words\" ]; then\n    case $cur in\n      -*)\n        case $command in\n",
      f);
  for (size_t i = 0; i < cli_command_count(); i++) {
    const cli_command *cmd = cli_command_at(i);
    fprintf(f, "          '%s') words='", cmd->name);
    option_words(f, cmd->options);
    option_words(f, cli_global_options);
    fputs("' ;;\n", f);
  }
  fputs(
      "        esac ;;\n    esac\n  fi\n"
      "  if [ -n \"$words\" ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "  else COMPREPLY=($(compgen -f -- \"$cur\"))\n  fi\n"
      "}\n",
      f);
}

static void dump_zsh(FILE *f) {
  fputs("#compdef sgatlin\nautoload -U +X bashcompinit && bashcompinit\n", f);
  dump_bash(f);
  fputs("complete -o filenames -F _sgatlin sgatlin\n", f);
}

/* Text for a fish string in single quotes. */
static void fish_text(FILE *f, const char *text) {
  for (; *text; text++) {
    if (*text == '\'' || *text == '\\') fputc('\\', f);
    fputc(*text, f);
  }
}

static void fish_options(FILE *f, const char *when, const cli_option *o) {
  for (; o && o->name; o++) {
    fprintf(f, "complete -c sgatlin -n '%s' -l %s", when, o->name);
    if (o->letter) fprintf(f, " -s %c", o->letter);
    if (o->type == CLI_CHOICE) {
      fputs(" -x -a '", f);
      words_of_choice(f, o->argument);
      fputc('\'', f);
    } else if (o->type != CLI_FLAG) {
      fputs(" -r", f);
    }
    fputs(" -d '", f);
    char *help = cli_filled(o->help);
    fish_text(f, help ? help : o->help);
    free(help);
    fputs("'\n", f);
  }
}

static void dump_fish(FILE *f) {
  fputs(
      "# made by 'sgatlin --dump completion' from the table of commands\n"
      "complete -c sgatlin -n '__fish_use_subcommand' -f -a 'help ",
      f);
  verbs(f);
  fputs("'\n", f);
  for (size_t i = 0; i < cli_command_count(); i++) {
    const cli_command *cmd = cli_command_at(i);
    const char *sub = strchr(cmd->name, ' ');
    char when[200];
    if (sub) {
      int n = (int)(sub - cmd->name);
      fprintf(f,
              "complete -c sgatlin -n '__fish_seen_subcommand_from %.*s; and test (count (commandline -opc)) "
              "-eq 2' -f -a %s -d '",
              n, cmd->name, sub + 1);
      fish_text(f, cmd->summary);
      fputs("'\n", f);
      snprintf(when, sizeof when, "__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s", n, cmd->name,
               sub + 1);
    } else {
      snprintf(when, sizeof when, "__fish_seen_subcommand_from %s", cmd->name);
    }
    fish_options(f, when, cmd->options);
  }
  fish_options(f, "not __fish_use_subcommand", cli_global_options);
}

static int dump_completion(const char *shell) {
  if (strcmp(shell, "bash") == 0) {
    dump_bash(stdout);
    fputs("complete -o filenames -F _sgatlin sgatlin\n", stdout);
  } else if (strcmp(shell, "zsh") == 0) {
    dump_zsh(stdout);
  } else if (strcmp(shell, "fish") == 0) {
    dump_fish(stdout);
  } else {
    return cli_failed(SG_ERR_ARG, "--dump completion: expected bash, zsh or fish, found '%s'", shell);
  }
  return 0;
}

int cli_dump(int n, char **argv) {
  if (n == 2 && strcmp(argv[0], "man") == 0) return dump_man(argv[1]);
  if (n == 2 && strcmp(argv[0], "completion") == 0) return dump_completion(argv[1]);
  if (n == 1 && strcmp(argv[0], "commands") == 0) {
    for (size_t i = 0; i < cli_command_count(); i++) puts(cli_command_at(i)->name);
    return 0;
  }
  return cli_failed(SG_ERR_ARG, "--dump takes 'man DIR', 'completion bash|zsh|fish' or 'commands'");
}
