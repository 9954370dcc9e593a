/* names.c: the file: opened, checked, read and written row by row. */
#include "names/names.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "model/identity.h"
#include "text/unicode.h"

enum { APPLICATION = 0x53474e4d, VERSION = 1, WAIT_MS = 5000, LARGEST_ROW = 1 << 16 };
static const int64_t LARGEST_FILE = (int64_t)1 << 31;

static const struct {
  const char *name, *sql;
} tables[] = {
    {"labels",
     "CREATE TABLE labels (layer INTEGER NOT NULL, channel INTEGER NOT NULL, neuron INTEGER NOT NULL, text TEXT NOT "
     "NULL, recorded INTEGER NOT NULL, reads TEXT NOT NULL, writes TEXT NOT NULL, PRIMARY KEY (layer, channel, "
     "neuron)) STRICT, WITHOUT ROWID"},
    {"model", "CREATE TABLE model (hash TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID"},
    {"names",
     "CREATE TABLE names (layer INTEGER NOT NULL, channel INTEGER NOT NULL, neuron INTEGER NOT NULL, name TEXT NOT "
     "NULL, author TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (layer, channel, neuron)) STRICT, WITHOUT "
     "ROWID"},
};

enum { GIVE, TAKE, LABEL, FIND, EACH, COUNT, N_STATEMENTS };
static const char *const statements[N_STATEMENTS] = {
    [GIVE] = "INSERT OR REPLACE INTO names VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [TAKE] = "DELETE FROM names WHERE layer = ?1 AND channel = ?2 AND neuron = ?3",
    [LABEL] = "INSERT OR REPLACE INTO labels VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [FIND] =
        "SELECT q.layer, q.channel, q.neuron, l.text, l.recorded, l.reads, l.writes, n.name, n.author, n.time FROM "
        "(SELECT ?1 AS layer, ?2 AS channel, ?3 AS neuron) q LEFT JOIN labels l USING (layer, channel, neuron) "
        "LEFT JOIN names n USING (layer, channel, neuron)",
    [EACH] =
        "SELECT q.layer, q.channel, q.neuron, l.text, l.recorded, l.reads, l.writes, n.name, n.author, n.time FROM "
        "(SELECT layer, channel, neuron FROM labels UNION SELECT layer, channel, neuron FROM names) q LEFT JOIN "
        "labels l USING (layer, channel, neuron) LEFT JOIN names n USING (layer, channel, neuron) ORDER BY 1, 2, 3",
    [COUNT] = "SELECT (SELECT count(*) FROM labels), (SELECT count(*) FROM names)",
};

struct sg_names {
  char *path;
  sqlite3 *db;
  sqlite3_stmt *statement[N_STATEMENTS];
  sgi_names_model of;
  bool write;
};

sgi_names_model sgi_names_model_of(const sg_model *m) {
  sgi_names_model of;
  snprintf(of.hash, sizeof of.hash, "%016" PRIx64, sgi_model_hash(m));
  return of;
}

/* ---- SQLite's answers ------------------------------------------------------------------------ */

static sg_status failed(const sg_names *n, int code, sg_error *err) {
  const char *what = n->db ? sqlite3_errmsg(n->db) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_NOMEM: return sgi_fail(err, SG_ERR_MEMORY, "%.200s: out of memory", n->path);
    case SQLITE_READONLY:
      return sgi_fail(err, SG_ERR_IO,
                      "%.200s: a writer ended in the middle of a change, and this process may not take it back: let "
                      "one that may write the file open it once",
                      n->path);
    case SQLITE_FULL: return sgi_fail(err, SG_ERR_SPACE, "%.200s: no space left: nothing was changed", n->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return sgi_fail(err, SG_ERR_IO, "%.200s: another process has been writing for %d s: try again", n->path,
                      WAIT_MS / 1000);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
    case SQLITE_ERROR:
      return sgi_fail(err, SG_ERR_FORMAT,
                      "%.200s: expected a file of names, found a damaged or another one (%.100s): move it away, and "
                      "import an exported copy",
                      n->path, what);
    default: return sgi_fail(err, SG_ERR_IO, "%.200s: %.200s", n->path, what);
  }
}

