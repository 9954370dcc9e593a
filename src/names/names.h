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

enum { SGI_NAME_TEXT = 192, SGI_AUTHOR_TEXT = 64 }; /* bytes with the NUL */

/* Whose neurons they are: the hash of its weights (model/identity.h). */
typedef struct sgi_names_model {
  char hash[SGI_HASH_TEXT];
} sgi_names_model;
sgi_names_model sgi_names_model_of(const sg_model *m);

typedef sg_neuron_at sgi_neuron_at;

/* What is known of one neuron. */
typedef struct sgi_named {
  sgi_neuron_at at;
  bool labelled; /* label and text are there */
  sgi_label label;
  char text[SGI_LABEL_TEXT];
  char name[SGI_NAME_TEXT]; /* "" where nobody gave one */
  char author[SGI_AUTHOR_TEXT];
  int64_t time; /* seconds since 1970 */
} sgi_named;

typedef struct sgi_names sgi_names;

/* Opens a file of names. of: the model at hand, or NULL: whichever it is (sgi_names_of says). A
 * file of another model is SG_ERR_ARG with both hashes, damage SG_ERR_FORMAT. write: it may be
 * changed, and is made where it is missing (of is needed then). New: sgi_names_close. */
sg_status sgi_names_open(const char *path, const sgi_names_model *of, bool write, sgi_names **out, sg_error *err);
void sgi_names_close(sgi_names *n);
const sgi_names_model *sgi_names_of(const sgi_names *n); /* borrowed until close */
/* "MODEL/names.sqlite". New: sgi_free; NULL when memory is out. */
char *sgi_names_path(const char *model);

/* Everything between is there or nothing is. Waits up to 5 s for another process. */
sg_status sgi_names_begin(sgi_names *n, sg_error *err);
sg_status sgi_names_commit(sgi_names *n, sg_error *err);
void sgi_names_rollback(sgi_names *n);

/* text: UTF-8, "" takes the name away; too long, or with control characters, is SG_ERR_ARG. */
sg_status sgi_names_give(sgi_names *n, sgi_neuron_at at, const char *name, const char *author, int64_t time,
                         sg_error *err);
sg_status sgi_names_label(sgi_names *n, sgi_neuron_at at, const sgi_label *label, const char *text, sg_error *err);

/* out->at is the neuron asked for; where nothing is known all else is zero. */
sg_status sgi_names_find(sgi_names *n, sgi_neuron_at at, sgi_named *out, sg_error *err);
/* Every neuron that has a label or a name, by layer, channel, index. visit returning a failure ends
 * it. */
sg_status sgi_names_each(sgi_names *n, sg_status (*visit)(void *user, const sgi_named *row, sg_error *err), void *user,
                         sg_error *err);
/* How many labels and names there are. */
sg_status sgi_names_count(sgi_names *n, size_t *labels, size_t *names, sg_error *err);

/* The file as JSON and back (docs/formats-names.md). Import replaces what the document names and
 * keeps the rest, all in one transaction; a document of another model is SG_ERR_ARG. *out is
 * new. */
sg_status sgi_names_export(sgi_names *n, json_t **out, sg_error *err);
sg_status sgi_names_import(sgi_names *n, const json_t *document, const char *where, size_t *rows, sg_error *err);

#endif
