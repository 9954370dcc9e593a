/* cli.h: what every command of sgatlin is made of: its row in the table, the values of its options,
 * output, signals.
 *
 * Adding a command
 *   1. Write cli/cmd_NAME.c with one `const cli_command cli_NAME = {...}` (fields below) and its
 * run function. Name it "verb" or "verb subverb". The Makefile finds the file by itself.
 *   2. Add one line X(cli_NAME) to COMMANDS in cli/main.c.
 *   3. `UPDATE=1 sh tests/cli/test_help.sh` writes tests/cli/expected/NAME.txt; read it, commit it.
 * Help, man page and completions come from the row; no other place names a command or an option.
 *
 *   static const cli_option options[] = {
 *     {.name = "steps", .letter = 'n', .type = CLI_SIZE, .argument = "N", .value = "1000", .min =
 * 1, .help = "steps to train"}, CLI_OUTPUT_OPTION("RUN", "directory of the run"), CLI_JSON_OPTION,
 * CLI_END}; static int run(const cli_call *c) { sg_error err = {0}; if (sg_thing(cli_size(c,
 * "steps"), &err)) return cli_fail(&err); return 0;
 *   }
 *   const cli_command cli_thing = {.name = "thing", .group = "Training", .summary = "does the
 * thing", .usage = "MODEL [FILE...]", .examples = "# what it is for\nsgatlin thing model -n 10",
 * .options = options, .min_args = 1, .max_args = CLI_ANY, .run = run};
 *
 * Commands print results to stdout and everything else to stderr, through the functions below. They
 * return an exit code: 0 done, 1 failed, 2 usage, 3 bad or corrupt input, 4 out of memory or disk,
 * 5 NaN or infinity, 130/143 stopped by a signal.
 */
#ifndef SGATLIN_CLI_H
#define SGATLIN_CLI_H

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/arena.h"
#include "core/base.h"
#include "core/json.h"
#include "report/report.h"

/* ---- tables ---------------------------------------------------------------------------------- */

typedef enum cli_type {
  CLI_FLAG = 1, /* --x, --no-x */
  CLI_SIZE,     /* 0, 1, 2, ...; digits only */
  CLI_U64,      /* the same, all 64 bits: seeds */
  CLI_INT,      /* with sign, 64 bits */
  CLI_REAL,     /* 0.1, 1e17; finite */
  CLI_BYTES,    /* 512M, 1.5G, 4096, 2GiB: powers of 1024 */
  CLI_STRING,
  CLI_CHOICE, /* one of the words of .argument, "a|b|c" */
  CLI_LIST    /* strings; the option may be given many times */
} cli_type;

typedef struct cli_option {
  const char *name; /* long name without dashes; the variable is SGATLIN_NAME in capitals, '-' as '_' */
  char letter;      /* 0: none */
  bool required;
  cli_type type;
  const char *argument; /* shown: "N", "FILE"; the words of a choice; NULL for a flag */
  const char
      /* default (of --max-memory at most 3/4 of what the process may have), parsed like a given one
         ("on" for a flag); NULL: unset, and getters give 0, false, NULL */
      *value;
  const char *value_text; /* default as help shows it where value is NULL ("all cores"); else NULL */
  const char *help;       /* starts lower case, no full stop at the end, unit named */
  double min, max;        /* inclusive, for numbers; max < min: no upper limit; both 0: none */
  const char *old;        /* a former long name, still read (its variable, too) and shown nowhere; NULL: none */
} cli_option;

/* Stands for the names of all feedforward kinds wherever help is printed, with a space in front:
 * "one of" CLI_KINDS. */
#define CLI_KINDS " {kinds}"

#define CLI_END \
  { .name = NULL }
#define CLI_JSON_OPTION \
  { .name = "json", .type = CLI_FLAG, .help = "print JSON with stable keys" }
#define CLI_SEED_OPTION \
  { .name = "seed", .type = CLI_U64, .argument = "N", .value = "0", .help = "seed of every random choice" }
#define CLI_OUTPUT_OPTION(arg, text) \
  { .name = "output", .letter = 'o', .type = CLI_STRING, .argument = arg, .help = text }
#define CLI_REQUIRED_OUTPUT(arg, text) \
  { .name = "output", .letter = 'o', .required = true, .type = CLI_STRING, .argument = arg, .help = text }

enum { CLI_ANY = INT_MAX };

