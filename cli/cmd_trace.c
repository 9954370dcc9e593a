/* cmd_trace.c: one forward pass with its activations, and gradients, as a file. */
#include "context.h"
#include "ids.h"
#include "model.h"
#include "report/sites.h"

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_model m = {0};
  int32_t *ids = NULL;
  sgi_tracing q = {.grad = cli_flag(c, "grad"), .max_bytes = cli_size(c, "max-memory")};
  q.set = cli_list(c, "set", &q.n_set);
  q.only = cli_list(c, "only", &q.n_only);
  sg_status st = sgi_tracing_check(&q, &err);
  if (!st) st = cli_read_ids(cli_string(c, "ids"), &ids, &q.B, &q.T, &err);
  q.targets = ids;
  if (!st) st = cli_model_open(c, CLI_WITHOUT_TOKENIZER, &m, &err);
  if (!st) st = cli_context_check(c, sg_model_config(m.model), q.T, &err);
  if (!st) st = sgi_tracing_save(m.model, &q, cli_string(c, "output"), &err);
  cli_model_close(&m);
  sgi_free(ids);
  if (st) return cli_fail(&err);
  cli_note("wrote %s", cli_string(c, "output"));
  return 0;
}

static const cli_option options[] = {
    {.name = "ids",
     .required = true,
     .type = CLI_STRING,
     .argument = "IDS.json",
     .help = "[[ids of row 1], [row 2], ...], rows of equal length; - for standard input"},
    {.name = "grad", .type = CLI_FLAG, .help = "also grad.TENSOR, the gradient of the loss"},
    {.name = "set",
     .type = CLI_LIST,
     .argument = "train.aux.NAME=VALUE",
     .help = "with --grad: weights of what training adds to the loss; its parts and total are written, too"},
    {.name = "only",
     .type = CLI_LIST,
     .argument = "PATTERN",
     .value_text = "the default set",
     .help = "outputs to write, by name, * and ? stand for any text and any letter"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "1G",
     .min = 1,
     .help = "memory for activations; rows are computed in parts that fit"},
    CLI_BEYOND_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_REQUIRED_OUTPUT("OUT.safetensors", "file to write"),
    CLI_END};

const cli_command cli_trace = {
    .name = "trace",
    .group = "Reading",
    .summary = "write activations, loss and gradients of given tokens to a safetensors file",
    .usage = "MODEL --ids IDS.json [--grad] [--only PATTERN]... -o OUT.safetensors",
    .examples =
        "# everything of two rows, with gradients\necho '[[5, 6, 7, 1], [8, 9, 1, 0]]' | sgatlin trace MODEL --ids - "
        "--grad -o out.safetensors\n"
        "# queries of layer 2 and what every layer's neurons add\nsgatlin trace MODEL --ids ids.json --only "
        "'layers.2.attn.q' --only '*.neurons' -o out.safetensors",
    .description =
        "The ids are targets: the model's bos goes in front of each row as its first input, and the model's pad id is "
        "not counted in the loss.\n\n"
        "Default set: logits, loss, acc, perplexity, perplexity_last_token, with --grad grad.TENSOR, and of the sites "
        "the model has of these: {shown}one row a token.\n\n"
        "With --only, whatever matches, of these and of: {named}and, made only where they are named: "
        "{on demand}as 'sgatlin info MODEL --sites' lists them with their sizes.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
