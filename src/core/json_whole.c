/* json_whole.c: a document that could not be built whole is never written.
 *
 * Building JSON is hundreds of small calls, each of which may run out of memory and return NULL, or
 * -1, and leave a key or an element out. Looking at each result where it is made was tried and
 * forgotten in places; so they are looked at here, once: jansson's own allocations pass through
 * `allocate`, and its calls that take a value through the functions below. What went wrong stands
 * in a variable of the thread: json_dumps gives no text while it does, and takes it away, as does
 * an error of memory, which tells of it.
 */
#define SGI_JSON_INSIDE
#include <stdarg.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/json.h"

static _Thread_local sgi_json_fault fault, refused; /* refused: why json_dumps gave no text, for sgi_json_incomplete */
static _Thread_local size_t losses;                 /* values lost so far */
static _Thread_local size_t failures;               /* all_failures when sgi_json_begin was called */

static size_t all_failures(void) { return sgi_alloc_failures() + losses; }

static void note(sgi_json_fault f) {
  if (f == SGI_JSON_LOST) losses++;
  if (fault < f) fault = f;
}

/* What our own memory did not suffice for is not a value that jansson does not take. */
sgi_json_fault sgi_json_state(void) { return fault == SGI_JSON_LOST && sgi_alloc_failures() ? SGI_JSON_MEMORY : fault; }

void sgi_json_told(void) { fault = SGI_JSON_WHOLE; }

size_t sgi_json_failures(void) { return all_failures() - failures; }

void sgi_json_begin(void) {
  fault = refused = SGI_JSON_WHOLE;
  failures = all_failures();
}

sg_status sgi_json_incomplete(const char *what, sg_error *err) {
  sgi_json_fault why = fault ? sgi_json_state() : refused;
  fault = refused = SGI_JSON_WHOLE;
  if (why == SGI_JSON_LOST)
    return sgi_fail(
        err, SG_ERR_INTERNAL,
        "%s: a value can not be written as JSON: text that is not UTF-8, or a number that is NaN or infinite", what);
  return sgi_fail(err, SG_ERR_MEMORY, "%s: out of memory while writing JSON", what);
}

/* ---- jansson's memory ------------------------------------------------------------------------ */

static json_malloc_t next_malloc;

/* jansson 2.14 writes past the end of a string's memory where the buffer it collects a token in
 * could not grow: while it parses, a failed allocation is tried once more with memory kept back. */
static _Thread_local void *kept_back;

static void *allocate(size_t bytes) {
  void *p = sgi_alloc_may() ? next_malloc(bytes) : NULL;
  if (p || !bytes) return p;
  sgi_alloc_failed();
  note(SGI_JSON_MEMORY);
  if (!kept_back) return NULL;
  free(kept_back);
  kept_back = NULL;
  return next_malloc(bytes);
}

/* jansson has one pair of functions for the process: whatever it is stays in place behind ours.
 * Before main, so that no document is begun without it. */
__attribute__((constructor)) static void watch(void) {
  json_free_t next_free;
  json_get_alloc_funcs(&next_malloc, &next_free);
  json_set_alloc_funcs(allocate, next_free);
}

/* ---- building -------------------------------------------------------------------------------- */

static int noted(int failed) {
  if (failed) note(SGI_JSON_LOST);
  return failed;
}

int sgi_json_set_new(json_t *object, const char *key, json_t *value) {
  return noted(json_object_set_new(object, key, value));
}
int sgi_json_set(json_t *object, const char *key, json_t *value) {
  return noted(json_object_set_new(object, key, json_incref(value)));
}
int sgi_json_append_new(json_t *array, json_t *value) { return noted(json_array_append_new(array, value)); }
int sgi_json_append(json_t *array, json_t *value) { return noted(json_array_append_new(array, json_incref(value))); }

json_t *sgi_json_pack(const char *format, ...) {
  va_list args;
  va_start(args, format);
  json_t *value = json_vpack_ex(NULL, 0, format, args);
  va_end(args);
  noted(!value);
  return value;
}

char *sgi_json_dumps(const json_t *value, size_t flags) {
  char *text = value && !fault ? json_dumps(value, flags) : NULL;
  if (!text && !fault) note(SGI_JSON_LOST);
  if (!fault) return text;
  free(text); /* jansson 2.14 may drop a piece and go on */
  refused = sgi_json_state();
  fault = SGI_JSON_WHOLE;
  return NULL;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* A failed allocation makes jansson tell of a wrong place in the text as often as of memory. It is
 * told apart here; faults of a document that this thread builds meanwhile stay. */
json_t *sgi_json_loadb(const char *text, size_t n, size_t flags, json_error_t *e) {
  json_error_t own;
  sgi_json_fault before = fault;
  fault = SGI_JSON_WHOLE;
  size_t room;
  kept_back = sgi_alloc_may() && sgi_size_add(n, 1 << 16, &room) ? malloc(room) : NULL;
  json_t *value = NULL;
  if (kept_back)
    value = json_loadb(text, n, flags, e ? e : &own);
  else
    fault = SGI_JSON_MEMORY;
  free(kept_back);
  kept_back = NULL;
  bool memory = fault == SGI_JSON_MEMORY;
  fault = before;
  if (!memory) return value;
  json_decref(value);
  if (!e) return NULL;
  *e = (json_error_t){.line = -1, .column = -1, .text = "out of memory"};
  e->text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory; /* where json_error_code looks */
  return NULL;
}
