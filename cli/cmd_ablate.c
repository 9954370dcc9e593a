/* cmd_ablate.c: what a part of the model does: its loss over a text, or the next token, without
 * it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "predict.h"
#include "prompt.h"
#include "report/attribution.h"
#include "report/sizes.h"
#include "report/continuation.h"
#include "own_text.h"
#include "rows.h"
#include "strongest.h"
#include "text_form.h"

enum { EACH_NONE, EACH_LAYER, EACH_CHANNEL, EACH_HEAD, EACH_NEURON };

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sg_edit *edits;
  const char **texts; /* of the edits, as given */
  size_t n_edits;
  sg_run *other;
  char made[128]; /* text of the edit made of --layer ... */
  size_t position;
  sgi_word watch; /* what is measured: a token, or a word behind the position */
  size_t count;   /* tokens of the prompt without that word */
  bool strongest; /* nothing to take away was named */
} work;

/* One part whose effect is measured alone, for --each. */
typedef struct part {
  char text[128];
  double linear;          /* neurons: total effect by attribution */
  double effect;          /* loss after less before, or logit before less after */
  double probability, kl; /* prompt: after the edit */
} part;

/* layers.L.mlp.out, or neurons of a channel, or one of them; pos "" for all. */
static void part_text(const work *w, char out[128], size_t layer, ptrdiff_t channel, ptrdiff_t neuron,
                      const char *pos) {
  char axes[64] = "";
  bool channels;
  const char *values = sgi_neuron_site(w->p.model, layer, channel, &channels);
  if (channel >= 0 && channels) snprintf(axes, sizeof axes, "channel=%td", channel);
  if (neuron >= 0) snprintf(axes + strlen(axes), sizeof axes - strlen(axes), "%sneuron=%td", *axes ? "," : "", neuron);
  bool beside = sgi_neuron_beside(w->p.model, layer, channel);
  const char *site = *axes || beside ? values : "mlp.out";
  if (*pos || *axes)
    snprintf(out, 128, "layers.%zu.%s[%s%s%s]=0", layer, site, pos, *pos && *axes ? "," : "", axes);
  else
    snprintf(out, 128, "layers.%zu.%s=0", layer, site);
}

static void position_text(const work *w, char out[32]) {
  if (cli_is_set(w->c, "only-at"))
    snprintf(out, 32, "pos=%lld", (long long)cli_int(w->c, "only-at"));
  else
    out[0] = 0;
}

/* Nothing was named: the neuron that does most for the prediction, where it acts. */
static sg_status add_strongest(work *w, sg_error *err) {
  cli_strongest s;
  sgi_word target = {0}; /* of a word its first token decides */
  ptrdiff_t position = (ptrdiff_t)cli_int(w->c, "position");
  sg_status st =
      cli_is_set(w->c, "target") ? sgi_word_read(&w->p, cli_string(w->c, "target"), position, &target, err) : SG_OK;
  if (!st) st = cli_strongest_find(w->c, &w->p, position, target.n ? target.ids[0] : -1, &s, err);
  sgi_word_free(&target);
  if (st) return st;
  cli_strongest_note(&w->p, &s);
  char pos[32];
  position_text(w, pos);
  if (!*pos) snprintf(pos, sizeof pos, "pos=%zu", s.position);
  part_text(w, w->made, s.layer, (ptrdiff_t)s.channel, (ptrdiff_t)s.index, pos);
  w->texts[w->n_edits++] = w->made;
  return SG_OK;
}

/* The edits of --edit, and the one that --layer, --channel, --neuron and --only-at stand for. */
static sg_status collect(work *w, sg_error *err) {
  size_t n;
  const char *const *given = cli_list(w->c, "edit", &n);
  w->edits = sgi_alloc((n + 1) * sizeof *w->edits);
  w->texts = sgi_alloc((n + 1) * sizeof *w->texts);
  if (!w->edits || !w->texts) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < n; i++) w->texts[w->n_edits++] = given[i];
  if (cli_is_set(w->c, "layer") && !cli_choice(w->c, "each")) {
    char pos[32];
    position_text(w, pos);
    part_text(w, w->made, cli_size(w->c, "layer"),
              cli_is_set(w->c, "channel") ? (ptrdiff_t)cli_size(w->c, "channel") : -1,
              cli_is_set(w->c, "neuron") ? (ptrdiff_t)cli_size(w->c, "neuron") : -1, pos);
    w->texts[w->n_edits++] = w->made;
  }
  sg_status st = w->strongest ? add_strongest(w, err) : SG_OK;
  for (size_t i = 0; i < w->n_edits && !st; i++) st = sg_edit_parse(w->texts[i], &w->edits[i], err);
  return st;
}

