/* identity.h: the hash that tells one model from another, wherever its files lie. */
#ifndef SGI_IDENTITY_H
#define SGI_IDENTITY_H

#include "model/model.h"

/* xxh3 of each tensor's numbers as float32, however they are stored, in the order of the table,
 * each seeded with the one before: what recordings have kept as model_hash since their first
 * version. Of mapped files from 64 MB on it is remembered (core/known_hash.h), so that 4 GB are
 * read once and not by every command. */
uint64_t sgi_model_hash(const sg_model *m);

#endif
