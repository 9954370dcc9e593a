/* sqlite_faults.c: a VFS around the system's. Each file has SQLite's own file behind it. */
#include "support/sqlite_faults.h"

#include <sqlite3.h>
#include <string.h>

typedef struct wrapped {
  sqlite3_file base;
  sqlite3_file *inner; /* in the same block */
} wrapped;

static sqlite3_vfs vfs, *system_vfs;
static sqlite3_io_methods methods;
static struct {
  size_t nth, count;
  int code;
  bool for_ever;
} fault;

void sqlite_faults_arm(size_t nth, int code, bool for_ever) {
  fault.nth = nth, fault.count = 0, fault.code = code, fault.for_ever = for_ever;
}
size_t sqlite_faults_count(void) { return fault.count; }

static int falls(void) {
  fault.count++;
  return fault.nth && (fault.count == fault.nth || (fault.for_ever && fault.count > fault.nth)) ? fault.code : 0;
}

static sqlite3_file *in(sqlite3_file *f) { return ((wrapped *)(void *)f)->inner; }

static int x_close(sqlite3_file *f) { return in(f)->pMethods->xClose(in(f)); }
static int x_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) { return in(f)->pMethods->xRead(in(f), p, n, at); }
static int x_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) {
  int code = falls();
  if (code && n > 1) in(f)->pMethods->xWrite(in(f), p, n / 2, at); /* a full disk takes a part */
  return code ? code : in(f)->pMethods->xWrite(in(f), p, n, at);
}
static int x_truncate(sqlite3_file *f, sqlite3_int64 n) {
  int code = falls();
  return code ? code : in(f)->pMethods->xTruncate(in(f), n);
}
static int x_sync(sqlite3_file *f, int flags) {
  int code = falls();
  return code ? code : in(f)->pMethods->xSync(in(f), flags);
}
static int x_size(sqlite3_file *f, sqlite3_int64 *n) { return in(f)->pMethods->xFileSize(in(f), n); }
static int x_lock(sqlite3_file *f, int how) { return in(f)->pMethods->xLock(in(f), how); }
static int x_unlock(sqlite3_file *f, int how) { return in(f)->pMethods->xUnlock(in(f), how); }
static int x_reserved(sqlite3_file *f, int *out) { return in(f)->pMethods->xCheckReservedLock(in(f), out); }
static int x_control(sqlite3_file *f, int op, void *p) { return in(f)->pMethods->xFileControl(in(f), op, p); }
static int x_sector(sqlite3_file *f) { return in(f)->pMethods->xSectorSize(in(f)); }
static int x_device(sqlite3_file *f) { return in(f)->pMethods->xDeviceCharacteristics(in(f)); }

static int x_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *out_flags) {
  (void)v;
  wrapped *w = (wrapped *)(void *)f;
  int code = falls();
  w->base.pMethods = NULL;
  if (code) return code;
  w->inner = (sqlite3_file *)(void *)(w + 1);
  code = system_vfs->xOpen(system_vfs, name, w->inner, flags, out_flags);
  if (w->inner->pMethods) w->base.pMethods = &methods;
  return code;
}
static int x_delete(sqlite3_vfs *v, const char *name, int sync) {
  (void)v;
  int code = falls();
  return code ? code : system_vfs->xDelete(system_vfs, name, sync);
}

void sqlite_faults_install(void) {
  if (system_vfs) return;
  sqlite3_initialize();
  system_vfs = sqlite3_vfs_find(NULL);
  vfs = *system_vfs;
  vfs.pNext = NULL;
  vfs.zName = "faults";
  vfs.szOsFile = (int)sizeof(wrapped) + system_vfs->szOsFile;
  vfs.xOpen = x_open;
  vfs.xDelete = x_delete;
  methods = (sqlite3_io_methods){1,      x_close,  x_read,     x_write,   x_truncate, x_sync,   x_size,
                                 x_lock, x_unlock, x_reserved, x_control, x_sector,   x_device, NULL,
                                 NULL,   NULL,     NULL,       NULL,      NULL};
  sqlite3_vfs_register(&vfs, 1);
}
