/* score.h: how well a model's neurons read, scored against the truth that the corpus worlds knows
 * (docs/reading-facts.md, is it true). The same measures for every feedforward kind: where a router
 * chooses neurons, a circuit is their scores or their values; in dense kinds it is the hidden
 * activations. */
#ifndef SGI_SCORE_H
#define SGI_SCORE_H

#include "core/json.h"
#include "core/rng.h"
#include "model/pass.h"

/* ---- the truth ------------------------------------------------------------------------------- */

typedef struct sgi_truth_story {
  char *text;
  size_t n;
  uint32_t topic;
} sgi_truth_story;

typedef struct sgi_truth {
  json_t *labels; /* word -> list of categories */
  json_t *facts;
  sgi_truth_story *stories; /* unseen ones */
  size_t n_stories, n_topics;
} sgi_truth;

/* Reads labels.json, topics.jsonl, facts.json and the first max_stories of the split valid. Deinit
 * in any case. */
sg_status sgi_truth_load(sgi_truth *t, const char *directory, size_t max_stories, sg_error *err);
void sgi_truth_deinit(sgi_truth *t);

/* ---- settings and results -------------------------------------------------------------------- */

typedef struct sgi_score_settings {
  size_t positions, per_word; /* circuits compared at most, and of one word */
  size_t neighbours;
  size_t facts;        /* measured at most */
  size_t units;        /* removed one by one for each fact */
  size_t permutations; /* of each baseline */
  size_t sets;         /* facts whose true effects and minimal sets are found at most; 0: none */
  uint64_t seed;
  bool (*go_on)(void *user); /* false cancels; NULL allowed */
  void *user;
} sgi_score_settings;

/* What a circuit is taken to be. */
enum { SGI_SCORE_GATES, SGI_SCORE_VALUES, SGI_SCORE_STREAM, SGI_SCORE_FORMS };

/* Share of a circuit's nearest circuits (cosine; of other words in other stories) that share its
 * word's category, its story's topic; and the same with the labels of words and stories
 * permuted. */
typedef struct sgi_purity {
  double category, category_chance, topic, topic_chance;
} sgi_purity;

typedef struct sgi_score {
  size_t positions, words;
  bool routed;                        /* gates are not values */
  sgi_purity purity[SGI_SCORE_FORMS]; /* mean over layers */
  size_t prompts, known, measured;    /* of facts: tried, right, and taken for the numbers below */
  double units;                       /* neurons (times positions) with an effect, mean over facts */
  double broken, broken_chance;       /* removed until a fact is lost: median over facts; chance: in random order */
  double restored, restored_chance;   /* kept, all others removed, until it is back: of facts that need some */
  double alone;                       /* share of facts that stand without any neuron */
  double faithful, faithful_chance;   /* rank correlation of predicted with true effect, mean over facts */
  double faithful_held;               /* with the true effect while what was chosen, and its scores, stay the same */
  /* Of settings->sets facts: every neuron that fired, by exact effects; NaN where there is none, or
   * the kind has no such thing. */
  size_t sets;
  double exact_rank, exact_missed; /* mean of sg_exact_list's rank and rerouting */
  double keep, lose;               /* median sizes of minimal sets, others at 0 */
  double keep_mean, lose_mean;     /* others at their mean */
} sgi_score;

/* True effects and minimal sets of facts, one by one. */
typedef struct sgi_score_sets {
  const sg_model *m;
  sg_means *means; /* NULL: the kind has none */
  size_t n, count[4];
  double *sizes[4]; /* (most) keep, lose, then at the mean */
  double rank, missed;
} sgi_score_sets;
sg_status sgi_score_sets_begin(sgi_score_sets *x, const sg_model *m, const sg_tokenizer *tok, const sgi_truth *truth,
                               size_t most, sg_error *err);
sg_status sgi_score_sets_add(sgi_score_sets *x, const int32_t *tokens, size_t n, int32_t target, int32_t against,
                             sg_error *err);
void sgi_score_sets_end(sgi_score_sets *x, sgi_score *out); /* out NULL: nothing is told */

sg_status sgi_score_model(const sg_model *m, const sg_tokenizer *tok, const sgi_truth *truth,
                          const sgi_score_settings *s, sgi_score *out, sg_error *err);

/* ---- parts ----------------------------------------------------------------------------------- */

/* A position that ends a labelled word. */
typedef struct sgi_labelled {
  uint32_t story, position, word, category;
  uint32_t used; /* number of the story among those that have such a position */
} sgi_labelled;

typedef struct sgi_score_words {
  size_t T;
  int32_t *inputs; /* (n_stories,T) bos in front, padding behind */
  sgi_labelled *at;
  size_t n, room;
  uint32_t *category; /* (n_words) */
  uint32_t *stories;  /* (n_stories) that have a position */
  size_t n_words, n_stories, n_categories;
} sgi_score_words;

sg_status sgi_score_words_find(sgi_score_words *w, const sgi_truth *truth, const sg_tokenizer *tok, const sg_config *c,
                               const sgi_score_settings *s, sg_error *err);
void sgi_score_words_deinit(sgi_score_words *w);

sg_status sgi_score_purity(const sg_model *m, const sgi_truth *truth, const sgi_score_words *w,
                           const sgi_score_settings *s, sgi_score *out, sg_error *err);
sg_status sgi_score_facts(const sg_model *m, const sg_tokenizer *tok, const sgi_truth *truth,
                          const sgi_score_settings *s, sgi_score *out, sg_error *err);

/* Rank correlation (equal values share their mean rank); 0 where one side is constant. work
 * (2n). */
double sgi_rank_correlation(const double *a, const double *b, size_t n, double *work);

static inline sg_status sgi_score_go_on(const sgi_score_settings *s, sg_error *err) {
  return !s->go_on || s->go_on(s->user) ? SG_OK : sgi_fail(err, SG_ERR_CANCELLED, "stopped");
}

#endif
