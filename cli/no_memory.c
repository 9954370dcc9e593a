/* no_memory.c: where a library ends the process because memory is out, the command still says one
 * sentence and ends with 4.
 *
 * oneDNN makes its kernels before the first product, in C++; a failed allocation there is an
 * exception that no C function can catch, or (2.6) a write to address 0. libgomp calls exit(1)
 * where it has no memory for threads, while other threads of it run; what libraries do at the end
 * of a process (oneDNN frees its kernels) would then run beside them, and can fault; files that are
 * being written go. Nothing else is caught: a failed assertion or a damaged heap must abort.
 */
#include <dlfcn.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "core/file.h"
#include "report/machine.h"

static bool watching; /* from cli_watch_memory to the end of main */

void cli_main_ends(void) { watching = false; }

/* What libraries call, as the command's own symbol comes before the C library's. We call it
 * nowhere; libgomp has printed its sentence. */
__attribute__((visibility("default"))) _Noreturn void exit(int code) {
  if (watching) {
    sgi_writers_abandon();
    _exit(cli_exit_code(SG_ERR_MEMORY));
  }
  void (*real)(int);
  *(void **)&real = dlsym(RTLD_NEXT, "exit");
  real(code);
  abort();
}

typedef void handler(void);
static handler *other;
static const void *bad_alloc;
static const void *(*exception_type)(void);

static void end_in_onednn(void) {
  static const char text[] = "sgatlin: out of memory while oneDNN makes its kernels\n";
  if (write(STDERR_FILENO, text, sizeof text - 1) >= 0) _exit(cli_exit_code(SG_ERR_MEMORY));
}

static void on_terminate(void) {
  if (bad_alloc && exception_type() == bad_alloc) end_in_onednn();
  if (other) other();
  abort();
}

static struct sigaction before;

/* On any other fault the instruction is tried again, for whoever was here before (a sanitizer, or
 * the kernel). */
static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  if (sgi_machine_making() && (uintptr_t)info->si_addr < 4096) end_in_onednn();
  sigaction(SIGSEGV, &before, NULL);
}

void cli_watch_memory(void) {
  handler *(*set)(handler *);
  void *frame[1];
  struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &fault, &before);
  watching = true;
  backtrace(frame, 1); /* makes the C library load what unwinds the stack, while there is memory */
  /* C++'s names: std::set_terminate, the type of the exception that is handled, the type of
   * std::bad_alloc. By name, as linking them asks for a C++ compiler; libstdc++ comes with
   * oneDNN. */
  *(void **)&set = dlsym(RTLD_DEFAULT, "_ZSt13set_terminatePFvvE");
  *(void **)&exception_type = dlsym(RTLD_DEFAULT, "__cxa_current_exception_type");
  bad_alloc = dlsym(RTLD_DEFAULT, "_ZTISt9bad_alloc");
  if (set && exception_type) other = set(on_terminate);
}
