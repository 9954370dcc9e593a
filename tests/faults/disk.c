#include "faults/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/file.h"
#include "faults/disk_record.h"

enum { MAX_NODES = 4096 };
static const size_t NEVER = (size_t)-1;

/* A call on nodes (files and directories) instead of paths, and by which later call it is safe. */
typedef struct step {
  disk_op op;
  int node, directory, from; /* the node; the directory of its (new) name; of its old name */
  const char *name, *old;
  size_t offset, n;
  const char *data;
  size_t safe; /* after this many calls; NEVER */
} step;

typedef struct node {
  bool directory;
  char *data; /* of a file */
  size_t n;
} node;

typedef struct entry {
  int directory, node;
  const char *name;
} entry;

struct disk {
  char *text; /* the record */
  step *steps;
  size_t count;
  node first[MAX_NODES]; /* safe from the start */
  int nodes;             /* node 0 is $OUT */
  entry *begin;
  size_t n_begin;
};

size_t disk_count(const disk *d) { return d->count; }

/* ---- the tree as the calls make it ----------------------------------------------------------- */

typedef struct tree {
  entry list[MAX_NODES];
  size_t n;
} tree;

static int find(const tree *t, int directory, const char *name) {
  for (size_t i = 0; i < t->n; i++)
    if (t->list[i].directory == directory && !strcmp(t->list[i].name, name)) return (int)i;
  return -1;
}

static void set(tree *t, int directory, const char *name, int id) {
  int at = find(t, directory, name);
  if (at < 0 && t->n == MAX_NODES) abort();
  t->list[at < 0 ? t->n++ : (size_t)at] = (entry){directory, id, name};
}

/* Only where the name still stands for that node. */
static void unset(tree *t, int directory, const char *name, int id) {
  int at = find(t, directory, name);
  if (at >= 0 && t->list[at].node == id) t->list[at] = t->list[--t->n];
}

/* The directory's node of an absolute path below $OUT, and the last part of it; the node that
 * stands there, or -1. */
static int lookup(const tree *t, char *path, int *directory, const char **name) {
  size_t skip = strlen(inside_out);
  int at = 0;
  *directory = -1;
  *name = "";
  if (strncmp(path, inside_out, skip)) return -1;
  for (char *part = strtok(path + skip, "/"); part; part = strtok(NULL, "/")) {
    *directory = at;
    *name = part;
    int i = at < 0 ? -1 : find(t, at, part);
    at = i < 0 ? -1 : t->list[i].node;
  }
  return at;
}

static int new_node(disk *d, bool directory) {
  if (d->nodes == MAX_NODES) abort();
  d->first[d->nodes] = (node){.directory = directory};
  return d->nodes++;
}

/* What stands below path before the run. */
static void take(disk *d, tree *t, const char *path, int directory) {
  DIR *all = opendir(path);
  for (struct dirent *e; all && (e = readdir(all));) {
    char p[4600];
    struct stat s;
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    snprintf(p, sizeof p, "%.4200s/%s", path, e->d_name);
    if (lstat(p, &s)) continue;
    int id = new_node(d, S_ISDIR(s.st_mode));
    set(t, directory, strdup(e->d_name), id);
    if (S_ISDIR(s.st_mode))
      take(d, t, p, id);
    else
      sgi_read_file(p, 64 << 20, &d->first[id].data, &d->first[id].n, NULL);
  }
  if (all) closedir(all);
}

/* ---- from paths to nodes --------------------------------------------------------------------- */

static void resolve(disk *d, tree *t, disk_line *l, const char *data) {
  step s = {.op = l->op, .offset = l->offset, .n = l->n, .data = data, .safe = NEVER, .from = -1};
  s.node = lookup(t, l->path, &s.directory, &s.name);
  s.name = strdup(s.name);
  if (l->op == DISK_OP_CREATE || l->op == DISK_OP_MKDIR || (l->op == DISK_OP_TRUNCATE && s.node < 0)) {
    if (s.node >= 0) { /* it was there */
      free((char *)s.name);
      return;
    }
    if (l->op == DISK_OP_TRUNCATE) s.op = DISK_OP_CREATE;
    s.node = new_node(d, l->op == DISK_OP_MKDIR);
    set(t, s.directory, s.name, s.node);
  } else if (l->op == DISK_OP_REMOVE) {
    unset(t, s.directory, s.name, s.node);
  } else if (l->op == DISK_OP_RENAME) {
    s.from = s.directory;
    s.old = s.name;
    lookup(t, l->to, &s.directory, &s.name);
    s.name = strdup(s.name);
    unset(t, s.from, s.old, s.node);
    set(t, s.directory, s.name, s.node);
  }
  d->steps[d->count++] = s;
}

static bool names(disk_op op) {
  return op == DISK_OP_CREATE || op == DISK_OP_MKDIR || op == DISK_OP_REMOVE || op == DISK_OP_RENAME;
}

static void find_safe(disk *d) {
  for (size_t i = 0; i < d->count; i++) {
    step *s = &d->steps[i];
    for (size_t k = i + 1; k < d->count; k++) {
      if (d->steps[k].op != DISK_OP_SYNC) continue;
      int synced = d->steps[k].node;
      if (s->safe == NEVER && synced == (names(s->op) ? s->directory : s->node)) s->safe = k + 1;
    }
  }
}

