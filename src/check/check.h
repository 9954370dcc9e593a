/* check.h: whether what lies on disk is what was written, all of it: every hash, shape and number
 * of a model, run, recording or token cache, and whether this machine computes as plain C does.
 * What `sgatlin verify` calls. Readers look at what they use; this looks at everything, and goes on
 * after a fault, so that one run tells all of them. */
#ifndef SGI_CHECK_H
#define SGI_CHECK_H

#include "core/base.h"

/* Who is told. */
typedef struct sgi_checks {
  /* One thing was looked at: SG_OK and what was found, or what is wrong. */
  void (*found)(void *user, const char *path, const char *what, sg_status status, const char *text);
  bool (*go_on)(void *user); /* false ends it with SG_ERR_CANCELLED */
  void *user;
  size_t looked, wrong;
  sg_status first; /* failure */
} sgi_checks;

void sgi_checks_say(sgi_checks *c, const char *path, const char *what, sg_status status, const char *format, ...)
    SG_PRINTF(5, 6);
/* The failure in err. */
void sgi_checks_fail(sgi_checks *c, const char *path, const char *what, const sg_error *err);

/* What path is, by what lies there. */
typedef enum sgi_checked {
  SGI_CHECK_NOTHING,
  SGI_CHECK_MODEL, /* also a checkpoint */
  SGI_CHECK_RUN,
  SGI_CHECK_RECORDING,
  SGI_CHECK_TOKENS,    /* a token cache */
  SGI_CHECK_CACHES,    /* a directory of them: .sgatlin, or data beside which it lies */
  SGI_CHECK_TOKENIZER, /* tokenizer.json */
  SGI_CHECK_TENSORS,   /* any other safetensors */
  SGI_CHECK_NAMES,     /* labels and names of neurons, .sqlite */
  SGI_CHECK_SPARSE,    /* sparse MLPs */
  SGI_CHECK_FUNCTIONS, /* neurons as functions */
  SGI_CHECK_JSON       /* any other JSON: the caller knows graphs */
} sgi_checked;
sgi_checked sgi_check_kind(const char *path);
const char *sgi_check_name(sgi_checked kind); /* "model", "run", ... */

/* Each reports; SG_ERR_CANCELLED and SG_ERR_MEMORY end it, all else is in c. */
sg_status sgi_check_model(sgi_checks *c, const char *directory, sg_error *err);
sg_status sgi_check_run(sgi_checks *c, const char *directory, sg_error *err);
sg_status sgi_check_recording(sgi_checks *c, const char *directory, sg_error *err);
sg_status sgi_check_sparse(sgi_checks *c, const char *directory, sg_error *err);
sg_status sgi_check_functions(sgi_checks *c, const char *path, sg_error *err);
sg_status sgi_check_tokens(sgi_checks *c, const char *path, sg_error *err);
sg_status sgi_check_caches(sgi_checks *c, const char *directory, sg_error *err);
sg_status sgi_check_tokenizer(sgi_checks *c, const char *path, sg_error *err);
sg_status sgi_check_tensors(sgi_checks *c, const char *path, sg_error *err);
/* m: the model that they must be of; NULL: any. The second: names.sqlite where it lies beside a
 * model or run. */
sg_status sgi_check_names(sgi_checks *c, const char *path, const sg_model *m, sg_error *err);
sg_status sgi_check_names_beside(sgi_checks *c, const char *directory, const sg_model *m, sg_error *err);
/* Every kernel and product of this machine against plain loops; the same bits with one and more
 * threads. */
sg_status sgi_check_machine(sgi_checks *c, sg_error *err);

#endif
