/* The pure checks of a request: hosts, origins, methods, tokens, paths, depth. */
#include <stdio.h>
#include <string.h>

#include "../server/guard.h"
#include "support/golden.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
enum { PORT = 8123 };

static guard_request good(const char *method) {
  return (guard_request){.method = method,
                         .uri = "/api/predict",
                         .host = "127.0.0.1:8123",
                         .content_type = "application/json",
                         .content_length = !strcmp(method, "POST") ? "2" : NULL,
                         .token = TOKEN};
}

static int check(const guard_request *r) { return guard_check(r, PORT, NULL, TOKEN, true); }

static void hosts(void **state) {
  (void)state;
  static const char *const ours[] = {"127.0.0.1:8123", "localhost:8123", "[::1]:8123"};
  static const char *const others[] = {"",
                                       "127.0.0.1",
                                       "localhost",
                                       "127.0.0.1:8124",
                                       "127.0.0.1:81230",
                                       "127.0.0.1:",
                                       "127.0.0.1:8123 ",
                                       " 127.0.0.1:8123",
                                       "127.0.0.1:8123.",
                                       "127.0.0.1.:8123",
                                       "localhost.:8123",
                                       "LOCALHOST:8123",
                                       "Localhost:8123",
                                       "localhost:08123",
                                       "localhost:8123,evil.example",
                                       "evil.example",
                                       "evil.example:8123",
                                       "localhost.evil.example:8123",
                                       "127.0.0.1.nip.io:8123",
                                       "evil.example@127.0.0.1:8123",
                                       "127.0.0.1:8123@evil.example",
                                       "127.0.0.1:8123/",
                                       "http://127.0.0.1:8123",
                                       "127.1:8123",
                                       "127.0.0.2:8123",
                                       "0.0.0.0:8123",
                                       "0:8123",
                                       "2130706433:8123",
                                       "0x7f000001:8123",
                                       "0177.0.0.1:8123",
                                       "[::]:8123",
                                       "[::1]",
                                       "::1:8123",
                                       "[0:0:0:0:0:0:0:1]:8123",
                                       "[::ffff:127.0.0.1]:8123",
                                       "[::1%25lo]:8123",
                                       "127.0.0.1:8123\t",
                                       "\t127.0.0.1:8123",
                                       "127.0.0.1:8123#",
                                       "*:8123",
                                       "local\xc4\xb1host:8123",
                                       "127.0.0.1:+8123"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
    guard_request r = good("GET");
    r.host = ours[i];
    assert_int_equal(check(&r), 0);
  }
  assert_true(sizeof others / sizeof *others >= 40);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    guard_request r = good("GET");
    r.host = others[i];
    if (check(&r) != 421) fail_msg("Host \"%s\": %d, expected 421", others[i], check(&r));
  }
  guard_request r = good("GET");
  r.host = NULL;
  assert_int_equal(check(&r), 400);
  r = good("GET");
  r.broken = true; /* two of them, or a NUL */
  assert_int_equal(check(&r), 400);
  /* The name the server was told to listen on is its own too. */
  r = good("GET");
  r.host = "10.0.0.7:8123";
  assert_int_equal(guard_check(&r, PORT, "10.0.0.7", TOKEN, true), 0);
}

static void other_sites(void **state) {
  (void)state;
  static const char *const origins[] = {"null",
                                        "http://evil.example",
                                        "https://127.0.0.1:8123",
                                        "http://127.0.0.1",
                                        "http://127.0.0.1:8124",
                                        "http://localhost:8123.evil.example",
                                        "http://evil.example:8123",
                                        "HTTP://127.0.0.1:8123",
                                        "http://127.0.0.1:8123/",
                                        "file://",
                                        "",
                                        "http://",
                                        "moz-extension://x"};
  static const char *const types[] = {NULL,
                                      "",
                                      "text/plain",
                                      "application/x-www-form-urlencoded",
                                      "multipart/form-data",
                                      "text/plain; application/json",
                                      "application/jsonp",
                                      "application/json+x",
                                      "text/json"};
  static const char *const sites[] = {"cross-site", "same-site", "", "Same-Origin"};
  for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
    guard_request r = good("POST");
    r.origin = origins[i];
    if (check(&r) != 403) fail_msg("Origin \"%s\": %d, expected 403", origins[i], check(&r));
  }
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    guard_request r = good("POST");
    r.content_type = types[i];
    if (check(&r) != 415) fail_msg("type \"%s\": %d, expected 415", types[i] ? types[i] : "-", check(&r));
  }
  for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
    guard_request r = good("POST");
    r.fetch_site = sites[i];
    if (check(&r) != 403) fail_msg("Sec-Fetch-Site \"%s\": %d, expected 403", sites[i], check(&r));
  }
  guard_request r = good("POST");
  r.origin = "http://localhost:8123";
  r.fetch_site = "same-origin";
  r.content_type = "Application/JSON; charset=utf-8";
  assert_int_equal(check(&r), 0);
}

