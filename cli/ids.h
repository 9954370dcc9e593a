/* ids.h: token ids from JSON files. */
#ifndef SGATLIN_CLI_IDS_H
#define SGATLIN_CLI_IDS_H

#include "core/base.h"

/* Rows of equal length out of [[ids of row 1], [row 2], ...] (a flat list or {"ids": list} is one
 * row). path "-": standard input. *ids (B,T) is new: sgi_free. */
sg_status cli_read_ids(const char *path, int32_t **ids, size_t *B, size_t *T, sg_error *err);
/* One row, which may be empty (the beginning of a text): [ids], [[ids]] or {"ids": [ids]}, as
 * 'tokenizer encode --json' writes it. *ids (n) is new: sgi_free. */
sg_status cli_read_prompt_ids(const char *path, int32_t **ids, size_t *n, sg_error *err);

#endif