static sg_status execute(sg_names *n, const char *sql, sg_error *err) {
  int code = sqlite3_exec(n->db, sql, NULL, NULL, NULL);
  return code ? failed(n, code, err) : SG_OK;
}

/* The one number that a statement gives. */
static sg_status ask_number(sg_names *n, const char *sql, int64_t *out, sg_error *err) {
  sqlite3_stmt *s = NULL;
  int code = sqlite3_prepare_v2(n->db, sql, -1, &s, NULL);
  if (!code) code = sqlite3_step(s);
  *out = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
  sqlite3_finalize(s);
  return code == SQLITE_ROW || code == SQLITE_DONE ? SG_OK : failed(n, code, err);
}

static sg_status damaged(const sg_names *n, const char *what, sg_error *err) {
  return sgi_fail(err, SG_ERR_FORMAT,
                  "%.200s: %s: the file is damaged, or no file of names: move it away, and import an exported copy",
                  n->path, what);
}

/* ---- opening --------------------------------------------------------------------------------- */

static sg_status make_tables(sg_names *n, sg_error *err) {
  char sql[160];
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(tables) && !st; i++) st = execute(n, tables[i].sql, err);
  snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; INSERT INTO model VALUES ('%s')",
           APPLICATION, VERSION, n->of.hash);
  return st ? st : execute(n, sql, err);
}

/* A file that holds nothing yet becomes one of names; of two processes one makes it. */
static sg_status begin_file(sg_names *n, sg_error *err) {
  int64_t objects;
  sg_status st = ask_number(n, "SELECT count(*) FROM sqlite_schema", &objects, err);
  if (st || objects) return st;
  if (!n->write)
    return sgi_fail(err, SG_ERR_FORMAT, "%.200s is empty: 'sgatlin label make' writes a file of names", n->path);
  st = sgi_names_begin(n, err);
  if (st) return st;
  st = ask_number(n, "SELECT count(*) FROM sqlite_schema", &objects, err);
  if (!st && !objects) st = make_tables(n, err);
  if (!st) st = sgi_names_commit(n, err);
  if (st) sgi_names_rollback(n);
  return st;
}

/* The tables are those that make_tables makes, and nothing else is there: no trigger, no view. */
static sg_status check_tables(sg_names *n, sg_error *err) {
  sqlite3_stmt *s = NULL;
  size_t found = 0;
  int code = sqlite3_prepare_v2(n->db, "SELECT name, sql FROM sqlite_schema ORDER BY name", -1, &s, NULL);
  while (!code && (code = sqlite3_step(s)) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(s, 0), *sql = (const char *)sqlite3_column_text(s, 1);
    if (found == SGI_COUNT(tables) || !name || !sql || strcmp(name, tables[found].name) ||
        strcmp(sql, tables[found].sql))
      break;
    found++;
    code = 0;
  }
  sqlite3_finalize(s);
  if (code != SQLITE_ROW && code != SQLITE_DONE) return failed(n, code, err);
  return code == SQLITE_DONE && found == SGI_COUNT(tables) ? SG_OK : damaged(n, "its tables are others", err);
}

static sg_status check_form(sg_names *n, sg_error *err) {
  int64_t id, version, rows;
  sg_status st = ask_number(n, "PRAGMA application_id", &id, err);
  if (!st) st = ask_number(n, "PRAGMA user_version", &version, err);
  if (st) return st;
  if (id != APPLICATION) return damaged(n, "it is a database of another program", err);
  if (version != VERSION)
    return sgi_fail(err, SG_ERR_FORMAT, "%.200s has version %lld: this program reads version %d", n->path,
                    (long long)version, VERSION);
  st = check_tables(n, err);
  if (!st) st = ask_number(n, "SELECT count(*) FROM pragma_quick_check(1) WHERE quick_check != 'ok'", &rows, err);
  if (!st && rows) st = damaged(n, "SQLite's check of its pages fails", err);
  if (!st) st = ask_number(n, "SELECT count(*) FROM model", &rows, err);
  return st || rows == 1 ? st : damaged(n, "it names no model, or several", err);
}

