/* requests.h: wrong requests made from a call's schema in server/openapi.json. */
#ifndef TEST_REQUESTS_H
#define TEST_REQUESTS_H

#include <jansson.h>

/* Sends body; the caller checks that it is refused with a sentence that names one of the two
 * keys. */
typedef void (*requests_send)(const char *path, const json_t *body, const char *key, const char *outer);

/* Every field of the call's request, those in lists of objects too, with each wrong type, out of
 * each range the schema gives, and an unknown key beside each; good: a body that is right. Returns
 * how many were sent. */
size_t requests_wrong(const json_t *document, const char *path, const json_t *good, requests_send send);

#endif
