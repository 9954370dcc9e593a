/* schema.h: does an answer fit its schema in server/openapi.json? The part of JSON Schema that the file uses. */
#ifndef TEST_SCHEMA_H
#define TEST_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* document: the whole OpenAPI file. On false, why holds where and what. */
bool schema_fits(const json_t *document, const json_t *schema, const json_t *value, char *why, size_t size);

#endif