/* The run that =@other takes from: of --other, with the sites that are asked for. */
static sg_status run_other(work *w, sg_error *err) {
  const char **sites = sgi_alloc((w->n_edits + 1) * sizeof *sites), *text = sgi_skip_mark(cli_string(w->c, "other"));
  size_t n = 0, count = 0;
  int32_t *tokens = NULL;
  if (!sites) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < w->n_edits; i++)
    if (w->edits[i].op == SG_EDIT_TAKE) sites[n++] = w->edits[i].site;
  sg_status st = SG_OK;
  if (n && !text)
    st = sgi_fail(err, SG_ERR_ARG, "an edit takes from @%s: give that prompt with --other", w->edits[0].from_name);
  if (n && !st) st = sgi_prompt_encode(&w->p, text, cli_flag(w->c, "no-bos"), &tokens, &count, err);
  if (n && !st) st = cli_context_check(w->c, sg_model_config(w->p.model), count, err);
  sg_run_request q = {.tokens = tokens, .count = count, .record = sites, .n_record = n};
  if (n && !st) st = sg_run_create(w->p.model, &q, &w->other, err);
  for (size_t i = 0; i < w->n_edits; i++)
    if (w->edits[i].op == SG_EDIT_TAKE) w->edits[i].from = w->other;
  sgi_free(tokens);
  sgi_free(sites);
  return st;
}

static sg_status edited_run(const work *w, const sg_edit *edits, size_t n, sg_run **out, sg_error *err) {
  sg_run_request q = {.tokens = w->p.tokens, .count = w->p.count, .edits = edits, .n_edits = n};
  return sg_run_create(w->p.model, &q, out, err);
}

/* Positions that an edit counts from the end are counted from the prompt's, not from the word's. */
static void from_prompt_end(const work *w, sg_edit *e) {
  for (size_t i = 0; i < e->n_axes; i++) {
    sg_edit_axis *a = &e->axes[i];
    if (strcmp(a->name, "pos")) continue;
    if (a->first < 0) a->first += (ptrdiff_t)w->count;
    if (a->last < 0) a->last += (ptrdiff_t)w->count;
  }
}

/* ---- parts, one by one ----------------------------------------------------------------------- */

static sg_status add_part(part **list, size_t *count, const part *p, sg_error *err) {
  if (!(*count & (*count - 1))) { /* room doubles at powers of two */
    size_t room = *count ? 2 * *count : 1;
    part *grown = sgi_realloc(*list, *count * sizeof *grown, room * sizeof *grown);
    if (!grown) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    *list = grown;
  }
  (*list)[(*count)++] = *p;
  return SG_OK;
}

/* Neurons that act at the position (or at --only-at) by their total effects. */
static sg_status neuron_parts(work *w, part **list, size_t *count, sg_error *err) {
  sg_phrase_request r = {.tokens = w->p.tokens,
                         .count = w->p.count,
                         .position = (ptrdiff_t)w->position,
                         .target = w->watch.ids,
                         .n_target = w->watch.n};
  sg_phrase *a = NULL;
  sg_status st = sg_attribute_phrase(w->p.model, &r, &a, err);
  ptrdiff_t pos = cli_is_set(w->c, "only-at") ? (ptrdiff_t)cli_int(w->c, "only-at") : (ptrdiff_t)w->position;
  if (pos < 0) pos += (ptrdiff_t)w->count;
  size_t limit = cli_size(w->c, "limit");
  for (size_t i = 0; !st && i < a->sum.neurons.count && *count < limit; i++) {
    const sg_term *t = &a->sum.neurons.terms[i];
    if (t->position != pos || (cli_is_set(w->c, "layer") && t->layer != (int32_t)cli_size(w->c, "layer"))) continue;
    part p = {.linear = t->effect};
    char at[32];
    snprintf(at, sizeof at, "pos=%d", t->position);
    part_text(w, p.text, (size_t)t->layer, t->channel, t->index, at);
    st = add_part(list, count, &p, err);
  }
  sg_phrase_free(a);
  return st;
}

