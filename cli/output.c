/* output.c: messages, JSON lines, tables, short numbers, the progress line. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include "core/file_guard.h"

static struct {
  bool verbose, quiet, color_out, color_err;
  char warning[320];  /* of the result */
  bool no_memory;     /* something of the output could not be made */
  cli_progress *line; /* what stands on the terminal's last line */
} state;

/* Standard output is held back until the command has ended or says fflush, so that one that runs
 * out of memory half-way has printed nothing. 8 MB: what is longer goes out in pieces. Pages that
 * are not used cost nothing. */
static char held[8 << 20];

void cli_output_setup(cli_when color, bool verbose, bool quiet) {
  const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
  bool allowed = !(no && *no) && !(term && strcmp(term, "dumb") == 0);
  state.color_out = color == CLI_ALWAYS || (color == CLI_AUTO && allowed && isatty(STDOUT_FILENO));
  state.color_err = color == CLI_ALWAYS || (color == CLI_AUTO && allowed && isatty(STDERR_FILENO));
  state.verbose = verbose && !quiet;
  state.quiet = quiet;
}

void cli_no_memory(void) { state.no_memory = true; }
void cli_output_begin(void) { setvbuf(stdout, held, _IOFBF, sizeof held); }

bool cli_quiet(void) { return state.quiet; }

const char *cli_color(FILE *f, cli_style style) {
  static const char *const codes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m"};
  bool on = f == stdout ? state.color_out : f == stderr && state.color_err;
  return on ? codes[style] : "";
}

/* ---- messages -------------------------------------------------------------------------------- */

int cli_exit_code(sg_status status) {
  switch (status) {
    case SG_OK: return 0;
    case SG_ERR_ARG: return 2;
    case SG_ERR_FORMAT:
    case SG_ERR_UNSUPPORTED: return 3;
    case SG_ERR_MEMORY:
    case SG_ERR_SPACE: return 4;
    case SG_ERR_NUMERIC: return 5;
    case SG_ERR_CANCELLED: return cli_stop ? 128 + cli_stop : 1;
    case SG_ERR_IO:
    case SG_ERR_INTERNAL: break;
  }
  return 1;
}

/* Control characters, C1 too, as \x1b; line breaks and tabs as they are. */
static void print_clean(FILE *f, const char *text, size_t n) {
  for (size_t i = 0; i < n;) {
    utf8proc_int32_t point = 0;
    utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(n - i), &point);
    bool whole = step > 0, plain = whole && (text[i] == '\n' || text[i] == '\t');
    if (!whole) step = 1, point = (unsigned char)text[i];
    if (plain || (whole && utf8proc_category(point) != UTF8PROC_CATEGORY_CC))
      fwrite(text + i, 1, (size_t)step, f);
    else
      for (utf8proc_ssize_t k = 0; k < step; k++) fprintf(f, "\\x%02x", (unsigned char)text[i + (size_t)k]);
    i += (size_t)step;
  }
}

void cli_put_text(const char *bytes, size_t n) {
  if (isatty(STDOUT_FILENO))
    print_clean(stdout, bytes, n);
  else
    fwrite(bytes, 1, n, stdout);
}

/* New copy of text for one line: control characters and broken UTF-8 are written out. */
static char *clean_copy(const char *text) {
  char *out = malloc(4 * strlen(text) + 1), *q = out;
  if (!out) return NULL;
  const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
  for (utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(text), step; left > 0; left -= step, p += step) {
    utf8proc_int32_t point;
    step = utf8proc_iterate(p, left, &point);
    bool control = step > 0 && utf8proc_category(point) == UTF8PROC_CATEGORY_CC;
    if (step <= 0) step = 1, control = true;
    if (!control)
      memcpy(q, p, (size_t)step), q += step;
    else if (*p == '\n' || *p == '\t')
      q += sprintf(q, *p == '\n' ? "\\n" : "\\t");
    else
      for (utf8proc_ssize_t i = 0; i < step; i++) q += sprintf(q, "\\x%02x", p[i]);
  }
  *q = 0;
  return out;
}

static void clear_line(void) {
  if (state.line && state.line->terminal) fputs("\r\033[K", stderr);
}

static void message(cli_style style, const char *label, const char *format, va_list args) {
  char text[2048];
  vsnprintf(text, sizeof text, format, args);
  clear_line();
  if (label) fprintf(stderr, "%s%s%s ", cli_color(stderr, style), label, cli_color(stderr, CLI_PLAIN));
  print_clean(stderr, text, strlen(text)); /* messages may quote file names and file content */
  fputc('\n', stderr);
}

