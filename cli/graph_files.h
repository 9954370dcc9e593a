/* graph_files.h: what the commands that write attribution graphs share: the files' options, the
 * graph's name, writing them. */
#ifndef SGATLIN_CLI_GRAPH_FILES_H
#define SGATLIN_CLI_GRAPH_FILES_H

#include "prompt.h"
#include "report/graph.h"
#include "report/tracer.h"

#define CLI_GRAPH_FILE_OPTIONS \
  {.name = "node-threshold", \
   .type = CLI_REAL, \
   .argument = "P", \
   .value = "0.8", \
   .min = 1e-6, \
   .max = 1, \
   .help = "share of influence that kept nodes hold"}, \
      {.name = "edge-threshold", \
       .type = CLI_REAL, \
       .argument = "P", \
       .value = "0.98", \
       .min = 1e-6, \
       .max = 1, \
       .help = "share of influence that kept edges hold"}, \
      {.name = "slug", \
       .type = CLI_STRING, \
       .argument = "NAME", \
       .value_text = "of the file, or out of the prompt", \
       .help = "name of the graph in the file, and of its file in DIR"}, \
      {.name = "svg", .type = CLI_STRING, .argument = "FILE.svg", .help = "picture to write"}, \
      CLI_OUTPUT_OPTION("FILE.json", "graph to write, in circuit-tracer's form")

/* Some file is asked for. */
bool cli_graph_files(const cli_call *c);
/* Writes all that were asked for: of a set of transcoders (NULL: the model's neurons), with what a
 * recording (NULL) says of neurons. path: of the model or of the transcoders, by which the folder's
 * files are named. */
sg_status cli_graph_save(const cli_call *c, const sgi_prompt *p, const sg_graph *g, const char *path,
                         const struct sgi_sparse_set *set, const sg_recording *rec, sg_error *err);
/* How much of the whole the graph is: two lines, and how to see the folder. */
void cli_graph_print(const cli_call *c, const sgi_prompt *p, const sg_graph *g);

#endif