/* How many parts a layer has of what is taken away one by one. */
static size_t parts_of_layer(const sg_model *m, size_t layer, size_t each) {
  sgi_sizes is = sgi_layer_sizes(m, layer);
  if (each == EACH_HEAD) return is.heads;
  if (each != EACH_CHANNEL) return is.neurons ? 1 : 0;
  return is.chooses ? is.channels : 0;
}

static sg_status list_parts(work *w, part **list, size_t *count, sg_error *err) {
  const sg_config *c = sg_model_config(w->p.model);
  size_t each = cli_choice(w->c, "each"), first = 0, last = c->num_layers;
  char pos[32];
  position_text(w, pos);
  if (each == EACH_NEURON) return neuron_parts(w, list, count, err);
  if (cli_is_set(w->c, "layer")) first = cli_size(w->c, "layer"), last = first + 1;
  if (last > c->num_layers)
    return sgi_fail(err, SG_ERR_ARG, "layer %zu: the model has %zu, from 0", first, c->num_layers);
  if (each == EACH_CHANNEL && !sgi_largest_sizes(w->p.model).chooses)
    return sgi_fail(err, SG_ERR_ARG, "feedforward kind \"%s\" has no channels", c->feedforward);
  sg_status st = SG_OK;
  for (size_t l = first; l < last && !st; l++)
    for (size_t k = 0, n = parts_of_layer(w->p.model, l, each); k < n && !st; k++) {
      part p = {.linear = NAN};
      if (each == EACH_HEAD)
        snprintf(p.text, sizeof p.text, "layers.%zu.attn.z[%s%shead=%zu]=0", l, pos, *pos ? "," : "", k);
      else
        part_text(w, p.text, l, each == EACH_CHANNEL ? (ptrdiff_t)k : -1, -1, pos);
      st = add_part(list, count, &p, err);
    }
  return st;
}

static int by_effect(const void *a, const void *b) {
  const part *x = a, *y = b;
  double u = fabs(x->effect), v = fabs(y->effect);
  return u < v ? 1 : u > v ? -1 : strcmp(x->text, y->text);
}

/* ---- at one place ---------------------------------------------------------------------------- */

static json_t *edits_json(const work *w, const sg_run *r) {
  json_t *a = json_array();
  for (size_t i = 0; i < w->n_edits; i++)
    json_array_append_new(a, json_pack("{ss sI}", "edit", w->texts[i], "changed", (json_int_t)sg_run_edit_hits(r, i)));
  return a;
}

static json_t *watched_json(const work *w, json_t *o, const sgi_measure *before) {
  if (w->watch.n > 1)
    json_object_set_new(o, "word", sgi_word_json(&w->p, w->watch.ids, w->watch.n, before->log_probability));
  return o;
}

typedef struct place {
  sg_run *plain, *edited;
  sgi_prediction before, after; /* of the next token */
  sgi_measure was, is;          /* of what is watched */
  double linear;
} place;

