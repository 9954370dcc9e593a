#include "ranks/ranks.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"

static bool alone(const sg_ranks *r) { return !r || r->count == 1; }

void sgi_ranks_about(const sg_ranks *r, const char *what, bool limited) {
  if (!alone(r)) r->transport->about(r->self, what, limited);
}

void sgi_ranks_gather(const sg_ranks *r, const void *mine, void *all, size_t bytes) {
  if (alone(r))
    memmove(all, mine, bytes);
  else
    r->transport->gather(r->self, mine, all, bytes);
}

void sgi_ranks_share(sg_ranks *r, float *x, const size_t *bounds) {
  if (alone(r)) return;
  r->transport->share(r->self, x, bounds);
  r->sent += (bounds[r->rank + 1] - bounds[r->rank]) * sizeof(float) * (r->count - 1);
}

/* One block of each rank is read in turn, so that no room for all of them is needed: whoever is
 * asked often asks for a byte. */
bool sgi_ranks_any(const sg_ranks *r, bool mine) {
  if (alone(r)) return mine;
  unsigned char one = mine, all[256];
  bool any = false;
  if (r->count <= sizeof all) {
    sgi_ranks_gather(r, &one, all, 1);
    for (size_t i = 0; i < r->count; i++) any |= all[i];
    return any;
  }
  unsigned char *many = sgi_alloc(r->count);
  if (!many) return true; /* out of memory: whatever was asked for, stopping is right */
  sgi_ranks_gather(r, &one, many, 1);
  for (size_t i = 0; i < r->count; i++) any |= many[i];
  sgi_free(many);
  return any;
}

sg_status sgi_ranks_agree(const sg_ranks *r, sg_status st, sg_error *err) {
  if (alone(r) || !sgi_ranks_any(r, st != SG_OK)) return st;
  sg_error mine = *err, *all = sgi_alloc(r->count * sizeof *all);
  if (!st) mine = (sg_error){SG_OK, ""};
  mine.code = st;
  if (!all) return sgi_fail_memory(err, r->count * sizeof *all, "a failure of another rank");
  sgi_ranks_gather(r, &mine, all, sizeof mine);
  size_t first = 0;
  bool alike = true;
  while (all[first].code == SG_OK) first++;
  for (size_t i = 0; i < r->count; i++)
    alike &= all[i].code == all[first].code && !strcmp(all[i].text, all[first].text);
  *err = all[first];
  char name[160];
  if (first && !alike) {
    r->transport->name(r->self, first, name, sizeof name);
    sgi_error_prefix(err, err->code, "%s", name);
  }
  sgi_free(all);
  return err->code;
}

void sgi_ranks_tell(const sg_ranks *r, void *data, size_t bytes) {
  if (alone(r)) return;
  for (size_t i = 1; i < r->count; i++)
    if (r->rank == 0) {
      r->transport->send(r->self, 0, i, data, bytes);
      r->transport->wait(r->self, 0);
    } else if (r->rank == i) {
      r->transport->receive(r->self, 0, 0, data, bytes);
      r->transport->wait(r->self, 0);
    }
}

void sgi_ranks_bring(const sg_ranks *r, size_t from, const float *x, float *out, size_t n) {
  if (!n) return;
  size_t me = sgi_ranks_me(r);
  if (me == 0 && from == 0) {
    memmove(out, x, n * sizeof *x);
  } else if (me == from) {
    r->transport->send(r->self, 0, 0, x, n * sizeof *x);
    r->transport->wait(r->self, 0);
  } else if (me == 0) {
    r->transport->receive(r->self, 0, from, out, n * sizeof *x);
    r->transport->wait(r->self, 0);
  }
}

/* Each rank adds one slice of all, then gives it to all. */
void sgi_ranks_sum(sg_ranks *r, float *x, size_t n, float *room) {
  if (alone(r)) return;
  size_t bounds[SGI_MAX_SUMMED + 1], slot = 0, count = r->count;
  for (size_t i = 0; i <= count; i++) bounds[i] = n * i / count;
  size_t from = bounds[r->rank], own = bounds[r->rank + 1] - from, most = n / count + 1;
  for (size_t i = 0; i < count; i++)
    if (i != r->rank) r->transport->receive(r->self, slot++, i, room + i * most, own * sizeof *x);
  for (size_t i = 0; i < count; i++) {
    if (i == r->rank) continue;
    size_t bytes = (bounds[i + 1] - bounds[i]) * sizeof *x;
    r->transport->send(r->self, slot++, i, x + bounds[i], bytes);
    r->sent += bytes;
  }
  for (size_t i = 0; i < slot; i++) r->transport->wait(r->self, i);
  for (size_t i = 0; i < own; i++) {
    float sum = 0;
    for (size_t k = 0; k < count; k++) sum += k == r->rank ? x[from + i] : room[k * most + i];
    x[from + i] = sum;
  }
  sgi_ranks_share(r, x, bounds);
}
