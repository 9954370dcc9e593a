/* waiting.c: how long a thread that has nothing to do spins before it sleeps.
 *
 * libgomp's threads spin for milliseconds by default. On a machine with other work they take the
 * processor from the thread they wait for. libgomp reads its settings before main, so the command
 * starts itself once more with one that it read; the library leaves the choice to its caller.
 */
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"

#define SPINS "3000" /* SPEED.md, "Busy machines" */

void cli_wait_briefly(char **argv) {
  static const char mark[] = "SGATLIN_STARTED_AGAIN";
  char path[4096];
  if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || getenv(mark)) {
    unsetenv(mark);
    return;
  }
  ssize_t n = readlink("/proc/self/exe", path, sizeof path); /* by its path, so that the process keeps its name */
  if (n <= 0 || (size_t)n >= sizeof path) return;
  path[n] = 0;
  if (setenv(mark, "1", 1) || setenv("GOMP_SPINCOUNT", SPINS, 1)) return;
  execv(path, argv);
  unsetenv(mark); /* not possible here: goes on as it is */
}
