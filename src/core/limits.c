/* limits.c: limits of control groups. /proc/self/cgroup names the process's group in each
 * hierarchy, /proc/self/mountinfo where the hierarchies can be seen. A limit holds for all groups
 * below, so the smallest from the group up to the mount's root counts. */
#include "core/limits.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 8192 };
/* Version 1 says "no limit" by the largest multiple of a page; nothing from an exbibyte on limits
 * anything. */
static const uint64_t HUGE_VALUE_FROM = UINT64_C(1) << 60;

/* The hierarchies that matter, and the process's group in each ("" where it has none). */
enum { UNIFIED, MEMORY, CPU, HIERARCHIES };
typedef struct groups {
  const char *root;
  char path[HIERARCHIES][LINE];
} groups;

static FILE *open_at(const char *root, const char *directory, const char *name) {
  char path[3 * LINE];
  int n = snprintf(path, sizeof path, "%s%s/%s", root, directory, name);
  return n > 0 && (size_t)n < sizeof path ? fopen(path, "re") : NULL;
}

/* A line without its end; a longer one than fits is passed over. False at the end. */
static bool next_line(FILE *f, char line[LINE]) {
  while (fgets(line, LINE, f)) {
    size_t n = strlen(line);
    bool whole = n && line[n - 1] == '\n';
    if (whole || feof(f)) {
      if (whole) line[n - 1] = '\0';
      return true;
    }
    int c;
    while ((c = getc(f)) != EOF && c != '\n') {}
  }
  return false;
}

/* Whether word is one of "a,b,c". */
static bool listed(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *p = list; *p;) {
    size_t length = strcspn(p, ",");
    if (length == n && !memcmp(p, word, n)) return true;
    p += length + (p[length] == ',');
  }
  return false;
}

/* Lines "4:cpu,cpuacct:/path"; of version 2 "0::/path". */
static void read_own_groups(groups *g) {
  char line[LINE];
  FILE *f = open_at(g->root, "/proc/self", "cgroup");
  if (!f) return;
  while (next_line(f, line)) {
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) continue;
    *path++ = '\0';
    controllers++;
    if (!*controllers) snprintf(g->path[UNIFIED], LINE, "%s", path);
    if (listed(controllers, "memory")) snprintf(g->path[MEMORY], LINE, "%s", path);
    if (listed(controllers, "cpu")) snprintf(g->path[CPU], LINE, "%s", path);
  }
  fclose(f);
}

/* A number in the first line, UINT64_MAX for none. second (NULL allowed): the number behind it. */
static uint64_t read_value(const char *root, const char *directory, const char *name, uint64_t *second) {
  char line[LINE] = "", *end;
  FILE *f = open_at(root, directory, name);
  if (!f) return UINT64_MAX;
  bool there = next_line(f, line);
  fclose(f);
  if (!there || line[0] < '0' || line[0] > '9') return UINT64_MAX;
  errno = 0;
  unsigned long long value = strtoull(line, &end, 10);
  if (second) *second = strtoull(end, NULL, 10);
  return errno || !value || value >= HUGE_VALUE_FROM ? UINT64_MAX : value;
}

/* What version 1 counts from parents that this process cannot see. */
static uint64_t read_hierarchical(const char *root, const char *directory) {
  static const char key[] = "hierarchical_memory_limit ";
  char line[LINE];
  uint64_t value = UINT64_MAX;
  FILE *f = open_at(root, directory, "memory.stat");
  if (!f) return value;
  while (next_line(f, line))
    if (!strncmp(line, key, sizeof key - 1)) value = strtoull(line + sizeof key - 1, NULL, 10);
  fclose(f);
  return !value || value >= HUGE_VALUE_FROM ? UINT64_MAX : value;
}

static void take_memory(sgi_limits *l, uint64_t bytes) {
  if (bytes < l->memory) l->memory = bytes;
}

static void take_quota(sgi_limits *l, uint64_t quota, uint64_t period) {
  if (quota == UINT64_MAX || !period || period == UINT64_MAX) return;
  double processors = (double)quota / (double)period;
  if (processors < l->processors) l->processors = processors;
}

static void read_group(const char *root, int hierarchy, const char *directory, sgi_limits *l) {
  uint64_t period = 0;
  if (hierarchy == UNIFIED) {
    take_memory(l, read_value(root, directory, "memory.max", NULL));
    take_memory(l, read_value(root, directory, "memory.high", NULL)); /* beyond it a process is slowed to a halt */
    uint64_t quota = read_value(root, directory, "cpu.max", &period);
    take_quota(l, quota, period);
  } else if (hierarchy == MEMORY) {
    take_memory(l, read_value(root, directory, "memory.limit_in_bytes", NULL));
    take_memory(l, read_hierarchical(root, directory));
  } else {
    uint64_t quota = read_value(root, directory, "cpu.cfs_quota_us", NULL);
    take_quota(l, quota, read_value(root, directory, "cpu.cfs_period_us", NULL));
  }
}