static int print_place(const work *w, const place *x) {
  double kl = sgi_divergence(&x->before, &x->after), dl = x->is.logit - x->was.logit;
  size_t n = cli_size(w->c, "top");
  if (cli_flag(w->c, "json"))
    return cli_json(watched_json(
        w,
        json_pack("{so sI so so so so so so so so so}", "tokens", sgi_prompt_json(&w->p), "position",
                  (json_int_t)w->position, "edits", edits_json(w, x->edited), "target",
                  sgi_token_json(&w->p, w->watch.ids[0]), "logit_change", sgi_report_real(dl), "linear_change",
                  sgi_report_real(x->linear), "probability_before", sgi_report_real(x->was.probability),
                  "probability_after", sgi_report_real(x->is.probability), "kl", sgi_report_real(kl), "before",
                  sgi_prediction_json(&w->p, &x->before, n), "after", sgi_prediction_json(&w->p, &x->after, n)),
        &x->was));
  for (size_t i = 0; i < w->n_edits; i++)
    printf("%s: %zu numbers changed\n", w->texts[i], sg_run_edit_hits(x->edited, i));
  printf("%s after position %zu, %s: probability %.4f to %.4f, logit %+.4f; divergence %.4f nats\n",
         sgi_word_shown(&w->p, w->watch.ids, w->watch.n).s, w->position,
         sgi_token_shown(&w->p, w->p.tokens[w->position]).s, x->was.probability, x->is.probability, dl, kl);
  if (isfinite(x->linear)) printf("with gates, attention and norms held: logit %+.4f\n", x->linear);
  const char *label = "after";
  cli_print_predictions(&w->p, &x->before, &x->after, &label, 1, n);
  return 0;
}

static sg_status measure_place(work *w, part *list, size_t count, const place *x, sg_error *err) {
  cli_progress progress;
  cli_progress_begin(&progress, "ablating", "parts", (double)count, 0);
  sg_status st = SG_OK;
  for (size_t i = 0; i < count && !st; i++) {
    sg_edit e;
    sg_run *r = NULL;
    sgi_prediction after = {0};
    sgi_measure is = {0};
    st = cli_stop ? sgi_fail(err, SG_ERR_CANCELLED, "stopped") : sg_edit_parse(list[i].text, &e, err);
    if (!st) from_prompt_end(w, &e);
    if (!st) st = edited_run(w, &e, 1, &r, err);
    if (!st) st = sgi_predict(&after, &w->p, r, (ptrdiff_t)w->position, err);
    if (!st) st = sgi_word_measure(&w->p, r, w->position, &w->watch, &is, err);
    if (!st) {
      list[i].effect = x->was.logit - is.logit;
      list[i].probability = is.probability;
      list[i].kl = sgi_divergence(&x->before, &after);
    }
    sgi_prediction_free(&after);
    sg_run_free(r);
    cli_progress_update(&progress, (double)i + 1, NULL);
  }
  cli_progress_end(&progress);
  return st;
}

/* x: at one place; NULL: over a text, whose loss was as given. */
static int print_parts(const work *w, part *list, size_t count, const place *x, double loss) {
  bool here = x != NULL, linear = cli_choice(w->c, "each") == EACH_NEURON;
  qsort(list, count, sizeof *list, by_effect);
  if (cli_flag(w->c, "json")) {
    json_t *a = json_array();
    for (size_t i = 0; i < count; i++) {
      json_t *o = json_pack("{ss so}", "edit", list[i].text, "effect", sgi_report_real(list[i].effect));
      if (here) json_object_set_new(o, "probability", sgi_report_real(list[i].probability));
      if (here) json_object_set_new(o, "kl", sgi_report_real(list[i].kl));
      if (linear) json_object_set_new(o, "linear", sgi_report_real(list[i].linear));
      json_array_append_new(a, o);
    }
    json_t *o = here ? watched_json(w,
                                    json_pack("{so sI so so}", "tokens", sgi_prompt_json(&w->p), "position",
                                              (json_int_t)w->position, "target", sgi_token_json(&w->p, w->watch.ids[0]),
                                              "probability_before", sgi_report_real(x->was.probability)),
                                    &x->was)
                     : json_pack("{so}", "loss_before", sgi_report_real(loss));
    json_object_set_new(o, "parts", a);
    return cli_json(o);
  }
  if (here)
    printf("%s after position %zu: probability %.4f\n", sgi_word_shown(&w->p, w->watch.ids, w->watch.n).s, w->position,
           x->was.probability);
  else
    printf("loss %.5f\n", loss);
  cli_table *t = cli_table_begin(linear ? "lrrrr" : here ? "lrrr" : "lr");
  cli_cell(t, "without");
  cli_cell(t, here ? "logit lost" : "loss gained");
  if (linear) cli_cell(t, "linear");
  if (here) cli_cell(t, "probability");
  if (here) cli_cell(t, "divergence");
  size_t shown = cli_is_set(w->c, "top") && cli_size(w->c, "top") < count ? cli_size(w->c, "top") : count;
  for (size_t i = 0; i < shown; i++) {
    cli_cell(t, "%.*s", (int)strlen(list[i].text) - 2, list[i].text);
    cli_cell(t, "%+.5f", list[i].effect);
    if (linear) cli_cell(t, "%+.5f", list[i].linear);
    if (here) cli_cell(t, "%.4f", list[i].probability);
    if (here) cli_cell(t, "%.4f", list[i].kl);
  }
  cli_table_end(t);
  if (shown < count) printf("%zu of %zu parts shown\n", shown, count);
  return 0;
}