disk *disk_record(const char *const *words, inside_result *result) {
  disk *d = calloc(1, sizeof *d);
  tree *t = calloc(1, sizeof *t);
  char path[4200];
  size_t n = 0;
  new_node(d, true);
  take(d, t, inside_out, 0);
  d->n_begin = t->n;
  d->begin = malloc((t->n + 1) * sizeof *d->begin);
  memcpy(d->begin, t->list, t->n * sizeof *d->begin);
  snprintf(path, sizeof path, "%s.record", inside_out);
  *result = inside_run(words, &(inside_how){.kill_after = -1, .before = disk_watch, .user = path});
  if (sgi_read_file(path, 1u << 30, &d->text, &n, NULL)) n = 0;
  unlink(path);
  d->steps = calloc(n / sizeof(disk_line) + 1, sizeof *d->steps);
  for (size_t at = 0; at + sizeof(disk_line) <= n;) {
    disk_line l;
    memcpy(&l, d->text + at, sizeof l);
    at += sizeof l;
    resolve(d, t, &l, d->text + at);
    if (l.op == DISK_OP_WRITE) at += l.n;
  }
  find_safe(d);
  free(t);
  return d;
}

void disk_free(disk *d) {
  for (int i = 0; i < d->nodes; i++) sgi_free(d->first[i].data);
  for (size_t i = 0; i < d->count; i++) {
    free((char *)d->steps[i].name);
    free((char *)d->steps[i].old);
  }
  for (size_t i = 0; i < d->n_begin; i++) free((char *)d->begin[i].name);
  sgi_free(d->text);
  free(d->steps);
  free(d->begin);
  free(d);
}

unsigned long disk_promised(const disk *d, size_t n, const char *prefix) {
  unsigned long best = 0;
  size_t skip = strlen(prefix);
  for (size_t i = 0; i < n; i++) {
    const step *s = &d->steps[i];
    if (s->op != DISK_OP_RENAME || s->safe > n || strncmp(s->name, prefix, skip) || strstr(s->name, ".tmp-")) continue;
    unsigned long number = strtoul(s->name + skip, NULL, 10);
    if (number > best) best = number;
  }
  return best;
}

/* ---- after the cut --------------------------------------------------------------------------- */

static void put_bytes(node *x, size_t offset, const char *data, size_t n) {
  size_t end = offset + n;
  if (end > x->n) {
    x->data = realloc(x->data, end);
    memset(x->data + x->n, 0, end - x->n);
    x->n = end;
  }
  if (n) memcpy(x->data + offset, data, n);
}

/* How much of an unsafe write is there. */
static size_t kept(size_t n, disk_cut cut, inside_random *random) {
  size_t unit = cut == DISK_TORN ? 512 : 4096;
  if (cut == DISK_LOST) return 0;
  if (cut == DISK_NAMES) return n;
  if (cut == DISK_ANY) {
    double x = inside_unit(random);
    if (x < 0.4) return 0;
    if (x < 0.7) return n;
    unit = x < 0.85 ? 512 : 4096;
  }
  size_t k = inside_next(random) % (n / unit + 1) * unit;
  return k < n ? k : n;
}

static bool name_there(disk_cut cut, inside_random *random) {
  return (cut != DISK_NAMES && cut != DISK_ANY) || inside_next(random) % 2;
}

static void apply(tree *t, node *nodes, const step *s, size_t n, disk_cut cut, inside_random *random) {
  bool safe = s->safe <= n;
  node *x = s->node >= 0 ? &nodes[s->node] : NULL;
  if (s->op == DISK_OP_WRITE && x) {
    size_t k = safe ? s->n : kept(s->n, cut, random);
    if (k) put_bytes(x, s->offset, s->data, k);
  } else if (s->op == DISK_OP_TRUNCATE && x) {
    if ((safe || kept(1, cut, random)) && s->offset < x->n) x->n = s->offset;
  } else if (s->op == DISK_OP_CREATE || s->op == DISK_OP_MKDIR) {
    if (safe || name_there(cut, random)) set(t, s->directory, s->name, s->node);
  } else if (s->op == DISK_OP_REMOVE) {
    if (safe || name_there(cut, random)) unset(t, s->directory, s->name, s->node);
  } else if (s->op == DISK_OP_RENAME) {
    bool gone = safe || name_there(cut, random); /* both halves, or a file system would lose the file */
    if (gone) {
      unset(t, s->from, s->old, s->node);
      set(t, s->directory, s->name, s->node);
    }
  }
}

static void make(const tree *t, const node *nodes, int directory, const char *path) {
  for (size_t i = 0; i < t->n; i++) {
    const entry *e = &t->list[i];
    char p[4600];
    if (e->directory != directory) continue;
    snprintf(p, sizeof p, "%.4200s/%s", path, e->name);
    if (nodes[e->node].directory) {
      mkdir(p, 0700);
      make(t, nodes, e->node, p);
      continue;
    }
    int fd = open(p, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const node *x = &nodes[e->node];
    if (fd < 0 || (x->n && write(fd, x->data, x->n) != (ssize_t)x->n)) inside_wrong("%s: could not be laid out", p);
    if (fd >= 0) futimens(fd, (struct timespec[2]){{1700000000, 0}, {1700000000, 0}}); /* as commands_prepare does */
    if (fd >= 0) close(fd);
  }
}

void disk_replay(const disk *d, size_t n, disk_cut cut, inside_random *random) {
  tree *t = calloc(1, sizeof *t);
  node *nodes = calloc((size_t)d->nodes, sizeof *nodes);
  for (int i = 0; i < d->nodes; i++) {
    nodes[i].directory = d->first[i].directory;
    put_bytes(&nodes[i], 0, d->first[i].data, d->first[i].n);
  }
  memcpy(t->list, d->begin, d->n_begin * sizeof *d->begin);
  t->n = d->n_begin;
  for (size_t i = 0; i < n; i++) apply(t, nodes, &d->steps[i], n, cut, random);
  inside_clear();
  make(t, nodes, 0, inside_out);
  for (int i = 0; i < d->nodes; i++) free(nodes[i].data);
  free(nodes);
  free(t);
}
