#include "text/pairs.h"

#include "core/arena.h"

/* Room for one more element behind n; false when memory is out or 32 bits cannot count them. */
static bool room(void *list, size_t n, size_t *size, size_t each) {
  return n < UINT32_MAX / 2 && sgi_room(list, size, n, each);
}

static size_t slot_of(int32_t left, int32_t right, unsigned bits) {
  uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
  return (size_t)(pair * 0x9E3779B97F4A7C15u >> (64 - bits));
}

static bool grow_slots(sgi_pairs *p) {
  unsigned bits = p->bits ? p->bits + 1 : 12;
  size_t mask = ((size_t)1 << bits) - 1;
  uint32_t *slots = sgi_alloc((mask + 1) * sizeof *slots);
  if (!slots) return false;
  for (size_t i = 0; i < p->n; i++) {
    size_t at = slot_of(p->at[i].left, p->at[i].right, bits);
    while (slots[at]) at = (at + 1) & mask;
    slots[at] = (uint32_t)i + 1;
  }
  sgi_free(p->slots);
  p->slots = slots;
  p->bits = bits;
  return true;
}

static sgi_pair *find(sgi_pairs *p, int32_t left, int32_t right) {
  if ((!p->bits || p->n >= (size_t)1 << (p->bits - 1)) && !grow_slots(p)) return NULL;
  size_t mask = ((size_t)1 << p->bits) - 1, at = slot_of(left, right, p->bits);
  for (; p->slots[at]; at = (at + 1) & mask) {
    sgi_pair *k = &p->at[p->slots[at] - 1];
    if (k->left == left && k->right == right) return k;
  }
  if (!room(&p->at, p->n, &p->size, sizeof *p->at)) return NULL;
  p->slots[at] = (uint32_t)p->n + 1;
  p->at[p->n] = (sgi_pair){.left = left, .right = right, .touched = UINT32_MAX};
  return &p->at[p->n++];
}

bool sgi_pairs_change(sgi_pairs *p, int32_t left, int32_t right, int64_t change, uint32_t word) {
  sgi_pair *k = find(p, left, right);
  if (!k) return false;
  k->count += change;
  if (change <= 0) return true;
  if (k->touched != p->merge) {
    if (!room(&p->raised, p->n_raised, &p->size_raised, sizeof *p->raised)) return false;
    p->raised[p->n_raised++] = (uint32_t)(k - p->at);
    k->touched = p->merge;
  }
  if (k->place && p->places[k->place].word == word) return true;
  if (!p->n_places) p->n_places = 1;
  if (!room(&p->places, p->n_places, &p->size_places, sizeof *p->places)) return false;
  p->places[p->n_places] = (sgi_place){.word = word, .next = k->place};
  k->place = (uint32_t)p->n_places++;
  return true;
}

/* ---- queue ----------------------------------------------------------------------------------- */

static bool before(const sgi_queued *a, const sgi_queued *b) {
  if (a->count != b->count) return a->count > b->count;
  return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static void sift_down(sgi_pairs *p, size_t at) {
  sgi_queued x = p->heap[at];
  for (size_t child; (child = 2 * at + 1) < p->n_heap; at = child) {
    if (child + 1 < p->n_heap && before(&p->heap[child + 1], &p->heap[child])) child++;
    if (!before(&p->heap[child], &x)) break;
    p->heap[at] = p->heap[child];
  }
  p->heap[at] = x;
}

static bool push(sgi_pairs *p, uint32_t pair) {
  if (!room(&p->heap, p->n_heap, &p->size_heap, sizeof *p->heap)) return false;
  const sgi_pair *k = &p->at[pair];
  sgi_queued x = {.count = k->count, .left = k->left, .right = k->right, .pair = pair};
  size_t at = p->n_heap++;
  for (size_t up; at > 0 && before(&x, &p->heap[up = (at - 1) / 2]); at = up) p->heap[at] = p->heap[up];
  p->heap[at] = x;
  return true;
}

bool sgi_pairs_queue(sgi_pairs *p) {
  for (size_t i = 0; i < p->n_raised; i++)
    if (p->at[p->raised[i]].count > 0 && !push(p, p->raised[i])) return false;
  p->n_raised = 0;
  p->merge++;
  return true;
}

sgi_pair *sgi_pairs_best(sgi_pairs *p) {
  while (p->n_heap) {
    sgi_queued *top = &p->heap[0];
    sgi_pair *k = &p->at[top->pair];
    bool fresh = k->count == top->count && k->count > 0;
    if (!fresh && k->count > 0) {
      top->count = k->count;
    } else {
      p->heap[0] = p->heap[--p->n_heap];
      if (fresh) {
        if (p->n_heap) sift_down(p, 0);
        return k;
      }
    }
    if (p->n_heap) sift_down(p, 0);
  }
  return NULL;
}

void sgi_pairs_deinit(sgi_pairs *p) {
  sgi_free(p->at);
  sgi_free(p->slots);
  sgi_free(p->places);
  sgi_free(p->heap);
  sgi_free(p->raised);
  *p = (sgi_pairs){0};
}