/* What is watched: --target, or the most probable token. The prompt then holds the word. */
static sg_status find_watched(work *w, sg_error *err) {
  ptrdiff_t position = (ptrdiff_t)cli_int(w->c, "position");
  w->count = w->p.count;
  sg_status st = cli_is_set(w->c, "target") ? sgi_word_read(&w->p, cli_string(w->c, "target"), position, &w->watch, err)
                                            : sgi_word_likeliest(&w->p, position, &w->watch, err);
  if (st) return st;
  if (position < 0) position += (ptrdiff_t)w->p.count;
  w->position = (size_t)position;
  if (w->watch.n > 1) st = sgi_word_extend(&w->p, w->position, &w->watch, w->watch.n - 1, err);
  for (size_t i = 0; i < w->n_edits; i++) from_prompt_end(w, &w->edits[i]);
  return st;
}

static sg_status at_place(work *w, int *code, sg_error *err) {
  place x = {.linear = NAN};
  part *list = NULL;
  size_t count = 0;
  sg_status st = find_watched(w, err);
  ptrdiff_t position = (ptrdiff_t)w->position;
  if (!st) st = edited_run(w, NULL, 0, &x.plain, err);
  if (!st) st = sgi_predict(&x.before, &w->p, x.plain, position, err);
  if (!st) st = sgi_word_measure(&w->p, x.plain, w->position, &w->watch, &x.was, err);
  if (!st && cli_choice(w->c, "each")) {
    st = list_parts(w, &list, &count, err);
    if (!st) st = measure_place(w, list, count, &x, err);
    if (!st) *code = print_parts(w, list, count, &x, 0);
  } else {
    if (!st) st = edited_run(w, w->edits, w->n_edits, &x.edited, err);
    if (!st) st = sgi_predict(&x.after, &w->p, x.edited, position, err);
    if (!st) st = sgi_word_measure(&w->p, x.edited, w->position, &w->watch, &x.is, err);
    if (!st)
      st = sgi_predict_words(&x.before, &w->p, w->position, NULL, 0, cli_size(w->c, "top"), cli_stopped, NULL, err);
    if (!st)
      st = sgi_predict_words(&x.after, &w->p, w->position, w->edits, w->n_edits, cli_size(w->c, "top"), cli_stopped,
                             NULL, err);
    if (!st) st = sgi_linear_changes(&w->p, w->position, &w->watch, w->edits, w->n_edits, &x.linear, err);
    if (!st) *code = print_place(w, &x);
  }
  sgi_prediction_free(&x.before);
  sgi_prediction_free(&x.after);
  sg_run_free(x.plain);
  sg_run_free(x.edited);
  sgi_free(list);
  return st;
}

/* ---- over a text ----------------------------------------------------------------------------- */

static int print_losses(const work *w, const sg_edited_loss *a, const sg_edited_loss *b) {
  if (cli_flag(w->c, "json")) {
    json_t *edits = json_array();
    for (size_t i = 0; i < w->n_edits; i++) json_array_append_new(edits, json_string(w->texts[i]));
    return cli_json(json_pack("{so sI sI so so so so so}", "edits", edits, "targets", (json_int_t)a->targets, "changed",
                              (json_int_t)b->hits, "loss_before", sgi_report_real(a->loss), "loss_after",
                              sgi_report_real(b->loss), "difference", sgi_report_real(b->loss - a->loss),
                              "accuracy_before", sgi_report_real(a->accuracy), "accuracy_after",
                              sgi_report_real(b->accuracy)));
  }
  for (size_t i = 0; i < w->n_edits; i++) printf("%s\n", w->texts[i]);
  printf("%zu targets, %zu numbers changed\n", a->targets, b->hits);
  printf("loss      %.5f  to  %.5f  (%+.5f)\n", a->loss, b->loss, b->loss - a->loss);
  printf("accuracy  %.5f  to  %.5f\n", a->accuracy, b->accuracy);
  return 0;
}

