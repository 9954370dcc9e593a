/* page.h: parts of documents that are written from the code. A test holds the page against what the
 * code says; with UPDATE=1 it writes that part anew. */
#ifndef TEST_PAGE_H
#define TEST_PAGE_H

#include <stdio.h>

/* Text of a file below 1 MB; the caller frees it. Fails the test where it cannot be read. */
char *page_read(const char *path);

/* The part of `path` behind `from` and before the next `to` is what write prints. `source` is what
 * it comes from, `command` the test that writes it. */
void page_holds(const char *path, const char *from, const char *to, void (*write)(FILE *f), const char *source,
                const char *command);

#endif