static sg_status check_model(sg_names *n, const sgi_names_model *of, sg_error *err) {
  sqlite3_stmt *s = NULL;
  int code = sqlite3_prepare_v2(n->db, "SELECT hash FROM model", -1, &s, NULL);
  if (!code) code = sqlite3_step(s);
  const char *hash = code == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
  sgi_names_model found = {{0}};
  bool right = hash && strlen(hash) == SGI_HASH_TEXT - 1 && strspn(hash, "0123456789abcdef") == SGI_HASH_TEXT - 1;
  if (right) memcpy(found.hash, hash, SGI_HASH_TEXT);
  sqlite3_finalize(s);
  if (code != SQLITE_ROW) return failed(n, code, err);
  if (!right) return damaged(n, "the model's hash is not 16 hexadecimal digits", err);
  n->of = found;
  if (!of || !strcmp(of->hash, found.hash)) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG,
                  "%.200s was made for another model: its weights had the hash %s, this model's have %s; --names FILE "
                  "takes another file",
                  n->path, found.hash, of->hash);
}

/* Nothing of the file is trusted: no function in its schema runs, no code is loaded, rows are
 * short. */
static sg_status harden(sg_names *n, sg_error *err) {
  sqlite3_busy_timeout(n->db, WAIT_MS);
  sqlite3_extended_result_codes(n->db, 1);
  sqlite3_db_config(n->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(n->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config(n->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  sqlite3_db_config(n->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
  sqlite3_limit(n->db, SQLITE_LIMIT_LENGTH, LARGEST_ROW);
  sqlite3_limit(n->db, SQLITE_LIMIT_ATTACHED, 0);
  return execute(n, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA synchronous = FULL", err);
}

static sg_status look(sg_names *n, sg_error *err) {
  sgi_file_id id;
  if (!sgi_is_file(n->path)) {
    if (n->write && !sgi_is_directory(n->path)) return SG_OK;
    return sgi_fail(err, SG_ERR_IO, "%.200s: no such file: 'sgatlin label make MODEL' makes it", n->path);
  }
  sg_status st = sgi_identify_file(n->path, &id, err);
  return st || (int64_t)id.size <= LARGEST_FILE ? st : damaged(n, "it has more than 2 GB", err);
}

static sg_status open_file(sg_names *n, const sgi_names_model *of, sg_error *err) {
  /* Readers too: what a killed writer left half done is taken back by whoever opens the file
   * next. */
  int flags = SQLITE_OPEN_READWRITE | (n->write ? SQLITE_OPEN_CREATE : 0);
  sg_status st = look(n, err);
  if (st) return st;
  int code = sqlite3_open_v2(n->path, &n->db, flags | SQLITE_OPEN_FULLMUTEX, NULL);
  if (code) return failed(n, code, err);
  if (of) n->of = *of;
  st = harden(n, err);
  if (!st) st = begin_file(n, err);
  if (!st) st = check_form(n, err);
  if (!st) st = check_model(n, of, err);
  if (!st && !n->write) st = execute(n, "PRAGMA query_only = ON", err);
  for (size_t i = 0; i < N_STATEMENTS && !st; i++) {
    code = sqlite3_prepare_v3(n->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &n->statement[i], NULL);
    if (code) st = failed(n, code, err);
  }
  return st;
}

sg_status sgi_names_open(const char *path, const sgi_names_model *of, bool write, sg_names **out, sg_error *err) {
  *out = NULL;
  sg_names *n = sgi_alloc(sizeof *n);
  if (!n) return sgi_fail_memory(err, sizeof *n, "a file of names");
  n->write = write;
  /* SQLite takes what begins with "file:" or ":" as names of its own. */
  n->path = sgi_path_join(!strncmp(path, "file:", 5) || *path == ':' ? "." : "", path);
  sg_status st = n->path ? open_file(n, of, err) : sgi_fail_memory(err, strlen(path), "a path");
  if (st)
    sg_names_close(n);
  else
    *out = n;
  return st;
}

sg_status sg_names_open(const char *path, const sg_model *model, bool write, sg_names **out, sg_error *err) {
  sgi_names_model of = sgi_names_model_of(model);
  return sgi_names_open(path, &of, write, out, err);
}

void sg_names_close(sg_names *n) {
  if (!n) return;
  for (size_t i = 0; i < N_STATEMENTS; i++) sqlite3_finalize(n->statement[i]);
  sqlite3_close(n->db);
  sgi_free(n->path);
  sgi_free(n);
}

const sgi_names_model *sgi_names_of(const sg_names *n) { return &n->of; }

sg_status sgi_names_begin(sg_names *n, sg_error *err) { return execute(n, "BEGIN IMMEDIATE", err); }
sg_status sgi_names_commit(sg_names *n, sg_error *err) { return execute(n, "COMMIT", err); }
void sgi_names_rollback(sg_names *n) {
  if (!sqlite3_get_autocommit(n->db)) sqlite3_exec(n->db, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- writing --------------------------------------------------------------------------------- */

static sqlite3_stmt *place(sg_names *n, int which, sgi_neuron_at at) {
  sqlite3_stmt *s = n->statement[which];
  sqlite3_reset(s);
  sqlite3_bind_int64(s, 1, (sqlite3_int64)at.layer);
  sqlite3_bind_int64(s, 2, (sqlite3_int64)at.channel);
  sqlite3_bind_int64(s, 3, (sqlite3_int64)at.index);
  return s;
}

static sg_status run(sg_names *n, sqlite3_stmt *s, sg_error *err) {
  int code = sqlite3_step(s);
  sg_status st = code == SQLITE_DONE ? SG_OK : failed(n, code, err);
  sqlite3_reset(s);
  sqlite3_clear_bindings(s);
  return st;
}

static int bind_text(sqlite3_stmt *s, int at, const char *text) {
  return sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT);
}

/* What may stand in a table, a graph and a terminal. */
static bool plain(const char *text, size_t size) {
  size_t length = strlen(text);
  if (length >= size || !sgi_utf8_valid(text, length)) return false;
  for (const char *p = text; *p; p++)
    if ((unsigned char)*p < ' ' || *p == 0x7f) return false;
  return true;
}

sg_status sg_names_give(sg_names *n, sg_neuron_at at, const char *name, const char *author, int64_t time,
                        sg_error *err) {
  if (!plain(name, SG_NAME_BYTES) || !plain(author, SG_AUTHOR_BYTES))
    return sgi_fail(err, SG_ERR_ARG,
                    "a name is one line of UTF-8 text of at most %d bytes, its author one of at most %d",
                    SG_NAME_BYTES - 1, SG_AUTHOR_BYTES - 1);
  if (time < 0) return sgi_fail(err, SG_ERR_ARG, "the time %lld lies before 1970", (long long)time);
  sqlite3_stmt *s = place(n, *name ? GIVE : TAKE, at);
  int code = 0;
  if (*name) {
    code |= bind_text(s, 4, name);
    code |= bind_text(s, 5, author);
    code |= sqlite3_bind_int64(s, 6, time);
  }
  return code ? failed(n, code, err) : run(n, s, err);
}

/* "5 17": ids; "+5 -17": ids that are raised and lowered. */
static void put_ids(char *out, size_t size, const int32_t *id, const bool *raises, size_t n) {
  size_t used = 0;
  *out = 0;
  for (size_t i = 0; i < n; i++)
    used += (size_t)snprintf(out + used, size - used, "%s%s%d", i ? " " : "",
                             !raises     ? ""
                             : raises[i] ? "+"
                                         : "-",
                             (int)id[i]);
}

sg_status sgi_names_label(sg_names *n, sgi_neuron_at at, const sgi_label *l, const char *text, sg_error *err) {
  char reads[64], writes[64];
  if (!plain(text, SG_LABEL_BYTES)) return sgi_fail(err, SG_ERR_ARG, "a label is one line of UTF-8 text");
  put_ids(reads, sizeof reads, l->reads, NULL, l->n_reads);
  put_ids(writes, sizeof writes, l->writes, l->raises, l->n_writes);
  sqlite3_stmt *s = place(n, LABEL, at);
  int code = bind_text(s, 4, text);
  code |= sqlite3_bind_int(s, 5, l->recorded);
  code |= bind_text(s, 6, reads);
  code |= bind_text(s, 7, writes);
  return code ? failed(n, code, err) : run(n, s, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool take_size(sqlite3_stmt *s, int column, size_t *out) {
  sqlite3_int64 x = sqlite3_column_int64(s, column);
  *out = (size_t)x;
  return sqlite3_column_type(s, column) == SQLITE_INTEGER && x >= 0 && x <= INT32_MAX;
}

static bool take_text(sqlite3_stmt *s, int column, char *out, size_t size) {
  const char *text = (const char *)sqlite3_column_text(s, column);
  int bytes = sqlite3_column_bytes(s, column);
  if (!text || bytes < 0 || (size_t)bytes != strlen(text) || !plain(text, size)) return false;
  memcpy(out, text, (size_t)bytes + 1);
  return true;
}

static bool take_ids(const char *text, int32_t *id, bool *raises, size_t most, size_t *n) {
  for (*n = 0; *text; ++*n) {
    long x = 0;
    if (*n && *text++ != ' ') return false;
    if (*n == most || (raises && *text != '+' && *text != '-')) return false;
    if (raises) raises[*n] = *text++ == '+';
    if (*text < '0' || *text > '9') return false;
    for (; *text >= '0' && *text <= '9'; text++)
      if ((x = 10 * x + (*text - '0')) > INT32_MAX) return false;
    id[*n] = (int32_t)x;
  }
  return true;
}

/* A row of FIND or EACH. */
static bool take_row(sqlite3_stmt *s, sgi_named *out) {
  char reads[64], writes[64];
  sg_neuron_called *x = &out->called;
  *out = (sgi_named){0};
  if (!take_size(s, 0, &out->at.layer) || !take_size(s, 1, &out->at.channel) || !take_size(s, 2, &out->at.index))
    return false;
  x->labelled = sqlite3_column_type(s, 3) != SQLITE_NULL;
  if (x->labelled) {
    sgi_label *l = &out->label;
    l->recorded = sqlite3_column_int(s, 4) == 1;
    if (!take_text(s, 3, x->label, sizeof x->label) || !take_text(s, 5, reads, sizeof reads) ||
        !take_text(s, 6, writes, sizeof writes) || !take_ids(reads, l->reads, NULL, SGI_LABEL_READS, &l->n_reads) ||
        !take_ids(writes, l->writes, l->raises, SGI_LABEL_WRITES, &l->n_writes))
      return false;
  }
  if (sqlite3_column_type(s, 7) == SQLITE_NULL) return true;
  x->time = sqlite3_column_int64(s, 9);
  return take_text(s, 7, x->name, sizeof x->name) && take_text(s, 8, x->author, sizeof x->author) && x->time >= 0;
}

static sg_status wrong_row(const sg_names *n, const sgi_named *row, sg_error *err) {
  char what[120];
  snprintf(what, sizeof what, "the row of layer %zu channel %zu neuron %zu is out of bounds", row->at.layer,
           row->at.channel, row->at.index);
  return damaged(n, what, err);
}

sg_status sg_names_find(sg_names *n, sg_neuron_at at, sg_neuron_called *out, sg_error *err) {
  sqlite3_stmt *s = place(n, FIND, at);
  int code = sqlite3_step(s);
  sgi_named row = {0};
  sg_status st = SG_OK;
  if (code != SQLITE_ROW)
    st = failed(n, code, err);
  else if (!take_row(s, &row))
    st = wrong_row(n, &row, err);
  *out = row.called;
  sqlite3_reset(s);
  return st;
}

sg_status sgi_names_each(sg_names *n, sg_status (*visit)(void *user, const sgi_named *row, sg_error *err), void *user,
                         sg_error *err) {
  sqlite3_stmt *s = n->statement[EACH];
  sgi_named row;
  sg_status st = SG_OK;
  int code = SQLITE_ROW;
  sqlite3_reset(s);
  while (!st && (code = sqlite3_step(s)) == SQLITE_ROW)
    st = take_row(s, &row) ? visit(user, &row, err) : wrong_row(n, &row, err);
  if (!st && code != SQLITE_DONE) st = failed(n, code, err);
  sqlite3_reset(s);
  return st;
}

sg_status sgi_names_count(sg_names *n, size_t *labels, size_t *names, sg_error *err) {
  sqlite3_stmt *s = n->statement[COUNT];
  int code = sqlite3_step(s);
  *labels = code == SQLITE_ROW ? (size_t)sqlite3_column_int64(s, 0) : 0;
  *names = code == SQLITE_ROW ? (size_t)sqlite3_column_int64(s, 1) : 0;
  sg_status st = code == SQLITE_ROW ? SG_OK : failed(n, code, err);
  sqlite3_reset(s);
  return st;
}