struct cli_call;
typedef struct cli_command {
  const char *name;          /* "train", "tokenizer encode" */
  const char *group;         /* heading in the list of commands: "Text", "Training", "Reading", ... */
  const char *summary;       /* one line, lower case, no full stop */
  const char *usage;         /* lines of arguments, split by \n: "[OPTION]... FILE..."; the name is put in front */
  const char *examples;      /* lines; "# why" in front of each command */
  const char *description;   /* paragraphs split by \n\n, wrapped by help; NULL: none */
  const cli_option *options; /* CLI_END at the end; NULL: none */
  int min_args, max_args;    /* positional arguments */
  const char *also;          /* option that one more argument behind them stands for ("prompt"); NULL: none */
  /* What to write instead of --word, into out; false where nothing is known. NULL: none. */
  bool (*advise)(const char *word, char *out, size_t size);
  int (*run)(const struct cli_call *c);
} cli_command;

size_t cli_command_count(void);
const cli_command *cli_command_at(size_t i);
/* Options that every command takes (-h, -v, -q, -t, --color); ends with CLI_END. */
extern const cli_option cli_global_options[];

/* ---- one call -------------------------------------------------------------------------------- */

typedef enum cli_source { CLI_UNSET, CLI_DEFAULT, CLI_VARIABLE, CLI_GIVEN } cli_source;

typedef struct cli_value {
  const cli_option *option;
  cli_source source;
  uint64_t number; /* flag, size, u64, bytes; int in two's complement; index of a choice */
  double real;
  const char *string; /* the text as given */
  const char **list;
  size_t count;
} cli_value;

typedef struct cli_call {
  const cli_command *command; /* NULL while only the options before the verb are read */
  cli_value *values;
  size_t n_values;
  const char **args; /* positional, n_args of them and a NULL */
  int n_args;
} cli_call;

/* Value of an option by its long name. Asking for an undeclared name or another type is a mistake
 * in the command: it stops the process with a message. */
bool cli_flag(const cli_call *c, const char *name);
size_t cli_size(const cli_call *c, const char *name); /* size and bytes */
uint64_t cli_u64(const cli_call *c, const char *name);
int64_t cli_int(const cli_call *c, const char *name);
double cli_real(const cli_call *c, const char *name);
const char *cli_string(const cli_call *c, const char *name); /* string and choice; NULL when unset */
size_t cli_choice(const cli_call *c, const char *name);      /* index of the word */
const char *cli_given(const cli_call *c, const char *name);  /* of any type, as it was given; NULL when unset */
const char *const *cli_list(const cli_call *c, const char *name, size_t *count);
/* Given by flag or variable. */
bool cli_is_set(const cli_call *c, const char *name);
cli_source cli_source_of(const cli_call *c, const char *name);

/* options.c, for main.c. Reads argv[*at..n) into c; before a command is known it stops at the first
 * word that is no option. Returns 0, or 2 after a message. */
int cli_parse(cli_call *c, int n, char **argv, int *at);
int cli_call_begin(cli_call *c, const cli_command *command); /* makes or widens values; 0 or an exit code */
int cli_call_complete(cli_call *c); /* variables, defaults, required ones, number of arguments */
void cli_call_free(cli_call *c);
/* words.c: what a word of the field is called here, as an option of c's command; NULL: not
 * known. */
const char *cli_word_option(const cli_call *c, const char *word);
/* The same of commands: "tokenizer encode" for "tokenize". */
const char *cli_word_command(const char *word);
/* Name of the option's environment variable into out (of size bytes). */
/* 0, or the exit code where SGATLIN_ISA or SGATLIN_BF16 has a value that is not known or a variable
 * SGATLIN_... names no option of any command. */
int cli_check_variables(void);
void cli_variable_name(const cli_option *o, char *out, size_t size);

/* ---- messages (stderr) ----------------------------------------------------------------------- */

int cli_exit_code(sg_status status);
/* "sgatlin: TEXT"; returns the exit code of err->code. */
int cli_fail(const sg_error *err);
/* Exit code of a command that failed with st, not SG_OK: what a signal cancelled is told by the
 * code alone, all else by cli_fail. */
