/* peer_safetensors: for each path on standard input, one line: "refused REASON", or every tensor
 * with shape and hash of its bytes. */
#include <stdio.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/safetensors.h"

int main(void) {
  char path[4096];
  while (fgets(path, sizeof path, stdin)) {
    sgi_safetensors *f;
    sg_error err = {0};
    path[strcspn(path, "\n")] = 0;
    if (sgi_safetensors_open(path, &f, &err)) {
      printf("refused %s\n", err.text);
    } else {
      for (size_t i = 0; i < sgi_safetensors_count(f); i++) {
        const sgi_tensor *t = sgi_safetensors_at(f, i);
        if (i) printf("\t");
        for (const char *c = t->name; *c; c++) printf("%02x", (unsigned char)*c); /* any byte may be in it */
        printf(" %s", sgi_dtype_name(t->dtype));
        for (int k = 0; k < t->n_dims; k++) printf(" %zu", t->dims[k]);
        printf(" %016llx", (unsigned long long)XXH3_64bits(t->bytes ? t->data : "", t->bytes));
      }
      printf("\n");
      sgi_safetensors_close(f);
    }
    fflush(stdout);
  }
  return 0;
}
