/* words.c: words of the field, and of other programs, that people type first: what they are called
 * here. Only answers are made of them ("did you mean ..."); none is an option or a command. */
#include <string.h>

#include "cli.h"

typedef struct word {
  const char *word, *here;
} word;

/* An option may be named by several words and a word may mean several options: the first that the
 * command has. */
static const word options[] = {
    {"learning-rate", "lr"},
    {"bs", "batch-size"},
    {"batch", "batch-size"},
    {"block-size", "seq-len"},
    {"context-length", "seq-len"},
    {"ctx-len", "seq-len"},
    {"max-length", "seq-len"},
    {"max-length", "length"},
    {"max-length", "max-tokens"},
    {"seq-length", "seq-len"},
    {"max-steps", "steps"},
    {"iters", "steps"},
    {"max-iters", "steps"},
    {"num-steps", "steps"},
    {"dataset", "data"},
    {"data-dir", "data"},
    {"input", "data"},
    {"file", "data"},
    {"text", "prompt"},
    {"input", "prompt"},
    {"text", "data"},
    {"file", "prompt-file"},
    {"out", "output"},
    {"out-dir", "output"},
    {"output-dir", "output"},
    {"save", "output"},
    {"run", "output"},
    {"resume-from", "resume"},
    {"from-checkpoint", "resume"},
    {"continue", "resume"},
    {"max-new-tokens", "max-tokens"},
    {"num-tokens", "max-tokens"},
    {"length", "max-tokens"},
    {"num-samples", "samples"},
    {"num-return-sequences", "samples"},
    {"temp", "temperature"},
    {"do-sample", "no-greedy"},
    {"ckpt", "checkpoint"},
    {"token", "target"},
    {"logit", "target"},
    {"contrast", "against"},
    {"versus", "against"},
    {"pos", "position"},
    {"token-index", "position"},
    {"index", "neuron"},
    {"feature", "neuron"},
    {"unit", "neuron"},
    {"latent", "neuron"},
    {"head", "edit"},
    {"neurons", "neuron"},
    {"expert", "channel"},
    {"layers", "layer"},
    {"layer", "layers"},
    {"coeff", "strength"},
    {"coefficient", "strength"},
    {"alpha", "strength"},
    {"scale", "strength"},
    {"topk", "top-k"},
    {"topk", "top"},
    {"k", "top"},
    {"top-k", "top"},
    {"n", "top"},
    {"limit", "top"},
    {"limit", "count"},
    {"max-docs", "documents"},
    {"num-docs", "documents"},
    {"num-documents", "documents"},
    {"limit", "documents"},
    {"jobs", "threads"},
    {"num-threads", "threads"},
    {"num-workers", "threads"},
    {"workers", "threads"},
    {"format", "json"},
    {"html", "svg"},
    {"image", "svg"},
    {"plot", "svg"},
    {"name", "slug"},
    {"neuronpedia", "circuit-tracer"},
    {"frontend", "circuit-tracer"},
    {"rec", "recording"},
    {"port-number", "port"},
    {"browser", "open"},
};

static const word commands[] = {
    {"sample", "generate"},
    {"run", "generate"},
    {"complete", "generate"},
    {"chat", "generate"},
    {"infer", "generate"},
    {"inference", "generate"},
    {"prompt", "generate"},
    {"predict", "generate"},
    {"evaluate", "eval"},
    {"test", "eval"},
    {"loss", "eval"},
    {"perplexity", "eval"},
    {"ppl", "eval"},
    {"validate", "eval"},
    {"fit", "train"},
    {"pretrain", "train"},
    {"resume", "train --resume"},
    {"continue", "train --resume"},
    {"finetune", "train --resume"},
    {"fine-tune", "train --resume"},
    {"tokenize", "tokenizer encode"},
    {"tokenise", "tokenizer encode"},
    {"encode", "tokenizer encode"},
    {"decode", "tokenizer decode"},
    {"detokenize", "tokenizer decode"},
    {"bpe", "tokenizer train"},
    {"why", "attribute"},
    {"explain", "attribute"},
    {"attribution", "attribute"},
    {"dla", "attribute"},
    {"edges", "graph"},
    {"circuits", "graph"},
    {"circuit-tracer", "graph"},
    {"remove", "ablate"},
    {"ablation", "ablate"},
    {"intervene", "ablate"},
    {"intervention", "ablate"},
    {"edit", "ablate"},
    {"steering", "steer"},
    {"feature", "neuron"},
    {"features", "neuron"},
    {"card", "neuron"},
    {"neurons", "neuron"},
    {"activations", "record"},
    {"cache", "record"},
    {"recording", "record"},
    {"dump", "trace"},
    {"nearest", "neighbors"},
    {"neighbours", "neighbors"},
    {"similar", "neighbors"},
    {"umap", "map"},
    {"plot", "map"},
    {"inspect", "info"},
    {"show", "info"},
    {"summary", "info"},
    {"serve", "explore"},
    {"server", "explore"},
    {"ui", "explore"},
    {"web", "explore"},
    {"view", "explore"},
    {"open", "explore"},
    {"explorer", "explore"},
    {"dashboard", "explore"},
    {"patch", "facts patch"},
    {"patching", "facts patch"},
    {"mine", "facts mine"},
    {"worlds", "data worlds"},
    {"dataset", "data worlds"},
    {"check", "verify"},
    {"fsck", "verify"},
    {"speed", "bench"},
    {"list", "help"},
    {"commands", "help"},
    {"man", "help"},
};

/* Letters alone count: "max_new_tokens" is "max-new-tokens". */
static bool equal(const char *a, const char *b) {
  for (; *a && *b; a++, b++)
    if (*a != *b && !(*a == '_' && *b == '-')) return false;
  return !*a && !*b;
}

const char *cli_word_option(const cli_call *c, const char *given) {
  for (size_t i = 0; i < SGI_COUNT(options); i++) {
    if (!equal(given, options[i].word)) continue;
    const char *here = options[i].here, *name = strncmp(here, "no-", 3) ? here : here + 3;
    for (size_t k = 0; k < c->n_values; k++)
      if (!strcmp(c->values[k].option->name, name)) return here;
  }
  for (size_t k = 0; k < c->n_values; k++) /* batch_size for batch-size */
    if (equal(given, c->values[k].option->name)) return c->values[k].option->name;
  return NULL;
}

const char *cli_word_command(const char *given) {
  for (size_t i = 0; i < SGI_COUNT(commands); i++)
    if (equal(given, commands[i].word)) return commands[i].here;
  return NULL;
}