/* Octal escapes of mountinfo ("\040" for a blank), in place. */
static void unescape(char *s) {
  char *to = s;
  for (const char *p = s; *p; to++) {
    bool octal = p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' && p[3] <= '7';
    *to = octal ? (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0')) : *p;
    p += octal ? 4 : 1;
  }
  *to = '\0';
}

/* What of group lies below the mount's root; "" where the mount shows the group itself, or another
 * part of the tree. */
static const char *below(const char *group, const char *root) {
  size_t n = strcmp(root, "/") ? strlen(root) : 0;
  if (strncmp(group, root, n) || (group[n] && group[n] != '/') || strstr(group, "/..")) return "";
  return group + n;
}

/* The group's directory in this mount and all above it. */
static void read_mount(const groups *g, int hierarchy, const char *root, const char *point, sgi_limits *l) {
  char directory[2 * LINE];
  size_t least = strlen(point);
  snprintf(directory, sizeof directory, "%s%s", point, below(g->path[hierarchy], root));
  for (;;) {
    read_group(g->root, hierarchy, directory, l);
    char *slash = strrchr(directory, '/');
    if (!slash || (size_t)(slash - directory) < least) return;
    *slash = '\0';
  }
}

/* "36 35 98:0 ROOT POINT options tags... - TYPE source SUPER" */
static bool parse_mount(char *line, char **root, char **point, char **type, char **super) {
  char *fields[5], *save = NULL, *behind = strstr(line, " - ");
  if (!behind) return false;
  *behind = '\0';
  for (size_t i = 0; i < SGI_COUNT(fields); i++)
    if (!(fields[i] = strtok_r(i ? NULL : line, " ", &save))) return false;
  *root = fields[3], *point = fields[4];
  unescape(*root);
  unescape(*point);
  *type = strtok_r(behind + 3, " ", &save);
  char *source = *type ? strtok_r(NULL, " ", &save) : NULL;
  *super = source ? strtok_r(NULL, " ", &save) : NULL;
  return *super != NULL;
}

void sgi_limits_read(const char *root, sgi_limits *out) {
  groups g = {.root = root};
  char line[LINE], *top, *point, *type, *super;
  *out = (sgi_limits){UINT64_MAX, INFINITY};
  read_own_groups(&g);
  FILE *f = open_at(root, "/proc/self", "mountinfo");
  if (!f) return;
  while (next_line(f, line)) {
    if (!parse_mount(line, &top, &point, &type, &super)) continue;
    if (!strcmp(type, "cgroup2")) read_mount(&g, UNIFIED, top, point, out);
    if (strcmp(type, "cgroup")) continue;
    if (listed(super, "memory")) read_mount(&g, MEMORY, top, point, out);
    if (listed(super, "cpu")) read_mount(&g, CPU, top, point, out);
  }
  fclose(f);
}

size_t sgi_memory_limit(void) {
  sgi_limits l;
  sgi_limits_read("", &l);
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  size_t machine = pages > 0 && size > 0 ? (size_t)pages * (size_t)size : SIZE_MAX;
  return l.memory < machine ? (size_t)l.memory : machine;
}

size_t sgi_memory_default(size_t wanted) {
  size_t limit = sgi_memory_limit(), most = limit - limit / 4;
  return wanted < most ? wanted : most;
}

size_t sgi_processor_limit(void) {
  sgi_limits l;
  sgi_limits_read("", &l);
  return l.processors < 65536 ? (size_t)ceil(fmax(l.processors, 1e-6)) : SIZE_MAX;
}

/* The first "model name	: NAME". */
void sgi_processor_name(const char *root, char *out, size_t size) {
  static const char key[] = "model name";
  char line[LINE];
  snprintf(out, size, "unknown");
  FILE *f = open_at(root, "/proc", "cpuinfo");
  if (!f) return;
  while (next_line(f, line)) {
    const char *name = strchr(line, ':');
    if (strncmp(line, key, sizeof key - 1) || !name) continue;
    name += 1 + strspn(name + 1, " \t");
    if (*name) snprintf(out, size, "%s", name);
    for (char *c = out; *c; c++)
      if (*c < ' ' || *c > '~') *c = '?';
    break;
  }
  fclose(f);
}