int cli_fail(const sg_error *err) {
  return cli_failed(err->code, "%s", err->text[0] ? err->text : sg_status_text(err->code));
}

int cli_end(sg_status st, const sg_error *err) {
  return st == SG_ERR_CANCELLED && cli_stop ? 128 + cli_stop : cli_fail(err);
}

int cli_failed(sg_status status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  message(CLI_RED, "sgatlin:", format, args);
  va_end(args);
  return cli_exit_code(status);
}

int cli_usage(const cli_call *c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  message(CLI_RED, "sgatlin:", format, args);
  va_end(args);
  if (c && c->command)
    cli_hint("'sgatlin help %s' shows the options", c->command->name);
  else
    cli_hint("'sgatlin help' lists the commands");
  return 2;
}

void cli_hint(const char *format, ...) {
  va_list args;
  va_start(args, format);
  message(CLI_BOLD, "hint:", format, args);
  va_end(args);
}

void cli_warn(const char *format, ...) {
  va_list args;
  va_start(args, format);
  message(CLI_YELLOW, "sgatlin: warning:", format, args);
  va_end(args);
}

void cli_result_warning(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(state.warning, sizeof state.warning, format, args);
  va_end(args);
  cli_warn("%s", state.warning);
}

void cli_note(const char *format, ...) {
  va_list args;
  if (state.quiet) return;
  va_start(args, format);
  message(CLI_PLAIN, NULL, format, args);
  va_end(args);
}

void cli_told_warning(void *user, const char *text) {
  (void)user;
  cli_warn("%s", text);
}

void cli_told_note(void *user, const char *text) {
  (void)user;
  cli_note("%s", text);
}

void cli_detail(const char *format, ...) {
  va_list args;
  if (!state.verbose) return;
  va_start(args, format);
  message(CLI_PLAIN, NULL, format, args);
  va_end(args);
}

/* ---- results --------------------------------------------------------------------------------- */

/* jansson's integers end at 2^63 - 1 and JSON's do not: a larger one travels as a string that
 * begins with this byte, which no other text of ours holds, and is printed as the number. */
enum { BIG = 0x7f };

json_t *cli_json_count(unsigned __int128 n) {
  if (n <= INT64_MAX) return json_integer((json_int_t)n);
  char digits[48], *p = digits + sizeof digits - 1;
  *p = 0;
  for (; n; n /= 10) *--p = (char)('0' + (int)(n % 10));
  *--p = BIG;
  return json_string(p);
}

static void unquote_big(char *text) {
  const char mark[] = {'"', BIG, 0};
  for (char *at = text; (at = strstr(at, mark)); at++) {
    size_t digits = strspn(at + 2, "0123456789");
    char *end = at + 2 + digits;
    if (digits < 19 || *end != '"') continue; /* somebody's text */
    memmove(at, at + 2, digits);
    memmove(at + digits, end + 1, strlen(end + 1) + 1);
  }
}

/* JSON escapes the older control characters itself; on a terminal DEL and C1 (U+0080 to U+009F) are
 * escaped too. */
static void put_json(const char *text) {
  bool terminal = isatty(STDOUT_FILENO);
  for (const char *p = text; terminal && *p; p++) {
    bool c1 = (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] < 0xa0;
    if (!c1 && *p != 0x7f) continue;
    fwrite(text, 1, (size_t)(p - text), stdout);
    printf("\\u%04X", c1 ? (unsigned char)p[1] : 0x7fu);
    p += c1;
    text = p + 1;
  }
  puts(text);
}

int cli_json(json_t *value) {
  if (state.warning[0] && json_is_object(value) && json_object_set_new(value, "warning", json_string(state.warning))) {
    json_decref(value);
    value = NULL;
  }
  char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(value);
  if (!text) {
    sg_error err = {0};
    sgi_json_incomplete("the result", &err);
    return cli_fail(&err);
  }
  sg_error lost = {0};
  if (sgi_guard_look(false, &lost)) {
    free(text);
    return cli_fail(&lost);
  }
  unquote_big(text);
  clear_line();
  put_json(text);
  free(text);
  return 0;
}

int cli_answer(const cli_call *c, sg_status st, const sg_error *err, json_t *answer, cli_printer *print,
               const void *user) {
  if (!st && cli_flag(c, "json")) return cli_json(answer);
  if (!st) print(user, answer);
  json_decref(answer);
  return st ? cli_end(st, err) : 0;
}

bool cli_output_gone(void) { return cli_pipe_gone || ferror(stdout); }