static sg_status over_text(work *w, int *code, sg_error *err) {
  cli_rows rows = {0};
  sg_edited_loss before = {0}, after = {0};
  part *list = NULL;
  size_t count = 0;
  size_t T = cli_size(w->c, "seq-len"), made_for = sg_model_config(w->p.model)->max_position;
  if (!cli_is_set(w->c, "seq-len") && T > made_for) T = made_for;
  sg_status st = cli_rows_open(&rows, w->c, &w->p, T, cli_size(w->c, "max-tokens"), err);
  if (!st) st = sg_edit_loss(w->p.model, rows.targets, rows.B, rows.T, NULL, 0, 0, &before, err);
  if (!st && !cli_choice(w->c, "each")) {
    st = sg_edit_loss(w->p.model, rows.targets, rows.B, rows.T, w->edits, w->n_edits, 0, &after, err);
    if (!st) *code = print_losses(w, &before, &after);
  } else if (!st) {
    st = list_parts(w, &list, &count, err);
    cli_progress progress;
    cli_progress_begin(&progress, "ablating", "parts", (double)count, 0);
    for (size_t i = 0; i < count && !st; i++) {
      sg_edit e;
      st = cli_stop ? sgi_fail(err, SG_ERR_CANCELLED, "stopped") : sg_edit_parse(list[i].text, &e, err);
      if (!st) st = sg_edit_loss(w->p.model, rows.targets, rows.B, rows.T, &e, 1, 0, &after, err);
      list[i].effect = after.loss - before.loss;
      cli_progress_update(&progress, (double)i + 1, NULL);
    }
    cli_progress_end(&progress);
    if (!st) *code = print_parts(w, list, count, NULL, before.loss);
  }
  sgi_free(list);
  cli_rows_free(&rows);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  int code = 0;
  bool prompt = cli_is_set(c, "prompt") || cli_is_set(c, "ids"), each = cli_choice(c, "each") != EACH_NONE;
  bool named = each || cli_is_set(c, "edit") || cli_is_set(c, "layer");
  bool data = cli_is_set(c, "data");
  if (!data && !prompt && named && cli_text_own(c, &data, &err)) return cli_fail(&err);
  if (cli_is_set(c, "data") && prompt) return cli_usage(c, "give --data or a prompt, not both");
  if (data && cli_choice(c, "each") == EACH_NEURON) return cli_usage(c, "--each neuron needs a prompt");
  if (data && !named) return cli_usage(c, "say what to take away over the text: --layer, --edit or --each");
  w.strongest = !named;
  if (cli_is_set(c, "neuron") && !cli_is_set(c, "layer")) return cli_usage(c, "--neuron needs --layer");
  if (each && cli_is_set(c, "edit")) return cli_usage(c, "--each takes parts one by one: leave --edit out");
  cli_signals_install();
  sg_status st = data ? cli_prompt_open_model(&w.p, c, &err) : cli_prompt_open(&w.p, c, &err);
  if (!st) st = collect(&w, &err);
  if (!st) st = run_other(&w, &err);
  if (!st) st = data ? over_text(&w, &code, &err) : at_place(&w, &code, &err);
  if (st) code = cli_stop ? 128 + cli_stop : cli_fail(&err);
  sg_run_free(w.other);
  sgi_word_free(&w.watch);
  sgi_free(w.edits);
  sgi_free((void *)w.texts);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_PROMPT_OPTIONS,
    {.name = "data",
     .letter = 'd',
     .type = CLI_STRING,
     .argument = "PATH",
     .value_text = "without a prompt what the run held out",
     .help = "loss over this text: a file (.txt, .jsonl, packed), or a directory's valid.*"},
    CLI_FORM_OPTIONS,
    {.name = "seq-len",
     .old = "context",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "128",
     .min = 1,
     .help = "with --data, tokens of a row, at most what the model was made for; longer documents are cut"},
    {.name = "max-tokens",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20000",
     .min = 1,
     .help = "with --data, tokens to read"},
    {.name = "layer",
     .letter = 'l',
     .type = CLI_SIZE,
     .argument = "L",
     .help = "take away this layer's feedforward output, or of it:"},
    {.name = "channel", .letter = 'c', .type = CLI_SIZE, .argument = "C", .help = "this channel"},
    {.name = "neuron", .letter = 'i', .type = CLI_SIZE, .argument = "I", .help = "this neuron of the channel"},
    {.name = "only-at",
     .old = "pos",
     .type = CLI_INT,
     .argument = "N",
     .value_text = "all",
     .help = "at this position only; negative: from the end"},
    {.name = "edit",
     .letter = 'e',
     .type = CLI_LIST,
     .argument = "EDIT",
     .help = "any edit, SITE[AXIS=N,...]=X; may be given again"},
    {.name = "other", .type = CLI_STRING, .argument = "TEXT", .help = "prompt whose run =@other takes from"},
    {.name = "each",
     .type = CLI_CHOICE,
     .argument = "none|layer|channel|head|neuron",
     .value = "none",
     .help = "take parts away one by one and rank them"},
    {.name = "limit",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "64",
     .min = 1,
     .help = "with --each neuron, neurons to try, by linear effect"},
    {.name = "target",
     .type = CLI_STRING,
     .argument = "WORD",
     .value_text = "the most probable",
     .help = "token, word or phrase to watch: its text, or id:N,N,..."},
    CLI_POSITION_OPTION,
    {.name = "top",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "8",
     .value_text = "8 predictions, all parts of --each",
     .help = "predictions, or parts of --each, shown"},
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_ablate = {
    .name = "ablate",
    .group = "Reading",
    .summary = "what a neuron, channel, circuit, head or layer does, by taking it away",
    .usage =
        "MODEL TEXT [--layer L] [--channel C] [--neuron I] [--only-at N]\n"
        "MODEL TEXT --edit EDIT... | --each KIND\n"
        "MODEL --data PATH (--layer L ... | --edit EDIT... | --each KIND)\n"
        "RUN (--layer L ... | --edit EDIT... | --each KIND)",
    .examples =
        "# without the neuron that does most for the next token\nsgatlin ablate MODEL 'The dog was'\n"
        "# the prompt without one neuron, wherever it is chosen\n"
        "sgatlin ablate MODEL 'The dog was' --layer 2 --channel 0 --neuron 17\n"
        "# the circuit of layer 1 at position 2\nsgatlin ablate MODEL 'The dog was' --layer 1 --only-at 2\n"
        "# which layer matters most to the loss of the text that a run held out\nsgatlin ablate RUN --each layer\n"
        "# the circuit of another prompt in place of this one's\n"
        "sgatlin ablate MODEL 'The dog was' --other 'The cat was' \\\n"
        "    --edit 'layers.*.router.*[pos=2]=@other'",
    .description =
        "With a prompt and nothing named, it is the neuron of the largest total effect on the token to watch (as "
        "'sgatlin attribute' lists them), where it acts.\n\n"
        "An edit is SITE[AXIS=N,AXIS=A..B]OPERATION. Sites: embed, layers.L.attn.q .k .v .pattern .z .out, .resid_mid, "
        ".mlp.norm_scale, .router.scores .indices, .neurons, .mlp.out, .resid_post, final_norm; * and ? match any. "
        "Axes: pos, "
        "dim, head, source, channel, slot, neuron. Operations: =X, *=X, +=X, -=X, =@other, =@other:POS.\n\n"
        "A word of several tokens is watched along the word: its logits are added up, its probability is that of all "
        "of "
        "them, and the divergence is that of its first token. Positions from the end count in the prompt, not in the "
        "word.\n\n"
        "Edits belong to one run: the model is left as it is.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