int cli_end(sg_status st, const sg_error *err);
/* cli_fail for a command's own failure: return cli_failed(SG_ERR_IO, "...", ...). */
int cli_failed(sg_status status, const char *format, ...) SG_PRINTF(2, 3);
/* A mistake in the command line: the message, a pointer to the help, and 2. */
int cli_usage(const cli_call *c, const char *format, ...) SG_PRINTF(2, 3);
void cli_hint(const char *format, ...) SG_PRINTF(1, 2); /* "hint: ..." after an error */
void cli_warn(const char *format, ...) SG_PRINTF(1, 2); /* "sgatlin: warning: ..." */
void cli_note(const char *format, ...) SG_PRINTF(1, 2); /* silent with -q */
/* The same of a whole text, as calls of the library take who is told: user is anything. */
void cli_told_warning(void *user, const char *text);
void cli_told_note(void *user, const char *text);
void cli_detail(const char *format, ...) SG_PRINTF(1, 2); /* only with -v */
bool cli_quiet(void);

/* ---- input ----------------------------------------------------------------------------------- */

/* The whole of a file, or of standard input for "-", a NUL behind it; longer than max is an error.
 * New: free. */
sg_status cli_read_all(const char *path, size_t max, char **text, size_t *n, sg_error *err);

/* A prompt out of a file ("-": standard input): UTF-8 without a byte order mark, and without one
 * final line break (LF or CRLF), which is the file's: an editor or echo puts it there. Zero bytes
 * and UTF-16 are refused. *text (n bytes and a NUL) is new: sgi_free. */
sg_status cli_read_prompt(const char *path, char **text, size_t *n, sg_error *err);

/* Line by line, likewise. *text (n bytes and a NUL, without the line's end) is borrowed until the
 * next call; NULL at the end. */
typedef struct cli_lines cli_lines;
sg_status cli_lines_open(const char *path, size_t max, cli_lines **out, sg_error *err);
sg_status cli_lines_next(cli_lines *l, const char **text, size_t *n, sg_error *err);
const char *cli_lines_where(const cli_lines *l, char *out, size_t size); /* "FILE, line 12" */
void cli_lines_close(cli_lines *l);

/* ---- results (stdout) ------------------------------------------------------------------------ */

/* One compact line, reals with 9 significant digits. Takes the reference. Returns 0 or an exit
 * code. */
int cli_json(json_t *value);
/* The end of a command that has one document: its failure (cli_end), the document with --json, else
 * what print makes of it. Takes the reference, NULL where there is none. Returns the exit code. */
typedef void cli_printer(const void *user, const json_t *answer);
int cli_answer(const cli_call *c, sg_status st, const sg_error *err, json_t *answer, cli_printer *print,
               const void *user);
/* A warning that belongs to the result: on standard error now, and as "warning" in the object that
 * cli_json prints. */
void cli_result_warning(const char *format, ...) SG_PRINTF(1, 2);
json_t *cli_json_count(unsigned __int128 n); /* any size; only for cli_json to print */
/* True once stdout can not be written any more (closed pipe, full disk): long output may stop. */
bool cli_output_gone(void);

/* Short texts: printf("%s", cli_count(1234567).s) is "1.23M". */
typedef struct cli_short {
  char s[32];
} cli_short;
cli_short cli_number(uint64_t n, const char *what); /* "1 token", "12 tokens" */
cli_short cli_count(double n);                      /* 999, 1.23k, 45.6M, 7.89G */
cli_short cli_bytes(double n);                      /* 512 B, 1.40 GiB */
cli_short cli_seconds(double s);                    /* 0.25s, 12s, 3m05s, 2h03m, 4d06h */

/* Text of a model or a file to stdout as it is; on a terminal control characters but line breaks
 * and tabs are written out (\x1b), so that no token moves the cursor or sets a title. */
void cli_put_text(const char *bytes, size_t n);

/* text in quotes that a shell takes as it stands, as much of it as fits. */
void cli_quote(const char *text, char *out, size_t size);

/* Aligned columns. align: one letter a column, 'l' or 'r' (its length is the number of columns, at
 * most 32). Cells are added row by row; the first row is the heading (bold on a terminal). */
typedef struct cli_table cli_table;
cli_table *cli_table_begin(const char *align);
void cli_cell(cli_table *t, const char *format, ...) SG_PRINTF(2, 3);
void cli_table_end(cli_table *t); /* prints and frees */

