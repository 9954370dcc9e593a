/* cmd_version.c: what this program was made from and what it runs on. */
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "cli.h"
#include "math/kernels.h"
#include "version.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

void cli_version_text(FILE *f) {
  const dnnl_version_t *d = dnnl_version();
  fprintf(f, "sgatlin %s (commit %s)\n", SGI_VERSION, SGI_COMMIT);
  fprintf(f, "compiler  %s\n", COMPILER);
  fprintf(f, "oneDNN    %d.%d.%d\n", d->major, d->minor, d->patch);
  fprintf(f, "CPU path  %s, %d threads\n", sgi_kernel_table()->isa, omp_get_max_threads());
}

static int run(const cli_call *c) {
  if (!cli_flag(c, "json")) return cli_version_text(stdout), 0;
  const dnnl_version_t *d = dnnl_version();
  char dnnl[48];
  snprintf(dnnl, sizeof dnnl, "%d.%d.%d", d->major, d->minor, d->patch);
  return cli_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "version", SGI_VERSION, "commit", SGI_COMMIT, "compiler",
                            COMPILER, "onednn", dnnl, "isa", sgi_kernel_table()->isa, "threads",
                            omp_get_max_threads()));
}

static const cli_option options[] = {CLI_JSON_OPTION, CLI_END};

const cli_command cli_version = {
    .name = "version",
    .group = "Other",
    .summary = "print version, commit, compiler, oneDNN and the instruction set in use",
    .usage = "[--json]",
    .examples = "# what to quote in a bug report\nsgatlin version",
    .options = options,
    .run = run,
};
