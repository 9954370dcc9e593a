/* signals.c: the first signal asks to stop, the second stops; who was asked and has not ended after
 * a moment is ended.
 *
 * A thread waits for the signals, and all others hold them back: no handler may run on a thread
 * that computes, because oneDNN's AVX-512 matrix product keeps data below its stack pointer, which
 * a handler's frame overwrites.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "core/file.h"
#include "core/file_guard.h"

atomic_int cli_stop = 0;
volatile sig_atomic_t cli_pipe_gone = 0;

static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
static sigset_t waited_for;

/* How long the command may take to end: AT_ONCE it never looks at cli_stop; SOON it does, within a
 * moment; PATIENT: as long as it needs. */
enum { AT_ONCE, SOON, PATIENT };
static atomic_int manner = AT_ONCE;
static const double MOMENT = 0.7; /* seconds */

static void end(int number) {
  sgi_writers_abandon();
  _exit(128 + number);
}

static void on_stop(int number) {
  if (cli_stop || atomic_load(&manner) == AT_ONCE) end(number);
  cli_stop = number;
}

/* Where no thread could be made: nothing but this is allowed within a handler. */
static void handle(int number) {
  if (cli_stop || atomic_load(&manner) == AT_ONCE) _exit(128 + number);
  cli_stop = number;
}

static void *wait_for_signals(void *unused) {
  const struct timespec tick = {.tv_nsec = 20 * 1000 * 1000};
  double asked = 0;
  for (;;) {
    int number = cli_stop ? sigtimedwait(&waited_for, NULL, &tick) : sigwaitinfo(&waited_for, NULL);
    if (number > 0) on_stop(number);
    if (!cli_stop) continue;
    if (asked == 0 || atomic_load(&manner) == PATIENT) asked = sgi_now();
    if (sgi_now() - asked > MOMENT) end(cli_stop);
  }
  return unused;
}

/* A signal the parent chose to ignore (nohup, a background job of a script) stays ignored. */
static bool ignored(int number) {
  struct sigaction old;
  return sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
}

static void install(int number, void (*handler)(int)) {
  struct sigaction new = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigemptyset(&new.sa_mask);
  sigaction(number, &new, NULL);
}

void cli_signals_install(void) {
  atomic_store(&manner, SOON);
  cli_signals_begin();
}

void cli_signals_patient(bool on) { atomic_store(&manner, on ? PATIENT : SOON); }

void cli_signals_begin(void) {
  static bool done;
  pthread_t thread;
  if (done) return;
  done = true;
  sigemptyset(&waited_for);
  for (size_t i = 0; i < SGI_COUNT(stops); i++)
    if (!ignored(stops[i])) sigaddset(&waited_for, stops[i]);
  pthread_sigmask(SIG_BLOCK, &waited_for, NULL);
  if (!pthread_create(&thread, NULL, wait_for_signals, NULL)) {
    pthread_detach(thread);
    return;
  }
  for (size_t i = 0; i < SGI_COUNT(stops); i++)
    if (!ignored(stops[i])) install(stops[i], handle);
  pthread_sigmask(SIG_UNBLOCK, &waited_for, NULL);
}

static void on_pipe(int number) {
  (void)number;
  cli_pipe_gone = 1;
}

/* Comes on the thread that writes, from within the write. A limit on the size of files (ulimit -f)
 * is to be an error of the write, which names the file and cleans up, not the end of the
 * process. */
void cli_signals_pipe(void) {
  install(SIGPIPE, on_pipe);
  signal(SIGXFSZ, SIG_IGN);
  sgi_guard_install();
}

bool cli_stopped(void *user) {
  (void)user;
  return cli_stop != 0;
}
