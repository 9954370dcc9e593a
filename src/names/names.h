/* names.h: what the neurons of one model are called: labels made from their cards (read/label.h)
 * and names that people gave, in one SQLite file beside the model (docs/formats-names.md).
 *
 * Idea. Labels can be made again, names cannot: so a file is bound to its model by the hash of its
 * weights, every change is one transaction, and two processes (an explorer and a command) may have
 * it open, one waiting for the other. What comes from such a file is untrusted: its tables must be
 * word for word those that are made here, SQLite's own check of the pages must pass, and each row's
 * numbers and texts are held against their bounds.
 *
 * Not taken. JSON: two processes would lose each other's names, or need locks of their own. */
#ifndef SGI_NAMES_H
#define SGI_NAMES_H

#include "read/binding.h"
#include "read/label.h"

/* Whose neurons they are: the hash of its weights (model/identity.h). */
typedef struct sgi_names_model {
  char hash[SGI_HASH_TEXT];
} sgi_names_model;
sgi_names_model sgi_names_model_of(const sg_model *m);

typedef sg_neuron_at sgi_neuron_at;

/* A row: what is known of one neuron. */
typedef struct sgi_named {
  sgi_neuron_at at;
  sg_neuron_called called;
  sgi_label label; /* in tokens, where called.labelled */
} sgi_named;

/* sg_names_open, and for a file of whichever model it is (of NULL; sgi_names_of says). */
sg_status sgi_names_open(const char *path, const sgi_names_model *of, bool write, sg_names **out, sg_error *err);
const sgi_names_model *sgi_names_of(const sg_names *n); /* borrowed until close */

/* Everything between is there or nothing is. Waits up to 5 s for another process. */
sg_status sgi_names_begin(sg_names *n, sg_error *err);
sg_status sgi_names_commit(sg_names *n, sg_error *err);
void sgi_names_rollback(sg_names *n);

sg_status sgi_names_label(sg_names *n, sgi_neuron_at at, const sgi_label *label, const char *text, sg_error *err);

/* Every neuron that has a label or a name, by layer, channel, index. visit returning a failure ends
 * it. */
sg_status sgi_names_each(sg_names *n, sg_status (*visit)(void *user, const sgi_named *row, sg_error *err), void *user,
                         sg_error *err);
/* How many labels and names there are. */
sg_status sgi_names_count(sg_names *n, size_t *labels, size_t *names, sg_error *err);

#endif
