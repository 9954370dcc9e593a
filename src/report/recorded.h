/* recorded.h: a recording with its tokenizer, and its tokens and excerpts as JSON. */
#ifndef SGI_REPORT_RECORDED_H
#define SGI_REPORT_RECORDED_H

#include "read/neighbors.h"
#include "report.h"

/* A recording with its tokenizer (NULL where it has none). sgi_record_reader_close takes one that
 * failed, too. */
typedef struct sgi_record_reader {
  const char *directory;
  sgi_recording *rec;
  const sgi_recording_info *info;
  sg_tokenizer *tok;
} sgi_record_reader;
sg_status sgi_record_reader_open(const char *directory, sgi_record_reader *out, sg_error *err);
void sgi_record_reader_close(sgi_record_reader *r);

/* SG_ERR_ARG where the recording holds neurons alone. */
sg_status sgi_record_reader_circuits(const sgi_record_reader *r, sg_error *err);
/* Layer number i of all that the recording holds, circuits or neurons one by one, in their order;
 * false past the last. */
bool sgi_record_reader_layer(const sgi_record_reader *r, size_t i, size_t *layer, bool *circuits);
/* The most channels of a recorded layer. */
size_t sgi_record_reader_channels(const sgi_record_reader *r);

/* JSON of a token and of an excerpt; null where there is no tokenizer. names: the reference's
 * form. */
json_t *sgi_recorded_token(const sgi_record_reader *r, int32_t id, bool names);
json_t *sgi_recorded_excerpt(const sgi_record_reader *r, size_t position, size_t width, bool names);

#endif
