/* cmd_version.c: what this program was made from and what it runs on. */
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "cli.h"
#include "report/machine.h"
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
  fprintf(f, "CPU path  %s, %d threads\n", sgi_machine_isa(), omp_get_max_threads());
  fprintf(f, "bf16      %s%s\n", sgi_machine_bf16(), sgi_machine_bf16_gains() ? "" : ", not faster than float32");
  fprintf(f, "kinds    ");
  for (size_t i = 0; sg_feedforward_name(i); i++) fprintf(f, " %s", sg_feedforward_name(i));
  fputc('\n', f);
}

static int run(const cli_call *c) {
  if (!cli_flag(c, "json")) return cli_version_text(stdout), 0;
  const dnnl_version_t *d = dnnl_version();
  char dnnl[48];
  snprintf(dnnl, sizeof dnnl, "%d.%d.%d", d->major, d->minor, d->patch);
  return cli_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:o}", "version", SGI_VERSION, "commit",
                            SGI_COMMIT, "compiler", COMPILER, "onednn", dnnl, "isa", sgi_machine_isa(), "bf16",
                            sgi_machine_bf16(), "bf16_gains", sgi_machine_bf16_gains(), "threads",
                            omp_get_max_threads(), "kinds", sgi_kinds_json()));
}

static const cli_option options[] = {CLI_JSON_OPTION, CLI_END};

const cli_command cli_version = {
    .name = "version",
    .group = "Other",
    .summary = "print version, compiler, oneDNN, instruction set in use and feedforward kinds",
    .usage = "[--json]",
    .examples = "# what to quote in a bug report\nsgatlin version",
    .options = options,
    .run = run,
};
