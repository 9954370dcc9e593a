#include "core/file_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLACES = 4096, PATH = 400, STACK = 64 << 10 };
enum { FREE, TAKEN, LIVE };

/* Written by those who map, read by the handler at any moment: `state` is set last and cleared
 * first. */
static struct {
  atomic_int state;
  atomic_bool lost;
  atomic_uintptr_t start;
  atomic_size_t size;
  sgi_file_id id;
  char path[PATH];
} files[PLACES];
static atomic_int lost_files;
static atomic_bool told;
static sg_error ended; /* of the first file that was no longer whole when it was unmapped */
static uintptr_t page_mask;

static void on_bus(int number, siginfo_t *info, void *context) {
  (void)context;
  int before = errno;
  uintptr_t at = (uintptr_t)info->si_addr & ~page_mask;
  for (size_t i = 0; i < PLACES; i++) {
    if (atomic_load(&files[i].state) != LIVE) continue;
    uintptr_t start = atomic_load(&files[i].start),
              end = (start + atomic_load(&files[i].size) + page_mask) & ~page_mask;
    if (at < start || at >= end) continue;
    /* All from here to the end: what lies behind a cut is gone as well. */
    void *zeros = mmap((void *)at, end - at, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) break;
    if (!atomic_exchange(&files[i].lost, true)) atomic_fetch_add(&lost_files, 1);
    errno = before;
    return;
  }
  signal(number, SIG_DFL); /* none of ours: the access is made again and ends the process */
}

void sgi_guard_install(void) {
  struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  page_mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, NULL);
}

static void give_stack(void) {
  stack_t have;
  if (sigaltstack(NULL, &have) || !(have.ss_flags & SS_DISABLE)) return;
  void *p = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return;
  if (sigaltstack(&(stack_t){.ss_sp = p, .ss_size = STACK}, NULL)) munmap(p, STACK);
}

void sgi_guard_threads(void) {
  give_stack();
#pragma omp parallel
  give_stack();
}

int sgi_guard_add(const char *path, const void *data, const sgi_file_id *id) {
  for (int i = 0; i < PLACES; i++) {
    int none = FREE;
    if (!atomic_compare_exchange_strong(&files[i].state, &none, TAKEN)) continue;
    atomic_store(&files[i].start, (uintptr_t)data);
    atomic_store(&files[i].size, (size_t)id->size);
    files[i].id = *id;
    atomic_store(&files[i].lost, false);
    snprintf(files[i].path, PATH, "%s", path);
    atomic_store(&files[i].state, LIVE);
    return i + 1;
  }
  return 0;
}

static sg_status look_at(size_t i, bool times, sg_error *err) {
  sgi_file_id now;
  const sgi_file_id *then = &files[i].id;
  if (atomic_load(&files[i].lost))
    return sgi_fail(err, SG_ERR_IO,
                    "%s: was cut, or its disk failed, while it was in use: nothing that was read of it counts; put it "
                    "back and start again",
                    files[i].path);
  if (sgi_identify_file(files[i].path, &now, NULL) || now.device != then->device || now.inode != then->inode)
    return SG_OK;
  if (now.size != then->size || (times && now.modified != then->modified))
    return sgi_fail(err, SG_ERR_IO, "%s: was changed while it was in use: start again", files[i].path);
  return SG_OK;
}

void sgi_guard_remove(int number) {
  if (!number) return;
  sg_error why = {0};
  if (look_at((size_t)number - 1, false, &why) && !atomic_exchange(&told, true)) ended = why;
  if (atomic_exchange(&files[number - 1].lost, false)) atomic_fetch_sub(&lost_files, 1);
  atomic_store(&files[number - 1].state, FREE);
}

sg_status sgi_guard_check(sg_error *err) {
  if (!atomic_load(&lost_files)) return SG_OK;
  for (size_t i = 0; i < PLACES; i++)
    if (atomic_load(&files[i].state) == LIVE && atomic_load(&files[i].lost)) return look_at(i, false, err);
  return SG_OK;
}

sg_status sgi_guard_look(bool times, sg_error *err) {
  sg_status st = sgi_guard_check(err);
  for (size_t i = 0; i < PLACES && !st; i++)
    if (atomic_load(&files[i].state) == LIVE) st = look_at(i, times, err);
  return st;
}

sg_status sgi_guard_end(sg_error *err) {
  if (!atomic_load(&told)) return SG_OK;
  return sgi_fail(err, ended.code, "%s", ended.text);
}
