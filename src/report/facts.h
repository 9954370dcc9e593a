/* facts.h: known facts as JSON: what the explorer answers of them. */
#ifndef SGI_REPORT_FACTS_H
#define SGI_REPORT_FACTS_H

#include "prompt.h"

/* Facts of a file that was read: sg_facts_load without the file; listed. */
sg_status sgi_facts_of(const json_t *file, const char *type, sg_facts **out, sg_error *err);
/* {"before", "after", "types", "type", "nouns": [{"noun", "answers", "single"}]}: single where noun
 * and first answer are tokens of p's tokenizer, as patched runs want them. type: that was asked
 * for; NULL: the first. *out is new. */
sg_status sgi_facts_report(const sgi_prompt *p, const json_t *file, const sg_facts *f, const char *type, json_t **out,
                           sg_error *err);

#endif
