/* routes_compare.c: neighbouring ways to read: singular directions, knockout and extraction. */
#include "report/recall.h"
#include "report/svd.h"
#include "api.h"

/* ---- directions ------------------------------------------------------------------------------ */

sg_status api_directions(api_call *c, json_t **answer, sg_error *err) {
  const sgi_directions_request r = {
      .p = &c->p,
      .matrix = api_text(c->body, "matrix"),
      .layer = api_size(c->body, "layer"),
      .head = api_size(c->body, "head"),
      .distance = api_size(c->body, "distance"),
      .channel = api_has(c->body, "channel") ? (ptrdiff_t)api_size(c->body, "channel") : -1,
      .directions = api_size(c->body, "directions"),
      .tokens = api_within(c->body, "top", SGI_DIRECTIONS_SHOWN),
      .cosine = api_flag(c->body, "cosine")};
  http_job_progress(c->job, 0, "decomposing");
  return sgi_directions_report(&r, NULL, answer, err);
}

/* ---- recall ---------------------------------------------------------------------------------- */

static bool tick(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, (double)done / (double)wanted, "cutting edges of attention");
  return !http_job_cancelled(c->job);
}

sg_status api_recall(api_call *c, json_t **answer, sg_error *err) {
  sgi_recall_request r = {.first = api_size(c->body, "first"),
                          .window = api_size(c->body, "window"),
                          .draws = api_size(c->body, "draws"),
                          .progress = tick,
                          .user = c};
  r.end = api_has(c->body, "end") ? api_size(c->body, "end") : r.first + 1;
  sg_status st = api_prompt(c, err);
  if (!st) st = api_position(c, &r.position, err);
  return st ? st : sgi_recall_json(&c->p, &r, answer, err);
}
