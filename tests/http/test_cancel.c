/* Calls that take long tell how far they are and end when the client hangs up; the answer is the
 * same with and without events. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../server/api.h"
#include "http/client.h"
#include "support/small.h"

enum { TOKENS = 120 };
static explorer e;
static http_server *server;
static atomic_int begun, cancelled, ended;
static atomic_bool hold; /* jobs begin once their client is gone */

static void nap(double seconds) { nanosleep(&(struct timespec){.tv_nsec = (long)(seconds * 1e9)}, NULL); }

static sg_status handler(void *user, http_job *j, json_t **answer, sg_error *err) {
  begun++;
  while (hold && !http_job_cancelled(j)) nap(0.005);
  sg_status st = api_handle(user, j, answer, err);
  cancelled += st == SG_ERR_CANCELLED;
  ended++;
  return st;
}

static int start(void **state) {
  (void)state;
  sg_config c = small_config("sgatlin");
  c.vocab_size = 6000;
  c.num_layers = 5;
  c.num_neurons = 529;
  c.num_channels = 4;
  c.top_k = 16;
  c.max_position = 2 * TOKENS;
  assert_sg_ok(sg_model_create(&c, 3, &e.model, err));
  e.name = "a model";
  http_settings s = {.handler = handler, .user = &e};
  assert_sg_ok(http_start(&s, &server, err));
  return 0;
}
static int stop(void **state) {
  (void)state;
  http_stop(server);
  sg_model_free(e.model);
  return 0;
}

/* New: free. */
static char *body_of(const char *more) {
  char *body = malloc(8 * TOKENS + 200);
  size_t n = (size_t)sprintf(body, "{%s\"ids\":[5", more);
  for (int i = 1; i < TOKENS; i++) n += (size_t)sprintf(body + n, ",%d", 3 + i * 7 % 5000);
  strcpy(body + n, "]}");
  return body;
}

static const struct {
  const char *path, *more;
} calls[] = {{"/api/predict", ""},
             {"/api/margins", ""},
             {"/api/attribute", "\"top\":5,"},
             {"/api/attribute", "\"top\":5,\"verify\":4,"},
             {"/api/attribute", "\"top\":5,\"true\":true,"},
             {"/api/ablate", "\"edits\":[{\"layer\":0,\"neuron\":1}],"},
             {"/api/joint", "\"edits\":[{\"layer\":0,\"channel\":0,\"pos\":7}],"},
             {"/api/attribute", "\"top\":5,\"target\":\"id:5,6,7\",\"against\":\"id:8\","},
             {"/api/continue", ""},
             {"/api/generate", "\"max_tokens\":40,"},
             {"/api/generate", "\"max_tokens\":8,\"steer\":{\"toward\":\"id:9\"},"},
             {"/api/lens", ""},
             {"/api/recall", "\"position\":40,"},
             {"/api/graph", "\"max_nodes\":50,"}};

static void progress(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    char *body = body_of(calls[i].more);
    double t = sgi_now();
    reply plain = client_call(server, calls[i].path, body, "");
    double took = sgi_now() - t;
    reply events = client_call(server, calls[i].path, body, "Accept: text/event-stream\r\n");
    if (plain.status != 200 || events.status != 200) fail_msg("%s: %s", calls[i].path, plain.body);
    size_t n = 0;
    for (const char *p = events.body; (p = strstr(p, "event: progress\ndata: {\"part\":")); p++) n++;
    print_message("%s%s: %.2f s, %zu events\n", calls[i].path, strstr(calls[i].more, "verify") ? " verified" : "", took,
                  n);
    assert_true(n >= 1);
    const char *done = strstr(events.body, "event: done\ndata: ");
    assert_non_null(done);
    assert_int_equal(strncmp(done + 18, plain.body, plain.n), 0);
    reply_free(&plain);
    reply_free(&events);
    free(body);
  }
}

/* Whoever hangs up, with events or without, ends his job at its first look
 * (tests/unit/test_watch.c: at any later one). */
static void hang_up(void **state) {
  (void)state;
  hold = true;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    for (int stream = 0; stream < 2; stream++) {
      char *body = body_of(calls[i].more), piece[256];
      char *text = client_request(server, calls[i].path, body, stream ? "Accept: text/event-stream\r\n" : "");
      int fd = client_connect(http_port(server)), at = begun, before = cancelled, over = ended;
      assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
      if (stream) assert_true(recv(fd, piece, sizeof piece, 0) > 0);
      while (begun == at) nap(0.001); /* a request that was not read when its client left is no job */
      close(fd);
      double t = sgi_now();
      while (ended == over && sgi_now() - t < 60) nap(0.001);
      if (cancelled != before + 1)
        fail_msg("%s, events %d: not cancelled, ended %d after %.2f s", calls[i].path, stream, ended - over,
                 sgi_now() - t);
      free(text);
      free(body);
    }
  hold = false;
  reply r = client_call(server, "/api/info", NULL, "");
  assert_int_equal(r.status, 200);
  reply_free(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(progress), cmocka_unit_test(hang_up)};
  return cmocka_run_group_tests(tests, start, stop);
}