typedef enum cli_style { CLI_PLAIN, CLI_BOLD, CLI_DIM, CLI_RED, CLI_GREEN, CLI_YELLOW } cli_style;
/* Escape sequence for f (stdout or stderr), "" where colour is off. CLI_PLAIN ends a style. */
const char *cli_color(FILE *f, cli_style style);

/* ---- progress (stderr) ----------------------------------------------------------------------- */

/* One line, redrawn at most 10 times a second on a terminal; else a new line every 30 s. Nothing
 * with -q. */
typedef struct cli_progress {
  const char *what, *unit;
  double total;       /* 0: not known */
  double first, done; /* first: where a resumed run began */
  double started, drawn;
  bool on, terminal;
} cli_progress;
void cli_progress_begin(cli_progress *p, const char *what, const char *unit, double total, double first);
/* extra: more for the line ("loss 2.31"), NULL: none. */
void cli_progress_update(cli_progress *p, double done, const char *extra);
void cli_progress_end(cli_progress *p); /* clears the line */
/* For requests whose user is a cli_progress that has begun: shown, and false once a signal asks to
 * stop. The second where counts have 64 bits. */
bool cli_progress_advance(void *progress, size_t done, size_t wanted);
bool cli_progress_bytes(void *progress, uint64_t done, uint64_t wanted);

/* Set-up that a run tells of (sg_train_events, work): a line for each thing that is done. */
typedef struct cli_work {
  cli_progress bar;
  const char *what; /* NULL: nothing at the moment */
} cli_work;
void cli_work_update(cli_work *w, const char *what, uint64_t done, uint64_t total);
void cli_work_end(cli_work *w);

/* ---- signals --------------------------------------------------------------------------------- */

/* Number of the signal that asked to stop, 0: none. Long commands look at it and end in order, with
 * exit code 128 + cli_stop; a second signal ends the process at once. */
extern atomic_int cli_stop; /* set by the thread that waits for signals, or by a handler */
/* Whether it did, for functions that take a stop function. */
bool cli_stopped(void *user);
extern volatile sig_atomic_t cli_pipe_gone; /* a write met a closed pipe */
/* main.c, before every command: INT, TERM, HUP end the process at once, with 128 + the signal as
 * exit code. */
void cli_signals_begin(void);
/* INT, TERM, HUP as above, for commands that look at cli_stop; called before anything is computed.
 * A command that has not ended 0.7 s after it was asked is ended: a file that it was reading or a
 * pass that it was in may take long. */
void cli_signals_install(void);
/* That moment does not run while on: what must be finished (a step and its checkpoint) takes what
 * it takes. */
void cli_signals_patient(bool on);
void cli_signals_pipe(void); /* SIGPIPE only sets cli_pipe_gone */

/* waiting.c, for main.c: unless the environment says how threads wait, starts the command again
 * with threads that sleep soon. Before anything else. */
void cli_wait_briefly(char **argv);

/* ---- output.c and help.c, for main.c --------------------------------------------------------- */

typedef enum cli_when { CLI_AUTO, CLI_ALWAYS, CLI_NEVER } cli_when;
void cli_output_setup(cli_when color, bool verbose, bool quiet);
/* Writes out what stdout still holds; exit code, which is 4 where that failed and code was 0. */
int cli_finish(int code);
/* Libraries that end the process where memory is out: see no_memory.c. */
void cli_watch_memory(void);
void cli_main_ends(void);
/* A part of the output could not be made for want of memory: the command ends with 4 and prints
 * nothing. Allocations that pass through core/arena.h are known without it. */
void cli_no_memory(void);
/* First of all: see output.c. */
void cli_output_begin(void);

/* A help text or description with what stands for lists in it (CLI_KINDS; of sites: "{shown}",
 * "{named}", "{on demand}" as `trace` tells them) filled in. New: free; NULL: memory is out. */
char *cli_filled(const char *text);
void cli_help_short(FILE *f);
void cli_help_commands(FILE *f);
void cli_help_group(FILE *f, const char *verb); /* the sub-verbs of verb */
void cli_help_command(FILE *f, const cli_command *cmd);
void cli_option_left(const cli_option *o, char *out, size_t size); /* "-n, --steps N" */
void cli_option_text(const cli_option *o, char *out, size_t size); /* help, default, "required" */
/* Prints the version; the text of -V. */
void cli_version_text(FILE *f);
/* --dump man DIR, --dump completion bash|zsh|fish, --dump commands: exit code. */
int cli_dump(int n, char **argv);

#endif
