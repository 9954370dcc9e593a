/* embedded.h: files of data/ that the build puts into the library (tools/embed.sh writes the
 * table). */
#ifndef SGI_EMBEDDED_H
#define SGI_EMBEDDED_H

#include <stddef.h>

typedef struct sgi_embedded_file {
  const char *name;          /* base name, e.g. "words.json"; NULL ends the table */
  const unsigned char *data; /* size bytes, then one 0 */
  size_t size;
} sgi_embedded_file;

extern const sgi_embedded_file sgi_embedded_files[];

#endif
