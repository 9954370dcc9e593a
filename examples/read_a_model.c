/* read_a_model.c: from text to an explained prediction through the installed library alone: trains
 * a small model on the built-in corpus, records what its neurons do on held-out stories, and says
 * which of them make it predict what it predicts. docs/library.md walks through it.
 *
 *   cc read_a_model.c $(pkg-config --cflags --libs sgatlin) -o read_a_model
 *   ./read_a_model DIRECTORY [STEPS]
 */
#define _XOPEN_SOURCE 700 /* sigaltstack */
#include <sgatlin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sg_error err;

/* Every function says in one sentence what went wrong. */
static void must(sg_status st) {
  if (st == SG_OK) return;
  fprintf(stderr, "read_a_model: %s\n", err.text);
  exit(1);
}

static volatile sig_atomic_t interrupted;
static void on_interrupt(int signal) {
  (void)signal;
  interrupted = 1;
}

static void on_step(void *user, const sg_train_line *l) {
  (void)user;
  if (l->step % 10 == 0 || l->step == l->steps)
    fprintf(stderr, "step %llu of %llu, loss %.3f\n", (unsigned long long)l->step, (unsigned long long)l->steps,
            l->last.loss);
}

static bool on_stop(void *user) {
  (void)user;
  return interrupted;
}

/* A run in DIRECTORY/run: a new one, or the one that was stopped there. */
static void train(const char *run, const char *data, const char *steps) {
  char set_steps[64];
  snprintf(set_steps, sizeof set_steps, "train.steps=%s", steps);
  const char *set[] = {"model.hidden_size=64",
                       "model.num_hidden_layers=2",
                       "model.head_dim=32",
                       "feedforward.num_neurons=256",
                       "feedforward.num_channels=2",
                       "feedforward.top_k=4",
                       "train.batch_size=8",
                       "train.seq_len=64",
                       "train.grad_accumulation=1",
                       "tokenizer.vocab_size=600",
                       set_steps};
  sg_train_request request = {.run = run,
                              .data = data,
                              .set = set,
                              .n_set = sizeof set / sizeof *set,
                              .events = {.step = on_step, .stop = on_stop}};
  char config[4096];
  snprintf(config, sizeof config, "%s/config.json", run);
  FILE *there = fopen(config, "r");
  if (there) {
    fclose(there);
    request = (sg_train_request){.run = run, .resume = true, .events = request.events};
  }
  sg_train_result result;
  must(sg_train(&request, &result, &err));
  printf("trained: %llu steps, held-out loss %.3f\n", (unsigned long long)result.step, result.evaluation.loss);
}

static void record(const sg_model *model, const sg_tokenizer *tok, const char *text, const char *directory) {
  sg_record_request request = {.model = model, .tokenizer = tok, .data = text, .max_documents = 50};
  sg_record_plan plan;
  must(sg_record(&request, directory, &plan, &err));
  printf("recorded: %zu circuits at %zu positions\n", plan.circuits, plan.positions);
}

static void print_token(const sg_tokenizer *tok, int32_t id) {
  size_t n;
  const char *bytes = sg_tokenizer_token_bytes(tok, id, &n);
  printf("'%.*s'", (int)n, bytes ? bytes : "");
}

/* The tokens at which the recording saw a neuron fire most strongly. */
static void print_firings(const sg_recording *rec, const sg_tokenizer *tok, const sg_term *neuron) {
  sg_postings fires;
  must(sg_recording_postings(rec, (size_t)neuron->layer, (size_t)neuron->channel, (size_t)neuron->index, &fires, &err));
  printf("    fires at %zu places", fires.count);
  size_t best = 0;
  for (size_t i = 1; i < fires.count; i++)
    if (fires.score[i] > fires.score[best]) best = i;
  if (fires.count) {
    sg_recorded at;
    must(sg_recording_at(rec, fires.position[best], &at, &err));
    printf(", most strongly at ");
    print_token(tok, at.input);
    printf(" before ");
    print_token(tok, at.target);
  }
  putchar('\n');
}

static void attribute(const sg_model *model, const sg_tokenizer *tok, const char *prompt, const char *recording) {
  int32_t *ids, tokens[256];
  size_t n;
  must(sg_tokenizer_encode(tok, prompt, strlen(prompt), &ids, &n, &err));
  if (n > 255) n = 255;
  tokens[0] = sg_model_config(model)->bos_id; /* the caller puts the model's first token in front */
  memcpy(tokens + 1, ids, n * sizeof *ids);
  sg_buffer_free(ids);

  sg_attribution *a;
  sg_attribute_request request = {.tokens = tokens, .count = n + 1, .position = -1, .target = -1, .against = -1};
  must(sg_attribute(model, &request, &a, &err));
  must(sg_attribution_check(a, &err)); /* the terms add up to the logit */
  printf("%s -> ", prompt);
  print_token(tok, a->target);
  printf(", logit %.6f = sum of %zu terms %.6f\n", a->target_logit, a->direct.count, a->direct.sum);

  sg_recording *rec;
  must(sg_recording_open(recording, &rec, &err));
  must(sg_recording_matches(rec, model, NULL, &err));
  for (size_t i = 0, shown = 0; i < a->direct.count && shown < 3; i++) {
    const sg_term *t = &a->direct.terms[i];
    if (t->kind != SG_TERM_NEURON) continue;
    printf("  layer %d, channel %d, neuron %d: %+.6f\n", t->layer, t->channel, t->index, t->effect);
    print_firings(rec, tok, t);
    shown++;
  }
  sg_recording_close(rec);
  sg_attribution_free(a);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: read_a_model DIRECTORY [STEPS]\n");
    return 2;
  }
  if (sg_abi_version() != SG_ABI_VERSION) {
    fprintf(stderr, "read_a_model: made for another libsgatlin than %s\n", sg_version_text());
    return 1;
  }
  /* The library computes below the stack pointer: a handler gets a stack of its own. */
  static char handler_stack[1 << 16];
  sigaltstack(&(stack_t){.ss_sp = handler_stack, .ss_size = sizeof handler_stack}, NULL);
  struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_ONSTACK};
  sigaction(SIGINT, &action, NULL);

  char data[4096], run[4096], text[4200], recording[4096];
  snprintf(data, sizeof data, "%s/worlds", argv[1]);
  snprintf(run, sizeof run, "%s/run", argv[1]);
  snprintf(text, sizeof text, "%s/valid.txt", data);
  snprintf(recording, sizeof recording, "%s/recording", argv[1]);
  must(sg_worlds_write(data, 400, 1, &err));
  train(run, data, argc > 2 ? argv[2] : "200");

  sg_model *model;
  sg_tokenizer *tok;
  char *directory;
  must(sg_model_open(&(sg_open_request){.path = run}, &model, &directory, &err));
  must(sg_tokenizer_open(directory, model, &tok, &err));
  record(model, tok, text, recording);
  attribute(model, tok, " Once upon a time there was a", recording);
  sg_tokenizer_free(tok);
  sg_model_free(model);
  sg_buffer_free(directory);
  return 0;
}
