/* tokens.c: a token cache, without the text and tokenizer it was made from: hashes, blocks,
 * places. */
#include <dirent.h>
#include <stddef.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "check/inside.h"
#include "core/arena.h"
#include "core/file.h"
#include "data/corpus_file.h"

static sg_status wrong(sg_error *err, const char *what) {
  return sgi_fail(err, SG_ERR_FORMAT, "%s: remove the file; it is made anew from the text", what);
}

static sg_status check_header(const sgi_map *map, sg_error *err) {
  const sgi_tokens_header *h = (const sgi_tokens_header *)map->data;
  if (map->size < sizeof *h || memcmp(h->magic, SGI_TOKENS_MAGIC, sizeof h->magic))
    return wrong(err, "no token cache by its first bytes");
  if (h->version != SGI_TOKENS_VERSION || h->endian != SGI_TOKENS_ENDIAN)
    return wrong(err, "of another version or another kind of machine");
  if (h->header_hash != XXH3_64bits(map->data, offsetof(sgi_tokens_header, header_hash)))
    return wrong(err, "the header's hash is another one");
  if (h->size != map->size) return wrong(err, "is not as long as it was written");
  if (h->tail < sizeof *h || h->tail > map->size || h->tail % 8 || h->n_blocks > map->size ||
      (h->n_blocks + 1) * sizeof(sgi_tokens_place) > map->size - h->tail)
    return wrong(err, "its parts do not lie within it");
  if (h->tail_hash != XXH3_64bits(map->data + h->tail, map->size - h->tail))
    return wrong(err, "the hash of its tail is another one");
  if (h->blocks_hash != XXH3_64bits(map->data + sizeof *h, h->tail - sizeof *h))
    return wrong(err, "the hash of its tokens is another one");
  return SG_OK;
}

/* Documents of a block follow each other and end with it. */
static bool sound_block(const sgi_map *map, const sgi_tokens_place *p, uint64_t tail, uint64_t *tokens) {
  if (p[0].byte % 4 || p[1].byte > tail || p[1].byte < p[0].byte || p[1].document <= p[0].document) return false;
  uint64_t words = (p[1].byte - p[0].byte) / 4, n = p[1].document - p[0].document;
  if (n >= words) return false;
  const uint32_t *starts = (const uint32_t *)(map->data + p[0].byte);
  if (starts[0] != 0 || starts[n] != words - n - 1) return false;
  for (uint64_t i = 0; i < n; i++)
    if (starts[i] >= starts[i + 1]) return false;
  *tokens += starts[n];
  return true;
}

static sg_status check_blocks(const sgi_map *map, sg_error *err) {
  const sgi_tokens_header *h = (const sgi_tokens_header *)map->data;
  const sgi_tokens_place *places = (const sgi_tokens_place *)(map->data + h->tail);
  uint64_t tokens = 0;
  for (uint64_t b = 0; b < h->n_blocks; b++)
    if (!sound_block(map, places + b, h->tail, &tokens)) return wrong(err, "a block of documents is not sound");
  if (places[0].byte != sizeof *h || places[0].document != 0 || places[h->n_blocks].document != h->n_documents ||
      tokens != h->n_tokens)
    return wrong(err, "the number of documents or tokens is another one");
  return SG_OK;
}

sg_status sgi_check_tokens(sgi_checks *c, const char *path, sg_error *err) {
  sgi_map map = {0};
  sg_error why = {0};
  sg_status st = sgi_map_file(path, &map, &why);
  if (!st) st = check_header(&map, &why);
  if (!st) st = check_blocks(&map, &why);
  if (!st) {
    const sgi_tokens_header *h = (const sgi_tokens_header *)map.data;
    sgi_checks_say(c, path, "tokens", SG_OK, "%llu documents, %llu tokens, all hashes as written",
                   (unsigned long long)h->n_documents, (unsigned long long)h->n_tokens);
  }
  sgi_unmap_file(&map);
  return sgi_check_took(c, path, "tokens", st, &why, err);
}

static bool is_cache(const char *name) {
  size_t n = strlen(name);
  return n > 7 && !strcmp(name + n - 7, ".tokens");
}

sg_status sgi_check_caches(sgi_checks *c, const char *directory, sg_error *err) {
  char *beside = sgi_path_join(directory, ".sgatlin");
  if (!beside) return sgi_fail_memory(err, strlen(directory), "a path");
  const char *where = sgi_is_directory(beside) ? beside : directory;
  DIR *d = opendir(where);
  size_t n = 0;
  sg_status st = d ? SG_OK : sgi_fail_file(err, where, "could not open the directory");
  for (const struct dirent *e; !st && (e = readdir(d));) {
    if (!is_cache(e->d_name)) continue;
    char *path = sgi_path_join(where, e->d_name);
    st = path ? sgi_check_tokens(c, path, err) : sgi_fail_memory(err, strlen(where), "a path");
    sgi_free(path);
    n++;
  }
  if (d) closedir(d);
  if (!st && !n) sgi_checks_say(c, where, "tokens", SG_OK, "no token cache");
  sgi_free(beside);
  return st;
}
