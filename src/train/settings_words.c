/* settings_words.c: what a word that people type for a setting is called here. */
#include <string.h>

#include "train/settings.h"

static const struct {
  const char *word, *name;
} words[] = {
    {"lr", "optimizer.learning_rate"},
    {"wd", "optimizer.weight_decay"},
    {"grad_clip", "optimizer.clip"},
    {"max_grad_norm", "optimizer.clip"},
    {"optimizer", "optimizer.kind"},
    {"warmup", "schedule.warmup_steps"},
    {"warmup_iters", "schedule.warmup_steps"},
    {"scheduler", "schedule.kind"},
    {"schedule", "schedule.kind"},
    {"lr_scheduler", "schedule.kind"},
    {"batch", "train.batch_size"},
    {"bs", "train.batch_size"},
    {"block_size", "train.seq_len"},
    {"context_length", "train.seq_len"},
    {"seq_length", "train.seq_len"},
    {"max_length", "train.seq_len"},
    {"max_steps", "train.steps"},
    {"max_iters", "train.steps"},
    {"epochs", "train.steps"},
    {"gradient_accumulation_steps", "train.grad_accumulation"},
    {"flops", "train.flops_budget"},
    {"d_model", "model.hidden_size"},
    {"n_embd", "model.hidden_size"},
    {"width", "model.hidden_size"},
    {"layers", "model.num_hidden_layers"},
    {"n_layer", "model.num_hidden_layers"},
    {"n_layers", "model.num_hidden_layers"},
    {"num_layers", "model.num_hidden_layers"},
    {"depth", "model.num_hidden_layers"},
    {"heads", "model.num_attention_heads"},
    {"n_head", "model.num_attention_heads"},
    {"n_heads", "model.num_attention_heads"},
    {"num_heads", "model.num_attention_heads"},
    {"d_mlp", "feedforward.num_neurons"},
    {"neurons", "feedforward.num_neurons"},
    {"intermediate_size", "feedforward.num_neurons"},
    {"experts", "feedforward.num_channels"},
    {"num_experts", "feedforward.num_channels"},
    {"channels", "feedforward.num_channels"},
    {"k", "feedforward.top_k"},
    {"vocab", "tokenizer.vocab_size"},
    {"save_every", "checkpoint.every"},
    {"save_steps", "checkpoint.every"},
    {"eval_steps", "eval.every"},
    {"eval_interval", "eval.every"},
    {"logging_steps", "log.every"},
    {"log_interval", "log.every"},
    {"pack", "data.rows"},
    {"packing", "data.rows"},
    {"val_split", "data.held_out"},
    {"validation_split", "data.held_out"},
};

/* Equal but for '-' and '_'. */
static bool equal(const char *a, const char *b) {
  for (; *a && *b; a++, b++)
    if (*a != *b && !(strchr("-_", *a) && strchr("-_", *b))) return false;
  return !*a && !*b;
}

const char *sg_setting_word(const char *word) {
  const char *name;
  for (size_t i = 0; i < SGI_COUNT(words); i++)
    if (equal(word, words[i].word)) return words[i].name;
  for (size_t i = 0; (name = sg_setting_key(i, NULL)); i++)
    if (equal(word, name) || (strchr(name, '.') && equal(word, strchr(name, '.') + 1))) return name;
  return NULL;
}