static void tokens(void **state) {
  (void)state;
  static const char *const wrong[] = {NULL,
                                      "",
                                      "0",
                                      TOKEN "0",
                                      "0123456789abcdef0123456789abcdee",
                                      "1123456789abcdef0123456789abcdef",
                                      "0123456789ABCDEF0123456789ABCDEF"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    guard_request r = good("POST");
    r.token = wrong[i];
    assert_int_equal(check(&r), 401);
  }
  guard_request r = good("GET");
  r.token = NULL;
  r.uri = "/api/info?token=" TOKEN;
  assert_int_equal(check(&r), 401);
  assert_int_equal(guard_check(&r, PORT, NULL, TOKEN, false), 0); /* the page's files hold no data */
}

static void framing(void **state) {
  (void)state;
  static const struct {
    const char *length;
    int status;
  } all[] = {{NULL, 411},
             {"", 400},
             {"-1", 400},
             {"+2", 400},
             {"2 ", 400},
             {"0x2", 400},
             {"2,2", 400},
             {"1048577", 413},
             {"1048576", 0},
             {"99999999", 413},
             {"18446744073709551618", 413}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    guard_request r = good("POST");
    r.content_length = all[i].length;
    if (check(&r) != all[i].status) fail_msg("length \"%s\": %d", all[i].length ? all[i].length : "-", check(&r));
  }
  guard_request r = good("POST");
  r.transfer = "chunked";
  assert_int_equal(check(&r), 400);
  r.content_length = NULL;
  assert_int_equal(check(&r), 411);
  r = good("GET");
  r.transfer = "chunked";
  assert_int_equal(check(&r), 400);
  static const char *const methods[] = {"PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "HEAD", "get", "PATCH", ""};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    r = good("GET");
    r.method = methods[i];
    assert_int_equal(check(&r), 405);
  }
  r = good("POST");
  assert_int_equal(guard_check(&r, PORT, NULL, TOKEN, false), 405);
  static char longer[GUARD_URI_MAX + 2];
  memset(longer, 'a', sizeof longer - 1);
  longer[0] = '/';
  r = good("GET");
  r.uri = longer;
  assert_int_equal(check(&r), 414);
}

/* 300 spellings of other places: parts put together. */
static void traversal(void **state) {
  (void)state;
  static const char *const steps[] = {"..",       "%2e%2e",           "%2E.", ".%2e", "%252e%252e", "...", ".", "..%00",
                                      "..%c0%af", "\xc0\xae\xc0\xae", "..;",  "~",    "%uff0e"};
  static const char *const joints[] = {"/", "//", "\\", "%2f", "%5c", "%252f", "/./", "/\\"};
  static const char *const ends[] = {"etc/passwd", "config.json", "app.js"};
  size_t n = 0;
  for (size_t a = 0; a < sizeof steps / sizeof *steps; a++)
    for (size_t b = 0; b < sizeof joints / sizeof *joints; b++)
      for (size_t c = 0; c < sizeof ends / sizeof *ends; c++) {
        char uri[128], path[GUARD_URI_MAX];
        snprintf(uri, sizeof uri, "/%s%s%s", steps[a], joints[b], ends[c]);
        if (guard_path(uri, path, sizeof path)) fail_msg("%s passes as %s", uri, path);
        n++;
      }
  assert_true(n >= 300);
  static const char *const bad[] = {"",
                                    "app.js",
                                    "//",
                                    "//app.js",
                                    "/app.js/",
                                    "/a//b",
                                    "/.hidden",
                                    "/a/.b",
                                    "/a b",
                                    "/a\tb",
                                    "/a%20b",
                                    "*",
                                    "http://127.0.0.1:8123/app.js",
                                    "/app.js#x",
                                    "/app.js;x",
                                    "/\x7f"};
  char path[GUARD_URI_MAX];
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (guard_path(bad[i], path, sizeof path)) fail_msg("%s passes as %s", bad[i], path);
  assert_true(guard_path("/", path, sizeof path));
  assert_true(guard_path("/app.js?v=../../etc", path, sizeof path));
  assert_string_equal(path, "/app.js");
}

static void depth(void **state) {
  (void)state;
  char text[4 * GUARD_JSON_VALUES];
  memset(text, '[', GUARD_JSON_DEPTH + 1);
  assert_true(guard_json(text, GUARD_JSON_DEPTH));
  assert_false(guard_json(text, GUARD_JSON_DEPTH + 1));
  memset(text, ',', sizeof text);
  assert_true(guard_json(text, GUARD_JSON_VALUES - 1));
  assert_false(guard_json(text, GUARD_JSON_VALUES));
  const char *quoted = "{\"a\": \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[\"}";
  assert_true(guard_json(quoted, strlen(quoted)));
  assert_true(guard_json("\"\\", 2));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(hosts),   cmocka_unit_test(other_sites), cmocka_unit_test(tokens),
                                     cmocka_unit_test(framing), cmocka_unit_test(traversal),   cmocka_unit_test(depth)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