int cli_finish(int code) {
  sg_error lost = {0};
  if (!code && sgi_guard_end(&lost)) code = cli_fail(&lost);
  /* Where a text could not be had, something else stands in its place. */
  if ((state.no_memory || sgi_alloc_failures_of_all()) && !code)
    code = cli_failed(SG_ERR_MEMORY, "out of memory while writing the result");
  if (code == cli_exit_code(SG_ERR_MEMORY)) __fpurge(stdout);
  errno = 0;
  bool bad = fflush(stdout) != 0 || ferror(stdout);
  int number = errno;
  if (!bad) return code;
  if (cli_pipe_gone) return code; /* the reader has what it wanted */
  int failed = cli_failed(SG_ERR_SPACE, "standard output: %s",
                          number ? strerror(number) : "a write failed; the output is not whole");
  return code ? code : failed;
}

cli_short cli_number(uint64_t n, const char *what) {
  cli_short t;
  snprintf(t.s, sizeof t.s, "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : "s");
  return t;
}

cli_short cli_count(double n) {
  static const char units[] = " kMGTPE";
  cli_short t;
  double x = fabs(n);
  size_t u = 0;
  for (; x >= 999.5 && u + 2 < sizeof units; u++) x /= 1000;
  x = n < 0 ? -x : x;
  if (u == 0)
    snprintf(t.s, sizeof t.s, "%.4g", n);
  else
    snprintf(t.s, sizeof t.s, "%.*f%c", fabs(x) < 9.995 ? 2 : fabs(x) < 99.95 ? 1 : 0, x, units[u]);
  return t;
}

cli_short cli_bytes(double n) {
  static const char units[] = " KMGTPE";
  cli_short t;
  double x = n;
  size_t u = 0;
  for (; x >= 1023.5 && u + 2 < sizeof units; u++) x /= 1024;
  if (u == 0)
    snprintf(t.s, sizeof t.s, "%.0f B", n);
  else
    snprintf(t.s, sizeof t.s, "%.*f %ciB", x < 9.995 ? 2 : x < 99.95 ? 1 : 0, x, units[u]);
  return t;
}

cli_short cli_seconds(double s) {
  cli_short t;
  if (!(s >= 0)) s = 0;
  if (s > 8.64e12) s = 8.64e12;
  uint64_t n = (uint64_t)(s + 0.5);
  if (s < 0.9995)
    snprintf(t.s, sizeof t.s, "%.3gs", s);
  else if (s < 9.95)
    snprintf(t.s, sizeof t.s, "%.1fs", s);
  else if (n < 60)
    snprintf(t.s, sizeof t.s, "%us", (unsigned)n);
  else if (n < 3600)
    snprintf(t.s, sizeof t.s, "%um%02us", (unsigned)(n / 60), (unsigned)(n % 60));
  else if (n < 86400)
    snprintf(t.s, sizeof t.s, "%uh%02um", (unsigned)(n / 3600), (unsigned)(n / 60 % 60));
  else
    snprintf(t.s, sizeof t.s, "%llud%02uh", (unsigned long long)(n / 86400), (unsigned)(n / 3600 % 24));
  return t;
}

/* ---- tables ---------------------------------------------------------------------------------- */

enum { MAX_COLUMNS = 32 };

struct cli_table {
  char align[MAX_COLUMNS + 1]; /* a copy: callers make theirs in a block of their own */
  size_t n_columns, n_cells, room;
  char **cells;
};

/* Columns that text takes on a terminal. */
static size_t width_of(const char *text) {
  size_t width = 0;
  const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
  for (utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(text), step; left > 0; left -= step, p += step) {
    utf8proc_int32_t point;
    step = utf8proc_iterate(p, left, &point);
    if (step <= 0)
      step = 1, width++;
    else
      width += (size_t)utf8proc_charwidth(point);
  }
  return width;
}

cli_table *cli_table_begin(const char *align) {
  cli_table *t = calloc(1, sizeof *t);
  if (!t) {
    state.no_memory = true;
    return NULL;
  }
  snprintf(t->align, sizeof t->align, "%s", align);
  t->n_columns = strlen(t->align);
  return t;
}

void cli_cell(cli_table *t, const char *format, ...) {
  if (!t) return;
  if (t->n_cells == t->room) {
    size_t room = t->room ? 2 * t->room : 64;
    char **cells = realloc(t->cells, room * sizeof *cells);
    if (!cells) {
      state.no_memory = true;
      return;
    }
    t->cells = cells;
    t->room = room;
  }
  va_list args;
  va_start(args, format);
  char *text = NULL;
  if (vasprintf(&text, format, args) < 0) text = NULL;
  va_end(args);
  char *clean = text ? clean_copy(text) : NULL;
  if (!clean) state.no_memory = true;
  t->cells[t->n_cells++] = clean;
  free(text);
}

void cli_table_end(cli_table *t) {
  if (!t) return;
  size_t widths[MAX_COLUMNS] = {0}, n = t->n_columns < MAX_COLUMNS ? t->n_columns : MAX_COLUMNS;
  for (size_t i = 0; i < t->n_cells; i++) {
    size_t w = width_of(t->cells[i] ? t->cells[i] : "");
    if (i % t->n_columns < n && w > widths[i % t->n_columns]) widths[i % t->n_columns] = w;
  }
  clear_line();
  for (size_t i = 0; i < t->n_cells; i++) {
    const char *text = t->cells[i] ? t->cells[i] : "";
    size_t j = i % t->n_columns, pad = widths[j] - width_of(text);
    bool last = j + 1 == t->n_columns;
    if (j) fputs("  ", stdout);
    if (i < t->n_columns) fputs(cli_color(stdout, CLI_BOLD), stdout);
    if (t->align[j] == 'r') printf("%*s", (int)pad, "");
    fputs(text, stdout);
    if (t->align[j] != 'r' && !last) printf("%*s", (int)pad, "");
    if (i < t->n_columns) fputs(cli_color(stdout, CLI_PLAIN), stdout);
    if (last) putchar('\n');
    free(t->cells[i]);
  }
  free(t->cells);
  free(t);
}

void cli_quote(const char *text, char *out, size_t size) {
  size_t n = 0;
  out[n++] = '\'';
  for (; *text && n + 6 < size; text++) {
    if (*text == '\'')
      n += (size_t)snprintf(out + n, size - n, "'\\''");
    else
      out[n++] = *text;
  }
  out[n++] = '\'';
  out[n] = '\0';
}

/* ---- progress -------------------------------------------------------------------------------- */

void cli_progress_begin(cli_progress *p, const char *what, const char *unit, double total, double first) {
  *p = (cli_progress){.what = what, .unit = unit, .total = total, .first = first, .done = first, .on = !state.quiet};
  const char *term = getenv("TERM");
  p->terminal = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
  p->started = p->drawn = sgi_now();
  if (p->on) state.line = p;
}

void cli_progress_update(cli_progress *p, double done, const char *extra) {
  double now = sgi_now(), spent = now - p->started;
  p->done = done;
  if (!p->on || now - p->drawn < (p->terminal ? 0.1 : 20.0)) return;
  p->drawn = now;
  double rate = spent > 0 ? (done - p->first) / spent : 0;
  char text[400];
  int n = snprintf(text, sizeof text, "%s  ", p->what);
  if (p->total > 0)
    n += snprintf(text + n, sizeof text - (size_t)n, "%3.0f%%  %s/%s %s", floor(100 * done / p->total),
                  cli_count(done).s, cli_count(p->total).s, p->unit);
  else
    n += snprintf(text + n, sizeof text - (size_t)n, "%s %s", cli_count(done).s, p->unit);
  if (extra && *extra && (size_t)n < sizeof text) n += snprintf(text + n, sizeof text - (size_t)n, "  %s", extra);
  if (rate > 0 && (size_t)n < sizeof text)
    n += snprintf(text + n, sizeof text - (size_t)n, "  %s/s", cli_count(rate).s);
  if (rate > 0 && p->total > done && (size_t)n < sizeof text)
    n += snprintf(text + n, sizeof text - (size_t)n, "  %s left", cli_seconds((p->total - done) / rate).s);
  if (p->terminal) {
    struct winsize w;
    size_t columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
    if (strlen(text) >= columns) text[columns - 1] = 0;
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
  } else {
    fprintf(stderr, "%s\n", text);
  }
}

bool cli_progress_bytes(void *progress, uint64_t done, uint64_t wanted) {
  cli_progress *p = progress;
  p->total = (double)wanted;
  cli_progress_update(p, (double)done, NULL);
  return !cli_stop;
}

bool cli_progress_advance(void *progress, size_t done, size_t wanted) {
  return cli_progress_bytes(progress, done, wanted);
}

void cli_progress_end(cli_progress *p) {
  clear_line();
  if (state.line == p) state.line = NULL;
  p->on = false;
}

void cli_work_end(cli_work *w) {
  if (w->what) cli_progress_end(&w->bar);
  w->what = NULL;
}

void cli_work_update(cli_work *w, const char *what, uint64_t done, uint64_t total) {
  if (w->what != what) {
    cli_work_end(w);
    cli_progress_begin(&w->bar, what, strstr(what, "tokenis") ? "B" : "tokens", (double)total, 0);
    w->what = what;
  }
  cli_progress_update(&w->bar, (double)done, NULL);
}
