/* schema.h: does an answer fit its schema in server/openapi.json? The part of JSON Schema that the
 * file uses. */
#ifndef TEST_SCHEMA_H
#define TEST_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* document: the whole OpenAPI file. On false, why holds where and what. */
bool schema_fits(const json_t *document, const json_t *schema, const json_t *value, char *why, size_t size);
/* The schema that the document names for a call's answer of this status ("200", "default"). */
const json_t *schema_of_answer(const json_t *document, const char *path, const char *method, const char *status);
/* The schema of a call's request; NULL where it takes none. */
const json_t *schema_of_request(const json_t *document, const char *path, const char *method);
/* Follows "$ref". NULL where it leads nowhere. */
const json_t *schema_resolve(const json_t *document, const json_t *schema);

#endif
