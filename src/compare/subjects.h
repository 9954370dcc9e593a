/* subjects.h: facts as prompts about a subject: which positions are the subject's, what the true
 * answers are, what else is true of it (docs/method-comparison.md, knockout). */
#ifndef SGI_SUBJECTS_H
#define SGI_SUBJECTS_H

#include "model/model.h"

typedef struct sgi_subject {
  int32_t *tokens; /* (count), the begin token in front; ends before the answer */
  size_t count;
  size_t first, end; /* positions of the subject */
  bool *relation;    /* (count) the other words: not the subject, the begin token, the last position */
  size_t who, type;  /* numbers of the subject and of the type of fact */
  int32_t *truths;   /* first tokens of the true answers */
  size_t n_truths;
  /* The clean run: the most probable token at the last position, and its probability. */
  int32_t answer;
  double probability;
  bool known; /* it is one of the truths */
} sgi_subject;

typedef struct sgi_subjects {
  sgi_subject *at;
  size_t n, room;
  size_t skipped; /* prompts whose subject or answer is not whole tokens of the prompt, or that are too long */
  char **names;   /* (n_names) of subjects */
  char **types;   /* (n_types) */
  size_t n_names, names_room, n_types, types_room;
  int32_t **attributes; /* (n_names) first tokens of all true answers of a subject, ascending */
  size_t *n_attributes; /* (n_names) */
  size_t lists;         /* room of both */
  size_t longest;       /* tokens */
  size_t n_known;       /* after sgi_subjects_know */
  double chance;        /* share of prompts that the truths of another subject of the type would call known */
} sgi_subjects;

/* facts.json of the corpus worlds, or what 'facts mine' writes. type NULL: prompts of all types
 * (attributes are of all in any case). Deinit in any case. */
sg_status sgi_subjects_load(const char *path, const sg_model *m, const sg_tokenizer *tok, const char *type,
                            sgi_subjects *out, sg_error *err);
void sgi_subjects_deinit(sgi_subjects *s);

/* Leaves at most limit prompts, drawn by seed, in their order. */
void sgi_subjects_limit(sgi_subjects *s, size_t limit, uint64_t seed);

/* Fills answer, probability, known of all prompts. SG_ERR_ARG, naming the file (where), where the
 * model knows none of them, or no more than the truths of other subjects would give. */
sg_status sgi_subjects_know(const sg_model *m, sgi_subjects *s, const char *where,
                            bool (*progress)(void *user, size_t done, size_t wanted), void *user, sg_error *err);

/* The same of one prompt, known by its truths. */
struct sgi_trials;
sg_status sgi_subject_ask(struct sgi_trials *t, const sg_model *m, sgi_subject *p, sg_error *err);

/* (V) tokens that attributes are never read from: special ones, stop words, fewer than three
 * letters. New: sgi_free; NULL when memory is out. */
bool *sgi_subjects_stop(const sg_model *m, const sg_tokenizer *tok);

#endif
