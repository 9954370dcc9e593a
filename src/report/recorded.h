/* recorded.h: a recording with its tokenizer, and its tokens and excerpts as JSON. */
#ifndef SGI_REPORT_RECORDED_H
#define SGI_REPORT_RECORDED_H

#include "core/bound.h"
#include "report.h"

/* A recording with its tokenizer (NULL where it has none). sgi_record_reader_close takes one that
 * failed, too. */
typedef struct sgi_record_reader {
  const char *directory; /* the caller's, until it is closed */
  sg_recording *rec;
  sg_recording_info info;
  sg_recorded_layer *slots; /* (info.n_layers) each recorded layer's own sizes */
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

/* Which recorded layer a layer of the model is; SG_ERR_ARG lists them. */
sg_status sgi_recorded_slot(const sg_recording *rec, size_t layer, size_t *slot, sg_error *err);
/* A position and where a document's begin. Numbers outside their bounds are read as zeros, and from
 * then on sgi_recorded_check is SG_ERR_FORMAT with file and place: whoever tells what he read asks
 * first. */
sg_recorded sgi_recorded_at(const sg_recording *rec, size_t position);
void sgi_recorded_document(const sg_recording *rec, size_t document, size_t *first, size_t *count);
sg_status sgi_recorded_check(const sg_recording *rec, sg_error *err);

/* Whether a recording was made from this model, in *bound; of one that was not, err has both hashes
 * or settings. Other sizes are SG_ERR_ARG. name is how people call it. */
sg_status sgi_recording_bind(const sg_recording *rec, const sg_model *model, const char *name, sgi_bound *bound,
                             sg_error *err);

/* JSON of a token and of an excerpt; null where there is no tokenizer. names: the reference's
 * form. */
json_t *sgi_recorded_token(const sgi_record_reader *r, int32_t id, bool names);
json_t *sgi_recorded_excerpt(const sgi_record_reader *r, size_t position, size_t width, bool names);

#endif
