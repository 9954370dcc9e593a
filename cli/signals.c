/* signals.c: the first signal asks to stop, the second stops. */
#include <unistd.h>

#include "cli.h"

volatile sig_atomic_t cli_stop = 0;
volatile sig_atomic_t cli_pipe_gone = 0;

static void on_stop(int number) {
  if (cli_stop) _exit(128 + number);
  cli_stop = number;
}

static void on_pipe(int number) {
  (void)number;
  cli_pipe_gone = 1;
}

static void install(int number, void (*handler)(int)) {
  struct sigaction old, new = {0};
  /* A signal the parent chose to ignore (nohup, a background job of a script) stays ignored. */
  if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN && number != SIGPIPE) return;
  new.sa_handler = handler;
  sigemptyset(&new.sa_mask);
  new.sa_flags = SA_RESTART;
  sigaction(number, &new, NULL);
}

void cli_signals_install(void) {
  install(SIGINT, on_stop);
  install(SIGTERM, on_stop);
  install(SIGHUP, on_stop);
}

void cli_signals_pipe(void) { install(SIGPIPE, on_pipe); }
